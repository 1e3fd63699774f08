"""Gates: which few of many experts are asked, and with which weights."""

import itertools

import numpy as np
import sympy

from ...definition import define
from ...proofs.facts import PermutationInvariant, Range, ShiftInvariant, SumsTo
from ...signature import Count, Indices, Vector


@define(
    family="gates",
    source="Shazeer et al. 2017, arXiv 1701.06538, eq. (3) and (5), without the noise",
    arguments={"logits": Vector("K")},
    output={"indices": Indices("k", into="K"), "weights": ("k",)},
    parameters={"k": Count(2, 1, 2**20, values=(1, 3))},
    least_sizes=lambda k: {"K": k},
    facts=(
        SumsTo(1),
        Range(lower=0, upper=1),
        ShiftInvariant("logits"),
        PermutationInvariant("K"),
    ),
    papers=(249,),
)
def top_k_gate(logits, xp, k=2):
    """The k largest logits: their indices, largest first, and the softmax over these k alone.

    Of logits that are equal any may be chosen, in any order.
    """
    chosen = xp.largest(logits, k)
    return chosen, xp.softmax(logits[chosen])


@top_k_gate.chart
def _(size):
    """One chart for each order of the logits, their distances positive symbols.

    Logits without ties lie on one of these.  Where some are tied, each admissible choice is that of
    a chart whose closure they lie in; for that choice the weights are continuous up to there.
    """
    top = sympy.Symbol("t", real=True)
    steps = sympy.symbols(f"d_1:{size}", positive=True) if size > 1 else ()
    falling = [top - sum(steps[:i]) for i in range(size)]
    for order in itertools.permutations(range(size)):
        logits = np.empty(size, dtype=object)
        logits[list(order)] = falling
        yield {"logits": logits}


@top_k_gate.form("softmax of all, those chosen divided by their sum")
def _(logits, xp, k=2):
    p = xp.softmax(logits)
    chosen = xp.largest(p, k)
    return chosen, p[chosen] / xp.sum(p[chosen])
