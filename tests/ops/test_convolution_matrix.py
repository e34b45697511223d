import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from allmlp.errors import AllmlpError
from allmlp.ops.convolution_matrix import convolution_matrix

side = st.integers(1, 5)
odd = st.sampled_from([1, 3, 5])


@given(height=side, width=side, rows=odd, columns=odd, count=st.integers(1, 3))
def test_the_product_is_the_convolution(
    height: int, width: int, rows: int, columns: int, count: int
) -> None:
    kernel = torch.randn(count, rows, columns, dtype=torch.float64)
    x = torch.randn(2, count, height, width, dtype=torch.float64)
    padding = (rows // 2, columns // 2)
    expected = F.conv2d(x, kernel[:, None], padding=padding, groups=count)
    matrix = convolution_matrix(kernel, (height, width))
    found = torch.einsum("smn,bsn->bsm", matrix, x.flatten(2))
    torch.testing.assert_close(found, expected.flatten(2), rtol=1e-12, atol=1e-12)


def test_even_kernels_have_no_centre() -> None:
    with pytest.raises(AllmlpError, match="3x2 has no centre"):
        convolution_matrix(torch.zeros(1, 3, 2), (4, 4))
