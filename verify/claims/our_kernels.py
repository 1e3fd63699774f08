"""Claims that our kernels settle, against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.balls import ball
from ...derivations.arithmetic.formats import BINARY32
from ...derivations.claims.dukhan2020 import LARGEST, TWO_PASS, rows_up_to
from ...derivations.claims.prieto2025 import GROKKING
from ...derivations.claims.register import (
    OUR_QUESTION,
    SEARCH,
    Verdict,
    claim,
    confirmed,
    not_checkable,
    refuted,
)
from ...derivations.claims.sao2026_radius import GHOSTS, samples, spread
from ...kernels import clip_step, cross_entropy_with_gradient, softmax
from ...kernels.losses.cross_entropy import GRADIENT_ULP_BOUND, ULP_BOUND
from ...kernels.softmax_family.softmax import ULP_BOUND as SOFTMAX_ULP_BOUND
from ..oracle.metrics import ulp_error
from ..oracle.truth import truth
from ..subjects.implementations.textbook import cross_entropy_shifted

Loss = Callable[[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]


@claim(
    "Can two passes do without overflow for any finite input: is softproof's two_pass right within "
    "its proven bound on masks of -1e30, at +-the largest number, and at any common offset?",
    TWO_PASS,
    "abstract (of our implementation, which first moves rows beyond 2^14 by their maximum)",
    SEARCH,
    opposite={"algorithm": "naive"},
    kind=OUR_QUESTION,
)
def two_pass_kernel_never_overflows(algorithm: str = "two_pass") -> Verdict:
    """The rows on which the printed arithmetic fails, float32, in ulps against the oracle."""
    bound, worst, rows = SOFTMAX_ULP_BOUND["two_pass"]["float32"], 0.0, rows_up_to(LARGEST)
    for n, row in enumerate(rows, 1):
        result = softmax(row[None], algorithm=algorithm)[0]
        error = float(np.max(ulp_error(result, truth(lookup("softmax"), row, BINARY32))))
        worst = max(worst, error)
        if not error <= bound:
            return refuted(f"{row.tolist()} gives {result.tolist()}", n)
    return confirmed(len(rows), f"largest error {worst:.2f} ulp, bound {bound}")


@claim(
    "Does cross-entropy written as log1p(sum of e^(z_j - z_y)), with the gradient of the right "
    "class as minus the sum of the others, keep full relative accuracy down to underflow "
    "(float32)?",
    GROKKING,
    "left open: it changes the loss instead (of softproof's cross_entropy)",
    SEARCH,
    opposite={"loss": cross_entropy_shifted},
    kind=OUR_QUESTION,
)
def collapse_free_loss(loss: Loss = cross_entropy_with_gradient) -> Verdict:
    """Gaps from 0 to 103, 2 and 50 classes, loss and gradient in ulps against the oracle."""
    gaps = [n / 2 for n in range(0, 207, 3)]
    limits = ULP_BOUND["float32"], GRADIENT_ULP_BOUND["float32"]
    definition, worst, cases = lookup("cross_entropy"), [0.0, 0.0], 0
    for gap in gaps:
        for classes in (2, 50):
            cases += 1
            row = np.zeros(classes, np.float32)
            row[0] = gap
            value, gradient = loss(row[None], np.zeros(1, np.intp))
            exact = [truth(definition, row, BINARY32, label=0, gradient=g) for g in (False, True)]
            for k, computed in enumerate((value, gradient[0])):
                error = float(np.max(ulp_error(np.asarray(computed), exact[k])))
                worst[k] = max(worst[k], error)
                if not error <= limits[k]:
                    what = ("loss", "gradient")[k]
                    return refuted(
                        f"K = {classes}, gap {gap}: {what} {np.ravel(computed)[0]!s}, exact "
                        f"{np.ravel(exact[k].rounded)[0]!s}",
                        cases,
                    )
    return confirmed(
        cases,
        f"largest errors {worst[0]:.2f} ulp (loss) and {worst[1]:.2f} ulp (gradient), bounds "
        f"{limits[0]} and {limits[1]}",
    )


@claim(
    "Does the clip keep the normalised step at or below 1 in floating point, too?",
    GHOSTS,
    "Proposition 5.2 (of softproof's clip_step)",
    SEARCH,
    opposite={"r": 1.0000001},
    kind=OUR_QUESTION,
)
def radius_clip_kernel(r: float = 1.0) -> Verdict:
    """factor Delta <= pi, in balls, on random samples whose whole update is far too long."""
    cases = 0
    with flint.ctx.workprec(128):
        for z, a in samples(200, seed=9):
            long = [float(4.0 * x) for x in a]
            record = clip_step(np.array([z]), np.array([long]), tau=1.0, bound="spread", r=r)
            if record.factor == 1.0:
                continue
            cases += 1
            if not ball(Fraction(record.factor) * spread(long)) <= flint.arb.pi():
                return refuted(f"a = {long}: factor {record.factor!r} is above pi / Delta", cases)
    return confirmed(cases, "factor Delta <= pi exactly: factors are rounded down")


@claim(
    "Has XNNPACK as LiteRT ships it, which takes three passes, no NaN for masks of -1e30?",
    TWO_PASS,
    "not stated: of XNNPACK as it is shipped",
    SEARCH,
    kind=OUR_QUESTION,
)
def masks_in_litert() -> Verdict:
    """A row with three masks, where LiteRT is installed."""
    from ..subjects.implementations.engines.litert_forms import interpreter

    row = np.array([[0.0, 1.0, 2.0, -1e30, -1e30, -1e30]], np.float32)
    try:
        model = interpreter("softmax", row.shape, 1, beta=1.0)
    except ImportError:
        return not_checkable("LiteRT is not installed: pip install 'softproof[bench]'")
    model.set_tensor(model.get_input_details()[0]["index"], row)
    model.invoke()
    result = model.get_tensor(model.get_output_details()[0]["index"])
    if np.all(np.isfinite(result)):
        return confirmed(1, f"{row.tolist()} gives {result.tolist()}")
    return refuted(f"{row.tolist()} gives {result.tolist()}", 1)
