"""Deliberately broken implementations: the mistakes that people make, one each.

The name says which definition is meant and what is wrong.  Those that the mistake does not keep
from it compute in binary64 and are right otherwise, so that nothing else can be found.
"""

import itertools

import numpy as np

_calls = itertools.count()
_last = {}
_workspace = {}


def _distances(x):
    x = x.astype(np.float64)
    return x - x.max(axis=-1, keepdims=True, initial=-np.inf)


def _normalised(e, like):
    return (e / e.sum(axis=-1, keepdims=True)).astype(like.dtype)


def _softmax(x):
    return _normalised(np.exp(_distances(x)), x)


def _log1p_of_the_others(d):
    if not d.size:
        return np.zeros(len(d))
    e = np.exp(d)
    e[np.arange(len(d)), d.argmax(axis=-1)] = 0
    return np.log1p(e.sum(axis=-1)) + d.max(axis=-1)  # 0, or NaN


def _log_softmax(x):
    d = _distances(x)
    return (d - _log1p_of_the_others(d)[:, None]).astype(x.dtype)


def _logsumexp(x):
    m = x.astype(np.float64).max(axis=-1, initial=-np.inf)
    return np.where(np.isinf(m), m, m + _log1p_of_the_others(_distances(x))).astype(x.dtype)


def _loss(x, labels):
    d = _distances(x)
    return (_log1p_of_the_others(d) - d[np.arange(len(x)), labels]).astype(x.dtype)


def _gradient(x, labels):
    """p - onehot; minus the sum of the others where p - 1 would cancel."""
    p = _softmax(x.astype(np.float64))
    rows = np.arange(len(x))
    right = p[rows, labels].copy()
    p[rows, labels] = 0
    p[rows, labels] = np.where(right > 0.5, -p.sum(axis=-1), right - 1)
    return p.astype(x.dtype)


def _sigmoid(x):
    e = np.exp(-np.abs(x.astype(np.float64)))
    return (np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)


def _softplus(x):
    wide = x.astype(np.float64)
    return (np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide)))).astype(x.dtype)


# --- softmax: the shift ---


def softmax_without_max(x):
    """The maximum is not subtracted (a published blog post; pytorch#62897)."""
    return _normalised(np.exp(x), x)


def softmax_max_of_the_batch(x):
    """np.max without an axis: rows far below the largest logit of the batch underflow."""
    return _normalised(np.exp(x - x.max()), x)


def softmax_max_of_the_wrong_axis(x):
    """The maximum over the rows of the batch in place of that over the classes."""
    return _normalised(np.exp(x - x.max(axis=0, keepdims=True)), x)


def softmax_first_class_as_reference(x):
    """Shifted by the first logit: later ones may be larger without limit."""
    return _normalised(np.exp(x - x[:, :1]), x)


def softmax_wrong_shift_in_second_pass(x):
    """The sum is taken with the maximum, the numerators with the last logit."""
    given, x = x, x.astype(np.float64)
    total = np.exp(_distances(x)).sum(axis=-1, keepdims=True)
    return (np.exp(x - x[:, -1:]) / total).astype(given.dtype)


