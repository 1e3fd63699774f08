"""Attention whose weights are no softmax of the scores, for one query."""

from fractions import Fraction

from ...definition import Parameter, define
from ...proofs.facts import (
    PermutationEquivariant,
    PermutationInvariant,
    ShiftEquivariant,
    ShiftInvariant,
)
from ...proofs.facts_of_arguments import At, Between, Homogeneous
from ...signature import Matrix, Vector

QKV = {"q": Vector("d"), "k": Matrix("n", "d"), "v": Matrix("n", "e")}
ROWS_SUM_TO_1 = (ShiftEquivariant("v"), Homogeneous("v", 1), PermutationInvariant("n"))


def _features(x, xp):
    """ELU + 1, entry by entry: positive features."""
    return xp.by_sign(x, lambda y: y + 1, xp.exp)


def _products(q, k, xp):
    """phi(q) . phi(k_j) for each key."""
    return xp.dot(_features(k, xp), _features(q, xp))


@define(
    family="attention",
    source="Ramapuram et al. 2024, Theory, Analysis, and Best Practices for Sigmoid Self-Attention",
    arguments=QKV,
    output=("e",),
    facts=(Homogeneous("v", 1), PermutationInvariant("n"), PermutationEquivariant("e")),
    papers=(25,),
)
def sigmoid_attention(q, k, v, xp):
    """sum_j sigmoid(<q, k_j> / sqrt d - log n) v_j.

    >>> from softproof.derivations import value
    >>> value("sigmoid_attention", q=[0.0], k=[[1.0]], v=[[4.0]])
    [2.0]
    """
    scores = xp.dot(k, q) / xp.sqrt(xp.number(len(q)))
    return xp.dot(xp.sigmoid(scores - xp.log(xp.number(len(k)))), v)


@define(
    family="attention",
    source="Zhang, Titov, Sennrich 2021, Sparse Attention with Linear Units, arXiv 2104.07012",
    arguments={**QKV, "gain": Vector("e", shared=True)},
    output=("e",),
    parameters={"eps": Parameter(1e-6, 0.0, 1.0, values=(0.5,))},
    facts=(
        PermutationInvariant("n"),
        At(Homogeneous("v", 0), eps=0),
        Homogeneous("gain", 1),
    ),
    papers=(148,),
)
def rectified_linear_attention(q, k, v, gain, xp, eps=1e-6):
    """RMS normalisation of sum_j max(0, <q, k_j> / sqrt d) v_j, with a gain.

    >>> from softproof.derivations import value
    >>> value("rectified_linear_attention", q=[1.0], k=[[1.0]], v=[[4.0, -4.0]], gain=[1.0, 2.0],
    ...       eps=0.0)
    [1.0, -2.0]
    """
    y = xp.dot(xp.positive_part(xp.dot(k, q) / xp.sqrt(xp.number(len(q)))), v)
    return y / xp.sqrt(xp.mean(y * y) + xp.number(eps)) * gain


@define(
    family="attention",
    source="Rectifying Magnitude Neglect in Linear Attention, with the features ELU + 1",
    arguments=QKV,
    output=("e",),
    facts=ROWS_SUM_TO_1,
    papers=(75,),
)
def magnitude_aware_linear_attention(q, k, v, xp):
    """sum_j (b p_j - S / n) v_j, p_j = phi(q) . phi(k_j), S their sum, b = 1 + 1 / S.

    The weights sum to 1, and may be negative.

    >>> from softproof.derivations import value
    >>> value("magnitude_aware_linear_attention", q=[0.0], k=[[0.0], [0.0]], v=[[1.0], [3.0]])
    [2.0]
    """
    p = _products(q, k, xp)
    total = xp.sum(p)
    return xp.dot((1 + 1 / total) * p - total / len(p), v)


@define(
    family="attention",
    source="Bridging the Divide: Reconsidering Softmax and Linear Attention, without its residual",
    arguments=QKV,
    output=("e",),
    facts=ROWS_SUM_TO_1,
    papers=(321,),
)
def injective_linear_attention(q, k, v, xp):
    """sum_j (p_j - mean p + 1 / n) v_j, p_j = phi(q) . phi(k_j) with the features ELU + 1.

    >>> from softproof.derivations import value
    >>> value("injective_linear_attention", q=[0.0], k=[[0.0], [1.0]], v=[[1.0], [3.0]])
    [3.0]
    """
    p = _products(q, k, xp)
    return xp.dot(p - xp.mean(p) + xp.number(Fraction(1, len(p))), v)


@define(
    family="attention",
    source="Han et al. 2024, Agent Attention, arXiv 2312.08874",
    arguments={
        "q": Vector("d"),
        "agents": Matrix("m", "d"),
        "k": Matrix("n", "d"),
        "v": Matrix("n", "e"),
    },
    output=("e",),
    facts=(Between("v", "n"), PermutationInvariant("n"), PermutationInvariant("m")),
    papers=(324,),
)
def agent_attention(q, agents, k, v, xp):
    """Attention of the query to agents, whose values are their attention to the keys.

    >>> from softproof.derivations import value
    >>> value("agent_attention", q=[0.0], agents=[[0.0]], k=[[0.0], [1.0]], v=[[1.0], [3.0]])
    [2.0]
    """
    root = xp.sqrt(xp.number(len(q)))
    values = xp.dot(xp.softmax(xp.dot(agents, k.T) / root), v)
    return xp.weighted_mean(xp.dot(agents, q) / root, values)


