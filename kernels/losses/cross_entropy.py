"""Cross-entropy of softmax, -sum_k t_k log p_k, per sample, and its gradient s (W p - t).

p = softmax(s x), y is the label of a sample and w the class weights, 1 unless given. With label
smoothing e (Szegedy et al. 2016, arXiv 1512.00567, section 7, with weights as PyTorch has them),

    t_k = (1 - e) w_y [k = y] + e w_k / K,      W = sum_k t_k = (1 - e) w_y + e (sum_k w_k) / K,
    loss = (1 - e) w_y (L + s (M - x_y)) + e/K (L sum_k w_k + s sum_k w_k (M - x_k)),

M and T as in `row_state`, L = log1p(T). All terms are >= 0: nothing cancels. The reduction "none"
leaves the losses as they are, "sum" adds them up, "mean" divides that by the sum of w_y over the
samples that are not ignored. Numbers of 16 bits are computed with as float32.
"""

import math
import operator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arithmetic.simd import broadcast, keep_alive, lanes, load_masked, pointer
from ..arithmetic.vector_exp import multiplier
from ..runtime import rows, tuning
from ..runtime.arguments import as_number
from ..runtime.declared import kernel_of
from ..runtime.documented import documented
from ..runtime.jit import jit
from ..runtime.labels import checked_labels
from ..softmax_family import row_state
from ..softmax_family.passes import BLOCK, add, has_several_blocks, joined, sum_of_lanes
from ..softmax_family.row_state import rows_in_a_group
from .cross_entropy_rows import Options, cross_entropy_rows, sample_table, write_part

ULP_BOUND: dict[str, float] = {"float32": 3.7, "float64": 9.0, "float16": 0.51, "bfloat16": 0.51}
"""Proven largest error of the loss without smoothing and weights, in ulps of the exact result."""

GRADIENT_ULP_BOUND: dict[str, float] = {
    "float32": 5.4,
    "float64": 13.0,
    "float16": 0.51,
    "bfloat16": 0.51,
}
"""The same of the entries of the gradient of a single loss."""

SMOOTHED_GRADIENT_BOUND: dict[str, float] = {"float32": 7.0, "float64": 25.0}
"""Proven largest error of the same entries with smoothing, in units u of s (W p_k + t_k)."""

REDUCTIONS = ("none", "mean", "sum")

Array = NDArray[Any]


