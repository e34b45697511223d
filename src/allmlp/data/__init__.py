"""Sources of examples, decoding, augmentation: everything that ends in a batch."""

from allmlp.data.augment import Augment as Augment
from allmlp.data.batches import Padding as Padding
from allmlp.data.batches import iterate_batches as iterate_batches
from allmlp.data.batches import iterate_shares as iterate_shares
from allmlp.data.crop import ResizedCrop as ResizedCrop
from allmlp.data.draws import epoch_generator as epoch_generator
from allmlp.data.erase import Erasing as Erasing
from allmlp.data.image_files import ImageFiles as ImageFiles
from allmlp.data.image_set import ImageSet as ImageSet
from allmlp.data.mix import Mix as Mix
from allmlp.data.order import balanced_order as balanced_order
from allmlp.data.order import repeated_order as repeated_order
from allmlp.data.order import shuffled_order as shuffled_order
from allmlp.data.policies import AutoAugment as AutoAugment
from allmlp.data.policies import RandAugment as RandAugment
from allmlp.data.policies import TrivialAugment as TrivialAugment
from allmlp.data.preprocess import Preprocess as Preprocess
from allmlp.data.sources import SOURCES as SOURCES
from allmlp.data.sources import is_data as is_data
from allmlp.data.sources import load_images as load_images
from allmlp.data.sources import load_source as load_source
from allmlp.data.sources import source_stem as source_stem
from allmlp.data.split import Splits as Splits
from allmlp.data.split import take_samples as take_samples
from allmlp.data.stream import BrokenImages as BrokenImages
from allmlp.data.stream import ImageStream as ImageStream
from allmlp.data.stream import choose_workers as choose_workers
from allmlp.data.stream import prepare as prepare
from allmlp.data.table import Table as Table
from allmlp.data.table import read_table as read_table
from allmlp.data.table import to_table as to_table
from allmlp.data.table_encoder import TableEncoder as TableEncoder
from allmlp.data.table_fit import fit_encoder as fit_encoder
from allmlp.data.table_fit import quantile_edges as quantile_edges
from allmlp.data.table_split import group_parts as group_parts
from allmlp.data.table_split import random_parts as random_parts
from allmlp.data.table_split import time_parts as time_parts
from allmlp.data.views import five_crops as five_crops
from allmlp.data.views import predict_views as predict_views
from allmlp.data.views import random_crops as random_crops
from allmlp.data.views import with_flips as with_flips
from allmlp.data.warp import Warp as Warp
from allmlp.data.write_shards import Shard as Shard
from allmlp.data.write_shards import write_shards as write_shards

__all__ = [
    "SOURCES",
    "Augment",
    "AutoAugment",
    "BrokenImages",
    "Erasing",
    "ImageFiles",
    "ImageSet",
    "ImageStream",
    "Mix",
    "Padding",
    "Preprocess",
    "RandAugment",
    "ResizedCrop",
    "Shard",
    "Splits",
    "Table",
    "TableEncoder",
    "TrivialAugment",
    "Warp",
    "balanced_order",
    "choose_workers",
    "epoch_generator",
    "fit_encoder",
    "five_crops",
    "group_parts",
    "is_data",
    "iterate_batches",
    "iterate_shares",
    "load_images",
    "load_source",
    "predict_views",
    "prepare",
    "quantile_edges",
    "random_crops",
    "random_parts",
    "read_table",
    "repeated_order",
    "shuffled_order",
    "source_stem",
    "take_samples",
    "time_parts",
    "to_table",
    "with_flips",
    "write_shards",
]
