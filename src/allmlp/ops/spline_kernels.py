"""B-splines into a tile of the basis and out of one: `ops.bspline` in machine code, for processors.

The formula in torch passes a dozen times over its operands and places k + 1 values among m by a
scatter over index tensors. Here a block of inputs stays in the first cache: find the cells,
evaluate k + 1 polynomials with the inputs side by side, so that the loops vectorise, and store.
The way back reads the k + 1 of m slopes that a cell touches.

Importing this file needs numba (`ops.machine_code`).

Axes: b samples, i inputs, m functions, c cells, r the k + 1 functions of a cell, p powers of u.
"""

# numba reads the types from the arguments
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from functools import partial

import numpy as np

from allmlp.ops.machine_code import compiled

__all__ = ["contract", "fill", "local_inputs", "local_outputs", "local_weights", "turn"]

# Inputs at once: u, cell, gain, excess and k + 1 taps in 32 kB, for cubics in float32.
BLOCK = 512
# Samples that visit the weights of one input in turn, which stay in the first cache meanwhile; and
# inputs whose taps are kept for them.
SAMPLES, NEAR = 128, 32
# Functions of an input that are made side by side, zeros and all, before it is faster to place the
# k + 1 that are not 0: by choice among these; by the formula of them all, in `fill`, in `contract`.
FEW, FEW_FILLED, FEW_SUMMED = 12, 22, 16


@compiled
def _buffers(x, powers):
    # u, excess beyond the outermost cells, gain, one to spare; then the taps
    return np.empty((4 + len(powers), BLOCK), x.dtype), np.empty(BLOCK, np.int32)


@compiled
def _taps(x, powers, knots, table, edges, start, first, last, beyond, rows, cell):
    # rows[4 + r, i]: function cell - k + r of input start + i, times gain
    taps, degree = len(powers), len(powers) - 1
    n, stop = x.size, start + x.size
    u, excess, gain = rows[0], rows[1], rows[2]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    tangents, vanish, tails = beyond
    uniform = edges.size > 0
    if uniform:
        low, high = x.dtype.type(first), x.dtype.type(last)
        origin, width = knots[0, start:stop], knots[1, start:stop]
        for i in range(n):
            steps = (x[i] - origin[i]) / width[i]
            at = steps if steps > low else low  # NaN: the first cell; u carries it on
            cell[i] = np.int32(at if at < high else high)
            u[i] = steps - x.dtype.type(cell[i])
    else:
        for i in range(n):
            here = knots[start + i]
            left, right = first, last
            while left < right:  # the last cell whose left knot is not beyond x
                middle = (left + right + 1) // 2
                if here[middle] <= x[i]:
                    left = middle
                else:
                    right = middle - 1
            cell[i] = left
            u[i] = (x[i] - here[left]) / (here[left + 1] - here[left])

    outside = 0
    for i in range(n):
        outside += (u[i] < zero) | (u[i] >= one)
    if outside:
        for i in range(n):
            edge = zero if u[i] < zero else (one if u[i] > one else u[i])
            excess[i] = (u[i] - edge) * gain[i]
            gone = (u[i] != edge) | (tails & (edge == one))
            gain[i] = zero if vanish & gone & (u[i] == u[i]) else gain[i]
            u[i] = edge

    if uniform:
        for r in range(taps):
            row = rows[4 + r]
            for i in range(n):
                value = table[0, 0, degree, r]
                for p in range(degree - 1, -1, -1):
                    value = value * u[i] + table[0, 0, p, r]
                row[i] = value * gain[i]
            if outside and tangents:
                for i in range(n):
                    row[i] += excess[i] * (edges[0, r] if u[i] == zero else edges[1, r])
    else:
        for i in range(n):
            polynomials = table[start + i, cell[i]]
            for r in range(taps):
                value, slope = polynomials[degree, r], zero
                for p in range(degree - 1, -1, -1):
                    slope = slope * u[i] + value
                    value = value * u[i] + polynomials[p, r]
                rows[4 + r, i] = value * gain[i]
                if outside and tangents:
                    rows[4 + r, i] += excess[i] * slope


