"""Pure tensor functions and their kernels. Nothing here holds state."""

from allmlp.ops.autocast import autocast_dtype as autocast_dtype
from allmlp.ops.bspline import bspline_basis as bspline_basis
from allmlp.ops.contraction import basis_linear as basis_linear
from allmlp.ops.convolution_matrix import convolution_matrix as convolution_matrix
from allmlp.ops.expansion import Expansion as Expansion
from allmlp.ops.fourier import harmonics as harmonics
from allmlp.ops.linear import linear as linear
from allmlp.ops.linear import linear_gelu as linear_gelu
from allmlp.ops.polynomial import polynomials as polynomials
from allmlp.ops.radial import bumps as bumps
from allmlp.ops.rational import rational_function as rational_function
from allmlp.ops.relu_kan import relu_bumps as relu_bumps
from allmlp.ops.shift import ShiftPattern as ShiftPattern
from allmlp.ops.shift import cyclic_pattern as cyclic_pattern
from allmlp.ops.shift import make_pattern as make_pattern
from allmlp.ops.shift import shift_channels as shift_channels
from allmlp.ops.symbolic import SymbolicFunction as SymbolicFunction
from allmlp.ops.tokens import mix_tokens as mix_tokens
from allmlp.ops.values import basis_values as basis_values

__all__ = [
    "Expansion",
    "ShiftPattern",
    "SymbolicFunction",
    "autocast_dtype",
    "basis_linear",
    "basis_values",
    "bspline_basis",
    "bumps",
    "convolution_matrix",
    "cyclic_pattern",
    "harmonics",
    "linear",
    "linear_gelu",
    "make_pattern",
    "mix_tokens",
    "polynomials",
    "rational_function",
    "relu_bumps",
    "shift_channels",
]
