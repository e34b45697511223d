"""One architecture a file. Architectures do not import each other."""

from allmlp.models.bilinear import BilinearMLP as BilinearMLP
from allmlp.models.kan import KAN as KAN
from allmlp.models.kan import GridChange as GridChange
from allmlp.models.kan import GridUpdate as GridUpdate
from allmlp.models.mlp import MLP as MLP
from allmlp.models.mlp import ClassificationHead as ClassificationHead
from allmlp.models.mlp import MLPFeatureExtractor as MLPFeatureExtractor
from allmlp.models.mlp_config import MLPOptions as MLPOptions

__all__ = [
    "KAN",
    "MLP",
    "BilinearMLP",
    "ClassificationHead",
    "GridChange",
    "GridUpdate",
    "MLPFeatureExtractor",
    "MLPOptions",
]
