"""Rational functions and their gradients in one pass each: `ops.rational` in machine code.

The formula in torch passes over x some twenty times on the way there and fifty on the way back,
every time through memory. Here the channels lie side by side, each beside the coefficients of its
group, so that loops vectorise however few channels share them.

Gradients of coefficients are sums over all samples. Each channel adds up `ROWS` of them in its own
place, channels and blocks of rows then follow in their order, in float64: the result depends on
nothing but the operands, not even on the number of threads.

Importing this file needs numba (`ops.machine_code`).

Axes: b samples, d channels, g groups, p numerator and q denominator coefficients, s blocks of rows.
"""

# numba reads the types from the arguments
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import numpy as np

from allmlp.ops.machine_code import compiled

__all__ = ["ROWS", "gradients", "quotients"]

# Samples whose terms are added in the dtype of x.
ROWS = 256
# Channels at once: ten coefficients and their ten sums in 40 kB of float32.
BLOCK = 512


@compiled
def _given(numerator, denominator, above, below, absolute, start, stop, each):
    # coefficients (p + q, i) of the channels start + i; those of a polynomial in |x| are absolute
    degrees = len(above)
    held = np.empty((degrees + len(below), BLOCK), numerator.dtype)
    for c in range(start, stop):
        group = c // each
        for p in range(degrees):
            held[p, c - start] = numerator[group if len(numerator) > 1 else 0, p]
        for q in range(len(below)):
            value = denominator[group, q]
            held[degrees + q, c - start] = abs(value) if absolute else value
    return held


@compiled
def quotients(x, numerator, denominator, above, below, absolute, out):
    """P / Q: out (b, d) is overwritten.

    Args:
        x: (b, d).
        numerator: (g, p) or (1, p).
        denominator: (g, q).
        above: (0, ..., p - 1); loops over a tuple's length are unrolled.
        below: (1, ..., q).
        absolute: whether Q = 1 + sum |b_q x^q|, else 1 + |sum b_q x^q|.
        out: (b, d).
    """
    degrees, roots = len(above), len(below)
    one, zero = x.dtype.type(1), x.dtype.type(0)
    each = x.shape[1] // len(denominator)
    for start in range(0, x.shape[1], BLOCK):
        stop = min(start + BLOCK, x.shape[1])
        held = _given(numerator, denominator, above, below, absolute, start, stop, each)
        for b in range(x.shape[0]):
            source, target = x[b, start:stop], out[b, start:stop]
            for i in range(stop - start):
                z = source[i]
                p = held[degrees - 1, i]
                for n in range(degrees - 2, -1, -1):
                    p = p * z + held[n, i]
                base = abs(z) if absolute else z
                q = zero
                for n in range(roots - 1, -1, -1):
                    q = (q + held[degrees + n, i]) * base
                target[i] = p / (one + abs(q))


@compiled
def gradients(x, numerator, denominator, above, below, absolute, dy, dx, sums):
    """The gradient of x and the sums that those of the coefficients are made of.

    Args are those of `quotients`, and:
        dy: (b, d).
        dx: (b, d), overwritten.
        sums: of every block of `ROWS` rows (s, g, p + q) in float64, overwritten: the gradients
            of a and b, that of b without the sign of b where it is absolute.
    """
    degrees, roots = len(above), len(below)
    one, zero = x.dtype.type(1), x.dtype.type(0)
    each = x.shape[1] // len(denominator)
    totals = np.empty((degrees + roots, BLOCK), x.dtype)
    sums[:] = 0
    for start in range(0, x.shape[1], BLOCK):
        stop = min(start + BLOCK, x.shape[1])
        held = _given(numerator, denominator, above, below, absolute, start, stop, each)
        for block in range(sums.shape[0]):
            totals[:] = zero
            for b in range(block * ROWS, min(block * ROWS + ROWS, x.shape[0])):
                source, given, target = x[b, start:stop], dy[b, start:stop], dx[b, start:stop]
                for i in range(stop - start):
                    z = source[i]
                    p, dp = held[degrees - 1, i], zero
                    for n in range(degrees - 2, -1, -1):
                        dp = dp * z + p
                        p = p * z + held[n, i]
                    base = abs(z) if absolute else z
                    q, dq = held[degrees + roots - 1, i], zero
                    for n in range(roots - 2, -1, -1):
                        dq = dq * base + q
                        q = q * base + held[degrees + n, i]
                    dq = dq * base + q
                    q = q * base
                    side = -one if q < zero else one
                    turn = side
                    if absolute:  # the slope of |x|, 0 at 0
                        turn = zero if z == zero else (-one if z < zero else one)
                    inverse = one / (one + abs(q))
                    slope = given[i] * inverse
                    fall = -slope * (p * inverse)
                    target[i] = slope * dp + fall * (turn * dq)
                    for n in range(degrees):
                        totals[n, i] += slope
                        slope *= z
                    fall *= side
                    for n in range(roots):
                        fall *= base
                        totals[degrees + n, i] += fall
            for i in range(stop - start):
                group = (start + i) // each
                for n in range(degrees + roots):
                    sums[block, group, n] += totals[n, i]
