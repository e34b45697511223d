"""Pure tensor functions and their kernels. Nothing here holds state."""

from allmlp.ops.linear import linear_gelu as linear_gelu
from allmlp.ops.tokens import mix_tokens as mix_tokens

__all__ = ["linear_gelu", "mix_tokens"]
