"""Projections onto the simplex, and onto the plans between two distributions."""

import itertools

import numpy as np
import sympy

from ...definition import Parameter, define
from ...proofs.facts import (
    PermutationEquivariant,
    Range,
    ShiftInvariant,
    SumsTo,
)
from ...proofs.facts_of_arguments import At, ReducesTo
from ...signature import Matrix, Vector

MOST_ITERATIONS = 100


@define(
    family="softmax alternatives",
    source="Martins, Astudillo 2016, arXiv 1602.02068, eq. (2) and Algorithm 1",
    arguments={"z": Vector("K")},
    output=("K",),
    facts=(SumsTo(1), ShiftInvariant("z"), PermutationEquivariant("K"), Range(lower=0, upper=1)),
)
def sparsemax(z, xp):
    """Sparsemax (z_i - tau)_+, the nearest point to z among probabilities; they sum to 1.

    The function g(tau) = sum_i (z_i - tau)_+ falls from infinity to 0, and g(tau) = 1 at one tau
    alone.  The k largest z_i give sum_(i <= k) (z_(i) - tau) <= g(tau), with equality where k is
    their number above tau.  So (sum_(i <= k) z_(i) - 1) / k is at most that tau, and equal to it
    for one k: tau is the largest of them.
    """
    d = xp.shifted(z)
    tau = xp.max((xp.cumsum(xp.descending(d)) - xp.number(1)) / xp.counts(len(z)))
    return xp.positive_part(d - tau)


@sparsemax.chart
def _(size):
    """One chart for each order of the z_i and each number m of them above tau.

    In descending order z_i = tau + p_i for i <= m and tau - q_i beyond, with p_i and q_i the sums
    p_i = (d_i + ... + d_m) / (d_1 + 2 d_2 + ... + m d_m) and q_i = e_(m+1) + ... + e_i of positive
    symbols.  The p_i fall, are positive and add up to 1, for d_j occurs in j of them; the q_i grow.
    Every z without equal entries, and none equal to tau, is so: d_i = p_i - p_(i+1), d_m = p_m
    and e_i the distances.  The others are in the closures.
    """
    tau = sympy.Symbol("tau", real=True)
    d = sympy.symbols(f"d_1:{size + 1}", positive=True)
    e = sympy.symbols(f"e_1:{size + 1}", positive=True)
    for m in range(1, size + 1):
        total = sum((j + 1) * d[j] for j in range(m))
        above = [tau + sum(d[i:m]) / total for i in range(m)]
        below = [tau - sum(e[m : i + 1]) for i in range(m, size)]
        for order in itertools.permutations(range(size)):
            z = np.empty(size, dtype=object)
            z[list(order)] = [*above, *below]
            yield {"z": z}


@sparsemax.form("means of the largest")
def _(z, xp):
    d, k = xp.shifted(z), xp.counts(len(z))
    tau = xp.max(xp.cumsum(xp.descending(d)) / k - 1 / k)
    return xp.positive_part(d - tau)


@define(
    family="softmax alternatives",
    source=(
        "Peters, Niculae, Martins 2019, Sparse Sequence-to-Sequence Models, arXiv 1905.05702, "
        "section 3, Algorithms 1 (any alpha) and 2 (alpha = 1.5)"
    ),
    arguments={"z": Vector("K")},
    output=("K",),
    parameters={"alpha": Parameter(1.5, 1.0625, 4.0, values=(2.0,))},
    facts=(
        SumsTo(1),
        ShiftInvariant("z"),
        PermutationEquivariant("K"),
        Range(lower=0, upper=1),
        At(ReducesTo("sparsemax", lambda xp, z: {"z": z}, "z"), alpha=2),
    ),
    papers=(128,),
)
def entmax(z, xp, alpha=1.5):
    """Alpha-entmax [(alpha - 1) z_i - tau]_+^(1 / (alpha - 1)), tau such that they sum to 1.

    With s = (alpha - 1) z and g(tau) the sum, g falls from infinity to 0, and g(tau) = 1 at one tau
    alone; between the largest s less 1, where its own term is 1, and the largest.

    For alpha = 1.5 the terms are (s_i - tau)_+^2, and tau is found by sorting.  With m_k the mean
    of the k largest s and v_k their mean square less m_k^2, q_k(t) = sum_(i <= k) (s_(i) - t)^2 =
    k ((t - m_k)^2 + v_k) is at most g(t) for t <= s_(k), and equal to it where the others are below
    t.  Let t_k = m_k - sqrt(1/k - v_k), the smaller root of q_k(t) = 1, if there is one.  If t_k <=
    s_(k), then g(t_k) >= 1 and t_k <= tau.  If t_k > s_(k), or q_k > 1 everywhere, then g(s_(k)) >=
    q_k(s_(k)) > 1 and s_(k) < tau.  So min(t_k, s_(k)) <= tau for every k, whatever stands for t_k
    where there is no root; and for the number k of terms above tau, t_k = tau < s_(k).  So tau is
    the largest of these minima.
    """
    if alpha != 1.5:
        return _entmax_of_another_alpha(sparsemax.formula, z, alpha, xp)
    s, k = xp.shifted(z) / 2, xp.counts(len(z))
    ordered = xp.descending(s)
    mean, square = xp.cumsum(ordered) / k, xp.cumsum(ordered * ordered) / k
    t = mean - xp.sqrt(xp.abs(1 / k - (square - mean * mean)))
    return _squares_above(s, xp.max(xp.minimum(t, ordered)), xp)


