"""Cross-entropy of softmax, -sum_k t_k log p_k, per sample, and its gradient s (W p - t).

p = softmax(s x), y is the label of a sample and w the class weights, 1 unless given. With label
smoothing e (Szegedy et al. 2016, arXiv 1512.00567, section 7, with weights as PyTorch has them),

    t_k = (1 - e) w_y [k = y] + e w_k / K,      W = sum_k t_k = (1 - e) w_y + e (sum_k w_k) / K,
    loss = (1 - e) w_y (L + s (M - x_y)) + e/K (L sum_k w_k + s sum_k w_k (M - x_k)),

M and T as in `others`, L = log1p(T). All terms are >= 0: nothing cancels. The reduction "none"
leaves the losses as they are, "sum" adds them up, "mean" divides that by the sum of w_y over the
samples that are not ignored.

Common arguments. `logits`: float32, float64, float16 or bfloat16, any strides; `axis` runs over the
K classes. `labels`: integers of the shape of `logits` without that axis, each in [0, K) or
`ignore_index`: such samples have loss 0 and gradient 0, whatever their logits are, and do not count
in the mean. `scale` is s, from 2^-100 to 2^100. `class_weights`: K finite numbers >= 0, which are
rounded to the format that is computed in, float64 or float32. `label_smoothing`: e in [0, 1].
Losses have the dtype of `logits`; numbers of 16 bits are computed with as float32. `threads` shares
the samples out, and single ones if they are few and long; the result is the same to the last bit.

TypeError: another dtype of `logits` or `out`, labels that are no integers, weights or cotangents
that are no real numbers, an `ignore_index` that is no integer. ValueError: scalar logits; an axis
that is not there; labels of the wrong shape, or out of range (the first one is named); a scale, a
smoothing, a weight or an `ignore_index` (int64) out of range; an unknown reduction; samples without
classes; `out` of the wrong shape, read-only or overlapping `logits` in part; `threads` below 1.
Nothing is computed before all of this is checked.

Edges. A row with NaN or +inf, or of -inf alone, gives NaN. In any other row a logit of -inf gives
+inf if its target is positive and counts for nothing if it is zero. Where the loss is NaN the row
of the gradient is NaN; where it is +inf the gradient is finite, with p = 0 for the masked classes.
The mean of nothing, or where all weights are 0, is NaN, as PyTorch has it.
"""

import math
import operator
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import ArrayLike, NDArray

from . import others, rows
from .exp import power_of_two, two_sum
from .exp import scale as times_power
from .jit import inline, jit
from .log1p import log1p
from .others import (
    exponential_of,
    new_parts,
    new_states,
    power,
    row_states,
    rows_in_a_group,
    whole_vectors,
)
from .simd import (
    FLOAT32,
    after,
    below,
    chosen,
    fence,
    fill,
    first,
    fma,
    high_half,
    keep,
    lanes,
    load_part,
    low_half,
    lowered,
    pointer,
    prefetch,
    replaced,
    store,
    store_first,
    store_part,
    store_stream,
    until_aligned,
)
from .softmax import inverse
from .softmax_gradient import no_products, sum_of_products
from .vector_exp import (
    Reference,
    exponential,
    multiplier,
    reference,
    reference_at,
    smallest_exponent,
)
from .vector_passes import STRETCH, add, quotient, sum_of_lanes, write_probabilities

ULP_BOUND: dict[str, float] = {"float32": 3.7, "float64": 9.0, "float16": 0.51, "bfloat16": 0.51}
"""Proven largest error of the loss without smoothing and weights, in ulps of the exact result."""

GRADIENT_ULP_BOUND: dict[str, float] = {
    "float32": 5.4,
    "float64": 13.0,
    "float16": 0.51,
    "bfloat16": 0.51,
}
"""The same of the entries of the gradient of a single loss."""

HEADROOM = 6.0
"""A probability may be raised by this power of two before `lowered` brings it to its place."""

GREATEST = 2**63 - 1
"""No class, and no `ignore_index`."""

REDUCTIONS = ("none", "mean", "sum")

Array = NDArray[Any]


