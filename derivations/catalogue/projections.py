"""Projections onto the simplex: probabilities of which many are exactly 0."""

import itertools

import numpy as np
import sympy

from ..definition import define
from ..proofs.facts import (
    PermutationEquivariant,
    Range,
    ShiftInvariant,
    SumsTo,
)
from ..signature import Vector


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
