"""For each regression case an implementation with just that bug, and a careful one without any.

They compute in binary64 (from wherever the bug is not), so that nothing else can be found.
"""

import numpy as np

# --- careful: all options, no bug ---


def _wide(x, scale=None, where=None):
    x = (x if scale is None else x * x.dtype.type(scale)).astype(np.float64)
    return x if where is None else np.where(where, x, -np.inf)


def _parts(x, axis=-1):
    """d = x - max, e^d, the place of the first maximum, and the sum of e^d over the others.

    The sum is NaN where the maximum is infinite.
    """
    m = x.max(axis=axis, keepdims=True)
    d = x - m
    e = np.exp(d)
    first = np.indices(x.shape)[axis] == x.argmax(axis=axis, keepdims=True)
    others = np.where(first, 0, e).sum(axis=axis, keepdims=True) + 0 * m
    return d, e, first, others


def softmax(x, axis=-1, *, scale=None, where=None, cotangent=None):
    """A right softmax, with the vector-Jacobian product where a cotangent is given."""
    _, e, _, others = _parts(_wide(x, scale, where), axis)
    p = e / (1 + others)
    if cotangent is None:
        return p.astype(x.dtype)
    g = cotangent.astype(np.float64)
    gradient = p * (g - (g * p).sum(axis=axis, keepdims=True))
    return p.astype(x.dtype), gradient.astype(x.dtype)


def log_softmax(x, axis=-1, *, scale=None, where=None, cotangent=None):
    """A right one, by log1p of the other classes, with the vector-Jacobian product."""
    d, e, first, others = _parts(_wide(x, scale, where), axis)
    value = d - np.log1p(others)
    if cotangent is None:
        return value.astype(x.dtype)
    g, p = cotangent.astype(np.float64), e / (1 + others)
    rest = np.where(first, others / (1 + others), 1 - p)  # 1 - p without cancellation
    total = g.sum(axis=axis, keepdims=True)
    gradient = g * rest - p * (total - g)
    return value.astype(x.dtype), gradient.astype(x.dtype)


def logsumexp(x, axis=-1, *, scale=None, where=None, b=None, cotangent=None):
    """A right one, by log1p of the other classes, with weights and vector-Jacobian product."""
    wide = _wide(x, scale, where)
    if b is not None:
        m = wide.max(axis=axis, keepdims=True)
        value = np.squeeze(m, axis) + np.log((b * np.exp(wide - m)).sum(axis=axis))
        return value.astype(x.dtype)
    m = wide.max(axis=axis)
    _, e, _, others = _parts(wide, axis)
    value = np.where(np.isinf(m), m, m + np.log1p(np.squeeze(others, axis)))
    if cotangent is None:
        return value.astype(x.dtype)
    p = np.nan_to_num(e / (1 + others))
    g = np.expand_dims(cotangent.astype(np.float64), axis)
    return value.astype(x.dtype), (g * p).astype(x.dtype)


def cross_entropy(x, labels, *, ignore_index=None, cotangent=None):
    """A right one: loss and gradient, 0 where the label is ignored."""
    d, e, first, others = _parts(x.astype(np.float64))
    kept = labels != ignore_index
    right = np.where(kept, labels, 0)
    if not ((right >= 0) & (right < x.shape[1])).all():
        raise IndexError(f"label {right} is none of {x.shape[1]} classes")
    rows = np.arange(len(x))
    loss = np.where(kept, np.log1p(others[:, 0]) - d[rows, right], 0)
    p = e / (1 + others)
    leads = first[rows, right]
    p[rows, right] = np.where(leads, -others[:, 0] / (1 + others[:, 0]), p[rows, right] - 1)
    weight = kept * (1 if cotangent is None else cotangent.astype(np.float64))
    gradient = np.where(weight[:, None] == 0, 0, weight[:, None] * p)
    return loss.astype(x.dtype), gradient.astype(x.dtype)


