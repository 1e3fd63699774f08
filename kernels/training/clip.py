"""Clip a step to the radius of its batch, in plain NumPy; `frameworks` does it for PyTorch, optax.

An optimiser proposes the update d of all parameters. The logits of a sample move, to first order,
by a_k = (J d)_k, and its cross-entropy along the step, as a function of the fraction s taken, has
a Taylor series that converges for |s| < q and no further (q: `radius` of logits and slopes a).
With tau = |d| the sample's radius is rho = tau q, the normalised step is r = tau / rho = 1 / q,
and the step

    min(1, r_target q) d                                                                     (1)

has the normalised length min(r, r_target): Sao, "Ghosts of Softmax", arXiv 2603.13552,
Definition 5.1 and Proposition 5.2, there with the bound `spread` and the smallest radius of the
batch. Any bound of the radius, and any order statistic of the batch, can stand for q here.

The arithmetic needs the *update*, not the gradient: under momentum, Adam or weight decay the two
point in different directions, and a radius is one of a direction.

A whole training loop in NumPy: softmax regression, noisy labels, a rate far too high. Unclipped,
the loss ends above that of a guess; clipped, near the optimum of 0.828.

>>> import numpy as np
>>> from softproof.kernels import clip_step, cross_entropy, softmax
>>> rng = np.random.default_rng(0)
>>> X = rng.normal(size=(200, 5))
>>> y = (X @ rng.normal(size=(5, 3)) + rng.gumbel(size=(200, 3))).argmax(axis=1)
>>> def train(target):
...     W, log = np.zeros((5, 3)), []
...     for _ in range(60):
...         Z = X @ W
...         P = softmax(Z)
...         P[np.arange(200), y] -= 1.0
...         update = -1000.0 * X.T @ P / 200  # the rate is 1000
...         record = clip_step(Z, X @ update, np.linalg.norm(update), bound="half_mass", r=target)
...         W += record.factor * update
...         log.append(record)
...     return cross_entropy(X @ W, y).mean(), log
>>> loss, log = train(np.inf)  # never clipped, but logged
>>> bool(loss > np.log(3)), all(record.factor == 1.0 for record in log)
(True, True)
>>> loss, log = train(1.0)
>>> bool(loss < 0.84), all(record.factor * record.r <= 1.0 for record in log)
(True, True)

The log is a list of records; for a file, `csv.writer(f).writerows([ClipRecord._fields, *log])` or
`json.dump([record.jsonable() for record in log], f)`.
"""

from __future__ import annotations

import math
import reprlib
import sys
from numbers import Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..step_radius.radius import BOUNDS, safe_radius

SLOPES = ("jvp", "difference")
"""How `frameworks` computes slopes along an update: forward-mode derivative, finite difference."""

_FEW = 16  # samples whose costly bound may turn out not to be needed


class ClipRecord(NamedTuple):
    """What one clip did: four floats, made for a log."""

    tau: float
    """The norm of the update that the optimiser proposed."""
    rho: float
    """The radius of the batch in the unit of tau; inf where nothing bounds the step."""
    r: float
    """tau / rho, the normalised step as proposed; 0 where rho is inf."""
    factor: float
    """What the update is to be multiplied by, in [0, 1]."""

    def jsonable(self) -> dict[str, float | None]:
        """Return the record as a dict for JSON, which has no infinity: None stands for it.

        >>> ClipRecord(tau=0.5, rho=math.inf, r=0.0, factor=1.0).jsonable()
        {'tau': 0.5, 'rho': None, 'r': 0.0, 'factor': 1.0}
        """
        return {k: v if math.isfinite(v) else None for k, v in self._asdict().items()}


