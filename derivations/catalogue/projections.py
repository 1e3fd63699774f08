"""Projections onto the simplex: probabilities of which many are exactly 0."""

from ..definition import define
from ..signature import Vector


@define(
    family="softmax alternatives",
    source="Martins, Astudillo 2016, arXiv 1602.02068, eq. (2) and Algorithm 1",
    arguments={"z": Vector("K")},
    output=("K",),
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


@sparsemax.form("means of the largest")
def _(z, xp):
    d, k = xp.shifted(z), xp.counts(len(z))
    tau = xp.max(xp.cumsum(xp.descending(d)) / k - 1 / k)
    return xp.positive_part(d - tau)
