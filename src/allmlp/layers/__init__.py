"""`nn.Module`s with parameters and no opinion about the network they are part of."""

from allmlp.layers.bases import BASES as BASES
from allmlp.layers.bases import make_basis as make_basis
from allmlp.layers.basis import Basis as Basis
from allmlp.layers.bspline import BSplineBasis as BSplineBasis
from allmlp.layers.drop_path import DropPath as DropPath
from allmlp.layers.drop_path import drop_path_rates as drop_path_rates
from allmlp.layers.kan import KANLinear as KANLinear
from allmlp.layers.mlp import Mlp as Mlp
from allmlp.layers.mlp import TokenMlp as TokenMlp
from allmlp.layers.patch_stem import PatchStem as PatchStem

__all__ = [
    "BASES",
    "BSplineBasis",
    "Basis",
    "DropPath",
    "KANLinear",
    "Mlp",
    "PatchStem",
    "TokenMlp",
    "drop_path_rates",
    "make_basis",
]