@define(
    family="attention",
    source="Luo et al. 2021, Stable, Fast and Accurate: Kernelized Attention, arXiv 2106.12566",
    arguments={**QKV, "bias": Vector("n"), "draws": Matrix("m", "d")},
    output=("e",),
    facts=(
        Between("v", "n"),
        Homogeneous("q", 0),
        Homogeneous("k", 0),
        ShiftInvariant("bias"),
    ),
    papers=(305,),
)
def kernelized_attention(q, k, v, bias, draws, xp):
    """Mean of values with weights e^b_j phi(q) . phi(k_j), phi positive random features.

    phi(x) is e^(-1/2) e^(<w, x>) over the draws w, for q and k of length 1.

    >>> from softproof.derivations import value
    >>> value("kernelized_attention", q=[1.0], k=[[1.0], [2.0]], v=[[1.0], [3.0]],
    ...       bias=[0.0, 0.0], draws=[[0.5]])
    [2.0]
    """
    unit = q / xp.sqrt(xp.sum(q * q))
    rows = k / xp.sqrt(xp.sum(k * k, axis=1))[:, None]
    products = xp.dot(xp.exp(xp.dot(rows, draws.T)), xp.exp(xp.dot(draws, unit)))
    weights = xp.exp(bias) * products
    return xp.dot(weights, v) / xp.sum(weights)


@define(
    family="attention",
    source="Cao 2021, Choose a Transformer: Fourier or Galerkin, arXiv 2105.14995",
    arguments=QKV,
    output=("e",),
    parameters={"eps": Parameter(1e-5, 0.0, 1.0, values=(0.5,))},
    least_sizes=lambda eps: {"d": 2, "e": 2},
    facts=(
        Homogeneous("q", 1),
        PermutationInvariant("n"),
        ShiftInvariant("k"),
        ShiftInvariant("v"),
    ),
    papers=(215,),
)
def galerkin_attention(q, k, v, xp, eps=1e-5):
    """q (LN(K)^T LN(V)) / n, LN the normalisation of each row without gain and bias.

    >>> from softproof.derivations import value
    >>> value("galerkin_attention", q=[1.0, 0.0], k=[[3.0, 1.0]], v=[[1.0, -1.0]], eps=0.0)
    [1.0, -1.0]
    """
    rows, values = _normalised(k, eps, xp), _normalised(v, eps, xp)
    return xp.dot(q, xp.dot(rows.T, values)) / len(k)


def _normalised(x, eps, xp):
    centred = x - xp.mean(x, axis=1)[:, None]
    return centred / xp.sqrt(xp.mean(centred * centred, axis=1) + xp.number(eps))[:, None]


@galerkin_attention.form("scores first")
def _(q, k, v, xp, eps=1e-5):
    return xp.dot(xp.dot(_normalised(k, eps, xp), q), _normalised(v, eps, xp)) / len(k)


@define(
    family="attention",
    source="Lu et al. 2021, SOFT / Softmax-free Linear Transformers, without its approximation",
    arguments={"k": Matrix("n", "d"), "v": Matrix("n", "e")},
    output=("n", "e"),
    facts=(ShiftInvariant("k"), Homogeneous("v", 1), PermutationEquivariant("n")),
    papers=(4,),
)
def gaussian_kernel_attention(k, v, xp):
    """D^(-1/2) S D^(-1/2) V, S_ij = e^(-|k_i - k_j|^2 / (2 sqrt d)), D the sums of its rows.

    Queries are the keys.  The Nystrom approximation of S is not part of it.

    >>> from softproof.derivations import value
    >>> value("gaussian_kernel_attention", k=[[1.0], [1.0]], v=[[1.0], [3.0]])
    [[2.0], [2.0]]
    """
    off = k[:, None, :] - k[None, :, :]
    s = xp.exp(-xp.sum(off * off, axis=2) / (2 * xp.sqrt(xp.number(k.shape[1]))))
    roots = xp.sqrt(xp.sum(s, axis=1))
    return xp.dot(s / roots[:, None] / roots[None, :], v)


@define(
    family="attention",
    source="NaLaFormer: Norm-Aware Linear Attention (released code), without rotary positions",
    arguments=QKV,
    output=("e",),
    facts=(Homogeneous("v", 1), PermutationInvariant("n"), PermutationInvariant("d")),
    papers=(13,),
)
def norm_aware_linear_attention(q, k, v, xp):
    """Linear attention with phi(q) = (u_+^p, u_-^p), u = q / |q|, p = 3 (1/2 + tanh |q|).

    Keys are cubed, entry by entry, and split into their positive and negative parts as well.

    >>> from softproof.derivations import value
    >>> value("norm_aware_linear_attention", q=[1.0], k=[[1.0], [1.0]], v=[[0.0], [0.0]])
    [0.0]
    """
    size = xp.sqrt(xp.sum(q * q))
    power = 3 * (xp.number(1) / 2 + xp.tanh(size))
    unit, cubes = q / size, k * k * k
    positive = xp.dot(xp.positive_part(cubes), xp.pow(xp.positive_part(unit), power))
    products = positive + xp.dot(xp.positive_part(-cubes), xp.pow(xp.positive_part(-unit), power))
    return xp.dot(products, v) / len(k) / (xp.mean(products) + xp.number(Fraction(1, 10**6)))
