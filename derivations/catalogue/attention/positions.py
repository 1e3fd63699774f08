"""Positions of tokens, told by rotations of pairs of entries."""

from fractions import Fraction

import numpy as np

from ...definition import define
from ...proofs.facts import Convex
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Integer, Parameter, Vector

SU = "Su et al. 2021, RoFormer, arXiv 2104.09864, eq. (15) and (34)"
FARTHEST = 2**13  # of positions; in 32 bits, angles there are known to 2^-9 or so
BASE = {"base": Parameter(10000.0, 2.0, 2.0**30, values=(500000.0,))}
FACTS = (Homogeneous("x", 1), Convex("x"))


def _angles(size, position, xp, base):
    """The angles position base^(-2i/d) of the pairs i = 0 ... d/2 - 1 of d entries."""
    powers = [xp.number(Fraction(-2 * i, size)) for i in range(size // 2)]
    return xp.stack([xp.pow(xp.number(base), p) for p in powers]) * xp.number(position)


def _divided(size, position, xp, base):
    """The same angles, a position divided by base^(2i/d)."""
    powers = [xp.number(Fraction(2 * i, size)) for i in range(size // 2)]
    return xp.number(position) / xp.stack([xp.pow(xp.number(base), p) for p in powers])


def _rotated(one, other, angles, xp):
    cos, sin = xp.cos(angles), xp.sin(angles)
    return one * cos - other * sin, other * cos + one * sin


def _halves(x, angles, xp):
    middle = len(x) // 2
    return xp.concatenate(_rotated(x[:middle], x[middle:], angles, xp))


def _neighbours(x, angles, xp):
    turned = xp.concatenate(_rotated(x[0::2], x[1::2], angles, xp))
    return turned[np.arange(len(x)).reshape(2, -1).T.reshape(-1)]


@define(
    family="positions",
    source=f"{SU}, entries i and i + d/2 a pair, as in GPT-NeoX",
    arguments={"x": Vector("d"), "position": Integer(0, FARTHEST)},
    output=("d",),
    parameters=BASE,
    even_axes=("d",),
    facts=FACTS,
)
def rope(x, position, xp, base=10000.0):
    """Rotary embedding: entries i and i + d/2 of d rotated by position base^(-2i/d)."""
    return _halves(x, _angles(len(x), position, xp, base), xp)


@rope.form("divided by the power")
def _(x, position, xp, base=10000.0):
    return _halves(x, _divided(len(x), position, xp, base), xp)


@define(
    family="positions",
    source=SU,
    arguments={"x": Vector("d"), "position": Integer(0, FARTHEST)},
    output=("d",),
    parameters=BASE,
    even_axes=("d",),
    facts=FACTS,
)
def rope_interleaved(x, position, xp, base=10000.0):
    """Rotary embedding: entries 2i and 2i + 1 of d rotated by position base^(-2i/d)."""
    return _neighbours(x, _angles(len(x), position, xp, base), xp)


@rope_interleaved.form("divided by the power")
def _(x, position, xp, base=10000.0):
    return _neighbours(x, _divided(len(x), position, xp, base), xp)
