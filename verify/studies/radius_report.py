"""The report of `softproof radius` as plain data: radii, certificates, and what a step exceeds.

`lay_out` makes the dictionary that is stored as JSON and that `reports/step_radii.py` prints.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from ...kernels.step_radius.radius import Radius
from .certified_radii import Checked

SHARP = 1e-12  # an enclosure that is wider than this, relative to its lower end, is listed as wide
NAMES = {
    "spread": "spread, pi / Delta",
    "half_mass": "half-mass",
    "variance": "variance",
    "exact": "exact",
}


def demand_step(step: float | None) -> None:
    """Refuse a length of a step that is not finite and above 0.

    Parameters
    ----------
    step
        The length; None: there is no step.

    Raises
    ------
    ValueError
        If it is not such.

    Examples
    --------
    >>> demand_step(-1.0)
    Traceback (most recent call last):
    ValueError: step must be finite and above 0, got -1.0: pass the norm of the update
    """
    if step is not None and not (math.isfinite(step) and step > 0):
        raise ValueError(
            f"step must be finite and above 0, got {step}: pass the norm of the update"
        )


def lay_out(
    radii: Radius,
    step: float | None = None,
    certified: Sequence[Checked | None] | None = None,
    curved: Sequence[Checked | None] | None = None,
) -> dict[str, Any]:
    """Lay radii out as the dictionary that is stored as JSON, and printed.

    Parameters
    ----------
    radii
        The radii of N samples, in units of the step length t.
    step
        Length tau of the intended step, in the same unit; finite and above 0.
    certified, curved
        What `certified_radii.certify_samples` yielded, without curvatures and with them; fewer
        than N samples if it was interrupted.

    Returns
    -------
    dict
        `batch` and `samples` (a list of N), in which None stands for what is not known and inf for
        a partition function without zeros. Every sample has

        * `spread`, `half_mass`, `variance`, `exact`, `error`, `flagged`: see
          `softproof.kernels.step_radius.radius.Radius`;
        * `proven`, the best proven lower bound: exact - error, `variance` where flagged, or the
          certified `lower`, whichever is greatest;
        * if certified, `lower`, `upper`, `multiplicity`, `method`, `bits`, `certificate` (see
          `softproof.derivations.step_radius.certify.Certified`) and `rejected`, with curvatures
          the same in `curved`. `rejected` is None, or why the separate checker refuses the
          certificate, and then nothing is known: `lower` and `upper` are None. Of a stored
          report, too, `check(z[i], a[i], types.SimpleNamespace(**samples[i]))` verifies sample i
          again;
        * with a step, `r_spread`, `r_half_mass`, `r_variance` and `r`: tau over that bound and over
          `proven`. The series is proven to converge at t = tau if r < 1.

        `batch` has the minima of the radii and bounds over the samples (None where that of a
        sample is not known), of the curved ones as `curved_lower`, and r for them. With a step it
        lists samples by index:

        * `exceeded_by`: `proven` is below tau, and nothing promises convergence any more;
        * `exceeded_by_exact`: the radius itself is proven to be below tau: the series diverges;
        * `exceeded_by_spread`, `_half_mass`, `_variance`: that bound is below tau;
        * if curved, `exceeded_by_curved`: the certified `lower` of the curved logits is below tau,
          or not known.

        If certified, top level also has `certified`: `samples`, how many are done, and whether it
        was `interrupted`; `methods` with their counts; `wide`, the samples whose enclosure is wider
        than 1e-12, relative, or whose nearest zeros are not counted (`multiplicity` 0);
        `disagreeing`, those of which exact +- error does not meet [lower, upper], a bound is above
        `upper`, or the certificate is rejected: an error of softproof; and `worst`, the
        greatest distance of `exact` from [lower, upper], relative (None without any). If curved,
        `curved` has the same without `worst`; `disagreeing` are those that are rejected.

    Raises
    ------
    ValueError
        If step is not finite or not above 0.

    Examples
    --------
    >>> from softproof.kernels.step_radius.radius import radius
    >>> laid_out = lay_out(radius([[3.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [2.0, -2.0]]), step=1.0)
    >>> laid_out["batch"]["exceeded_by"], round(laid_out["batch"]["r_half_mass"], 6)
    ([1], 1.27324)
    """
    demand_step(step)
    samples = [
        _sample(*values, proven=proven)
        for *values, proven in zip(*(x.tolist() for x in radii), _proven(radii), strict=True)
    ]
    laid_out: dict[str, Any] = {"samples": samples}
    if certified is not None:
        for sample, found in zip_longest(samples, certified):
            sample |= _certificate(found)
            sample["proven"] = max(sample["proven"], sample["lower"] or 0.0)
        laid_out["certified"] = _comparison(samples, len(certified))
    if curved is not None:
        for sample, found in zip_longest(samples, curved):
            sample["curved"] = _certificate(found)
        laid_out["curved"] = _summary([s["curved"] for s in samples], len(curved))
    batch: dict[str, Any] = _batch(samples, certified is not None, curved is not None)
    laid_out["batch"] = batch
    if step is not None:
        laid_out["step"] = float(step)
        for entries in (*samples, batch):
            entries |= _ratios(step, entries)
        batch |= _exceeded(step, samples)
    return laid_out


def _proven(radii: Radius) -> list[float]:
    """The best lower bound that is proven without certificates."""
    with np.errstate(invalid="ignore"):  # inf - inf
        below = np.nextafter(radii.exact - radii.error, -np.inf)
    # `variance` where there is no exact radius, or an infinite one: it is inf if F has no zero, and
    # the largest float if the radius merely overflows.
    finite = np.isfinite(radii.exact) & ~radii.flagged
    return np.where(finite, np.fmax(below, radii.variance), radii.variance).tolist()  # type: ignore[no-any-return]


def _sample(
    spread: float,
    half_mass: float,
    variance: float,
    exact: float,
    error: float,
    flagged: bool,
    *,
    proven: float,
) -> dict[str, Any]:
    return {
        "spread": spread,
        "half_mass": half_mass,
        "variance": variance,
        "exact": None if flagged else exact,
        "error": None if flagged else error,
        "flagged": flagged,
        "proven": proven,
    }


def _certificate(found: Checked | None) -> dict[str, Any]:
    keys = ("lower", "upper", "multiplicity", "method", "bits", "certificate")
    if found is None:
        return dict.fromkeys((*keys, "rejected"))
    claim = found.claim
    entries = {key: getattr(claim, key) for key in keys} | {"rejected": found.rejection}
    if found.rejection is not None:
        claimed = f"claimed from {claim.lower!r} to {claim.upper!r}"
        entries |= {"lower": None, "upper": None, "rejected": f"{found.rejection}, {claimed}"}
    return entries


def _summary(certificates: Sequence[dict[str, Any]], done: int) -> dict[str, Any]:
    """How far certification came, by which methods, and what the checker says."""
    decided = [(i, c) for i, c in enumerate(certificates) if c["lower"] is not None]
    return {
        "samples": done,
        "interrupted": done < len(certificates),
        "methods": dict(sorted(Counter(c["method"] for _, c in decided).items())),
        "wide": [i for i, c in decided if _is_wide(c)],
        "disagreeing": [i for i, c in enumerate(certificates) if c["rejected"] is not None],
    }


def _is_wide(certificate: dict[str, Any]) -> bool:
    if certificate["method"] == "none":  # F has no zero: inf is exact
        return False
    lower, upper = certificate["lower"], certificate["upper"]
    return bool(certificate["multiplicity"] == 0 or upper - lower > SHARP * lower)


def _comparison(samples: Sequence[dict[str, Any]], done: int) -> dict[str, Any]:
    """How the fast tier compares with the certified one."""
    decided = [(i, s) for i, s in enumerate(samples) if s["lower"] is not None]
    exact = [s for _, s in decided if not s["flagged"] and math.isfinite(s["upper"])]
    apart = [max(s["lower"] - s["exact"], s["exact"] - s["upper"], 0) / s["lower"] for s in exact]
    summary = _summary(samples, done)
    wrong = {*summary["disagreeing"], *(i for i, s in decided if _disagrees(s))}
    return summary | {"disagreeing": sorted(wrong), "worst": max(apart, default=None)}


def _disagrees(sample: dict[str, Any]) -> bool:
    lower, upper = sample["lower"], sample["upper"]
    bounds = [sample[key] for key in ("spread", "half_mass", "variance")]
    if not sample["flagged"] and sample["error"] < math.inf:
        # Rounded outward, as these two differences are rounded themselves.
        bounds.append(math.nextafter(sample["exact"] - sample["error"], -math.inf))
        if math.nextafter(sample["exact"] + sample["error"], math.inf) < lower:
            return True
    return bool(max(bounds) > upper)


def _batch(
    samples: Sequence[dict[str, Any]], certified: bool, curved: bool
) -> dict[str, float | None]:
    def least(values: Iterable[float | None]) -> float | None:
        known = list(values)
        return None if None in known else min(known, default=math.inf)  # type: ignore[type-var]

    keys = ["spread", "half_mass", "variance", "exact", "proven"]
    batch = {key: least(s[key] for s in samples) for key in keys}
    if certified:
        batch |= {key: least(s[key] for s in samples) for key in ("lower", "upper")}
    if curved:
        batch["curved_lower"] = least(s["curved"]["lower"] for s in samples)
    return batch


def _ratios(step: float, entries: dict[str, Any]) -> dict[str, float]:
    # Python floats: overflow gives inf, a bound of inf gives 0, and no bound is 0.
    names = {"r_spread": "spread", "r_half_mass": "half_mass", "r_variance": "variance"}
    return {r: step / entries[key] for r, key in (names | {"r": "proven"}).items()}


def _exceeded(step: float, samples: Sequence[dict[str, Any]]) -> dict[str, list[int]]:
    def where(beyond: Callable[[dict[str, Any]], bool]) -> list[int]:
        return [i for i, sample in enumerate(samples) if beyond(sample)]

    def diverges(sample: dict[str, Any]) -> bool:
        above = [math.inf if sample.get("upper") is None else sample["upper"]]
        if not sample["flagged"]:
            above.append(math.nextafter(sample["exact"] + sample["error"], math.inf))
        return step > min(above)

    lists = {
        "exceeded_by": where(lambda s: step > s["proven"]),
        "exceeded_by_exact": where(diverges),
        "exceeded_by_variance": where(lambda s: step > s["variance"]),
        "exceeded_by_half_mass": where(lambda s: step > s["half_mass"]),
        "exceeded_by_spread": where(lambda s: step > s["spread"]),
    }
    if samples and "curved" in samples[0]:
        lists["exceeded_by_curved"] = where(lambda s: not step <= (s["curved"]["lower"] or 0.0))
    return lists