@compiled
def _all_inside(x, knots, start, first, last, beyond, steps):
    # steps[i], in distances of knots from the first one; whether no input needs what `_taps` does
    # beyond the cells and for NaN (a function vanishes outside of its own cells by itself)
    stop = start + x.size
    far = x.dtype.type(np.inf)
    low = -far if beyond[2] else x.dtype.type(first)
    high = far if beyond[2] else x.dtype.type(last + 1)
    origin, width = knots[0, start:stop], knots[1, start:stop]
    inside = 0
    for i in range(x.size):
        steps[i] = (x[i] - origin[i]) / width[i]
        inside += (steps[i] >= low) & (steps[i] < high)
    return inside == x.size


@compiled
def _bump(t, zero, powers, exponents, ramps):
    # a function at t knots from its middle, max(f0 - g0 |t|, 0)^p - max(f1 - g1 |t|, 0)^p; what it
    # is a derivative of is even
    odd = (len(powers) - 1 - len(exponents)) % 2 == 1
    (f0, g0), (f1, g1) = ramps
    upper, lower = f0 - g0 * abs(t), f1 - g1 * abs(t)
    upper = upper if upper > zero else zero
    lower = lower if lower > zero else zero
    value, less = upper, lower
    for _ in range(len(exponents) - 1):
        value, less = value * upper, less * lower
    value = value - less
    return -value if odd and t > zero else value


@compiled
def fill(x, powers, exponents, ramps, knots, table, edges, scale, first, last, beyond, s, out):
    """Values, times s: out (b, m, i) is overwritten.

    Args:
        x: (b, i).
        powers: (0, 1, ..., k); loops over a tuple's length are unrolled for every k.
        exponents: any p numbers, p of `ramps`; none where there are none.
        ramps: what all functions of uniform knots are made of, the same but for their middle
            (`ops.tiles.ramps_of`): ((f0, g0), (f1, g1)).
        knots: (i, c + 1); of uniform knots the first one and the distance, (2, i).
        table: coefficients on every cell (i, c, p, r); of uniform knots (1, 1, p, r), the same on
            all.
        edges: of uniform knots the slopes at either end of a cell (2, r), else (0, 0).
        scale: a factor for every input (i).
        first: the first cell on which functions are evaluated.
        last: the last one.
        beyond: what happens outside of these cells, three times true or false: go along the
            tangents; vanish; the cells include those between the extra knots, where only some of
            the k + 1 functions exist.
        s: (b, i), or (0, 0) for 1.
        out: (b, m, i).
    """
    size, inputs = out.shape[1], x.shape[1]
    taps, degree = len(powers), len(powers) - 1
    rows, cell = _buffers(x, powers)
    steps = rows[0]
    zero, half = x.dtype.type(0), x.dtype.type(0.5) * x.dtype.type(taps)
    for b in range(x.shape[0]):
        for start in range(0, inputs, BLOCK):
            stop = min(start + BLOCK, inputs)
            n = stop - start
            rows[2, :n] = scale[start:stop]
            if s.size:
                for i in range(n):
                    rows[2, i] *= s[b, start + i]
            if (
                len(exponents) > 0
                and size <= FEW_FILLED
                and _all_inside(x[b, start:stop], knots, start, first, last, beyond, steps)
            ):
                for q in range(size):
                    piece, middle = out[b, q, start:stop], x.dtype.type(q) + half
                    if s.size == 0 and len(exponents) == degree:  # all gains are 1
                        for i in range(n):
                            piece[i] = _bump(steps[i] - middle, zero, powers, exponents, ramps)
                    else:
                        for i in range(n):
                            value = _bump(steps[i] - middle, zero, powers, exponents, ramps)
                            piece[i] = rows[2, i] * value
                continue
            _taps(
                x[b, start:stop],
                powers,
                knots,
                table,
                edges,
                start,
                first,
                last,
                beyond,
                rows,
                cell,
            )
            if size <= FEW:
                for q in range(size):
                    piece = out[b, q, start:stop]
                    for i in range(n):
                        value = zero
                        for r in range(taps):
                            value = rows[4 + r, i] if cell[i] == np.int32(q + degree - r) else value
                        piece[i] = value
                continue
            for q in range(size):
                piece = out[b, q, start:stop]
                for i in range(n):
                    piece[i] = zero
            flat = out[b].reshape(-1)[start:]
            if beyond[2]:
                for i in range(n):
                    lowest = np.int64(cell[i]) - degree
                    for r in range(taps):
                        if 0 <= lowest + r < size:
                            flat[(lowest + r) * inputs + i] = rows[4 + r, i]
            else:
                for i in range(n):
                    at = np.int64(cell[i] - degree) * inputs + i
                    for r in range(taps):  # unsigned: no look for indices from the end
                        flat[np.uint64(at + r * inputs)] = rows[4 + r, i]


