"""A tour of the theorems: build a network, read its certificate, check it yourself.

python examples/10_theory_tour.py
"""

from fractions import Fraction

import numpy as np
from sklearn.datasets import load_digits

from allmlp.theory import (
    approximate,
    graph,
    memorize,
    narrow_limit,
    polynomial_limit,
    pyramid_net,
    sawtooth,
    square_sizes,
    units_for_l1_error,
)


def heading(text: str) -> None:
    """A line between two stops of the tour."""
    print(f"\n=== {text} ===\n")


heading("1. One hidden layer approximates, with the error known beforehand")
net = approximate(lambda x: np.abs(np.sin(3 * x)), lipschitz=3.0, error=0.01)
print(net.certificate())

heading("2. ... unless the activation is a polynomial")
limit = polynomial_limit(abs, [-1, Fraction(-1, 2), 0, Fraction(1, 2), 1])
print(
    f"cubic activation, any width: |x| is missed by {limit.bound} or more; two ReLUs have error 0"
)

heading("3. Depth: 2^n pieces from 2n units")
tent = sawtooth(10)
print(f"{graph(tent).num_pieces} pieces, {tent.parameters} parameters, width {tent.width}")
print(f"one hidden layer within L1 error 1/16 needs {units_for_l1_error(10)} units or more")

heading("4. Depth against width for x², error 1e-6")
for size in square_sizes(1e-6):
    print(f"{size.levels:>2} hidden layers, fold {size.fold:>3}: {size.parameters:>5} parameters")

heading("5. Width 2 memorises 1,797 digits, in float64, to the last bit")
X, y = load_digits(return_X_y=True)
memory = memorize(X, y)
print(f"labels returned: {(memory(X) == y).sum()} of {len(y)}")
print(memory.certificate())

heading("6. Width d cannot do what width d + 1 can")
pyramid = pyramid_net()
print(f"pyramid at width 3: value {pyramid.exact([[0, 0]])[0]} at the top, exactly")
print(f"any network of width 2 misses it by {narrow_limit(1, 0)} or more, at any depth")