def cross_entropy(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    class_weights: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "none",
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Return the loss of each sample, in nats, or their sum or mean.

    Arguments, errors and edges as in the module. The result has the shape of `labels`, or () if it
    is reduced; without `out`, which receives it, a single number is a NumPy scalar.

    Error. L is right within e u, that of `logsumexp`: e = 2.65 in float32, 8 in float64. M - x_y is
    a pair, so is s times it, and adding L rounds once; a rounding into the next binade is 1 ulp of
    the exact result: 3.65 and 9 ulp. In float32 all else is float64 and counts for nothing. In
    float64 a class weight and every reduction add 1 ulp; with smoothing there are 1 - e, and
    roundings by u of M - x_k, of both sums, of their products and of adding up: 16 ulp in all.
    A sum loses n^2 u^2 (sum) for n losses, u = 2^-53.
    (Smoothed float64 losses are +inf where the sum of w_k (M - x_k) overflows, near 1e308.)

    >>> cross_entropy([[0.0, 0.0], [40.0, 0.0]], [1, 0]).tolist()
    [0.6931471805599453, 4.248354255291589e-18]
    >>> float(cross_entropy([[0.0, 0.0], [9.0, 0.0]], [1, -1], ignore_index=-1, reduction="mean"))
    0.6931471805599453
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    rows.check_threads(threads)
    shape = p.labels.shape if reduction == "none" else ()
    result = rows.output(out, shape, p.logits)
    _reduce(_run(p, None, None, threads), p, result)
    return result if out is not None else result[()]


def cross_entropy_with_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    scale: float = 1.0,
    class_weights: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "none",
    out: Array | None = None,
    threads: int = 1,
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the logits, that of each sample's own loss
    if they are not reduced.

    Arguments, errors and edges as in the module, losses to the bits of `cross_entropy`. `out`
    receives the gradient: it has the shape and dtype of `logits` and may be `logits` itself.

    The entry of the right class is -T/(1 + T) where it is maximal, rather than p - 1: it keeps full
    relative accuracy when p is 1 to the last bit.

    Error, without smoothing. Entries of other classes: the sum e(M) (1 + T) is right within
    EXP_ERROR + u in float32, the exponential within EXP_ERROR, and one rounding: 5.3u. In float64
    2 EXP_ERROR + 4u, or in the far rows named in `others`, where T is right within 7.9u, 7.9u +
    EXP_ERROR + 3u: 12.6u. The right class: T/(1 + T) is no less right than T, and rounded twice;
    p - 1 where p <= 1/2 is not magnified, either: 2.7u, and 9.9u. A factor that is not 1 (scale,
    weight, mean, cotangent) costs u each in float64. With smoothing W p - t cancels, and the error
    is relative to W p and t. Where the factor of a row, f = s W times what else there is, is 128 or
    more, entries are off by up to f 2^-7 times the smallest subnormal more.

    >>> loss, gradient = cross_entropy_with_gradient([40.0, 0.0], 0)
    >>> gradient.tolist()
    [-4.248354255291589e-18, 4.248354255291589e-18]
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    rows.check_threads(threads)
    gradient = rows.output(out, p.logits.shape, p.logits, axis)
    loss = np.empty(p.labels.shape if reduction == "none" else (), p.logits.dtype)
    _reduce(_run(_streamed(p, gradient, out), None, gradient, threads), p, loss)
    return loss[()], gradient if axis == -1 else np.moveaxis(gradient, -1, axis)


def cross_entropy_gradient(
    logits: ArrayLike,
    labels: ArrayLike,
    cotangent: ArrayLike | None = None,
    *,
    axis: int = -1,
    scale: float = 1.0,
    class_weights: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "none",
    out: Array | None = None,
    threads: int = 1,
) -> Array:
    """Return the gradient of sum(cotangent * loss) with respect to the logits: the backward pass.

    Arguments, errors, edges and accuracy as of `cross_entropy_with_gradient`. `cotangent`: real
    numbers of the shape of the loss, all 1 unless given. One that is infinite or NaN makes the row
    NaN, unless the sample is ignored.

    >>> cross_entropy_gradient([[0.0, 0.0], [0.0, 0.0]], [0, 1], [1.0, -2.0]).tolist()
    [[-0.5, 0.5], [-1.0, 1.0]]
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    rows.check_threads(threads)
    gradient = rows.output(out, p.logits.shape, p.logits, axis)
    p = _streamed(p, gradient, out)
    cotangents = None
    if cotangent is not None:
        cotangents = _cotangents(cotangent, p.labels.shape if reduction == "none" else ())
        if reduction != "none":
            factor = p.options.factor * float(cotangents)
            p, cotangents = p._replace(options=p.options._replace(factor=factor)), None
    _run(p, cotangents, gradient, threads)
    return gradient if axis == -1 else np.moveaxis(gradient, -1, axis)


# --- arguments ---


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


class Problem(NamedTuple):
    """Checked arguments."""

    logits: Array
    labels: NDArray[np.intp]
    weights: Array | None
    reduction: str
    mass: float
    """The sum of w_y over the samples that are not ignored, if the reduction asks for it."""
    options: Options


def _problem(
    logits: ArrayLike,
    labels: ArrayLike,
    axis: int,
    scale: float,
    class_weights: ArrayLike | None,
    ignore_index: int | None,
    label_smoothing: float,
    reduction: str,
) -> Problem:
    x = rows.as_logits(logits, axis)
    high, low = multiplier(scale, x.dtype)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}")
    weights = None if class_weights is None else _class_weights(class_weights, x)
    targets = _labels(labels, x, ignore_index)
    ignored = -1 if ignore_index is None else operator.index(ignore_index)
    count = 1.0
    if reduction == "mean":
        counted = targets != ignored
        count = float(np.count_nonzero(counted))
        if weights is not None:
            count = _sum(weights[targets[counted]].astype(np.float64))
    total = float(x.shape[-1]) if weights is None else math.fsum(weights.tolist())
    factor = float(scale) / count if count else math.inf
    options = Options(
        float(scale), high, low, float(label_smoothing), total, ignored, factor, False
    )
    return Problem(x, targets, weights, reduction, count, options)


def _class_weights(class_weights: ArrayLike, x: Array) -> Array:
    weights = _real("class_weights", class_weights)
    classes = x.shape[-1]
    if weights.shape != (classes,):
        raise ValueError(
            f"class_weights must have shape ({classes},), one for each class; got {weights.shape}"
        )
    with np.errstate(over="ignore"):
        weights = weights.astype(np.float64 if x.dtype == np.float64 else np.float32)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        wrong = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise ValueError(
            f"class_weights must be finite and not negative, but class_weights[{wrong}] is "
            f"{weights[wrong]} as {weights.dtype}"
        )
    return weights


def _cotangents(cotangent: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = _real("cotangent", cotangent)
    if array.shape != shape:
        raise ValueError(f"cotangent must have shape {shape}, that of the loss; got {array.shape}")
    return np.ascontiguousarray(array, np.float64).reshape(shape)


def _real(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} must be real numbers, got {array.dtype}")
    return array


def _labels(labels: ArrayLike, x: Array, ignore_index: int | None) -> NDArray[np.intp]:
    targets = np.asarray(labels)
    samples, classes = x.shape[:-1], x.shape[-1]
    if targets.dtype.kind not in "iu":
        raise TypeError(
            f"labels must be integers, got {targets.dtype}; convert with labels.astype(np.intp)"
        )
    if targets.shape != samples:
        raise ValueError(
            f"labels must have shape {samples}, that of logits without the axis of the classes; "
            f"got {targets.shape}"
        )
    if classes == 0 and targets.size:
        raise ValueError(f"logits must have at least one class, got shape {x.shape}")
    ignored = None
    if ignore_index is not None:
        try:
            ignored = operator.index(ignore_index)
        except TypeError:
            raise TypeError(f"ignore_index must be an integer, got {ignore_index!r}") from None
        if not -GREATEST <= ignored < GREATEST:
            raise ValueError(f"ignore_index must be an int64, got {ignored}")
    # As np.intp some uint64 would be negative; GREATEST is no class and not ignored, either.
    narrowed = np.minimum(targets, GREATEST) if targets.dtype == np.uint64 else targets
    narrowed = np.ascontiguousarray(narrowed, np.intp).reshape(samples)
    if _some_wrong(narrowed.reshape(-1), classes, 0 if ignored is None else ignored):
        wrong = (narrowed < 0) | (narrowed >= classes)
        if ignored is not None:
            wrong &= narrowed != ignored
        index = tuple(np.argwhere(wrong)[0].tolist())
        where = f"labels[{', '.join(map(str, index))}]" if index else "labels"
        raise ValueError(
            f"{where} is {targets[index]}, but labels must be in [0, {classes})"
            f"{'' if ignored is None else f' or ignore_index, {ignored}'}; "
            "leave out samples that have no class, or pass their label as ignore_index"
        )
    return narrowed


@jit
def _some_wrong(labels: NDArray[np.intp], classes: int, allowed: int) -> bool:
    wrong = 0
    for label in labels:
        wrong |= int((label < 0) | (label >= classes)) & int(label != allowed)
    return wrong != 0


# --- from arrays to rows ---


def _streamed(p: Problem, gradient: Array, out: Array | None) -> Problem:
    """The problem, told whether to write the gradient past the caches."""
    streams = rows.past_caches(out, gradient, p.logits)
    return p._replace(options=p.options._replace(streams=streams)) if streams else p


def _run(
    p: Problem, cotangents: Array | None, gradient: Array | None, threads: int
) -> NDArray[np.float64]:
    """Write the gradient, if one is asked for; return the losses."""
    losses = np.empty(p.labels.shape)
    reads = [p.logits, p.labels] + ([] if cotangents is None else [cotangents])
    writes = [losses] + ([] if gradient is None else [gradient])
    if p.logits.ndim == 1:
        reads, writes = [a[np.newaxis] for a in reads], [a[np.newaxis] for a in writes]

    is_long = others.is_for_all_threads(reads[0], threads) and all(map(rows.is_plain, writes))

    def kernel(x: Array, labels: Array, *arrays: Array) -> None:
        c = None if cotangents is None else arrays[0]
        loss = arrays[0 if c is None else 1]
        y = None if gradient is None else arrays[-1]
        if not is_long:
            _cross_entropy(x, labels, c, loss, y, p.weights, p.options)
            return
        for i in range(len(x)):
            here = slice(i, i + 1)
            of_row = labels[here], None if c is None else c[here], loss[here]
            _split(x[i], of_row, None if y is None else y[i], p, threads)

    rows.apply(kernel, tuple(reads), tuple(writes), 1 if is_long else threads)
    return losses


def _split(
    x: Array,
    of_row: tuple[Array, Array | None, Array],
    gradient: Array | None,
    p: Problem,
    threads: int,
) -> None:
    """One long row, shared out to the threads; label, cotangent and loss come as arrays."""
    labels, cotangents, losses = of_row
    maximum, rest = others.state_of_long_row(x, p.options.high, p.options.low, threads)
    states = np.array([[maximum] * others.FEWEST, [rest] * others.FEWEST])
    table = _sample(
        x, labels, cotangents, losses, gradient is not None, p.weights, states, p.options
    )
    if gradient is None:
        return
    step = -(-x.size // threads)

    def write(start: int) -> None:
        here = slice(start, start + step)
        weights = None if p.weights is None else p.weights[here]
        label = int(labels[0]) - start
        _write(x[here], label, gradient[here], weights, states, table, p.options)

    rows.in_parallel(write, range(0, x.size, step), threads)


def _reduce(losses: NDArray[np.float64], p: Problem, result: Array) -> None:
    """Round the losses, or their sum or mean, to their dtype."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if p.reduction == "none":
            result[...] = losses
        else:
            total = _sum(losses.reshape(-1))
            result[...] = np.float64(total) / p.mass


@jit
def _sum(values: NDArray[np.float64]) -> float:
    """The sum, as good as rounded once; infinite or NaN where a plain one is."""
    p = pointer(values)
    total = lost = 0.0
    for k in range(0, values.size, STRETCH):
        a = error = fill(p, 0.0)
        stop = min(k + STRETCH, values.size)
        for j in range(k, stop, lanes(p)):
            a, error = add(a, error, load_part(p, j, min(lanes(p), stop - j), 0.0))
        part, error_of_part = sum_of_lanes(a, error)
        total, error_of_sum = two_sum(total, part)
        lost += error_of_part + error_of_sum
    keep(values)
    return total + lost if np.isfinite(total) else total


# --- on rows ---


@jit
def _cross_entropy(
    x: Any, labels: Any, cotangents: Any, losses: Any, gradient: Any, weights: Any, o: Options
) -> None:
    """The losses, and their gradient unless it is None; so may be `cotangents` and `weights`."""
    classes = x.shape[-1]
    p = pointer(x)
    group, parts, states = rows_in_a_group(classes), new_parts(classes), new_states(classes)
    table = new_table(group)
    ahead = STRETCH if classes > STRETCH else 0
    for start in range(0, labels.size, group):
        here = min(group, labels.size - start)
        block = after(p, start * classes)
        row_states(block, here, classes, o.high, o.low, parts, states)
        read_labels(block, here, classes, labels, start, cotangents, weights, states, table, o)
        tabulate_losses(here, classes, states, table, o)
        for i in range(here):
            losses[start + i] = table[LOSS, i]
        if gradient is not None:
            tabulate_factors(block, here, classes, states, table, o)
            q = after(pointer(gradient), start * classes)
            for i in range(here):
                row, slope = after(block, i * classes), after(q, i * classes)
                label = labels[start + i]
                write_gradient(row, classes, label, slope, weights, states, table, i, o, ahead)
    if gradient is not None:
        fence()
        keep(gradient)
    keep(x)


# --- on one row, shared out to threads ---


@jit
def _sample(
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
    read_labels(p, 1, x.size, labels, 0, cotangents, weights, states, table, o)
    tabulate_losses(1, x.size, states, table, o)
    losses[0] = table[LOSS, 0]
    if slopes:
        tabulate_factors(p, 1, x.size, states, table, o)
    keep(x)
    return table


@jit
def _write(
    x: Any, label: int, gradient: Any, weights: Any, states: Array, table: Array, o: Options
) -> None:
    p, slope = pointer(x), pointer(gradient)
    write_gradient(p, x.size, label, slope, weights, states, table, 0, o, STRETCH)
    fence()
    keep(x)
    keep(gradient)


# --- samples: what is known of each, in columns, so that loops over it run in vectors ---

LOGIT, WEIGHT, FACTOR, SPREAD, LOSS, RIGHT, TARGET, RAISED, POWER, HIGH, LOW = range(11)
"""x_y; w_y, or -1 if the sample is ignored; what the gradient is multiplied by; the sum of
w_k (M - x_k); the loss; entry y of the gradient; of the rest see `tabulate_factors`."""


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
        table[LOGIT, i] = first(load_part(p, i * classes + label, 1, 0.0))
        table[WEIGHT, i] = -1.0 if is_ignored else weight_of(weights, label)
        table[FACTOR, i] = o.factor
        if cotangents is not None:
            table[FACTOR, i] *= cotangents[start + i]
    if o.smoothing > 0.0:
        for i in range(here):
            table[SPREAD, i] = spread_of(after(p, i * classes), classes, states[0, i], weights)


@inline
def weight_of(weights: Any, label: int) -> float:
    """w_y."""
    if weights is None:
        return 1.0
    return np.float64(weights[label])


@inline
def tabulate_losses(here: int, classes: int, states: Any, table: Any, o: Options) -> None:
    """Fill LOSS."""
    s = o.scale
    for i in range(whole_vectors(here)):
        m, t, x, w = states[0, i], states[1, i], table[LOGIT, i], table[WEIGHT, i]
        log = log1p(t)
        half, rest = two_sum(0.5 * m, -0.5 * x)  # M - x may overflow where s times it does not
        product = 2.0 * s * half
        error = fma(2.0 * s, half, 0.0 - product) + 2.0 * s * rest
        sum_, error_of_sum = two_sum(product, log)
        own = sum_ + (error_of_sum + error) if product < np.inf else product + log
        target = (1.0 - o.smoothing) * w
        loss = target * own if target > 0.0 else 0.0 * t  # not 0 inf; NaN if T is
        if o.smoothing > 0.0:
            loss += o.smoothing * ((o.weight * log + s * table[SPREAD, i]) / classes)
        table[LOSS, i] = 0.0 if w < 0.0 else loss


@inline
def tabulate_factors(p: Any, here: int, classes: int, states: Any, table: Any, o: Options) -> None:
    """Fill RIGHT, and what `write_gradient` needs to write f p_k - g t_k, f = g W, g the FACTOR.

    |f| = m 2^RAISED |POWER| with m in [1, 2) and RAISED as large as may be, and POWER has the sign
    of f: so nothing overflows or is subnormal before it is lowered. HIGH and LOW are as `inverse`
    has them of e(M) (1 + T) / m, and TARGET is g e / (K POWER). RAISED is infinite if f is 0, and
    NaN if f is not a number or the row has no probabilities.
    """
    lowest = -34.0 - smallest_exponent(p)  # raised by less, everything is 0
    for i in range(whole_vectors(here)):
        m, t, x = states[0, i], states[1, i], table[LOGIT, i]
        w, g = table[WEIGHT, i], table[FACTOR, i]
        own, of_others = (1.0 - o.smoothing) * w, o.smoothing * (o.weight - w) / classes
        whole = own + o.smoothing * o.weight / classes
        d, rest = two_sum(x, 0.0 - m)
        mantissa, n = power(d, rest, 0.0, o.high, o.low)
        p_y = times_power(mantissa / (1.0 + t), n)
        at_top = of_others - whole * (t / (1.0 + t))  # p - 1 would cancel
        right = g * (at_top if x == m else whole * p_y - (own + o.smoothing * w / classes))
        f = g * whole
        table[RIGHT, i] = right + (f - f)
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
    for k in range(0, classes, STRETCH):
        sum_ = no_products(x)
        stop = min(k + STRETCH, classes)
        for j in range(k, stop, width):
            prefetch(x, j + STRETCH)
            here = min(width, stop - j)
            w = weights_from(x, weights, j, here)
            v = load_part(x, j, here, maximum)
            v = chosen(below(fill(x, 0.0), w), v, fill(x, maximum))
            sum_ = with_differences(sum_, v, w, np.float64(maximum))
        part, error = sum_of_products(x, sum_, no_products(x))
        total, error_of_sum = two_sum(total, part)
        lost += error + error_of_sum
    return total + lost if total < np.inf else total


def with_differences(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
    """The sum with w (maximum - x)."""
    raise NotImplementedError  # compiled code only


@overload(with_differences, jit_options={"forceinline": True})
def _(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
    if x == FLOAT32:  # two sums, as of products

        def of_float32(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
            top = fill(sum_[0], maximum)
            low = fma(low_half(w), top - low_half(x), sum_[0])
            return low, fma(high_half(w), top - high_half(x), sum_[1])

        return of_float32

    def of_float64(sum_: Any, x: Any, w: Any, maximum: float) -> Any:
        return add(sum_[0], sum_[1], w * (fill(x, maximum) - x))

    return of_float64


@inline
def weights_from(p: Any, weights: Any, j: int, here: int) -> Any:
    """The weights of classes j, j + 1, ... in the lanes of elements of p: 1 each if None."""
    if weights is None:
        return fill(p, 1.0)
    return load_part(pointer(weights), j, here, 0.0)


class Terms(NamedTuple):
    """What the gradient of a row is made of: power (e^(s x) / sum - target w), but `right`."""

    reference: Reference
    q: tuple[float, float]
    """The inverse of the sum as `inverse` has it, with the factors not in `power`."""
    target: float
    power: float
    label: int
    right: float


@inline
def write_gradient(
    x: Any,
    count: int,
    label: int,
    y: Any,
    weights: Any,
    states: Any,
    table: Any,
    i: int,
    o: Options,
    ahead: int,
) -> None:
    """Write row i, or so many classes of it; the label counts from there, and may be elsewhere."""
    raised = table[RAISED, i]
    if not np.isfinite(raised):
        write_constant(y, count, 0.0 if raised == np.inf else np.nan)
        return
    r = reference(x, states[0, i], o.high, o.low)
    r = reference_at(x, r.exponent - raised, r.shift, o.high, o.low)
    q, target, power_ = (table[HIGH, i], table[LOW, i]), table[TARGET, i], table[POWER, i]
    if o.streams or target != 0.0 or power_ != 1.0:
        terms = Terms(r, q, target, power_, label, table[RIGHT, i])
        write_differences(x, count, terms, weights, y, o.streams, ahead)
    else:
        write_probabilities(x, count, r, q, y, False, ahead, True)
        if 0 <= label < count:
            store_first(y, label, fill(y, table[RIGHT, i]))


@inline
def write_constant(y: Any, count: int, value: float) -> None:
    """The value throughout."""
    for j in range(0, count, lanes(y)):
        store_part(y, j, fill(y, value), min(lanes(y), count - j))


@inline
def write_differences(
    x: Any, count: int, terms: Terms, weights: Any, y: Any, streams: bool, ahead: int
) -> None:
    """y = the gradient. To go back to what was written past the caches would be slow."""
    width = lanes(x)
    head = min(count, until_aligned(y)) if streams else 0
    if head > 0:
        store_part(y, 0, difference(x, 0, head, terms, weights), head)
    whole = head + (count - head) // width * width
    for j in range(head, whole, width):
        prefetch(x, j + ahead)
        v = difference(x, j, width, terms, weights)
        if streams:
            store_stream(y, j, v)
        else:
            store(y, j, v)
    if whole < count:
        here = count - whole
        store_part(y, whole, difference(x, whole, here, terms, weights), here)


@inline
def difference(x: Any, j: int, here: int, t: Terms, weights: Any) -> Any:
    """The gradient of classes j ... j + here - 1: two roundings, power being a power of two."""
    raised = quotient(exponential(x, load_part(x, j, here, -np.inf), t.reference), t.q)
    target = fill(x, t.target) * weights_from(x, weights, j, here)
    v = fill(x, t.power) * (lowered(raised) - target)
    return replaced(v, t.label - j, t.right) if j <= t.label < j + here else v