CAREFUL = (softmax, log_softmax, logsumexp, cross_entropy)


# --- the bugs, named by definition and case ---


def softmax_all_masked_row(x):
    """Rows are mixed with weight 0: a NaN spreads to all of them."""
    return (np.eye(len(x)) @ softmax(x)).astype(x.dtype)


def logsumexp_grad_at_neg_inf(x, *, cotangent=None):
    """The derivative is e^(x - lse), and (-inf) - (-inf) is NaN."""
    value = logsumexp(x)
    if cotangent is None:
        return value
    return value, (cotangent[:, None] * np.exp(x - value[:, None])).astype(x.dtype)


def softmax_masked_huge_logit_grad(x, *, where=None, cotangent=None):
    """The derivative multiplies the discarded branch, inf, by 0."""
    value = softmax(x, where=where)
    if cotangent is None or where is None:
        return value
    _, gradient = softmax(x, where=where, cotangent=cotangent)
    m = x.max(axis=-1, keepdims=True, where=where, initial=-np.inf)
    return value, gradient + np.where(where, 0, 0 * np.exp(x - m))


def _sum_in_the_format(e):
    total = np.zeros(len(e), e.dtype)
    for column in e.T:
        total = total + column
    return total


def softmax_wide_low_precision_sum(x):
    """Summed one by one in the format of the input."""
    e = np.exp(x - x.max(axis=-1, keepdims=True)).astype(x.dtype)
    return e / _sum_in_the_format(e)[:, None]


def logsumexp_wide_low_precision_sum(x):
    """Summed one by one in the format of the input."""
    m = x.max(axis=-1)
    return m + np.log(_sum_in_the_format(np.exp(x - m[:, None]).astype(x.dtype)))


def log_softmax_dominant_logprob(x):
    """Uses log(sum), where log1p of the other terms is needed."""
    d = x - x.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def cross_entropy_dominant_logprob(x, labels):
    """The loss is right, but its gradient is p - 1."""
    loss, gradient = cross_entropy(x, labels)
    rows = np.arange(len(x))
    gradient[rows, labels] = softmax(x)[rows, labels] - 1
    return loss, gradient


def logsumexp_lse_small_result(x):
    """The maximum stays inside the sum."""
    m = x.max(axis=-1)
    total = np.exp(x.astype(np.float64) - m[:, None]).sum(axis=-1)
    return (np.where(np.isinf(m), 0, m) + np.log(total)).astype(x.dtype)


def log_softmax_shift_invariance_large(x):
    """Subtracts the log-sum-exp, which has been rounded beside a large maximum."""
    return x - logsumexp(x)[:, None]


def cross_entropy_shift_invariance_large(x, labels):
    """Subtracts the logit from the log-sum-exp, rounded beside a large maximum."""
    return logsumexp(x) - x[np.arange(len(x)), labels]


def softmax_scaled_contraction(x, *, scale=1.0):
    """One rounding for scale * x - max, where the maximum has been rounded before."""
    scale = x.dtype.type(scale)
    rounded = (x * scale).max(axis=-1, keepdims=True)
    d = (x.astype(np.float64) * np.float64(scale) - rounded).astype(x.dtype)
    e = np.exp(d)
    return e / e.sum(axis=-1, keepdims=True)


def softmax_plus_inf(x):
    """Infinities are replaced by large numbers; the contract says NaN."""
    return softmax(np.nan_to_num(x))


def cross_entropy_zero_label_neg_inf_logit(x, labels):
    """The target is multiplied in as a one-hot row: 0 * -inf."""
    onehot = np.arange(x.shape[1]) == labels[:, None]
    return -(onehot * log_softmax(x)).sum(axis=-1)


