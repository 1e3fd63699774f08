"""The safe step radii of stored logits and slopes: read arrays, lay out, print."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ..kernels.radius import Radius

_SHOWN = 10  # samples listed by index when a step exceeds radii


def load_array(path: str | Path, name: str) -> NDArray[Any]:
    """Read one float32 or float64 array from a .npy or .npz file.

    Parameters
    ----------
    path
        The file. Of an .npz archive the entry called `name` is read, else its only entry.
    name
        What the array stands for, "logits" or "slopes"; also used in messages.

    Returns
    -------
    numpy.ndarray
        As stored: shape and contents are checked by `softproof.kernels.radius.radius`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is neither .npy nor .npz or not readable as one, holds Python objects (they are
        pickled, and unpickling runs code, so it is always refused), or is an archive in which
        the entry cannot be told.
    TypeError
        If the array is not float32 or float64.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "step.npz"
    ...     np.savez(path, logits=np.zeros((2, 3)), slopes=np.ones((2, 3)))
    ...     load_array(path, "slopes")
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    path = Path(path)
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(
            f"{name}: {path} must be a .npy or .npz file: save it with numpy.save or numpy.savez"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}")
    with path.open("rb") as file:  # np.load itself would leave a damaged archive open
        with _reading(path, name):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            array = loaded
        else:
            entry = _entry(path, name, loaded.files)
            with _reading(path, name):
                array = loaded[entry]
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(
            f"{name}: {path} holds {array.dtype}, not float32 or float64: "
            "convert with .astype('float32') before saving"
        )
    return array


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Report whatever NumPy raises on a file that it cannot or must not read as a ValueError."""
    try:
        yield
    except Exception as error:  # a damaged file surfaces as nearly anything, even a TokenError
        raise ValueError(
            f"{name}: cannot read {path} ({error}): "
            "store a plain float32 or float64 array with numpy.save"
        ) from error


def _entry(path: Path, name: str, entries: list[str]) -> str:
    if name in entries:
        return name
    if len(entries) == 1:
        return entries[0]
    raise ValueError(
        f"{name}: {path} has the entries {', '.join(entries) or '(none)'}: "
        f"call the one to read {name!r}"
    )


def report(radii: Radius, step: float | None = None) -> dict[str, Any]:
    """Lay radii out as the dictionary that is stored as JSON and that `print_report` shows.

    Parameters
    ----------
    radii
        The radii of N samples, in units of the step length t.
    step
        Length tau of the intended step, in the same unit; finite and above 0.

    Returns
    -------
    dict
        `batch` and `samples` (a list of N) with the entries `spread`, `half_mass` and `exact`,
        where None stands for an exact radius that is not available and inf for a partition
        function without zeros. With a step also `step` at top level, and in `batch` and every
        sample `r_spread` and `r_half_mass`, the step over the bound: the series is
        proven to converge at t = tau if r < 1. `batch` then lists in `exceeded_by` and
        `exceeded_by_spread` the samples with a bound below tau.

    Raises
    ------
    ValueError
        If step is not finite or not above 0.

    Examples
    --------
    >>> from softproof.kernels.radius import radius
    >>> laid_out = report(radius([[3.0, 0.0], [0.0, 0.0]], [[1.0, -1.0], [2.0, -2.0]]), step=1.0)
    >>> laid_out["batch"]["exceeded_by"], round(laid_out["batch"]["r_half_mass"], 6)
    ([1], 1.27324)
    """
    if step is not None and not (math.isfinite(step) and step > 0):
        raise ValueError(
            f"step must be finite and above 0, got {step}: pass the norm of the update"
        )
    batch: dict[str, Any] = _entries(*radii.batch, step)
    laid_out: dict[str, Any] = {
        "batch": batch,
        "samples": [
            _entries(float(spread), float(half_mass), float(exact), step)
            for spread, half_mass, exact in zip(*radii, strict=True)
        ],
    }
    if step is not None:
        laid_out["step"] = float(step)
        batch["exceeded_by"] = np.flatnonzero(step > radii.half_mass).tolist()
        batch["exceeded_by_spread"] = np.flatnonzero(step > radii.spread).tolist()
    return laid_out


def _entries(
    spread: float, half_mass: float, exact: float, step: float | None
) -> dict[str, float | None]:
    entries: dict[str, float | None] = {
        "spread": spread,
        "half_mass": half_mass,
        "exact": None if math.isnan(exact) else exact,
    }
    if step is not None:
        # Python floats: overflow gives inf, a bound of inf gives 0, and no bound is 0.
        entries["r_spread"] = step / spread
        entries["r_half_mass"] = step / half_mass
    return entries


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print a report: batch radii, quantiles over the samples, and who is exceeded by a step."""
    batch, samples = report["batch"], report["samples"]
    spread = sorted(sample["spread"] for sample in samples)
    half_mass = sorted(sample["half_mass"] for sample in samples)
    # inf / inf where F has no zeros: such samples have nothing to gain.
    gain = sorted(s["half_mass"] / s["spread"] for s in samples if math.isfinite(s["spread"]))

    table = Table(title="Safe step radii, in units of the step length t")
    for heading in ("bound", "min", "1 %", "median", "max"):
        table.add_column(heading, justify="left" if heading == "bound" else "right")
    table.add_row("spread, pi / Delta", *_quantiles(spread))
    table.add_row("half-mass", *_quantiles(half_mass))
    table.add_row("half-mass / spread", *_quantiles(gain))
    console.print(table)
    exact = "not available" if batch["exact"] is None else _number(batch["exact"])
    available = sum(sample["exact"] is not None for sample in samples)
    console.print(
        f"Batch of {len(samples)} samples: spread {_number(batch['spread'])}, "
        f"half-mass {_number(batch['half_mass'])}, exact {exact} "
        f"(known for {available} samples)."
    )
    console.print("A step below the radius stays where the Taylor series of the loss converges.")
    if "step" in report:
        _print_step(report["step"], batch, samples, console)


def _print_step(
    step: float, batch: dict[str, Any], samples: list[dict[str, Any]], console: Console
) -> None:
    console.print(
        f"Step {_number(step)}: r = step / radius = {_number(batch['r_half_mass'])} by half-mass, "
        f"{_number(batch['r_spread'])} by spread."
    )
    for bound, r, indices in (
        ("half-mass", "r_half_mass", batch["exceeded_by"]),
        ("spread", "r_spread", batch["exceeded_by_spread"]),
    ):
        listed = ", ".join(f"{i} (r = {_number(samples[i][r])})" for i in indices[:_SHOWN])
        more = ", ..." if len(indices) > _SHOWN else ""
        console.print(
            f"Beyond the {bound} radius of {len(indices)} of {len(samples)} samples"
            + (f": {listed}{more}" if indices else ".")
        )


def _quantiles(ordered: list[float]) -> list[str]:
    """Order statistics, min to max. Interpolating between them would make NaN of inf."""
    if not ordered:
        return ["-", "-", "-", "-"]
    ranks = (max(math.ceil(q * len(ordered)) - 1, 0) for q in (0.0, 0.01, 0.5, 1.0))
    return [_number(ordered[rank]) for rank in ranks]


def _number(value: float) -> str:
    return f"{value:.5g}"
