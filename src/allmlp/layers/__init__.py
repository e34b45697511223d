"""`nn.Module`s with parameters and no opinion about the network they are part of."""

from allmlp.layers.drop_path import DropPath as DropPath
from allmlp.layers.drop_path import drop_path_rates as drop_path_rates
from allmlp.layers.mlp import Mlp as Mlp
from allmlp.layers.mlp import TokenMlp as TokenMlp
from allmlp.layers.patch_stem import PatchStem as PatchStem

__all__ = ["DropPath", "Mlp", "PatchStem", "TokenMlp", "drop_path_rates"]