def logsumexp_tile_all_neg_inf(x):
    """Tiles are merged with e^(m_old - m_new), NaN where both are -inf."""
    m, total = np.full(len(x), -np.inf), np.zeros(len(x))
    for start in range(0, x.shape[1], 4096):
        tile = x[:, start : start + 4096].astype(np.float64)
        top = np.maximum(m, tile.max(axis=1))
        total = total * np.exp(m - top) + np.exp(tile - top[:, None]).sum(axis=1)
        m = top
    return (m + np.log(total)).astype(x.dtype)


def softmax_finite_sentinel_leak(x):
    """The number -1e4 stands for a mask."""
    return softmax(np.where(np.isneginf(x), np.asarray(-1e4, x.dtype), x))


def log_softmax_log_of_softmax(x):
    """The logarithm of a probability that has underflowed."""
    return np.log(softmax(x))


def log_softmax_half_path_divergence(x, axis=-1):
    """Padding lanes are 0 and take part in the maximum; the sum is then kept in the format."""
    m = np.maximum(x.max(axis=axis, keepdims=True), x.dtype.type(0))
    e = np.exp(x - m)
    return x - m - np.log(e.sum(axis=axis, keepdims=True)).astype(x.dtype)


def softmax_batch_invariance(x):
    """A large batch sums backwards."""
    e = np.exp(x - x.max(axis=-1, keepdims=True)).astype(np.float32)
    ordered = e if len(x) < 32 else e[:, ::-1]
    total = np.add.accumulate(ordered, axis=-1, dtype=np.float32)[:, -1:]
    return (e / total).astype(x.dtype)


def softmax_missing_max_in_vector_lane(x):
    """Rows of whole vectors are not shifted."""
    if x.shape[1] % 16:
        return softmax(x)
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp_signed_weights_lse(x, *, b=None):
    """The weight of the largest logit goes into the logarithm alone: NaN where it is negative."""
    if b is None:
        return logsumexp(x)
    rows, k = np.arange(len(x)), x.argmax(axis=-1)
    terms = b * np.exp(x - x[rows, k][:, None])
    lead = terms[rows, k]
    return x[rows, k] + np.log(lead) + np.log1p(terms.sum(axis=-1) / lead - 1)


def cross_entropy_reduction_none_grad(x, labels, *, cotangent=None):
    """Every row gets the weight of the first one."""
    loss, gradient = cross_entropy(x, labels)
    return loss, gradient if cotangent is None else gradient * cotangent[0]


def softmax_index_overflow(x):
    """Where a row starts, in elements, is kept in 32 bits."""
    apart = x.strides[0] // x.itemsize
    starts = [i * apart % 2**32 * x.itemsize for i in range(len(x))]
    rows = [
        np.lib.stride_tricks.as_strided(x, (2, x.shape[1]), (start, x.strides[1]))[1]
        for start in starts
    ]
    return softmax(np.stack(rows))


def cross_entropy_label_out_of_range(x, labels):
    """A label that is no class gives NaN in place of an error."""
    loss = cross_entropy(x, np.minimum(labels, x.shape[1] - 1))[0]
    return np.where(labels < x.shape[1], loss, np.nan).astype(x.dtype)


BROKEN = (
    softmax_all_masked_row,
    logsumexp_grad_at_neg_inf,
    softmax_masked_huge_logit_grad,
    softmax_wide_low_precision_sum,
    logsumexp_wide_low_precision_sum,
    log_softmax_dominant_logprob,
    cross_entropy_dominant_logprob,
    logsumexp_lse_small_result,
    log_softmax_shift_invariance_large,
    cross_entropy_shift_invariance_large,
    softmax_scaled_contraction,
    softmax_plus_inf,
    cross_entropy_zero_label_neg_inf_logit,
    logsumexp_tile_all_neg_inf,
    softmax_finite_sentinel_leak,
    log_softmax_log_of_softmax,
    log_softmax_half_path_divergence,
    softmax_batch_invariance,
    softmax_missing_max_in_vector_lane,
    logsumexp_signed_weights_lse,
    cross_entropy_reduction_none_grad,
    softmax_index_overflow,
    cross_entropy_label_out_of_range,
)