def softmax_tail_without_max(x):
    """The maximum of whole vectors of 8 lanes: the rest of the row is not looked at."""
    whole = max(1, x.shape[1] // 8 * 8)
    return _normalised(np.exp(x - x[:, :whole].max(axis=-1, keepdims=True)), x)


def softmax_max_with_padding(x):
    """Lanes filled up with 0 take part in the maximum (pytorch#158310)."""
    return _normalised(np.exp(x - np.maximum(x.max(axis=-1, keepdims=True), x.dtype.type(0))), x)


def softmax_max_of_magnitudes(x):
    """The maximum of |x| is subtracted, as a scaling to the unit interval would want it."""
    m = np.abs(x).max(axis=-1, keepdims=True, initial=0)
    return _normalised(np.exp(x - np.where(np.isinf(m), x.max(axis=-1, keepdims=True), m)), x)


def softmax_merges_masked_tiles(x):
    """Tiles merged by exp(m_old - m_new), NaN while all was masked (flash-attention#1930)."""
    m, total = np.full(len(x), -np.inf), np.zeros(len(x))
    for start in range(0, x.shape[1], 16):
        tile = x[:, start : start + 16].astype(np.float64)
        top = np.maximum(m, tile.max(axis=1))
        total = total * np.exp(m - top) + np.exp(tile - top[:, None]).sum(axis=1)
        m = top
    return (np.exp(x - m[:, None]) / total[:, None]).astype(x.dtype)


def softmax_running_maximum_without_rescaling(x):
    """One pass, but the sum is not rescaled where the running maximum moves."""
    running = np.maximum.accumulate(x.astype(np.float64), axis=-1)
    total = np.exp(x - running).sum(axis=-1, keepdims=True)
    return (np.exp(_distances(x)) / total).astype(x.dtype)


def softmax_contracted_scale(x):
    """Base 2: the maximum's product is rounded, the others' are fused (pytorch#101039)."""
    scale = np.log2(np.e)
    rounded = (x.max(axis=-1, keepdims=True, initial=-np.inf) * scale).astype(x.dtype)
    return _normalised(np.exp2((x.astype(np.longdouble) * scale - rounded).astype(x.dtype)), x)


def softmax_mean_added(x):
    """Not shift-invariant: a thousandth of the mean logit leaks into the first class."""
    d = _distances(x)
    d[:, 0] += 1e-3 * np.clip(x.astype(np.float64), -1e6, 1e6).mean(axis=-1)
    return _normalised(np.exp(d - d.max(axis=-1, keepdims=True)), x)


# --- softmax: the sum ---


def softmax_sticky_sum(x):
    """Summed one by one in the dtype of the input: bfloat16 sticks at 256 (jax#40409)."""
    e = np.exp(_distances(x)).astype(x.dtype)
    total = np.zeros(len(x), dtype=x.dtype)
    for column in e.T:
        total = total + column
    return e / total[:, None]


def softmax_fast_math_sum(x):
    """Kahan's sum under -ffast-math: (s - total) - term is simplified to 0, the sum to a plain one.

    Which sticks where the plain one does, in the narrow formats.
    """
    e = np.exp(_distances(x)).astype(x.dtype)
    total = lost = np.zeros(len(x), dtype=x.dtype)
    for column in e.T:
        total, lost = total + (column - lost), lost * 0
    return e / total[:, None]


def softmax_tail_skipped(x):
    """The sum takes whole vectors of 8 lanes; the rest of the row is left out."""
    e = np.exp(_distances(x))
    whole = max(1, x.shape[1] // 8 * 8)
    return (e / e[:, :whole].sum(axis=-1, keepdims=True)).astype(x.dtype)


def softmax_sums_to_0_999(x):
    """The probabilities are not renormalised after some were dropped."""
    return _softmax(x) * x.dtype.type(0.999)


def softmax_over_the_others(x):
    """Odds, not probabilities: divided by the sum of the other exponentials."""
    e = np.exp(_distances(x))
    return (e / (e.sum(axis=-1, keepdims=True) - e)).astype(x.dtype)


# --- softmax: the exponential ---


def softmax_cubic_exp(x):
    """The exponential is computed by halving and a polynomial of degree 3."""
    y = np.maximum(_distances(x), -1e5) * np.log2(np.e)
    whole = np.round(y)
    t = (y - whole) * np.log(2)
    return _normalised(np.ldexp(1 + t + t**2 / 2 + t**3 / 6, whole.astype(int)), x)


def softmax_float16_inside(x):
    """A temporary is kept in float16, for speed."""
    return _normalised(np.exp(_distances(x).astype(np.float16).astype(np.float64)), x)


def softmax_clamped_logits(x):
    """The logits are clamped at +-50, so that nothing overflows."""
    return _softmax(np.clip(x, -50, 50))


def softmax_clamped_at_the_mask_value(x):
    """-1e4 stands for a mask, and ordinary logits below are raised to it (flashinfer#4401)."""
    return _softmax(np.where(np.isneginf(x), x, np.maximum(x, x.dtype.type(-1e4))))


def softmax_flushed(x):
    """Subnormal probabilities are flushed to 0, as -ffast-math sets it up."""
    p = _softmax(x)
    return np.where(p < np.finfo(x.dtype).tiny, x.dtype.type(0), p)


def softmax_hot(x):
    """A temperature of 0.99 is left in the code."""
    return _normalised(np.exp(_distances(x) / 0.99), x)


def softmax_of_minus_x(x):
    """The logits are taken for energies: exp(-x)."""
    return _softmax(-x)


def softmax_last_class_favoured(x):
    """The last lane is computed another way, and comes out 1e-5 too large."""
    p = _softmax(x)
    p[:, -1] *= x.dtype.type(1 + 1e-5)
    return p


# --- softmax: special values ---


def softmax_nan_at_masks(x):
    """The mask is multiplied in, and 0 * -inf is NaN."""
    return _softmax(x) + 0 * x


def softmax_mask_leaks(x):
    """The mask -inf is replaced by -30, which is not low enough."""
    return _softmax(np.where(np.isneginf(x), x.dtype.type(-30), x))


def softmax_ignores_nan(x):
    """Comparisons that take NaN for absent, as fast-math allows: the row looks healthy."""
    return _softmax(np.where(np.isnan(x), x.dtype.type(-np.inf), x))


def softmax_infinity_is_large(x):
    """+inf replaced by the largest number: takes the mass, which was not promised."""
    return _softmax(np.nan_to_num(x, nan=np.nan, posinf=np.finfo(x.dtype).max, neginf=-np.inf))


def softmax_poisoned_by_a_masked_row(x):
    """A row without any class makes NaN of the whole batch (pytorch#41508)."""
    p = _softmax(x)
    return p * x.dtype.type(np.nan) if np.isneginf(x).all(axis=-1).any() else p


def softmax_masked_row_is_zero(x):
    """A row without any class gives zeros, where NaN was promised."""
    p = _softmax(x)
    p[np.isneginf(x).all(axis=-1)] = 0
    return p


def softmax_masked_row_is_uniform(x):
    """A row without any class gives the uniform distribution, where NaN was promised."""
    return _softmax(np.where(np.isneginf(x).all(axis=-1, keepdims=True), x.dtype.type(0), x))


def softmax_nan_at_its_place(x):
    """NaN stays where it was, where a row of NaN was promised."""
    return np.where(np.isnan(x), x, softmax_ignores_nan(x))


def softmax_raises_on_nan(x):
    """A check that all is finite raises an exception."""
    if np.isnan(x).any():
        raise ValueError("logits hold NaN")
    return _softmax(x)


# --- softmax: the form of the result ---


def softmax_in_place(x):
    """The result is computed in the caller's array."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x.copy()


def softmax_random(x):
    """Dropout is left on: no two calls agree."""
    return _softmax(x) * x.dtype.type(1 + next(_calls) * 1e-5)


def softmax_returns_float64(x):
    """The accumulator's dtype is returned."""
    return _softmax(x.astype(np.longdouble))


def softmax_keepdims(x):
    """The result has one axis too many."""
    return _softmax(x)[..., None]


def softmax_squeezed(x):
    """np.squeeze drops the axis of a single row, or of a single class."""
    return np.squeeze(_softmax(x))


def softmax_stale_out(x):
    """np.divide(..., out=, where=) into a buffer kept between calls: what is 0 is not written."""
    p = _softmax(x)
    out = _workspace.setdefault(x.dtype, np.zeros(2**16, x.dtype))[: x.size].reshape(x.shape)
    np.copyto(out, p, where=p != 0)
    return out


def softmax_out_of_the_previous_call(x):
    """Copied out before it is computed: the result of the last call of this shape comes back."""
    before = _last.get(("out", x.shape, x.dtype))
    p = _last["out", x.shape, x.dtype] = _softmax(x)
    return p if before is None else before


def softmax_alternating(x):
    """Every seventh call is wrong: too seldom for two calls to show it."""
    return _softmax(x) * x.dtype.type(1.01 if next(_calls) % 7 == 6 else 1)


def softmax_triple(x):
    """Intermediate results are returned too."""
    return _softmax(x), x, x


def softmax_ragged(x):
    """What is returned is no array at all."""
    return [[1.0], [1.0, 2.0]]


def softmax_raises(x):
    """A name in the code is misspelt, so that every call raises."""
    raise TypeError("unsupported operand")


def softmax_exits(x):
    """The call ends the process, as a script does, and as if all were well."""
    raise SystemExit(0)


def softmax_raises_on_one_class(x):
    """An unrolled loop needs two classes."""
    assert x.shape[1] != 1, "needs two classes"
    return _softmax(x)


not_callable = 3.0


def softmax_remembers_a_sorted_row(x):
    """The last result of short rows is kept, and used for any row with the same sorted logits."""
    if x.shape[1] > 64:
        return _softmax(x)
    key = (x.dtype, np.sort(x, axis=-1).tobytes())
    if _last.get("softmax key") != key:
        _last.update({"softmax key": key, "softmax": _softmax(x)})
    return _last["softmax"].copy()


# --- log-softmax ---


def log_softmax_log_of_softmax(x):
    """The logarithm of softmax: -inf where the probability underflows (NVIDIA/apex#379)."""
    return np.log(_softmax(x))


def log_softmax_log_of_p_plus_epsilon(x):
    """The probability gets 1e-12 added, so that the logarithm is finite."""
    return np.log(_softmax(x).astype(np.float64) + 1e-12).astype(x.dtype)


def log_softmax_log_for_log1p(x):
    """The logarithm of 1 + T: 0 for a dominating class (pytorch#113708, scipy#19521)."""
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def log_softmax_maximum_added_first(x):
    """x - (max + log sum), reassociated: rounds log sum away for large logits (pytorch#38839)."""
    return x - (x.max(axis=-1) + _log1p_of_the_others(_distances(x)).astype(x.dtype))[:, None]


def log_softmax_base_2(x):
    """The logarithm has base 2."""
    return (_log_softmax(x).astype(np.float64) / np.log(2)).astype(x.dtype)


def log_softmax_positive(x):
    """The sign is that of the loss: -log p."""
    return -_log_softmax(x)


# --- log-sum-exp ---


def logsumexp_without_max(x):
    """The maximum is not subtracted."""
    return np.log(np.exp(x).sum(axis=-1))


def logsumexp_max_of_magnitudes(x):
    """The maximum of |x| is subtracted: exponentials of a row far below 0 underflow."""
    m = np.abs(x).max(axis=-1)
    e = np.exp(x.astype(np.float64) - m[:, None]).sum(axis=-1)
    return np.where(np.isinf(m), _logsumexp(x), m + np.log(e)).astype(x.dtype)


def logsumexp_maximum_not_added_back(x):
    """The maximum is subtracted and never added back."""
    return _log1p_of_the_others(_distances(x)).astype(x.dtype)


def logsumexp_log_for_log1p(x):
    """The maximum stays inside of the sum: 0 at [0, -40] (scipy#18295)."""
    m = x.max(axis=-1)
    return m + np.log(np.exp(x - m[:, None]).sum(axis=-1))


def logsumexp_of_the_mean(x):
    """The logarithm is that of the mean exponential."""
    return (_logsumexp(x) - np.log(x.shape[-1])).astype(x.dtype)


def logsumexp_softmin(x):
    """The result is minus the log-sum-exp of -x: concave."""
    return -_logsumexp(-x)


def logsumexp_nan_when_masked(x):
    """(-inf) - (-inf) in a row without any class, where the limit is -inf (pytorch#31829)."""
    return np.where(np.isneginf(x).all(axis=-1), x.dtype.type(np.nan), _logsumexp(x))


def logsumexp_of_nothing_is_zero(x):
    """The sum over no classes is taken for a loss that is 0."""
    return _logsumexp(x) if x.shape[1] else np.zeros(len(x), dtype=x.dtype)


def logsumexp_with_twice_its_gradient(x):
    """The gradient is accumulated twice."""
    return _logsumexp(x), 2 * _softmax(x)


def logsumexp_remembers_differences(x):
    """The last result is kept, and used for any row with the same differences to the maximum."""
    key = (x.dtype, _distances(x).tobytes())
    if _last.get("logsumexp key") != key:
        _last.update({"logsumexp key": key, "logsumexp": _logsumexp(x)})
    return _last["logsumexp"].copy()


# --- cross-entropy ---


def cross_entropy_of_the_argmax(x, labels):
    """The label is not looked at."""
    return _loss(x, x.argmax(axis=-1)), _gradient(x, labels)


def cross_entropy_label_off_by_one(x, labels):
    """Labels are taken to count from 1, in the loss and in the gradient."""
    return _loss(x, labels - 1), _gradient(x, labels - 1)


def cross_entropy_clipped(x, labels):
    """Probabilities are clipped at 1e-7, as in old Keras."""
    p = np.maximum(_softmax(x.astype(np.float64)), 1e-7)
    return -np.log(p[np.arange(len(x)), labels]).astype(x.dtype)


def cross_entropy_smoothed(x, labels):
    """A label smoothing of 0.01 is left on."""
    return (0.99 * _loss(x, labels) - 0.01 * _log_softmax(x).mean(axis=-1)).astype(x.dtype)


def cross_entropy_smoothing_on_masked_classes(x, labels, *, label_smoothing=0.0):
    """A smoothing of 0 multiplies the -inf of masked classes: 0 * inf is NaN (optax#896)."""
    spread = -_log_softmax(x).mean(axis=-1)
    return ((1 - label_smoothing) * _loss(x, labels) + label_smoothing * spread).astype(x.dtype)


def cross_entropy_onehot_times_log(x, labels):
    """The sum of onehot * log p has 0 * -inf at every masked class (optax#1762)."""
    onehot = np.arange(x.shape[1]) == labels[:, None]
    kept = np.where(np.isneginf(x), _log_softmax(x), 0)
    return (_loss(x, labels) - (onehot * kept).sum(axis=-1)).astype(x.dtype)


def cross_entropy_mean_of_the_batch(x, labels):
    """Every row gets the mean loss of the batch."""
    return np.full(len(x), _loss(x, labels).mean(dtype=np.float64), dtype=x.dtype)


def cross_entropy_negative(x, labels):
    """The sign is wrong: log p in place of -log p."""
    return -_loss(x, labels)


def cross_entropy_last_class_weighted(x, labels):
    """The weight of a class is left in the code."""
    weight = np.where(labels == x.shape[1] - 1, 1 + 1e-4, 1)
    return (_loss(x, labels) * weight).astype(x.dtype)


def cross_entropy_saturated(x, labels):
    """The loss is clipped at 6: no longer convex."""
    return np.minimum(_loss(x, labels), x.dtype.type(6))


def cross_entropy_masked_mean(x, labels):
    """The mean logit leaks into the loss."""
    finite = np.where(np.isfinite(x), np.clip(x.astype(np.float64), -1e6, 1e6), 0)
    return (_loss(x, labels) + 1e-4 * finite.mean(axis=-1)).astype(x.dtype)


# --- cross-entropy: right loss, wrong gradient ---


def cross_entropy_gradient_without_label(x, labels):
    """The gradient is that of log-sum-exp alone."""
    return _loss(x, labels), _softmax(x)


def cross_entropy_gradient_divided_by_p(x, labels):
    """-onehot / p pulled back through softmax: 0 / 0 where p underflows (NNlib.jl#68)."""
    p = _softmax(x)
    rows = np.arange(len(x))
    return _loss(x, labels), _gradient(x, labels) * (p[rows, labels] / p[rows, labels])[:, None]


def cross_entropy_gradient_label_off_by_one(x, labels):
    """The 1 of the label is subtracted at the next class."""
    return _loss(x, labels), _gradient(x, (labels + 1) % x.shape[1])


def cross_entropy_gradient_of_the_mean(x, labels):
    """The gradient is divided by the size of the batch."""
    return _loss(x, labels), (_gradient(x, labels) / len(x)).astype(x.dtype)


def cross_entropy_gradient_of_the_opposite_sign(x, labels):
    """The gradient is onehot - p in place of p - onehot."""
    return _loss(x, labels), -_gradient(x, labels)


def cross_entropy_gradient_nan_at_masks(x, labels):
    """The backward pass multiplies 0 by -inf (jax#6811)."""
    return _loss(x, labels), np.where(np.isneginf(x), x.dtype.type(np.nan), _gradient(x, labels))


def cross_entropy_gradient_through_float16(x, labels):
    """The gradient is stored in half precision between the passes."""
    return _loss(x, labels), _gradient(x, labels).astype(np.float16).astype(x.dtype)


def cross_entropy_gradient_poisoned_by_a_masked_row(x, labels):
    """0 * NaN in shared sums: a row without any class ruins the other gradients."""
    ruined = np.isneginf(x).all(axis=-1).any()
    return _loss(x, labels), _gradient(x, labels) * x.dtype.type(np.nan if ruined else 1)


def cross_entropy_gradient_random(x, labels):
    """The gradient is another one at every call."""
    return _loss(x, labels), _gradient(x, labels) * x.dtype.type(1 + next(_calls) * 1e-5)


def cross_entropy_changes_labels(x, labels):
    """The labels are made to count from 0, in the caller's array."""
    loss = _loss(x, labels)
    labels -= 1
    return loss


def cross_entropy_returns_one_number(x, labels):
    """The mean over the batch is returned in place of each row's loss."""
    return _loss(x, labels).mean()


# --- functions of one real ---


def sigmoid_overflowing(x):
    """The form e^x / (1 + e^x): inf / inf for large arguments."""
    return np.exp(x) / (1 + np.exp(x))


def sigmoid_by_tanh(x):
    """The form (1 + tanh(x / 2)) / 2: cancels for negative arguments."""
    half = x.dtype.type(0.5)
    return half * (1 + np.tanh(half * x))


def sigmoid_hard(x):
    """The piecewise linear stand-in, clipped at 0 and 1."""
    return np.clip(x.astype(np.float64) / 5 + 0.5, 0, 1).astype(x.dtype)


def sigmoid_mirrored(x):
    """The sign of the argument is wrong: 1 / (1 + e^x)."""
    return _sigmoid(-x)


def sigmoid_above_one(x):
    """The result is scaled by 1.001, beyond 1."""
    return _sigmoid(x) * x.dtype.type(1.001)


def sigmoid_infinity_clamped(x):
    """Arguments are clamped, -inf with them: never 0."""
    return _sigmoid(np.where(np.isinf(x), np.clip(x, -20, 20), x))


def softplus_overflowing(x):
    """The textbook form log(1 + e^x): overflows, and is 0 where 1 absorbs e^x."""
    return np.log(1 + np.exp(x))


def softplus_with_threshold(x):
    """The result is x itself beyond 20: what is dropped is 2e-9, a lot in float64."""
    return np.where(x > 20, x, _softplus(x))


def softplus_relu(x):
    """The maximum of the argument and 0 stands in for it."""
    return np.maximum(x, x.dtype.type(0))


def softplus_saturated(x):
    """The result is clipped at 6: neither convex, nor f(x) - f(-x) = x."""
    return np.minimum(_softplus(x), x.dtype.type(6))


def softplus_mirrored(x):
    """The sign of the argument is wrong: log(1 + e^-x)."""
    return _softplus(-x)


def softplus_below_zero(x):
    """An offset is subtracted: negative for negative arguments."""
    return _softplus(x) - x.dtype.type(0.25)


def softplus_swallows_nan(x):
    """A maximum ignores NaN, which is taken for 0."""
    return _softplus(np.where(np.isnan(x), x.dtype.type(0), x))