@kernel_of("cross_entropy", ULP_BOUND, proof="cross_entropy")
@documented
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
    """Cross-entropy of softmax, -sum_k t_k log p_k, of each sample.

    p = softmax(s x), y is the label of a sample, and the target t is 1 for it, and 0 for other
    classes; with weights w and smoothing e it is t_k = (1 - e) w_y [k = y] + e w_k / K.

    Parameters
    ----------
    {logits}
    {labels}
    {axis}
    {scale}
    {class_weights}
    {ignore_index}
    {label_smoothing}
    {reduction}
    out : ndarray, optional
        Receives the losses. It has the dtype of `logits` and the shape of the result, and shares no
        memory with `logits`.
    {threads_long}

    Returns
    -------
    ndarray
        The losses, in nats, of the dtype of `logits` and the shape of `labels`, or () if they are
        reduced; a single number without `out` is a NumPy scalar.

    Raises
    ------
    {type_error_of_cross_entropy}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_cross_entropy}

    Error, at most `error_bound("cross_entropy", dtype)` without weights, smoothing and reduction. L
    is right within e u, that of `logsumexp`: e = 2.65 in float32, 8 in float64. M - x_y is a pair,
    so is s times it, and adding L rounds once; a rounding into the next binade is 1 ulp of the
    exact result: 3.65 and 9 ulp. In float32 all else is float64 and counts for nothing. In float64
    a class weight and every reduction add 1 ulp; with smoothing there are 1 - e, and roundings by u
    of M - x_k, of both sums, of their products and of adding up: 16 ulp in all. A sum loses n^2 u^2
    (sum) for n losses, u = 2^-53. (Smoothed float64 losses are +inf where the sum of w_k (M - x_k)
    overflows, near 1e308.)

    References
    ----------
    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna 2016, Rethinking the Inception Architecture for
    Computer Vision, arXiv 1512.00567, section 7, for label smoothing.

    Examples
    --------
    >>> cross_entropy([[0.0, 0.0], [40.0, 0.0]], [1, 0]).tolist()
    [0.6931471805599453, 4.248354255291589e-18]
    >>> float(cross_entropy([[0.0, 0.0], [9.0, 0.0]], [1, -1], ignore_index=-1, reduction="mean"))
    0.6931471805599453
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    threads = rows.check_threads(threads)
    shape = p.labels.shape if reduction == "none" else ()
    result = rows.output(out, shape, p.logits)
    _reduce(_run(p, None, None, threads), p, result)
    return result if out is not None else result[()]


@kernel_of("cross_entropy", ULP_BOUND, proof="cross_entropy")
@documented
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
    """Cross-entropy of each sample, and its gradient s (W p - t) with respect to the logits.

    W is the sum of the targets t, 1 without weights. If the losses are not reduced, the gradient is
    that of each sample's own loss. The entry of the right class is -T/(1 + T) where it is maximal,
    rather than p - 1: it keeps full relative accuracy when p is 1 to the last bit. (With smoothing
    so is W p - t, but for p < 1/2.)

    Parameters
    ----------
    {logits}
    {labels}
    {axis}
    {scale}
    {class_weights}
    {ignore_index}
    {label_smoothing}
    {reduction}
    {out_of_gradient}
    {threads_long}

    Returns
    -------
    losses : ndarray
        As `cross_entropy` returns them, to the same bits.
    gradient : ndarray
        Of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_cross_entropy}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_cross_entropy}

    Error of the gradient without smoothing, at most `error_bound("cross_entropy_gradient", dtype)`.
    Entries of other classes: the sum e(M) (1 + T) is right within EXP_ERROR + u in float32, the
    exponential within EXP_ERROR, and one rounding: 5.3u. In float64 2 EXP_ERROR + 4u, or in the far
    rows named in `row_state`, where T is right within 7.9u, 7.9u + EXP_ERROR + 3u: 12.6u. The right
    class: T/(1 + T) is no less right than T, and rounded twice; p - 1 where p <= 1/2 is not
    magnified, either: 2.7u, and 9.9u. A factor that is not 1 (scale, weight, mean, cotangent) costs
    u each in float64.

    Error with smoothing. W p - t cancels, and the error is relative to W p + t. In float64 W is
    right within 4u, t within 3u, and a product with either rounds by u. Other classes: 12.6u of p,
    and 5u of s W; 3u of the target; u of the difference: 18.6u (W p + t). The right class where it
    is not maximal or p < 1/2: p within 7.9u + 1.92u + 2u, then as before: 18.8u. Where it is
    maximal and p >= 1/2 it is e (sum_(k != y) w_k) / K - W T/(1 + T): 4u of W <= 2 W p, 14.9u of W
    (1 - p) <= W p, and two roundings: 24.9u. A mean and a cotangent cost u each. In float32 p is
    right within 5.3u, the target within 2u, and the difference is rounded: 6.3u.

    Where the factor of a row, f = s W times what else there is, is 128 or more, entries are off by
    up to f 2^-7 times the smallest subnormal more.

    Examples
    --------
    >>> loss, gradient = cross_entropy_with_gradient([40.0, 0.0], 0)
    >>> gradient.tolist()
    [-4.248354255291589e-18, 4.248354255291589e-18]
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    threads = rows.check_threads(threads)
    gradient = rows.output(out, p.logits.shape, p.logits, axis)
    loss = np.empty(p.labels.shape if reduction == "none" else (), p.logits.dtype)
    _reduce(_run(_streamed(p, gradient, out), None, gradient, threads), p, loss)
    return loss[()], rows.at_axis(gradient, axis)


@documented
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
    """Gradient of sum(cotangent * loss) with respect to the logits: the backward pass.

    Parameters
    ----------
    {logits}
    {labels}
    cotangent : array_like, optional
        Real numbers of the shape of the loss, all 1 unless given. One that is infinite or NaN makes
        its row NaN, unless the sample is ignored.
    {axis}
    {scale}
    {class_weights}
    {ignore_index}
    {label_smoothing}
    {reduction}
    {out_of_gradient}
    {threads_long}

    Returns
    -------
    ndarray
        The gradient, of the shape and dtype of `logits`.

    Raises
    ------
    {type_error_of_cross_entropy}
    {value_error_of_labels}

    Notes
    -----
    {edges_of_cross_entropy}

    The error is that of `cross_entropy_with_gradient`, where its proof stands.

    Examples
    --------
    >>> cross_entropy_gradient([[0.0, 0.0], [0.0, 0.0]], [0, 1], [1.0, -2.0]).tolist()
    [[-0.5, 0.5], [-1.0, 1.0]]
    """
    p = _problem(
        logits, labels, axis, scale, class_weights, ignore_index, label_smoothing, reduction
    )
    threads = rows.check_threads(threads)
    gradient = rows.output(out, p.logits.shape, p.logits, axis)
    p = _streamed(p, gradient, out)
    cotangents = None
    if cotangent is not None:
        cotangents = _cotangents(cotangent, p.labels.shape if reduction == "none" else ())
        cotangents = rows.apart(cotangents, gradient)
        if reduction != "none":
            factor = p.options.factor * float(cotangents)
            p, cotangents = p._replace(options=p.options._replace(factor=factor)), None
    _run(p, cotangents, gradient, threads)
    return rows.at_axis(gradient, axis)


