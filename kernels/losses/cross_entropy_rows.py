"""Cross-entropy on rows: compiled code of `cross_entropy`, where formulas and notation stand."""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from ..arithmetic.exp import power_of_two, two_sum
from ..arithmetic.exp import scale as times_power
from ..arithmetic.log1p import log1p
from ..arithmetic.simd import (
    FLOAT32,
    below,
    broadcast,
    elements_to_alignment,
    extract_lane0,
    fence,
    fma,
    high_half,
    insert_lane,
    keep_alive,
    lanes,
    load_masked,
    load_scalar,
    low_half,
    offset,
    pointer,
    prefetch,
    scale_down,
    select,
    store,
    store_lane0,
    store_masked,
    store_stream,
)
from ..arithmetic.vector_exp import Reference, reference, reference_at, smallest_exponent
from ..runtime.jit import inline, jit
from ..softmax_family.passes import (
    BLOCK,
    StoredExponentials,
    add,
    block_of,
    blocks_of,
    inverse,
    joined,
    last_terms,
    stream,
    times_inverse,
    write_constant,
    write_probabilities,
)
from ..softmax_family.row_state import (
    exponential_of,
    new_parts,
    new_states,
    power,
    row_states,
    rows_in_a_group,
    whole_vectors,
)
from ..softmax_family.softmax_gradient import no_products, sum_of_products

HEADROOM = 6.0
"""A probability may be raised by this power of two before `scale_down` brings it to its place."""

LEAST = -16.0
"""Stored exponentials are multiplied by this power of two at least: no product is subnormal."""

Array = NDArray[Any]


class Options(NamedTuple):
    """What compiled code needs to know besides arrays."""

    scale: float
    high: float
    low: float
    """The multiplier of `vector_exp`."""
    smoothing: float
    weight: float
    """The sum of all class weights."""
    ignored: int
    """This label; -1, which no label is, if there is none."""
    factor: float
    """Of every gradient."""
    streams: bool
    """Whether to write gradients past the caches."""


@jit
def cross_entropy_rows(
    x: Any,
    labels: Any,
    cotangents: Any,
    losses: Any,
    gradient: Any,
    scratch: Any,
    weights: Any,
    o: Options,
) -> None:
    """The losses, and their gradient unless it is None; so may be `cotangents` and `weights`.

    `scratch` keeps the exponentials of a group of rows until their gradient is written; if it is
    None, they are computed twice.
    """
    classes = x.shape[-1]
    p, stored, w = pointer(x), pointer(scratch), pointer(weights)
    group, parts, states = rows_in_a_group(classes), new_parts(classes), new_states(classes)
    table, ahead = new_table(group), BLOCK if classes > BLOCK else 0
    for start in range(0, labels.size, group):
        here = min(group, labels.size - start)  # short rows go through each step together
        # 1. M and T of each row; the exponentials are kept in `scratch`.
        group_start = offset(p, start * classes)
        row_states(group_start, here, classes, o.high, o.low, stored, parts, states)
        # 2. What the labels pick, and the losses L + s (M - x_y).
        read_labels(group_start, here, classes, labels, start, cotangents, w, states, table, o)
        compute_losses(here, classes, states, table, o)
        for i in range(here):
            losses[start + i] = table[LOSS, i]
        if gradient is not None:
            # 3. The gradient: s (W p - t), times the mean's factor and the cotangent.
            compute_factors(group_start, here, classes, states, table, o)
            q = offset(pointer(gradient), start * classes)
            # Short rows in one piece, made where they are stored: they would leave many ends.
            together = o.streams and scratch is not None and classes <= BLOCK
            for i in range(here):
                row, label = offset(group_start, i * classes), labels[start + i]
                slope, sample = offset(q, i * classes), sample_of(states, table, i)
                if scratch is None:  # the exponentials are computed once more
                    write_gradient(row, classes, sample, label, w, o, slope, o.streams, ahead)
                elif together:
                    e = offset(stored, i * classes)
                    write_from_stored(e, row, classes, parts, i, sample, label, w, o, e, False)
                else:
                    e = offset(stored, i * classes)
                    write_from_stored(
                        e, row, classes, parts, i, sample, label, w, o, slope, o.streams
                    )
            if scratch is not None and together:
                stream(stored, here * classes, q)
    if gradient is not None:
        fence()
        keep_alive(gradient)
    keep_alive(x)
    keep_alive(scratch)


# --- one row, shared out to threads ---


@jit
def sample_table(
    x: Any,
    labels: Any,
    cotangents: Any,
    losses: Any,
    slopes: bool,
    weights: Any,
    states: Array,
    o: Options,
) -> Array:
    """The table of this sample, of whose row `states` are known."""
    p, table = pointer(x), new_table(1)
    read_labels(p, 1, x.size, labels, 0, cotangents, pointer(weights), states, table, o)
    compute_losses(1, x.size, states, table, o)
    losses[0] = table[LOSS, 0]
    if slopes:
        compute_factors(p, 1, x.size, states, table, o)
    keep_alive(x)
    return table


