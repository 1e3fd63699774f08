"""The radii beside each other, and the nearest zero beside what else can find one."""

from __future__ import annotations

import logging
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import mpmath
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...derivations.step_radius.certify import Certified, certify
from ...kernels.step_radius.radius import BOUNDS, radius, safe_radius
from .timing import interleaved, ratios

SEED = 0
SCALE = 2.0
"""Standard deviation of the logits; slopes have 1."""

SHAPES = ((20_000, 10), (500, 1000), (10, 50_000))
"""Samples and classes of the table of bounds: some 10 to 100 ms of work for the slowest one."""

ROUNDS = 15

PEER_CLASSES = (3, 10, 100)
PEER_SAMPLES = 10
PEER_ROUNDS = 3
AGREEMENT = 1e-10
"""Relative distance from the certified interval within which a peer's answer counts as right."""

_DIGITS = 16  # decimal digits that mpmath works with, as the others do

Logits = NDArray[np.float64]
Solver = Callable[[Logits, Logits, float], float]


def problems(samples: int, classes: int) -> tuple[Logits, Logits]:
    """Draw Gaussian logits and slopes, the same at every call.

    Parameters
    ----------
    samples, classes
        The shape of both.

    Returns
    -------
    tuple of numpy.ndarray
        Logits of standard deviation `SCALE`, and slopes of standard deviation 1.
    """
    rng = np.random.default_rng(SEED)
    return SCALE * rng.standard_normal((samples, classes)), rng.standard_normal((samples, classes))


def bench(tell: Callable[[str], None] = lambda what: None) -> dict[str, Any]:
    """Time the bounds and the solvers in processor seconds.

    Parameters
    ----------
    tell
        Hears what is being timed.

    Returns
    -------
    dict
        For JSON: `machine`, `threads` (1: nothing here uses more), `bounds` (one entry for each
        shape and bound) and `solvers` (one for each number of classes and solver).
    """
    bounds: list[dict[str, Any]] = []
    for samples, classes in SHAPES:
        tell(f"bounds, {samples} x {classes}")
        bounds += _bounds("Gaussian", *problems(samples, classes))
    tell("bounds, digits")
    with np.load(str(files("softproof.verify").joinpath("data/digits.npz"))) as digits:
        bounds += _bounds("digits", digits["logits"], digits["slopes"])
    solvers: list[dict[str, Any]] = []
    for classes in PEER_CLASSES:
        tell(f"solvers, {PEER_SAMPLES} x {classes}")
        solvers += _solvers(classes)
    return {
        "machine": f"{platform.machine()} {platform.system()}",
        "threads": 1,
        "scale": SCALE,
        "bounds": bounds,
        "solvers": solvers,
    }


def _bounds(data: str, z: Logits, a: Logits) -> Iterator[dict[str, Any]]:
    samples, classes = z.shape
    candidates = {bound: partial(safe_radius, z, a, bound) for bound in BOUNDS}
    seconds = interleaved(candidates, ROUNDS, time.process_time)
    against = ratios(seconds, "spread")
    flagged = int(radius(z, a).flagged.sum())
    for bound in BOUNDS:
        yield {
            "data": data,
            "bound": bound,
            "samples": samples,
            "classes": classes,
            "flagged": flagged if bound == "exact" else None,
            "samples_per_second": samples / float(np.median(seconds[bound])),
            "times_spread": against[bound],
        }


def _solvers(classes: int) -> Iterator[dict[str, Any]]:
    z, a = problems(PEER_SAMPLES, classes)
    truth = [certify(*problem) for problem in zip(z, a, strict=True)]
    solvers: dict[str, Solver] = {
        "softproof, fast tier": lambda z, a, _: float(safe_radius(z, a, "exact")[0]),
        "softproof, certified": lambda z, a, _: certify(z, a).lower,
        "mpmath.findroot": lambda z, a, _: _findroot(z, a),
    }
    if find_spec("cxroots"):
        solvers["cxroots"] = _cxroots
    answers: dict[str, list[float]] = {}

    def solve(name: str) -> None:
        solver, problems = solvers[name], zip(z, a, truth, strict=True)
        answers[name] = [solver(z, a, certified.upper) for z, a, certified in problems]

    seconds = interleaved(
        {name: partial(solve, name) for name in solvers}, PEER_ROUNDS, time.process_time
    )
    against = ratios(seconds, "softproof, fast tier")
    for name in solvers:
        yield {
            "solver": name,
            "classes": classes,
            "samples": PEER_SAMPLES,
            "milliseconds": 1e3 * float(np.median(seconds[name])) / PEER_SAMPLES,
            "times_fast": against[name],
            "right": sum(map(_right, answers[name], truth)),
        }


