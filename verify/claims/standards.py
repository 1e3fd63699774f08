"""Whether published tables of errors can be kept to by the textbook's algorithm, and by whom."""

from __future__ import annotations

import flint
import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.balls import ball
from ...derivations.arithmetic.formats import BINARY32
from ...derivations.arithmetic.systems import balls, ieee
from ...derivations.claims.register import (
    COMPUTATION,
    OUR_QUESTION,
    SEARCH,
    Verdict,
    certified,
    claim,
    confirmed,
    refuted,
)
from ...kernels import softmax
from ..cases.case import Case
from ..oracle.metrics import ulp_error
from ..oracle.truth import truth
from ..suites.standards import limits

WEBNN = "WebNN, tolerances of web-platform-tests"
TOSA = "TOSA 1.0"
NOT_STATED = "not stated there"
BITS = 120
SPREAD = np.array([float.fromhex("0x1.0c9b1cp+5"), float.fromhex("-0x1.3f352ap+5")], np.float32)
ROWS = (
    SPREAD,
    np.array([11.7306385, -32], np.float32),
    np.array([0, -80], np.float32),
    np.array([3, 1, -2, 0.5], np.float32),
    np.zeros(5, np.float32),
)
EXPECTED, ONNX_RUNTIME = -0.03595117852091789, -0.035951320081949234  # of webnn#950, index 4


def _held(
    row: NDArray[np.float32], results: NDArray[np.float32], standard: str
) -> tuple[float, float]:
    """The largest error of a softmax in ulp, and the limit of the standard at that entry."""
    definition = lookup("softmax")
    exact = truth(definition, row, BINARY32)
    admitted, _ = limits(standard, definition, BINARY32, Case({"logits": row}), exact)
    errors = ulp_error(results, exact)
    worst = int(np.argmax(errors / admitted))
    return float(errors[worst]), float(admitted[worst])


def _with_erring_exponential(
    row: NDArray[np.float32], ulp: float, per_x: float
) -> NDArray[np.float32]:
    """A softmax in float32 whose exponentials are too large by up to (ulp + per_x |x|) ulp."""
    x = row - row.max()
    exponentials = np.exp(x.astype(np.float64))
    units = np.spacing(exponentials.astype(np.float32)).astype(np.float64)
    # rounded towards 0, so that the whole error is at most what was asked for
    most = exponentials + np.where(x < 0, ulp + per_x * np.abs(x.astype(np.float64)), 0) * units
    e = most.astype(np.float32)
    e = np.where(e > most, np.nextafter(e, np.float32(0)), e)
    return np.asarray(e / e.sum(dtype=np.float32), np.float32)


@claim(
    "Does softmax by e^(z - max z) over its sum, in float32 with good exponentials, keep to the "
    "3 n + 3 ulp that browsers are held to?",
    WEBNN,
    f"{NOT_STATED}: softmax, 3 n + 3",
    SEARCH,
    opposite={"algorithm": "ours"},
    kind=OUR_QUESTION,
)
def webnn_softmax_by_the_textbook(algorithm: str = "shifted") -> Verdict:
    """Rows of spread up to 80: z - max z rounds by |z - max z| u, which n does not tell.

    The other algorithm is that of softproof's kernel, which keeps what the difference rounds off.
    """
    worst = 0.0
    for n, row in enumerate(ROWS, 1):
        if algorithm == "ours":
            results = softmax(row[None])[0]
        else:
            form = lookup("softmax").forms[algorithm]
            results = np.asarray(form(row, ieee(BINARY32)), np.float32)
        error, admitted = _held(row, results, "webnn")
        worst = max(worst, error / admitted)
        if error > admitted:
            shown = ", ".join(float(z).hex() for z in row)
            return refuted(f"[{shown}]: {error:.1f} ulp, admitted {admitted:g}", n)
    return confirmed(len(ROWS), f"at most {worst:.2f} of what is admitted")


@claim(
    "Is the expected value of the test of batch normalisation and gelu (webnn#950) within the 24 "
    "ulp that it wants of others?",
    WEBNN,
    f"{NOT_STATED}: batchNormalization options.axis=0 + gelu, the fifth number",
    COMPUTATION,
    opposite={"value": ONNX_RUNTIME},
    kind=OUR_QUESTION,
)
def webnn_expected_gelu(value: float = EXPECTED, tolerance: float = 24.0) -> Verdict:
    """gelu((3 - 6) / sqrt(2 + eps)), eps the float32 nearest to 1e-5, enclosed in balls.

    The value of ONNX Runtime, which failed the test by 38 ulp, is nearer.
    """
    with flint.ctx.workprec(BITS):
        xp = balls()
        eps = ball(float(np.float32(1e-5)))
        exact = lookup("gelu")((ball(3.0) - ball(6.0)) / (ball(2.0) + eps).sqrt(), xp)
        ulp = 2.0**-28  # of numbers from 2^-5 to 2^-4
        off = abs(ball(value) - exact) / ulp
        told = f"{value!r} is {float(off.mid()):.1f} ulp from {float(exact.mid())!r}"
        return certified(1, told) if bool(off <= tolerance) else refuted(told, 1)


@claim(
    "Is a softmax of operators that conform to TOSA, each alone, within the 3 n + 3 ulp of WebNN?",
    TOSA,
    f"{NOT_STATED}: EXP within 3 + 2 |x| ulp, as in Vulkan and WGSL",
    SEARCH,
    opposite={"ulp": 1.0, "per_x": 0.0, "rows": 1},
    kind=OUR_QUESTION,
)
def tosa_exponential_in_webnn_softmax(
    ulp: float = 3.0, per_x: float = 2.0, rows: int = 1
) -> Verdict:
    """The row [0, -80], whose difference is exact: an exponential there may be 163 ulp off."""
    for n in range(rows):
        row = np.array([0, -80 - n], np.float32)
        error, admitted = _held(row, _with_erring_exponential(row, ulp, per_x), "webnn")
        if error > admitted:
            return refuted(f"{row.tolist()}: {error:.1f} ulp, admitted {admitted:g}", n + 1)
    return confirmed(rows, f"{row.tolist()}: {error:.1f} ulp, admitted {admitted:g}")


@claim(
    "Is every softmax of conforming operators tried within what follows from TOSA's table by "
    "running errors?",
    TOSA,
    f"{NOT_STATED}: an operator sequence conforms if it equals a sequence of conforming operators",
    SEARCH,
    opposite={"ulp": 60.0},
    kind=OUR_QUESTION,
)
def tosa_softmax_is_attainable(ulp: float = 3.0, per_x: float = 2.0) -> Verdict:
    """Exponentials that err by all that is admitted, or by 60 + 2 |x| ulp, which is found out."""
    share = 0.0
    for n, row in enumerate(ROWS, 1):
        error, admitted = _held(row, _with_erring_exponential(row, ulp, per_x), "tosa")
        share = max(share, error / admitted)
        if error > admitted:
            return refuted(f"{row.tolist()}: {error:.1f} ulp, admitted {admitted:.1f}", n)
    return confirmed(len(ROWS), f"the largest error is {share:.2f} of what is admitted")