@jit
def write_part(
    x: Any, label: int, gradient: Any, weights: Any, states: Array, table: Array, o: Options
) -> None:
    """The gradient of elements x of a row; the label counts from there."""
    p, slope, sample = pointer(x), pointer(gradient), sample_of(states, table, 0)
    write_gradient(p, x.size, sample, label, pointer(weights), o, slope, o.streams, BLOCK)
    fence()
    keep_alive(x)
    keep_alive(gradient)


# --- samples: what is known of each, in columns, so that loops over it run in vectors ---

LOGIT, WEIGHT, FACTOR, SPREAD, LOSS, RIGHT, TARGET, RAISED, POWER, HIGH, LOW = range(11)
"""x_y; w_y, or -1 if the sample is ignored; what the gradient is multiplied by; the sum of
w_k (M - x_k); the loss; entry y of the gradient; of the rest see `compute_factors`."""


@jit
def new_table(group: int) -> Array:
    """Room for the samples of a group, up to `whole_vectors` of them."""
    return np.ones((11, whole_vectors(group)))


@inline
def read_labels(
    p: Any,
    here: int,
    classes: int,
    labels: Any,
    start: int,
    cotangents: Any,
    weights: Any,
    states: Any,
    table: Any,
    o: Options,
) -> None:
    """Fill LOGIT, WEIGHT, FACTOR and SPREAD: what must be looked up."""
    for i in range(here):
        is_ignored = labels[start + i] == o.ignored
        label = 0 if is_ignored else labels[start + i]
        table[LOGIT, i] = extract_lane0(load_masked(p, i * classes + label, 1, 0.0))
        table[WEIGHT, i] = -1.0 if is_ignored else weight_of(weights, label)
        table[FACTOR, i] = o.factor
        if cotangents is not None:
            table[FACTOR, i] *= cotangents[start + i]
    if o.smoothing > 0.0:
        for i in range(here):
            table[SPREAD, i] = spread_of(offset(p, i * classes), classes, states[0, i], weights)


@inline
def weight_of(weights: Any, label: int) -> float:
    """The class weight w_y of this label, 1 where no weights are given."""
    if weights is None:
        return 1.0
    weight: float = load_scalar(weights, label)
    return weight


@inline
def compute_losses(here: int, classes: int, states: Any, table: Any, o: Options) -> None:
    """Fill LOSS: the loss of each sample, from its M, T, x_y and w_y.

    With L = log1p(T), L + s (M - x_y) is `own`, the loss without smoothing and weights; all terms
    are >= 0 (the equations and the proof stand in `cross_entropy`).
    """
    s = o.scale
    for i in range(whole_vectors(here)):
        m, t, x, w = states[0, i], states[1, i], table[LOGIT, i], table[WEIGHT, i]
        log = log1p(t)  # L
        # own = L + s (M - x_y), the difference and its product as pairs, rounded once.
        half, rest = two_sum(0.5 * m, -0.5 * x)  # M - x may overflow where s times it does not
        product = 2.0 * s * half
        error = fma(2.0 * s, half, 0.0 - product) + 2.0 * s * rest
        sum_, error_of_sum = two_sum(product, log)
        own = sum_ + (error_of_sum + error) if product < np.inf else product + log
        target = (1.0 - o.smoothing) * w  # of the label; the others have theirs below
        loss = target * own if target > 0.0 else 0.0 * t  # not 0 inf; NaN if T is
        if o.smoothing > 0.0:
            # e/K (L sum_k w_k + s sum_k w_k (M - x_k))
            loss += o.smoothing * ((o.weight * log + s * table[SPREAD, i]) / classes)
        table[LOSS, i] = 0.0 if w < 0.0 else loss  # w < 0: the sample is ignored


