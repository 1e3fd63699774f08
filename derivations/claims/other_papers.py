"""Claims of papers beside the four: forms of softmax, and other losses."""

from __future__ import annotations

from fractions import Fraction

import flint
import numpy as np
import sympy
from numpy.typing import NDArray

from ..arithmetic.balls import ball
from ..arithmetic.formats import BINARY32
from ..arithmetic.systems import balls, ieee
from ..catalogue import lookup
from .register import (
    OUR_QUESTION,
    PROOF,
    SEARCH,
    Verdict,
    claim,
    confirmed,
    proven,
    refuted,
    require,
)

BLANCHARD_HIGHAM_HIGHAM = "Blanchard, Higham, Higham 2021 (IMA J. Numer. Anal. 41(4), draa038)"
BITS = 160
U = 2.0**-24


def _relative_errors(row: NDArray[np.float32], form: str) -> NDArray[np.float64]:
    """The relative errors of the normal entries of softmax in float32, by one of its forms."""
    softmax = lookup("softmax")
    function = softmax.forms.get(form, softmax)
    with np.errstate(all="ignore"):
        computed = function(row, ieee(BINARY32))
    with flint.ctx.workprec(BITS):
        xp = balls()
        exact = softmax(xp.vector([Fraction(float(x)) for x in row]), xp)
        return np.array(
            [
                float(abs(ball(float(c)) - e) / e) if e > 2.0**-126 else 0.0
                for c, e in zip(computed, exact, strict=True)
            ]
        )


def _rows() -> list[NDArray[np.float32]]:
    random = np.random.default_rng(17)
    rows = []
    for n in range(60):
        row = (0.5, 4.0, 20.0)[n % 3] * random.standard_normal(int(random.integers(2, 20)))
        rows.append(np.clip(row, -60, 60).astype(np.float32))
    return rows


@claim(
    "The relative errors of shifted softmax are at most (n + c + 2 max |x_i - m|) u.",
    BLANCHARD_HIGHAM_HIGHAM,
    "Theorem 4.2, to first order",
    SEARCH,
    opposite={"spread_factor": 0.0},
)
def shifted_softmax_bound(spread_factor: float = 2.0, constant: float = 8.0) -> Verdict:
    """float32, c = 8 for two exponentials and a division; without the last term it is false."""
    rows, worst = _rows(), 0.0
    for n, row in enumerate(rows, 1):
        spread = float(np.max(row)) - float(np.min(row))
        bound = (len(row) + constant + spread_factor * spread) * U
        error = float(np.max(_relative_errors(row, "shifted")))
        worst = max(worst, error / bound)
        if error > bound:
            return refuted(
                f"a row of {len(row)} with max |x_i - m| = {spread:.3g}: {error / U:.3g} u, bound "
                f"{bound / U:.3g} u",
                n,
            )
    return confirmed(len(rows), f"float32, c = 8; the largest error is {worst:.2f} of its bound")


@claim(
    "The division-free e^(x - lse) can be far less accurate than the quotient: by more than 10 "
    "times here.",
    BLANCHARD_HIGHAM_HIGHAM,
    "section 5",
    SEARCH,
    opposite={"form": "shifted", "against": "division-free"},
)
def division_free_softmax(form: str = "division-free", against: str = "shifted") -> Verdict:
    """Close logits of size 2^k in float32: lse rounds by 2^k u, the quotient does not."""
    worst, cases = 0.0, 0
    for k in range(2, 12):
        row = np.array([2.0**k, 2.0**k - 0.5, 2.0**k - 1.25], np.float32)
        cases += 1
        errors = [float(np.max(_relative_errors(row, name))) for name in (form, against)]
        worst = max(worst, errors[0] / max(errors[1], U / 4))
    told = f"x near 4 ... 2048: largest quotient of the errors {worst:.3g}"
    return confirmed(cases, told) if worst > 10 else refuted(told, cases)


@claim(
    "Where nothing overflows, is the worst error of shifted softmax at most 4 times that of the "
    "unshifted one, whatever the spread of the logits?",
    BLANCHARD_HIGHAM_HIGHAM,
    "not stated there: the bound of its Theorem 4.2 has a term for the spread, and the factor 4 is "
    "ours",
    SEARCH,
    opposite={"scale": 2.0**-5},
    kind=OUR_QUESTION,
)
def shifting_costs_little(scale: float = 1.0, factor: float = 4.0) -> Verdict:
    """float32 rows of spread up to 100, or scaled: x - m rounds by |x - m| u, x itself does not."""
    rows = [row * np.float32(scale) for row in _rows()]
    unshifted, shifted = (
        max(float(np.max(_relative_errors(row, form))) for row in rows)
        for form in ("softmax", "shifted")
    )
    spread = max(float(np.ptp(row)) for row in rows)
    told = (
        f"rows of spread up to {spread:.3g}, worst errors: unshifted {unshifted / U:.3g} u, "
        f"shifted {shifted / U:.3g} u"
    )
    return confirmed(len(rows), told) if shifted <= factor * unshifted else refuted(told, len(rows))


@claim(
    "Z-loss, (1/a) log(1 + e^(a (b - z))) of the logit standardised over the classes, is invariant "
    "to shifts and to positive scaling of the logits.",
    "de Brebisson, Vincent 2016 (arXiv 1604.08859)",
    "the loss",
    PROOF,
    opposite={"sign": -1},
)
def z_loss_is_invariant(sign: int = 1) -> Verdict:
    """The standardised logit of three, with its square and its sign."""
    z = sympy.symbols("z_1:4", real=True)
    shift = sympy.Symbol("c", real=True)
    scale = sign * sympy.Symbol("k", positive=True)
    mean = sum(z) / 3
    variance = sum((x - mean) ** 2 for x in z) / 3
    moved = {x: scale * x + shift for x in z}
    # z_y - mean is multiplied by `scale`, the deviation by its modulus.
    require(sympy.expand((z[0] - mean).subs(moved, simultaneous=True) - scale * (z[0] - mean)) == 0)
    require(sympy.expand(variance.subs(moved, simultaneous=True) - scale**2 * variance) == 0)
    if scale != sympy.sqrt(scale**2):
        return refuted("a negative factor turns the sign of the standardised logit")
    return proven("numerator and deviation are multiplied by the same positive factor")
