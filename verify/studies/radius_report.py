"""The safe step radii of stored logits and slopes: certified, laid out, printed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...derivations.check_certificate import CertificateError, check
from ...derivations.step_radius.certify import Certified, certify
from ...kernels.step_radius.radius import Radius

_SHOWN = 10  # samples listed by index when a step exceeds radii
_SHARP = 1e-12  # the relative width of an enclosure that is told as wide beyond it
NAMES = {
    "spread": "spread, pi / Delta",
    "half_mass": "half-mass",
    "variance": "variance",
    "exact": "exact",
}


class Checked(NamedTuple):
    """An enclosure, and what the separate checker says of its certificate."""

    claim: Certified
    rejection: str | None = None
    """Why the certificate does not prove the claim; None if it does."""


def certify_samples(
    logits: NDArray[Any], slopes: NDArray[Any], curvatures: NDArray[Any] | None = None
) -> Iterator[Checked | None]:
    """Certify samples one by one, and check; None is one of which nothing can be proven.

    The arrays, of samples as rows, are checked at once: logits and slopes are what
    `softproof.kernels.radius` takes, and curvatures have their shape and are finite.
    ValueError if not. What is yielded: `softproof.derivations.step_radius.certify.certify` makes
    the claim and `softproof.derivations.check_certificate.check`, which shares no code with it,
    verifies it.

    Examples
    --------
    >>> (one,) = certify_samples(np.zeros((1, 2)), np.array([[1.0, -1.0]]))
    >>> one.claim.lower <= math.pi / 2 <= one.claim.upper, one.rejection
    (True, None)
    """
    z, a = np.atleast_2d(logits), np.atleast_2d(slopes)
    if curvatures is None:
        return (_certified(*sample, None) for sample in zip(z, a, strict=True))
    b = np.atleast_2d(curvatures)
    if b.shape != z.shape:
        raise ValueError(
            f"curvatures must have the shape of logits, {z.shape}, got {b.shape}: "
            "pass one curvature per logit"
        )
    if not np.isfinite(b).all():
        raise ValueError("curvatures hold NaN or inf: pass finite curvatures")
    return (_certified(*sample) for sample in zip(z, a, b, strict=True))


def _certified(z: NDArray[Any], a: NDArray[Any], b: NDArray[Any] | None) -> Checked | None:
    try:
        claim = certify(z, a, b)
    except ArithmeticError:
        return None
    try:
        check(z.tolist(), a.tolist(), claim, None if b is None else b.tolist())
    except CertificateError as error:
        return Checked(claim, str(error))
    return Checked(claim)


def demand_step(step: float | None) -> None:
    """Raise ValueError unless the length of a step, if there is one, is finite and above 0.

    >>> demand_step(-1.0)
    Traceback (most recent call last):
    ValueError: step must be finite and above 0, got -1.0: pass the norm of the update
    """
    if step is not None and not (math.isfinite(step) and step > 0):
        raise ValueError(
            f"step must be finite and above 0, got {step}: pass the norm of the update"
        )


def report(
    radii: Radius,
    step: float | None = None,
    certified: Sequence[Checked | None] | None = None,
    curved: Sequence[Checked | None] | None = None,
) -> dict[str, Any]:
    """Lay radii out as the dictionary that is stored as JSON and that `print_report` shows.

    Parameters
    ----------
    radii
        The radii of N samples, in units of the step length t.
    step
        Length tau of the intended step, in the same unit; finite and above 0.
    certified, curved
        What `certify_samples` yielded, without curvatures and with them; fewer than N samples if
        it was interrupted.

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
    >>> laid_out = report(radius([[3.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [2.0, -2.0]]), step=1.0)
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
    return bool(certificate["multiplicity"] == 0 or upper - lower > _SHARP * lower)


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


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print a report: quantiles over the samples, batch radii, and who is exceeded by a step."""
    batch, samples = report["batch"], report["samples"]
    table = Table(title="Safe step radii, in units of the step length t")
    for heading in ("radius", "min", "1 %", "median", "max"):
        table.add_column(heading, justify="left" if heading == "radius" else "right")
    rows = NAMES | ({"lower": "certified"} if "certified" in report else {})
    for key, name in rows.items():
        known = sorted(s[key] for s in samples if s[key] is not None)
        table.add_row(name, *_quantiles(known), end_section=name == [*rows.values()][-1])
    for key in ("spread", "half_mass", "variance"):
        table.add_row(f"{NAMES[key].partition(',')[0]} / exact", *_quantiles(_shares(samples, key)))
    if "curved" in report:
        known = sorted(s["curved"]["lower"] for s in samples if s["curved"]["lower"] is not None)
        table.add_section()
        table.add_row("certified, curved", *_quantiles(known))
    console.print(table)
    flagged = sum(s["flagged"] for s in samples)
    named = [f"{key.replace('_', '-')} {_number(batch[key])}" for key in list(NAMES)[:-1]]
    named.append(
        f"exact not known ({flagged} flagged)" if flagged else f"exact {_number(batch['exact'])}"
    )
    if "certified" in report:
        lower = batch["lower"]
        named.append("certified " + ("not known" if lower is None else _number(lower)))
    total = _count(len(samples), "sample")
    console.print(
        f"Batch of {total}: {', '.join(named)}; best proven bound {_number(batch['proven'])}."
    )
    if flagged:
        console.print(
            f"Flagged, too hard for the fast tier: {flagged} of {total}, for which "
            "the variance bound stands" + ("." if "certified" in report else "; or --certify.")
        )
    console.print("A step below the radius stays where the Taylor series of the loss converges.")
    for key in ("certified", "curved"):
        if key in report:
            _print_certified(key, report, console)
    if "step" in report:
        _print_step(report["step"], batch, samples, console)


def _shares(samples: Sequence[dict[str, Any]], key: str) -> list[float]:
    """What a bound is of the radius, where that is known and finite."""
    radii = ((s[key], s.get("lower") if s["flagged"] else s["exact"]) for s in samples)
    return sorted(bound / rho for bound, rho in radii if rho is not None and math.isfinite(rho))


def _print_certified(key: str, report: dict[str, Any], console: Console) -> None:
    found, samples = report[key], report["samples"]
    curved = key == "curved"
    beside = " with curvatures" if curved else ""
    total = _count(found["samples"], "sample")
    methods = ", ".join(f"{name} {count}" for name, count in found["methods"].items())
    decided, wrong = sum(found["methods"].values()), found["disagreeing"]
    if found["interrupted"]:
        done = f"{found['samples']} of {_count(len(samples), 'sample')}"
        console.print(f"Interrupted ({key}): {done} done.")
    for i in wrong[:_SHOWN]:
        claim = samples[i]["curved"] if curved else samples[i]
        why = _rejected(claim) if claim["rejected"] is not None else _disagreement(claim)
        told = f"sample {i}{beside} {why}"
        console.print(f"WRONG, an error of softproof: {told}. Please report it.", soft_wrap=True)
    if wrong:
        console.print(f"WRONG in {len(wrong)} of {total}" + (f" ({methods})." if methods else "."))
    elif decided:
        certificates = "the certificate" if decided == 1 else f"all {decided} certificates"
        console.print(
            f"Certified{beside}: a separate checker verified {certificates} ({methods})"
            + ("." if curved else f"; {_agreement(found, samples)}."),
            soft_wrap=True,
        )
    if found["wide"]:
        console.print(
            f"Not sharp{beside}: {len(found['wide'])} of {total}, whose enclosure is wider than "
            f"{_SHARP:g} relative or does not count its zeros."
        )
    rejected = sum((s["curved"] if curved else s)["rejected"] is not None for s in samples)
    undecided = found["samples"] - decided - rejected
    if undecided:
        console.print(f"Not decided by the certified tier{beside}: {_count(undecided, 'sample')}.")


def _rejected(claim: dict[str, Any]) -> str:
    return f"has a certificate that the separate checker rejects: {claim['rejected']}"


def _disagreement(sample: dict[str, Any]) -> str:
    exact = "flagged"
    if not sample["flagged"]:
        exact = f"exact {sample['exact']!r} +- {sample['error']:.2g}"
    return (
        f"has spread {sample['spread']!r}, half-mass {sample['half_mass']!r}, "
        f"variance {sample['variance']!r}, {exact}, "
        f"but the certified radius is from {sample['lower']!r} to {sample['upper']!r}"
    )


def _agreement(certified: dict[str, Any], samples: list[dict[str, Any]]) -> str:
    exact = sum(s["lower"] is not None and not s["flagged"] for s in samples)
    told = f"all bounds, and exact of {_count(exact, 'sample')}, agree with the enclosures"
    worst = certified["worst"]
    return told if worst is None else f"{told}, exact to within {worst:.1e} relative"


def _print_step(
    step: float, batch: dict[str, Any], samples: list[dict[str, Any]], console: Console
) -> None:
    console.print(
        f"Step {_number(step)}: r = step / radius = {_number(batch['r'])} by the best proven bound,"
        f" {_number(batch['r_variance'])} by variance, {_number(batch['r_half_mass'])} by "
        f"half-mass, {_number(batch['r_spread'])} by spread."
    )
    total = _count(len(samples), "sample")
    within = True
    for what, r, key in (
        ("radius itself, where the series diverges,", None, "exceeded_by_exact"),
        ("best proven bound", "r", "exceeded_by"),
        ("variance bound", "r_variance", "exceeded_by_variance"),
        ("half-mass bound", "r_half_mass", "exceeded_by_half_mass"),
        ("spread bound", "r_spread", "exceeded_by_spread"),
        ("certified curved radius", None, "exceeded_by_curved"),
    ):
        indices = batch.get(key)
        if not indices:
            continue
        within = False
        listed = [f"{i}" + (f" (r = {_number(samples[i][r])})" if r else "") for i in indices]
        more = ", ..." if len(indices) > _SHOWN else ""
        console.print(
            f"Beyond the {what} of {len(indices)} of {total}: {', '.join(listed[:_SHOWN])}{more}",
            soft_wrap=True,
        )
    if within:
        console.print("Within every bound of every sample.")


def _quantiles(ordered: list[float]) -> list[str]:
    """Order statistics, min to max. Interpolating between them would make NaN of inf."""
    if not ordered:
        return ["-", "-", "-", "-"]
    ranks = (max(math.ceil(q * len(ordered)) - 1, 0) for q in (0.0, 0.01, 0.5, 1.0))
    return [_number(ordered[rank]) for rank in ranks]


def _number(value: float) -> str:
    return f"{value:.5g}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