@compiled
def contract(
    x, powers, exponents, ramps, knots, table, edges, scale, first, last, beyond, factors, out
):
    """The sum over the functions, values times factors (b, m, i): out (b, i) is overwritten.

    The other arguments are those of `fill`.
    """
    size, inputs = factors.shape[1], x.shape[1]
    taps, degree = len(powers), len(powers) - 1
    rows, cell = _buffers(x, powers)
    steps = rows[0]
    zero, one = x.dtype.type(0), x.dtype.type(1)
    half = x.dtype.type(0.5) * x.dtype.type(taps)
    for b in range(x.shape[0]):
        for start in range(0, inputs, BLOCK):
            stop = min(start + BLOCK, inputs)
            n = stop - start
            rows[2, :n] = scale[start:stop]
            if (
                len(exponents) > 0
                and size <= FEW_SUMMED
                and _all_inside(x[b, start:stop], knots, start, first, last, beyond, steps)
            ):
                piece = out[b, start:stop]
                for i in range(n):
                    piece[i] = zero
                for q in range(0, size - 1, 2):  # by pairs: half as often to the sum and back
                    left, right = factors[b, q, start:stop], factors[b, q + 1, start:stop]
                    middle = x.dtype.type(q) + half
                    for i in range(n):
                        t = steps[i] - middle
                        value = left[i] * _bump(t, zero, powers, exponents, ramps)
                        piece[i] += value + right[i] * _bump(
                            t - one, zero, powers, exponents, ramps
                        )
                if size % 2:
                    left, middle = factors[b, size - 1, start:stop], x.dtype.type(size - 1) + half
                    for i in range(n):
                        piece[i] += left[i] * _bump(
                            steps[i] - middle, zero, powers, exponents, ramps
                        )
                for i in range(n):
                    piece[i] *= rows[2, i]
                continue
            _taps(
                x[b, start:stop],
                powers,
                knots,
                table,
                edges,
                start,
                first,
                last,
                beyond,
                rows,
                cell,
            )
            flat = factors[b].reshape(-1)[start:]
            piece = out[b, start:stop]
            if beyond[2]:
                for i in range(n):
                    lowest = np.int64(cell[i]) - degree
                    total = zero
                    for r in range(taps):
                        if 0 <= lowest + r < size:
                            total += rows[4 + r, i] * flat[(lowest + r) * inputs + i]
                    piece[i] = total
            else:
                for i in range(n):
                    at = np.int64(cell[i] - degree) * inputs + i
                    total = zero
                    for r in range(taps):
                        total += rows[4 + r, i] * flat[np.uint64(at + r * inputs)]
                    piece[i] = total


@compiled
def turn(source, first, last, target):
    """Copy source (a, m, c) to target (c, m, a), for m from first to last, by squares of a line."""
    a, c = source.shape[0], source.shape[2]
    for m in range(first, last):
        for row in range(0, a, 16):
            for column in range(0, c, 16):
                for j in range(column, min(column + 16, c)):
                    for i in range(row, min(row + 16, a)):
                        target[j, m, i] = source[i, m, j]


@compiled
def _tap_tile(x, powers, knots, table, edges, scale, first, last, beyond, s, here, near, width):
    # taps (b, i, k + 1) of the samples `here` and the inputs `near`; where their weights begin
    taps, inputs = len(powers), near[1] - near[0]
    shift = 0 if beyond[2] else 1 - taps
    values = np.empty((here[1] - here[0], inputs, taps), x.dtype)
    places = np.empty((here[1] - here[0], inputs), np.uint64)
    rows, cell = _buffers(x, powers)
    for b in range(here[0], here[1]):
        for i in range(inputs):
            rows[2, i] = scale[near[0] + i]
            if s.size:
                rows[2, i] *= s[b, near[0] + i]
        _taps(
            x[b, near[0] : near[1]],
            powers,
            knots,
            table,
            edges,
            near[0],
            first,
            last,
            beyond,
            rows,
            cell,
        )
        for i in range(inputs):
            places[b - here[0], i] = np.uint64((np.int64(cell[i]) + shift) * width)
            for r in range(taps):
                values[b - here[0], i, r] = rows[4 + r, i]
    return values, places


