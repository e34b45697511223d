"""Sources of examples, decoding, augmentation: everything that ends in a batch."""

from allmlp.data.augment import Warp as Warp
from allmlp.data.batches import Padding as Padding
from allmlp.data.batches import epoch_generator as epoch_generator
from allmlp.data.batches import iterate_batches as iterate_batches
from allmlp.data.batches import iterate_shares as iterate_shares
from allmlp.data.batches import iterate_batches as iterate_batches
from allmlp.data.draws import epoch_generator as epoch_generator
from allmlp.data.image_files import ImageFiles as ImageFiles
from allmlp.data.image_set import ImageSet as ImageSet
from allmlp.data.preprocess import Preprocess as Preprocess
from allmlp.data.sources import SOURCES as SOURCES
from allmlp.data.sources import load_source as load_source
from allmlp.data.sources import source_stem as source_stem
from allmlp.data.split import Splits as Splits
from allmlp.data.stream import BrokenImages as BrokenImages
from allmlp.data.stream import ImageStream as ImageStream
from allmlp.data.stream import prepare as prepare
from allmlp.data.warp import Warp as Warp

__all__ = [
    "SOURCES",
    "BrokenImages",
    "ImageFiles",
    "ImageSet",
    "ImageStream",
    "Padding",
    "Preprocess",
    "Splits",
    "Warp",
    "epoch_generator",
    "iterate_batches",
    "iterate_shares",
    "load_source",
    "prepare",
    "source_stem",
]