def _squares_above(s, tau, xp):
    p = xp.positive_part(s - tau)
    return p * p


def _entmax_of_another_alpha(sparsemax_form, z, alpha, xp):
    """Sparsemax for alpha = 2; else tau is the zero of the sum less 1."""
    if alpha == 2:
        return sparsemax_form(z, xp)
    a = xp.number(alpha)
    s, power = xp.shifted(z) * (a - 1), 1 / (a - 1)
    top = xp.max(s)

    def excess(tau):
        return xp.sum(xp.pow(xp.positive_part(s - tau), power)) - 1

    return xp.pow(xp.positive_part(s - xp.root(excess, top - 1, top)), power)


@entmax.form("quadratic formula")
def _(z, xp, alpha=1.5):
    """t_k is the smaller zero of k t^2 - 2 a t + b - 1, a and b the sums of s and of s^2."""
    if alpha != 1.5:
        return _entmax_of_another_alpha(sparsemax.forms["means of the largest"], z, alpha, xp)
    s, k = xp.shifted(z) / 2, xp.counts(len(z))
    ordered = xp.descending(s)
    a, b = xp.cumsum(ordered), xp.cumsum(ordered * ordered)
    t = (a - xp.sqrt(xp.abs(a * a - k * (b - 1)))) / k
    return _squares_above(s, xp.max(xp.minimum(t, ordered)), xp)


def _whole(iterations):
    """A count, which is no symbol."""
    if iterations not in range(1, MOST_ITERATIONS + 1):
        raise ValueError(
            f"iterations is {iterations}; give a whole number from 1 to {MOST_ITERATIONS}"
        )
    return int(iterations)


@define(
    family="optimal transport",
    source=(
        "Cuturi 2013, Sinkhorn Distances, arXiv 1306.0895, Algorithm 1; in logarithms: Peyre, "
        "Cuturi 2019, Computational Optimal Transport, arXiv 1803.00567, section 4.4"
    ),
    arguments={"cost": Matrix("n", "m")},
    output=("n", "m"),
    parameters={
        "epsilon": Parameter(0.1, 2.0**-10, 2.0**10, values=(1.0,)),
        "iterations": Parameter(10.0, 1.0, float(MOST_ITERATIONS), values=(1.0, 2.0)),
    },
    facts=(
        SumsTo(1),
        ShiftInvariant("cost", along="m"),
        PermutationEquivariant("n"),
        PermutationEquivariant("m"),
        Range(lower=0, upper=1),
    ),
)
def sinkhorn(cost, xp, epsilon=0.1, iterations=10.0):
    """Sinkhorn's plan e^(f_i + g_j - cost_ij / epsilon) after some iterations.

    Its marginals are to be uniform: each iteration scales the rows, by f, to sums of 1 / n, and
    then the columns, by g, to sums of 1 / m.  So the columns have these sums, and the rows do
    after many iterations.
    """
    n, m = cost.shape
    log_k = -cost / xp.number(epsilon)
    g = xp.zeros((m,))
    for _ in range(_whole(iterations)):
        f = -xp.log(xp.number(n)) - xp.logsumexp(log_k + g)
        rows = log_k + xp.expand_dims(f, 1)
        g = -xp.log(xp.number(m)) - xp.logsumexp(rows.T)
    return xp.exp(rows + g)


@sinkhorn.form("potentials")
def _(cost, xp, epsilon=0.1, iterations=10.0):
    """With f and g in units of the cost."""
    n, m = cost.shape
    e = xp.number(epsilon)
    g = xp.zeros((m,))
    for _ in range(_whole(iterations)):
        f = -e * (xp.log(xp.number(n)) + xp.logsumexp((g - cost) / e))
        rows = xp.expand_dims(f, 1) - cost
        g = -e * (xp.log(xp.number(m)) + xp.logsumexp(rows.T / e))
    return xp.exp((rows + g) / e)