@compiled
def local_outputs(x, powers, knots, table, edges, scale, first, last, beyond, s, weight, out):
    """The product without a tile: out (b, o) += sum_ir tap_bir weight_{i, cell - k + r, o}.

    Args are those of `fill`, and:
        weight: (i, m, o), so that what a tap multiplies lies side by side; with k rows more before
            and after if the cells include those between the extra knots.
        out: (b, o).
    """
    taps, width = len(powers), np.uint64(weight.shape[2])
    tables = (powers, knots, table, edges, scale, first, last, beyond)
    for low in range(0, x.shape[0], SAMPLES):
        here = (low, min(low + SAMPLES, x.shape[0]))
        for start in range(0, x.shape[1], NEAR):
            near = (start, min(start + NEAR, x.shape[1]))
            values, places = _tap_tile(x, *tables, s, here, near, weight.shape[2])
            for i in range(near[1] - near[0]):
                given = weight[start + i].reshape(-1)
                for b in range(here[1] - here[0]):
                    total, tap, at = out[low + b], values[b, i], places[b, i]
                    for o in range(width):
                        value = total[o]
                        for r in range(taps):
                            value += tap[r] * given[at + np.uint64(r) * width + o]
                        total[o] = value


@compiled
def local_weights(x, powers, knots, table, edges, scale, first, last, beyond, s, y, bounds, out):
    """The gradient of the weights: out (i, m, o) += sum_b tap_bir y_bo.

    Args are those of `local_outputs`, and:
        y: (b, o).
        bounds: of the inputs to do.
        out: as `weight` there.
    """
    taps, width = len(powers), np.uint64(out.shape[2])
    tables = (powers, knots, table, edges, scale, first, last, beyond)
    for low in range(0, x.shape[0], SAMPLES):
        here = (low, min(low + SAMPLES, x.shape[0]))
        for start in range(bounds[0], bounds[1], NEAR):
            near = (start, min(start + NEAR, bounds[1]))
            values, places = _tap_tile(x, *tables, s, here, near, out.shape[2])
            for i in range(near[1] - near[0]):
                total = out[start + i].reshape(-1)
                for b in range(here[1] - here[0]):
                    given, at = y[low + b], places[b, i]
                    for r in range(taps):
                        value, row = values[b, i, r], at + np.uint64(r) * width
                        for o in range(width):
                            total[row + o] += value * given[o]


@partial(compiled, fastmath={"contract", "nsz", "reassoc"})  # a sum over o, side by side
def local_inputs(x, powers, knots, table, edges, scale, first, last, beyond, y, weight, out):
    """The gradient of the inputs: out (b, i) = sum_ro tap_bir y_bo weight_{i, cell - k + r, o}.

    Arguments are those of `local_weights` and `local_outputs`.
    """
    taps, width = len(powers), np.uint64(weight.shape[2])
    tables = (powers, knots, table, edges, scale, first, last, beyond)
    for low in range(0, x.shape[0], SAMPLES):
        here = (low, min(low + SAMPLES, x.shape[0]))
        for start in range(0, x.shape[1], NEAR):
            near = (start, min(start + NEAR, x.shape[1]))
            values, places = _tap_tile(x, *tables, x[:0], here, near, weight.shape[2])
            for i in range(near[1] - near[0]):
                row = weight[start + i].reshape(-1)
                for b in range(here[1] - here[0]):
                    given, tap, at = y[low + b], values[b, i], places[b, i]
                    total = x.dtype.type(0)
                    for o in range(width):
                        slope = x.dtype.type(0)
                        for r in range(taps):
                            slope += tap[r] * row[at + np.uint64(r) * width + o]
                        total += given[o] * slope
                    out[low + b, start + i] = total
