"""Layers: each is an `nn.Module` with parameters and no opinion about the network around it."""

from allmlp.layers.activations import ACTIVATIONS as ACTIVATIONS
from allmlp.layers.activations import Sine as Sine
from allmlp.layers.activations import SquaredReLU as SquaredReLU
from allmlp.layers.activations import make_activation as make_activation
from allmlp.layers.affine import Affine as Affine
from allmlp.layers.affine import LayerScale as LayerScale
from allmlp.layers.bases import BASES as BASES
from allmlp.layers.bases import make_basis as make_basis
from allmlp.layers.basis import Basis as Basis
from allmlp.layers.batch_ensemble import BatchEnsembleLinear as BatchEnsembleLinear
from allmlp.layers.batch_ensemble import MemberScale as MemberScale
from allmlp.layers.bilinear import GatedLinear as GatedLinear
from allmlp.layers.bilinear import GatedMlp as GatedMlp
from allmlp.layers.bspline import BSplineBasis as BSplineBasis
from allmlp.layers.bump_basis import BumpBasis as BumpBasis
from allmlp.layers.bump_basis import ReLUBumpBasis as ReLUBumpBasis
from allmlp.layers.channel_mlp import CHANNEL_MLPS as CHANNEL_MLPS
from allmlp.layers.channel_mlp import make_channel_mlp as make_channel_mlp
from allmlp.layers.drop_path import DropPath as DropPath
from allmlp.layers.drop_path import drop_path_rates as drop_path_rates
from allmlp.layers.dropout_order import dropout_before_batch_norm as dropout_before_batch_norm
from allmlp.layers.embeddings import LinearEmbedding as LinearEmbedding
from allmlp.layers.embeddings import PBLDEmbedding as PBLDEmbedding
from allmlp.layers.embeddings import PeriodicEmbedding as PeriodicEmbedding
from allmlp.layers.embeddings import PiecewiseLinearEmbedding as PiecewiseLinearEmbedding
from allmlp.layers.gated import Gate as Gate
from allmlp.layers.gated import matched_units as matched_units
from allmlp.layers.global_basis import FourierBasis as FourierBasis
from allmlp.layers.global_basis import PolynomialBasis as PolynomialBasis
from allmlp.layers.grkan import GRKAN as GRKAN
from allmlp.layers.grkan import Rational as Rational
from allmlp.layers.grouped_linear import GroupedLinear as GroupedLinear
from allmlp.layers.hooked import hooked as hooked
from allmlp.layers.init import SCHEMES as SCHEMES
from allmlp.layers.init import activation_gain as activation_gain
from allmlp.layers.init import init_linear_ as init_linear_
from allmlp.layers.init import init_siren_ as init_siren_
from allmlp.layers.kan import KANLinear as KANLinear
from allmlp.layers.kan_conv import KANConv1d as KANConv1d
from allmlp.layers.kan_conv import KANConv2d as KANConv2d
from allmlp.layers.kan_conv import KANConv3d as KANConv3d
from allmlp.layers.kan_grid import adapt_layer as adapt_layer
from allmlp.layers.kan_grid import refine_layer as refine_layer
from allmlp.layers.kan_layer import KANLayer as KANLayer
from allmlp.layers.kan_nodes import KANNodes as KANNodes
from allmlp.layers.kan_symbolic import SymbolicEdges as SymbolicEdges
from allmlp.layers.lipschitz import lipschitz_bound as lipschitz_bound
from allmlp.layers.mlp import Mlp as Mlp
from allmlp.layers.mlp import TokenMlp as TokenMlp
from allmlp.layers.mlp_block import PlainLayer as PlainLayer
from allmlp.layers.mlp_block import ResidualBlock as ResidualBlock
from allmlp.layers.noise import GaussianNoise as GaussianNoise
from allmlp.layers.norm import MAP_NORMS as MAP_NORMS
from allmlp.layers.norm import NORMS as NORMS
from allmlp.layers.norm import map_norm_factory as map_norm_factory
from allmlp.layers.norm import norm_factory as norm_factory
from allmlp.layers.parametrize import WEIGHT_NORMS as WEIGHT_NORMS
from allmlp.layers.parametrize import parametrize_linear as parametrize_linear
from allmlp.layers.patch_embed import STEMS as STEMS
from allmlp.layers.patch_stem import PatchStem as PatchStem
from allmlp.layers.pyramid import Stage as Stage
from allmlp.layers.recompute import recompute as recompute
from allmlp.layers.residual import RESIDUALS as RESIDUALS
from allmlp.layers.residual import NoResidual as NoResidual
from allmlp.layers.residual import Residual as Residual
from allmlp.layers.table_stem import CategoryEmbedding as CategoryEmbedding
from allmlp.layers.table_stem import TableStem as TableStem
from allmlp.layers.token_linear import TokenLinear as TokenLinear
from allmlp.layers.vector_norm import VECTOR_NORMS as VECTOR_NORMS
from allmlp.layers.vector_norm import BatchNorm as BatchNorm
from allmlp.layers.vector_norm import DyT as DyT
from allmlp.layers.vector_norm import RMSNorm as RMSNorm
from allmlp.layers.vector_norm import vector_norm as vector_norm

__all__ = [
    "ACTIVATIONS",
    "BASES",
    "CHANNEL_MLPS",
    "GRKAN",
    "MAP_NORMS",
    "NORMS",
    "RESIDUALS",
    "SCHEMES",
    "STEMS",
    "VECTOR_NORMS",
    "WEIGHT_NORMS",
    "Affine",
    "BSplineBasis",
    "Basis",
    "BatchEnsembleLinear",
    "BatchNorm",
    "BumpBasis",
    "CategoryEmbedding",
    "DropPath",
    "DyT",
    "FourierBasis",
    "Gate",
    "GatedLinear",
    "GatedMlp",
    "GaussianNoise",
    "GroupedLinear",
    "KANConv1d",
    "KANConv2d",
    "KANConv3d",
    "KANLayer",
    "KANLinear",
    "KANNodes",
    "LayerScale",
    "LinearEmbedding",
    "MemberScale",
    "Mlp",
    "NoResidual",
    "PBLDEmbedding",
    "PatchStem",
    "PeriodicEmbedding",
    "PiecewiseLinearEmbedding",
    "PlainLayer",
    "PolynomialBasis",
    "RMSNorm",
    "Rational",
    "ReLUBumpBasis",
    "Residual",
    "ResidualBlock",
    "Sine",
    "SquaredReLU",
    "Stage",
    "SymbolicEdges",
    "TableStem",
    "TokenLinear",
    "TokenMlp",
    "activation_gain",
    "adapt_layer",
    "drop_path_rates",
    "dropout_before_batch_norm",
    "hooked",
    "init_linear_",
    "init_siren_",
    "lipschitz_bound",
    "make_activation",
    "make_basis",
    "make_channel_mlp",
    "map_norm_factory",
    "matched_units",
    "norm_factory",
    "parametrize_linear",
    "recompute",
    "refine_layer",
    "vector_norm",
]