@inline
def compute_factors(p: Any, here: int, classes: int, states: Any, table: Any, o: Options) -> None:
    """Fill RIGHT, and what `write_gradient` needs to write f p_k - g t_k, f = g W, g the FACTOR.

    |f| = m 2^RAISED |POWER| with m in [1, 2) and RAISED as large as may be, and POWER has the sign
    of f: so nothing overflows or is subnormal before it is scaled down. HIGH and LOW are as
    `inverse` has them of e(M) (1 + T) / m, and TARGET is g e / (K POWER). RAISED is infinite if f
    is 0, and NaN if f is not a number or the row has no probabilities.
    """
    lowest = -34.0 - smallest_exponent(p)  # raised by less, everything is 0
    for i in range(whole_vectors(here)):
        m, t, x = states[0, i], states[1, i], table[LOGIT, i]
        w, g = table[WEIGHT, i], table[FACTOR, i]
        own, of_others = (1.0 - o.smoothing) * w, o.smoothing * (o.weight - w) / classes
        whole = own + o.smoothing * o.weight / classes  # W, the sum of all targets
        # p_y = e^(s (x_y - M)) / (1 + T), the exponential as a pair (mantissa, n).
        d, rest = two_sum(x, 0.0 - m)
        mantissa, n = power(d, rest, 0.0, o.high, o.low)
        p_y = times_power(mantissa / (1.0 + t), n)
        # Of the largest logit p - 1 would cancel. Where p < 1/2 and the target is not 1, T/(1 + T)
        # would: both sides of that difference may be far above W p and t.
        at_top = of_others - whole * (t / (1.0 + t))
        is_at_top = x == m and (o.smoothing == 0.0 or not t > 1.0)
        right = g * (at_top if is_at_top else whole * p_y - (own + o.smoothing * w / classes))
        f = g * whole  # what multiplies every probability
        table[RIGHT, i] = right + (f - f)
        # |f| = mantissa 2^n. Of n, HEADROOM at most goes into RAISED, the rest into POWER.
        n = np.float64((np.float64(abs(f)).view(np.int64) >> 52) - 1023)
        n = n if n < 1022.0 else 1022.0
        mantissa = abs(f) * power_of_two(0.0 - n)
        size = power_of_two(n - HEADROOM if n > HEADROOM else 0.0)
        table[POWER, i] = size if f > 0.0 else 0.0 - size
        table[TARGET, i] = abs(g) * (o.smoothing / classes) / size
        n = n if n < HEADROOM else HEADROOM
        n = n if n > lowest else lowest
        n = n if abs(f) > 2.0**-1022 and w >= 0.0 else np.inf
        table[RAISED, i] = n + (t - t) + (f - f) if w >= 0.0 else np.inf
        # The inverse of e(M) (1 + T) / mantissa, as a pair.
        e = exponential_of(p, m, o.high, o.low)
        sum_, lost = two_sum(e, e * t)
        high = sum_ / mantissa
        low = (fma(0.0 - high, mantissa, sum_) + lost) / mantissa
        table[HIGH, i], table[LOW, i] = inverse(p, high, low)


# --- the passes ---


@inline
def spread_of(x: Any, classes: int, maximum: float, weights: Any) -> float:
    """The sum of w_k (maximum - x_k) over a row; a class of weight 0 counts for nothing."""
    width = lanes(x)
    total = lost = 0.0
    for k in range(0, classes, BLOCK):
        sum_ = no_products(x)
        stop = min(k + BLOCK, classes)
        for j in range(k, stop, width):
            prefetch(x, j + BLOCK)
            here = min(width, stop - j)
            w = weights_from(x, weights, j, here)
            v = load_masked(x, j, here, maximum)
            v = select(below(broadcast(x, 0.0), w), v, broadcast(x, maximum))
            sum_ = with_differences(sum_, v, w, np.float64(maximum))
        total, lost = joined(total, lost, sum_of_products(x, sum_, no_products(x)))
    return total + lost if total < np.inf else total


