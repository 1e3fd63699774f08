"""Right implementations that share no code with softproof: no suite may say a word against them.

Two origins are written here: NumPy with Python floats and exact sums, and compositions of PyTorch's
primitives in float64, with its autograd, by other formulas than anyone's softmax uses.
"""

import math

import mpmath
import numpy as np

# --- NumPy and Python floats ---


def careful_softmax(x):
    d = x.astype(np.float64) - np.max(x, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(d)
    total = [math.fsum(row) if np.isfinite(row).all() else math.nan for row in e]
    return (e / np.array(total).reshape(-1, 1)).astype(x.dtype)


def _losers(row):
    lead = int(np.argmax(row))
    return math.log1p(math.fsum(map(math.exp, (np.delete(row, lead) - row[lead]).tolist())))


def _careful(x, finish):
    """Row by row; NaN where a contract governs."""
    results = []
    for row in x.astype(np.float64):
        governed = np.isnan(row).any() or np.isposinf(row).any() or not np.isfinite(row).any()
        rest = math.nan if governed else _losers(row)
        results.append(finish(row, rest))
    return np.array(results).astype(x.dtype)


def careful_log_softmax(x):
    if not x.size:
        return x.copy()
    return _careful(x, lambda row, rest: row - row.max() - rest)


def careful_logsumexp(x):
    m = np.max(x.astype(np.float64), axis=-1, initial=-np.inf)
    infinite = np.isinf(m)
    if not x.shape[1]:
        return m.astype(x.dtype)
    return np.where(infinite, m, _careful(x, lambda row, rest: row.max() + rest)).astype(x.dtype)


def careful_cross_entropy(x, labels):
    wide = careful_log_softmax(x.astype(np.float64))
    rows = np.arange(len(x))
    loss = -wide[rows, labels]
    gradient = np.exp(wide)
    gradient[rows, labels] = np.expm1(wide[rows, labels])
    return loss.astype(x.dtype), gradient.astype(x.dtype)


def careful_sigmoid(x):
    e = np.exp(-np.abs(x.astype(np.float64)))
    return (np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)


def careful_softplus(x):
    return np.logaddexp(0.0, x.astype(np.float64)).astype(x.dtype)


def exact_softmax(x):
    """In 300 bits, row by row."""
    with mpmath.workprec(300):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in x]
        powers = [[mpmath.exp(v - max(row)) for v in row] for row in rows]
        return np.array([[float(e / sum(row)) for e in row] for row in powers]).astype(x.dtype)


# --- PyTorch's primitives ---


def torch_log_softmax(x):
    """log p of the leader is log sigmoid of its lead; all others are less by their distances."""
    from torch.nn.functional import softplus

    wide = x.double()
    if not x.shape[1]:
        return x.clone()
    lead, where = wide.max(dim=-1, keepdim=True)
    others = (wide - lead).scatter(-1, where, -math.inf)
    rest = softplus(others.logsumexp(-1, keepdim=True), threshold=700) + 0 * lead  # 0, or NaN
    return (wide - lead - rest).to(x.dtype)


def torch_logsumexp(x):
    """The leader, and softplus of what the others add to it; infinities are their own."""
    from torch.nn.functional import softplus

    if not x.shape[1]:
        return x.new_full((len(x),), -math.inf)
    wide = x.double()
    lead, where = wide.max(dim=-1, keepdim=True)
    others = (wide - lead).scatter(-1, where, -math.inf)
    finite = (lead + softplus(others.logsumexp(-1, keepdim=True), threshold=700)).squeeze(-1)
    return finite.where(lead.squeeze(-1).isfinite(), lead.squeeze(-1)).to(x.dtype)


def torch_cross_entropy(x, labels):
    """softplus of the lead of the other classes over the label; autograd's gradient.

    A finite number, so low that nothing of it is left, keeps the label out of the others: the
    gradient of a log-sum-exp of nothing would be NaN.  Their maximum is taken out first: that of
    ``torch.logsumexp`` is exp(x - lse), which at two equal logits of 2^99 is 1 and 1.
    """
    import torch
    from torch.nn.functional import softplus

    wide = x.detach().double().requires_grad_()
    label = labels[:, None]
    others = wide.scatter(-1, label, -1e300)
    top = others.detach().amax(-1, keepdim=True)
    lead = (others - top).logsumexp(-1) + (top - wide.gather(-1, label)).squeeze(-1)
    loss = softplus(lead, threshold=700)
    (gradient,) = torch.autograd.grad(loss.sum(), wide)
    return loss.detach().to(x.dtype), gradient.to(x.dtype)
