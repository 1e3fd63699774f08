"""What other libraries return is data, and a change of it is news: no test of ours depends on it.

Their numbers depend on their version and on the processor: ONNX Runtime's softmax takes results
below the normal range for 0 in its AVX2 code, and not in its AVX-512 code.  So no test takes
another library for right, nor for wrong.  What was seen stands in ``other_libraries.toml``; what is
seen now and does not stand there is told at the end of a test run.
"""

import dataclasses
import os
import platform
import subprocess
import sys
import textwrap
import tomllib
from importlib.metadata import version
from pathlib import Path

import llvmlite.binding
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.verify.inputs.families import Batch
from softproof.verify.oracle.metrics import hexadecimal
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.isolation.in_process import InProcess

TESTS = Path(__file__).parents[2]
RECORD = Path(__file__).parent / "other_libraries.toml"
ROWS = {
    "ordinary": [0.25, -1.5, 3.0, 2.0],
    "equal": [0.0, 0.0],
    "dominant": [17.0, 0.0],
    "below the normal range": [float.fromhex("-0x1.5ee6e6p+6"), 0.0],
    "subnormal": [-100.0, 0.0, -1.0],
    "masked": [float("-inf"), 0.0, 1.0],
    "large": [10_000.0, 9_999.0, 9_990.0],
    "huge": [3e38, -3e38, 0.0],
}
OTHERS = {
    "scipy": ["scipy.special:softmax", "scipy.special:log_softmax", "scipy.special:logsumexp"],
    "torch": [
        f"softproof.verify.subjects.torch_forms:{name}"
        for name in ("softmax", "log_softmax", "logsumexp", "cross_entropy")
    ],
    "onnxruntime": [
        f"softproof.verify.subjects.onnx_forms:{name}"
        for name in ("softmax", "log_softmax", "logsumexp", "cross_entropy")
    ],
}


def instruction_set():
    """The widest vector instructions of this processor, as libraries tell them apart."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return platform.machine()
    features = llvmlite.binding.get_host_cpu_features()
    return next(
        (word for word, name in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if features.get(name)),
        "x86-64",
    )


def failures_of(subject, function=None):
    """{name of the row: failure} of a subject on the rows above; ``function`` takes its place."""
    found = {}
    for name, row in ROWS.items():
        labels = np.array([0]) if lookup(subject.definition).labelled else None
        batch = (Batch("given", np.float32([row]), labels),)
        items = plan([subject], ["accuracy"], ["float32"], given=lambda *_, batch=batch: batch)
        for item in items:
            for failure in execute(item, lambda s: InProcess(s, function)).failures:
                found[name] = failure
    return found


def news(library, subject, fails):
    """What is to be told of a subject that fails on these rows; None where it is on record."""
    here = {
        "library": library,
        "version": version(library),
        "instruction_set": instruction_set(),
        "subject": subject.id,
    }
    words = f"{library} {here['version']}, {here['instruction_set']}: {subject.id}"
    told = f"fails on {', '.join(fails)}" if fails else "fails on no row"
    for entry in tomllib.loads(RECORD.read_text("utf-8")).get("seen", []):
        if all(entry[name] == value for name, value in here.items()):
            if entry["fails"] == fails:
                return None
            known = ", ".join(entry["fails"]) or "none"
            return f"{words} {told}; on record: {known} ({entry['processor']})"
    return f"{words} {told}; not on record"


def demand_that_the_findings_are_ours(subject, failures, function=None):
    """Each failure shows what the subject returned, and our kernel passes on its row."""
    for failure in failures.values():
        assert f"--subject {subject.id}" in failure.reproduce
        if failure.observed is None:
            continue
        row = np.float32([[float.fromhex(v) for v in failure.logits]])
        labels = None if failure.label is None else np.array([failure.label])
        value = InProcess(subject, function)(row, labels).value
        assert hexadecimal(float(np.ravel(value)[failure.index or 0])) == failure.observed
        ours = next(
            s
            for s in BUILT_IN
            if s.id == f"softproof.kernels:{subject.definition}" and not s.requires
        )
        again = dataclasses.replace(ours, contract=dataclasses.replace(ours.contract, ulps={}))
        batch = (Batch("given", row, labels),)
        for item in plan([again], ["accuracy"], ["float32"], given=lambda *_, b=batch: b):
            assert execute(item).passed


@pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library, names in OTHERS.items() for name in names]
)
def test_what_another_library_does_is_told_where_it_is_not_on_record(
    library, name, record_property
):
    subject = next(s for s in BUILT_IN if s.id == name)
    if (word := subject.missing()) is not None:
        pytest.skip(word)
    failures = failures_of(subject)
    demand_that_the_findings_are_ours(subject, failures)
    if (told := news(library, subject, list(failures))) is not None:
        record_property("news", told)


# --- planted: another library's misbehaviour ---


def flushing(x, axis=-1):
    """A softmax that takes results below the normal range for 0, as that of ONNX Runtime does."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=axis, keepdims=True))
    p = (e / e.sum(axis=axis, keepdims=True)).astype(x.dtype)
    return np.where(p < np.finfo(x.dtype).smallest_normal, x.dtype.type(0), p)


def test_a_library_that_flushes_is_found_on_the_rows_that_show_it():
    subject = next(s for s in BUILT_IN if s.id == "scipy.special:softmax")
    failures = failures_of(subject, flushing)
    assert list(failures) == ["below the normal range", "subnormal"]
    smallest = failures["below the normal range"]
    assert (smallest.observed, smallest.expected) == ("0x0p+0", "0x1.5b0524p-127")
    demand_that_the_findings_are_ours(subject, failures, flushing)
    told = news("scipy", subject, list(failures))
    assert f"scipy {version('scipy')}, {instruction_set()}: scipy.special:softmax" in told
    assert "fails on below the normal range, subnormal" in told


PLANTED = """
    import numpy as np
    import scipy.special

    def softmax(x, axis=-1):
        d = x - x.max(axis=axis, keepdims=True)
        p = np.exp(d) / np.exp(d).sum(axis=axis, keepdims=True)
        p = np.where(p < np.finfo(x.dtype).smallest_normal, x.dtype.type(0), p)
        return (p * x.dtype.type(1.25)).astype(x.dtype)

    def log_softmax(x, axis=-1):
        return np.log(softmax(x, axis))

    def logsumexp(x, axis=-1):
        return np.log(np.exp(x).sum(axis=axis)) + x.dtype.type(1)

    def expit(x):
        return x * 0

    for function in (softmax, log_softmax, logsumexp, expit):
        setattr(scipy.special, function.__name__, function)
"""
SCIPY = "scipy or SciPy or keeps_the_leader or each_case_and_names"
# The files that call functions of SciPy as subjects, or look them up among the built-in ones.
CONCERNED = ("subjects/test_other_libraries", "suites/test_regressions", "suites/test_suites")


def test_the_suite_stays_green_and_tells_of_a_library_that_misbehaves(tmp_path):
    (tmp_path / "planted.py").write_text(textwrap.dedent(PLANTED))
    files = [str(TESTS / f"verify/{name}.py") for name in CONCERNED]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "planted", "-p", "no:cacheprovider"),
            *(
                "-k",
                "(scipy or SciPy or keeps_the_leader or each_case_and_names) and not misbehaves",
                *files,
            ),
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
    )
    assert run.returncode == 0, run.stdout
    assert "news of other libraries" in run.stdout
    for name in OTHERS["scipy"]:
        (line,) = (line for line in run.stdout.splitlines() if f" {name} " in line)
        assert "dominant" in line
