"""The command that a failure prints fails again: for every suite, and for every kind of failure."""

import shlex

import numpy as np
import pytest
from softproof.verify.cli.main import app
from softproof.verify.inputs.user_rows import given_file
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Report
from softproof.verify.runs.run import run
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.worker_pool import Workers
from softproof.verify.subjects.subject import Subject
from typer.testing import CliRunner

MINE = """
import itertools, os, numpy as np

def right(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)

def large(x):
    return (x > 3).any()

def value(x):
    return right(x) * x.dtype.type(1.01)

def form(x):
    return right(x)[:, None] if large(x) else right(x)

def raised(x):
    if large(x):
        raise RuntimeError("too large")
    return right(x)

calls = itertools.count()

def not_deterministic(x):
    return right(x) * x.dtype.type(1 + next(calls) % 2 * 1e-6) if large(x) else right(x)

def input_changed(x):
    y = right(x)
    if large(x) and x.flags.writeable:
        x += 1
    return y

def crashed(x):
    if large(x):
        os.abort()
    return right(x)

def of_the_batch(x):
    return right(x) if len(x) == 1 else value(x)

def strides(x):
    return right(x) if x.flags.c_contiguous else value(x)

def masked_is_zero(x):
    return np.nan_to_num(right(x))

def overflows(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
"""
CASES = [
    *((kind, "accuracy", kind.replace("_", " ")) for kind in ("value", "form", "raised")),
    *((kind, "accuracy", kind.replace("_", " ")) for kind in ("not_deterministic", "crashed")),
    ("input_changed", "accuracy", "input changed"),
    ("of_the_batch", "accuracy", "value"),
    ("overflows", "overflow", "value"),
    ("masked_is_zero", "special-values", "value"),
    ("value", "invariance", "value"),
    ("strides", "layouts", "value"),
    ("overflows", "regressions", "value"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "mine_again.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)


def first_failure(name, suite, **given):
    subject = Subject(f"mine_again:{name}", "softmax", Contract(all_masked="nan"))
    items = plan([subject], [suite], ["float32"], **given)
    families = {i.family for i in items}
    kept = families & {"normal", "wide", "", "given"} or families
    report = Report(0, "quick")
    with Workers() as workers:
        for item in items:
            if item.family in kept and not any(r.failures for r in report.results.values()):
                list(run([item], report, workers.connect))
    return next(f for r in report.results.values() for f in r.failures)


def demand_that_it_fails_again(failure):
    program, *arguments = shlex.split(failure.reproduce)
    assert program == "softproof"
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1, (failure.reproduce, again.output)
    words = failure.message.partition(" (")[0]
    assert words in again.output, (failure.reproduce, again.output)


@pytest.mark.parametrize(("name", "suite", "kind"), CASES)
def test_the_printed_command_fails_again(name, suite, kind):
    failure = first_failure(name, suite)
    assert failure.kind == kind
    demand_that_it_fails_again(failure)


def test_a_case_that_fails_only_in_its_batch_is_given_with_its_file(tmp_path):
    path = tmp_path / "my rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    given, _ = given_file(path)
    failure = first_failure("of_the_batch", "accuracy", given=given, given_in=str(path))
    assert "only in its batch" in failure.detail
    assert failure.reproduce.endswith(f"--logits {shlex.quote(str(path))}")
    demand_that_it_fails_again(failure)


def test_a_row_that_fails_alone_is_given_without_its_file(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    given, _ = given_file(path)
    failure = first_failure("value", "accuracy", given=given, given_in=str(path))
    assert "--row=" in failure.reproduce
    assert "--logits" not in failure.reproduce