def with_differences(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
    """Add the products w (maximum - x) of a vector of elements to a sum of products."""
    raise NotImplementedError  # compiled code only


@overload(with_differences, jit_options={"forceinline": True})
def _(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
    if x == FLOAT32:  # two sums, as of products

        def of_float32(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
            top = broadcast(sum_[0], maximum)
            low = fma(low_half(w), top - low_half(x), sum_[0])
            return low, fma(high_half(w), top - high_half(x), sum_[1])

        return of_float32

    def of_float64(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
        return add(sum_[0], sum_[1], w * (broadcast(x, maximum) - x))

    return of_float64


@inline
def weights_from(p: Any, weights: Any, j: int, here: int) -> Any:
    """The weights of classes j, j + 1, ... in the lanes of elements of p: 1 each if None."""
    if weights is None:
        return broadcast(p, 1.0)
    return load_masked(weights, j, here, 0.0)


class Sample(NamedTuple):
    """What the gradient of a row is made of: power (2^raised e^(s x) / sum - target w), but `right`
    for the label; see `compute_factors`."""

    maximum: float
    raised: float
    high: float
    low: float
    """The inverse of the sum as `inverse` has it, with the factors that are not in `power`."""
    target: float
    power: float
    right: float


@inline
def sample_of(states: Any, table: Any, i: int) -> Sample:
    """What the table of a group says of sample i, for `write_gradient`."""
    return Sample(
        states[0, i],
        table[RAISED, i],
        table[HIGH, i],
        table[LOW, i],
        table[TARGET, i],
        table[POWER, i],
        table[RIGHT, i],
    )


@inline
def write_gradient(
    x: Any,
    count: int,
    sample: Sample,
    label: int,
    weights: Any,
    o: Options,
    y: Any,
    streams: bool,
    ahead: int,
) -> None:
    """Write a row, or so many classes of it; the label counts from there, and may be elsewhere."""
    if not np.isfinite(sample.raised):
        write_constant(y, count, 0.0 if sample.raised == np.inf else np.nan)
        return
    r = reference(x, sample.maximum, o.high, o.low)
    r = reference_at(x, r.exponent - sample.raised, r.shift, o.high, o.low)
    for k in range(0, count, BLOCK):  # what the entry of the label costs is paid in its block
        block, here = block_of(x, count, k // BLOCK)
        slope, w = offset(y, k), offset(weights, k)
        write_terms(block, here, r, 1.0, sample, label - k, w, slope, streams, ahead)


@jit
def _write_gradient(
    x: Any, count: int, sample: Sample, label: int, weights: Any, o: Options, y: Any, streams: bool
) -> None:
    """`write_gradient` where it is seldom needed, and so not made part of the caller."""
    write_gradient(x, count, sample, label, weights, o, y, streams, 0)


@inline
def write_from_stored(
    e: Any,
    x: Any,
    classes: int,
    parts: Any,
    column: int,
    sample: Sample,
    label: int,
    weights: Any,
    o: Options,
    y: Any,
    streams: bool,
) -> None:
    """Write a row as `write_gradient`, to the same bits, but from the exponentials e of its blocks.

    Their maxima stand in parts[0] from a column on. What is stored of a block is brought to the
    reference of the row by a power of two in its factor. One that would make subnormal numbers, and
    references that were moved, are left to `write_gradient`.
    """
    r = reference(x, sample.maximum, o.high, o.low)
    for k in range(blocks_of(classes)):
        start, m = k * BLOCK, parts[0, column + k]
        here = min(BLOCK, classes - start)
        of_block, w, slope = (
            reference(x, m, o.high, o.low),
            offset(weights, start),
            offset(y, start),
        )
        n = of_block.exponent - r.exponent + sample.raised
        is_near = r.shift == 0.0 and of_block.shift == 0.0 and m > -np.inf
        if is_near and LEAST <= n <= HEADROOM:
            stored = StoredExponentials(of_block.exponent)
            factor = power_of_two(n)
            write_terms(
                offset(e, start), here, stored, factor, sample, label - start, w, slope, streams, 0
            )
        else:
            _write_gradient(offset(x, start), here, sample, label - start, w, o, slope, streams)


@inline
def write_terms(
    x: Any,
    count: int,
    r: Reference | StoredExponentials,
    factor: float,
    sample: Sample,
    label: int,
    weights: Any,
    y: Any,
    streams: bool,
    ahead: int,
) -> None:
    """Write so many classes of a row, made of the terms of x under r, times `factor`."""
    q = (factor * sample.high, factor * sample.low)
    is_here = 0 <= label < count
    # To go back to what was written past the caches would be slow.
    if (streams and is_here) or sample.target != 0.0 or sample.power != 1.0:
        _write_differences(x, count, r, q, sample, label, weights, y, streams, ahead)
    else:
        write_probabilities(x, count, r, q, y, streams, ahead, True)
        if is_here:
            store_lane0(y, label, broadcast(y, sample.right))


@jit
def _write_differences(
    x: Any,
    count: int,
    r: Reference | StoredExponentials,
    q: tuple[float, float],
    sample: Sample,
    label: int,
    weights: Any,
    y: Any,
    streams: bool,
    ahead: int,
) -> None:
    """y = the gradient, with everything that may be in it."""
    width = lanes(x)
    head = min(count, elements_to_alignment(y)) if streams else 0
    if head > 0:
        store_masked(y, 0, difference(x, 0, head, r, q, sample, label, weights), head)
    whole = head + (count - head) // width * width
    for j in range(head, whole, width):
        prefetch(x, j + ahead)
        v = difference(x, j, width, r, q, sample, label, weights)
        if streams:
            store_stream(y, j, v)
        else:
            store(y, j, v)
    if whole < count:
        here = count - whole
        store_masked(y, whole, difference(x, whole, here, r, q, sample, label, weights), here)


@inline
def difference(
    x: Any,
    j: int,
    here: int,
    r: Reference | StoredExponentials,
    q: tuple[float, float],
    sample: Sample,
    label: int,
    weights: Any,
) -> Any:
    """The gradient of classes j ... j + here - 1: two roundings, `power` being a power of two."""
    raised = times_inverse(last_terms(x, j, here, r), q)
    target = broadcast(x, sample.target) * weights_from(x, weights, j, here)
    v = broadcast(x, sample.power) * (scale_down(raised) - target)
    return insert_lane(v, label - j, sample.right) if j <= label < j + here else v