def _right(answer: float, truth: Certified) -> bool:
    low, high = truth.lower * (1 - AGREEMENT), truth.upper * (1 + AGREEMENT)
    return low <= answer <= high


def _findroot(z: Logits, a: Logits) -> float:
    """A zero by the secant method, from that of the two largest logits alone (the paper's eq. 13).

    It is a zero, but nothing says that it is the nearest. NaN where no zero is found.
    """
    mp = mpmath.MPContext()
    mp.dps = _DIGITS
    terms = [(mp.mpf(float(zk)), mp.mpf(float(ak))) for zk, ak in zip(z, a, strict=True)]
    (z_1, a_1), (z_2, a_2) = sorted(terms)[:-3:-1]
    try:
        start = mp.mpc(z_1 - z_2, mp.pi) / (a_2 - a_1)
        zero = mp.findroot(lambda t: mp.fsum(mp.exp(zk + ak * t) for zk, ak in terms), start)
    except (ValueError, ZeroDivisionError):
        return math.nan
    return float(abs(zero))


def _cxroots(z: Logits, a: Logits, upper: float) -> float:
    """All zeros in a disc, which cxroots has to be told: 1.05 times the true radius.

    NaN where it finds none or gives up.
    """
    from cxroots import Circle

    logging.getLogger("cxroots").setLevel(logging.CRITICAL)  # it tells of every second try
    w = np.exp(z - z.max())

    def partition(t: Any) -> Any:
        return np.exp(np.multiply.outer(t, a)) @ w

    def derivative(t: Any) -> Any:
        return np.exp(np.multiply.outer(t, a)) @ (w * a)

    try:
        with warnings.catch_warnings():  # it warns of slow quadrature
            warnings.simplefilter("ignore")
            found = Circle(0, 1.05 * upper).roots(partition, derivative)
    except Exception:  # whatever it raises, it has no answer
        return math.nan
    return float(min(map(abs, found.roots), default=math.nan))


def print_bench(found: dict[str, Any], console: Console) -> None:
    """Print what `bench` found as two tables.

    Parameters
    ----------
    found
        What `bench` returned; files of version 0.1 name the bounds `rungs`.
    console
        Where it is printed.
    """
    table = Table(title="Proven lower bounds, one thread, one call for all samples")
    for heading in ("problems", "bound", "samples / s", "time / spread", "quartiles", "flagged"):
        table.add_column(heading, justify="left" if heading == "bound" else "right")
    for entry in found.get("bounds") or found["rungs"]:  # as files of before have it
        low, middle, high = entry["times_spread"]
        table.add_row(
            f"{entry['data']}, {entry['samples']} x {entry['classes']}",
            entry["bound"],
            f"{entry['samples_per_second']:,.0f}",
            f"{middle:.1f}",
            f"{low:.1f} ... {high:.1f}",
            "" if entry["flagged"] is None else str(entry["flagged"]),
            end_section=entry["bound"] == BOUNDS[-1],
        )
    console.print(table)
    table = Table(title="The nearest zero, one thread, one sample at a time")
    for heading in ("classes", "solver", "ms / sample", "time / fast tier", "right"):
        table.add_column(heading, justify="left" if heading == "solver" else "right")
    for i, solver in enumerate(found["solvers"]):
        following = found["solvers"][i + 1 : i + 2]
        table.add_row(
            str(solver["classes"]),
            solver["solver"],
            f"{solver['milliseconds']:.3g}",
            f"{solver['times_fast'][1]:,.0f}",
            f"{solver['right']} of {solver['samples']}",
            end_section=not following or following[0]["classes"] != solver["classes"],
        )
    console.print(table)
    console.print(
        f"Logits Gaussian with standard deviation {found['scale']:g}, slopes with 1; "
        f"seed {SEED}; medians of {ROUNDS} and {PEER_ROUNDS} interleaved rounds of processor time; "
        f"{found['machine']}.\n"
        f"Right: within {AGREEMENT:g} of the certified radius. findroot starts at the zero of the "
        "two largest logits;\ncxroots is told a disc of 1.05 times the true radius.",
        soft_wrap=True,
        highlight=False,
    )
