"""A definition with a kernel, an error bound, a subject and a benchmark is added in four files.

Done as CONTRIBUTING says, in a copy of the packages: softsign, x / (1 + |x|).  Nothing else is
edited, and all commands know it.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

KERNEL = "softproof.kernels:softsign"
TEXTBOOK = "softproof.verify.textbook:softsign"

ADDED = {
    "derivations/catalogue/activations/one_real.py": '''

@define(
    family="activations",
    source="Turian, Bergstra, Bengio 2009, Quadratic features for chunking, NAACL HLT",
    arguments={"x": Real()},
    facts=(
        Increasing(),
        Range(lower=-1, upper=1),
        Identity("f(x) + f(-x) = 0", lambda f, x: f(x) + f(-x)),
    ),
    breakpoint_at_zero=True,
)
def softsign(x, xp):
    """Softsign x / (1 + |x|)."""
    return xp.by_sign(x, lambda v: v / (1 + v), lambda v: v / (1 - v))


@softsign.derivative
def _(x, xp):
    return xp.by_sign(x, lambda v: 1 / (1 + v) ** 2, lambda v: 1 / (1 - v) ** 2)


@softsign.second_formula
def _(x, xp):
    return xp.by_sign(x, lambda v: 1 - 1 / (1 + v), lambda v: 1 / (1 - v) - 1)
''',
    "derivations/error_bounds/activations.py": '''

@error_bound("softsign", form="as published")
def softsign(x: Vector, model: Model) -> Bound:
    """Softsign x / (1 + |x|): exponent [1] of the sum, which has terms of one sign, [1]."""
    size = np.minimum(np.abs(x), np.finfo(np.float64).max)
    value = size / (1 + size)
    error = value * np.expm1(model.exponent(2)) + model.underflow
    return Bound(np.copysign(value, x), error)
''',
    "kernels/activations/elementwise.py": '''

__all__ += ["softsign"]


@kernel_of("softsign", {"float32": 0.5 + 2.0**-20, "float64": 2.51}, proof="softsign")
@documented
def softsign(
    x: ArrayLike, *, out: NDArray[np.floating] | None = None, threads: int = 1
) -> Any:
    """Softsign x / (1 + |x|), element by element; -1 at -inf, 1 at +inf, NaN at NaN.

    Error: in float64, with t = |x|, t / (1 + t) for t < 1 has [2] roundings.  1 / (1 / t + 1) has
    one in 1 / t, which is at most half of the sum, one in the sum and one in the quotient: [2.5].
    An ulp is at least u y, and terms of second order are below 0.01.
    """
    return _elementwise(_softsign, "x", x, out, threads)


@jit
def _softsign(x: NDArray[np.floating], result: NDArray[np.floating]) -> None:
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            t = np.float64(abs(x[i, j]))
            y = t / (1.0 + t) if t < 1.0 else 1.0 / (1.0 / t + 1.0)
            result[i, j] = math.copysign(y, x[i, j])
''',
    "verify/subjects/implementations/textbook.py": '''

@subject("softsign", "x / (1 + np.abs(x))", contract=IN_FORMAT)
def softsign(x: Array) -> Array:
    """x / (1 + |x|): NaN at infinity."""
    return x / (1 + np.abs(x))
''',
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the packages with softsign in it, and a folder to work in."""
    folder = tmp_path_factory.mktemp("added")
    for name in ("kernels", "derivations", "verify"):
        shutil.copytree(
            ROOT / name,
            folder / "softproof" / name,
            ignore=shutil.ignore_patterns("__pycache__", "*.nb[ic]"),
        )
    for name, text in ADDED.items():
        with (folder / "softproof" / name).open("a", encoding="utf-8") as file:
            file.write(text)
    return folder


def softproof(copy, *arguments, status=0):
    """What a command of the copy prints."""
    code = "from softproof.verify.cli.main import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "180"}
    environment.pop("NUMBA_CACHE_DIR", None)
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == status, result.stdout + result.stderr
    return result.stdout


def test_four_files_are_enough():
    assert len(ADDED) <= 4
    assert all((ROOT / name).is_file() for name in ADDED)  # their families were there before


def test_its_facts_and_its_gradient_are_proven(copy):
    page = softproof(copy, "derive", "softsign")
    assert re.findall(r"^  (.+?) +proven$", page, re.MULTILINE) == [
        "f' >= 0",
        "-1 <= f <= 1",
        "f(x) + f(-x) = 0",
        "closed-form gradient = derivative",
    ]


def test_its_implementations_are_verified(copy):
    """The kernel is within its bound, and right at infinity, where the textbook form fails."""
    arguments = ["softsign", "--dtype", "float32", "--json", "report.json"]
    arguments += ["--suite", "accuracy", "--suite", "special-values"]
    softproof(copy, "verify", *arguments, status=1)
    report = json.loads((copy / "report.json").read_text())
    assert {(r["subject"], r["suite"]): r["status"] for r in report["results"]} == {
        (KERNEL, "accuracy"): "pass",
        (KERNEL, "special-values"): "pass",
        (TEXTBOOK, "accuracy"): "pass",
        (TEXTBOOK, "special-values"): "fail",
    }
    kernel = next(s for s in report["subjects"] if s["id"] == KERNEL)
    assert kernel["contract"]["ulps"] == {"float32": 0.5 + 2.0**-20, "float64": 2.51}


def test_its_error_is_plotted_below_its_bound(copy):
    softproof(copy, "plot", "precision", "softsign", "--output", "p.svg", "--data", "p.csv")
    assert (copy / "p.svg").read_text().startswith("<?xml")
    errors, bounds = {}, {}
    for row in csv.DictReader((copy / "p.csv").read_text().splitlines()[1:]):
        series = {"published": errors, "bound": bounds}[row["series"]]
        if not row["format"]:
            series[int(row["p"])] = float(row["error"])
    assert len(bounds) > 100
    assert all(0 < errors[p] <= bounds[p] for p in bounds)


def test_its_implementations_are_timed_beside_each_other(copy):
    softproof(
        copy, "bench", "softsign", "--shape", "64x64", "--rounds", "1", "--json", "bench.json"
    )
    (case,) = json.loads((copy / "bench.json").read_text())["cases"]
    assert case["reference"] == "kernels:softsign"
    assert [c["name"] for c in case["candidates"]] == ["kernels:softsign", "textbook:softsign"]
    assert all(c["nanoseconds_per_element"] > 0 for c in case["candidates"])