def clip_step(
    logits: ArrayLike,
    slopes: ArrayLike,
    tau: float,
    *,
    bound: str = "exact",
    aggregate: str | float = "min",
    r: float = 1.0,
) -> ClipRecord:
    """Return the factor that keeps an update within r radii of the batch, and what led to it.

    Parameters
    ----------
    logits
        z at the parameters *before* the update, shape (N, K), float32 or float64; shape (K,) is
        one sample. -inf masks a class out.
    slopes
        a = J d, the derivative of the logits along the *whole* update d (not along d / |d|): the
        same shape, float32 or float64, finite. For logits X W and the update D of W it is X D.
    tau
        |d|, the norm of the update over all parameters. It is the unit of `rho` in the record; the
        factor does not depend on it, but that tau = 0 is no step and is not clipped.
    bound
        What stands for the radius of a sample, one of `BOUNDS`, from the quickest to the one that
        allows the longest step. See `safe_radius`.
    aggregate
        "min": the smallest radius of the batch. A number q, 0 < q < 1: the lower order statistic
        sorted(radii)[floor(q (N - 1))], so that at most the fraction q of the samples has a
        smaller radius and may be taken beyond it; nothing is interpolated.
    r
        The largest normalised step allowed, > 0; inf never clips, which leaves a log.

    Returns
    -------
    ClipRecord
        tau, rho, r (of the update as proposed) and factor. An empty batch (0, K), a tau of 0, or
        samples without a zero (K = 1, equal slopes) bound nothing: rho = inf, r = 0, factor = 1.
        A rho beyond the largest float is reported as that float.

    Raises
    ------
    TypeError
        If logits or slopes are not float32 or float64; if tau or r is not a number.
    ValueError
        As `radius`, among others for NaN in the logits and NaN or inf in the slopes; if tau is
        NaN, inf or negative; if bound, aggregate or r is not one of those above. A diverged step
        is refused rather than passed: no radius can be told for it.

    Notes
    -----
    The factor is rounded down: factor <= r q holds exactly, so the clipped step never exceeds r
    radii of the aggregated sample. Proof: fl(r q) > 1 implies r q > 1, as rounding is monotone and
    1 is a float, and then factor = 1 < r q; otherwise factor is the float below fl(r q), which is
    below r q.

    Examples
    --------
    Two classes, tied, whose gap moves by 4 pi over the whole update: the nearest zero is at a
    quarter of it.

    >>> record = clip_step([[0.0, 0.0]], [[4 * math.pi, 0.0]], tau=2.0, bound="spread")
    >>> [round(value, 12) for value in record]
    [2.0, 0.5, 4.0, 0.25]
    """
    check_settings(bound, aggregate, r)
    _check_number("tau", tau, "pass the norm of the whole update, as a float")
    tau, r = float(tau), float(r)  # a float32 r would round the factor in its own precision
    if not 0.0 <= tau < math.inf:
        raise ValueError(
            f"tau must be finite and not negative, got {tau}: the update has diverged, "
            "or tau is not its norm"
        )
    fraction = _aggregated(logits, slopes, bound, aggregate)
    if tau == 0.0 or fraction == math.inf:
        return ClipRecord(tau, math.inf, 0.0, 1.0)
    reach = r * fraction
    return ClipRecord(
        tau=tau,
        rho=min(tau * fraction, sys.float_info.max),
        r=1.0 / fraction,
        factor=1.0 if reach > 1.0 else math.nextafter(reach, 0.0),
    )


def check_settings(bound: str, aggregate: str | float, r: float) -> None:
    """Raise the error of `clip_step` for a setting that is not one.

    >>> check_settings("exact", 1.5, 1.0)
    Traceback (most recent call last):
    ...
    ValueError: aggregate must be "min" or a quantile between 0 and 1, got 1.5
    """
    if not isinstance(bound, str) or bound not in BOUNDS:  # (an array has no truth value)
        raise ValueError(f"bound must be one of {', '.join(BOUNDS)}, got {bound!r}")
    if not _is_quantile(aggregate) and not (isinstance(aggregate, str) and aggregate == "min"):
        raise ValueError(
            f'aggregate must be "min" or a quantile between 0 and 1, got {aggregate!r}'
        )
    _check_number("r", r, "pass the largest normalised step, such as 1.0")
    if not r > 0.0:
        raise ValueError(f"r must be above 0 (inf never clips), got {r!r}")


def check_slopes(slopes: str) -> None:
    """Raise ValueError if `slopes` is not one of `SLOPES`."""
    if not isinstance(slopes, str) or slopes not in SLOPES:
        raise ValueError(f"slopes must be one of {', '.join(SLOPES)}, got {slopes!r}")


def _is_quantile(value: object) -> bool:
    return isinstance(value, Real) and 0.0 < float(value) < 1.0


def _check_number(name: str, value: object, advice: str) -> None:
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {reprlib.repr(value)}: {advice}")


def _aggregated(logits: ArrayLike, slopes: ArrayLike, bound: str, aggregate: str | float) -> float:
    """One radius for the batch, inf for an empty one.

    A low order statistic needs the costly bounds of few samples only. Those with the smallest
    spread bound get the bound asked for, and their order statistic is a limit: it falls as more
    samples get theirs. The others get one bound after another until one reaches the limit; their
    radii are no smaller then, and the limit is the order statistic of the batch without them.
    """
    bounds = safe_radius(logits, slopes, BOUNDS[0])
    if bounds.size == 0:
        return math.inf
    rank = 0 if isinstance(aggregate, str) else math.floor(aggregate * (bounds.size - 1))
    z, a = np.atleast_2d(logits), np.atleast_2d(slopes)
    last = BOUNDS.index(bound)
    done = np.full(bounds.size, last == 0)

    def tighten(samples: NDArray[np.intp], level: int) -> None:
        bounds[samples] = safe_radius(z[samples], a[samples], BOUNDS[level])
        done[samples] = level == last

    for level in range(1, last + 1):
        rest = np.flatnonzero(~done)
        count = _FEW + max(0, rank - (bounds.size - rest.size))
        tighten(rest[bounds[rest].argsort()[:count]], last)
        limit = np.partition(bounds[done], rank)[rank]
        tighten(np.flatnonzero(~done & (bounds < limit)), level)
    return float(np.partition(bounds[done], rank)[rank])
