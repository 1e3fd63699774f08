"""Optimal transport: a plan between two distributions that costs little."""

from ..definition import Parameter, define
from ..proofs.facts import PermutationEquivariant, Range, ShiftInvariant, SumsTo
from ..signature import Matrix

MOST = 100  # iterations


def _whole(iterations):
    """A count, which is no symbol."""
    if iterations not in range(1, MOST + 1):
        raise ValueError(f"iterations is {iterations}; give a whole number from 1 to {MOST}")
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
        "iterations": Parameter(10.0, 1.0, float(MOST), values=(1.0, 2.0)),
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