# --- arguments ---


class Problem(NamedTuple):
    """The arguments of a call, checked, and what compiled code is given of them."""

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
    smoothing = as_number("label_smoothing", label_smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing!r}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}; got {reduction!r}")
    weights = None if class_weights is None else _class_weights(class_weights, x)
    targets = checked_labels(labels, x, ignore_index)
    ignored = -1 if ignore_index is None else operator.index(ignore_index)
    count = 1.0
    if reduction == "mean":
        counted = targets != ignored
        count = float(np.count_nonzero(counted))
        if weights is not None:
            count = _sum(weights[targets[counted]].astype(np.float64))
    total = float(x.shape[-1]) if weights is None else math.fsum(weights.tolist())
    factor = float(scale) / count if count else math.inf
    options = Options(float(scale), high, low, smoothing, total, ignored, factor, False)
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


# --- from arrays to rows ---


def _streamed(p: Problem, gradient: Array, out: Array | None) -> Problem:
    """The problem, told whether to write the gradient past the caches."""
    streams = rows.past_caches(out, gradient, p.logits, short_rows=True)
    return p._replace(options=p.options._replace(streams=streams)) if streams else p


def _run(
    p: Problem, cotangents: Array | None, gradient: Array | None, threads: int
) -> NDArray[np.float64]:
    """Write the gradient, if one is asked for; return the losses."""
    losses = np.empty(p.labels.shape)
    reads, writes = (p.logits, p.labels, cotangents), (losses, gradient)
    rows.run(CROSS_ENTROPY, reads, writes, threads, (p.weights, p.options))
    return losses


def _compute(
    x: Array,
    labels: Array,
    cotangents: Array | None,
    losses: Array,
    gradient: Array | None,
    weights: Array | None,
    o: Options,
) -> None:
    """All samples of a block of rows."""
    scratch = None if gradient is None else _scratch(x)
    cross_entropy_rows(x, labels, cotangents, losses, gradient, scratch, weights, o)


def _scratch(x: Array) -> Array | None:
    """Room for the exponentials of a group of rows of x, unless that is more than a cache holds."""
    classes = x.shape[-1]
    if classes * x.itemsize > tuning.ROW_BYTES:
        return None
    size = min(rows_in_a_group(classes) * classes, x.size)
    return np.empty(size, np.float64 if x.itemsize == 8 else np.float32)


def _compute_long(
    threads: int,
    x: Array,
    labels: Array,
    cotangents: Array | None,
    losses: Array,
    gradient: Array | None,
    weights: Array | None,
    o: Options,
) -> None:
    """One sample, the blocks of its long row shared out to the threads."""
    maximum, rest = row_state.state_of_long_row(x, o.high, o.low, threads)
    states = np.array([[maximum] * row_state.FEWEST, [rest] * row_state.FEWEST])
    table = sample_table(x, labels, cotangents, losses, gradient is not None, weights, states, o)
    if gradient is None:
        return
    y = gradient

    def write(first: int, last: int) -> None:
        here = slice(first, last)
        w = None if weights is None else weights[here]
        write_part(x[here], int(labels[0]) - first, y[here], w, states, table, o)

    rows.share_out(write, x.size, threads)


CROSS_ENTROPY = rows.RowKernel(_compute, _compute_long, has_several_blocks)


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
    for k in range(0, values.size, BLOCK):
        a = error = broadcast(p, 0.0)
        stop = min(k + BLOCK, values.size)
        for j in range(k, stop, lanes(p)):
            a, error = add(a, error, load_masked(p, j, min(lanes(p), stop - j), 0.0))
        total, lost = joined(total, lost, sum_of_lanes(a, error))
    keep_alive(values)
    return total + lost if np.isfinite(total) else total
