"""The published form of any definition is a function of arrays, which ``verify`` judges."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations import REGISTRY
from softproof.verify.catalogue import published

MODULE = published.__name__
SOFTPROOF = str(Path(sys.executable).with_name("softproof"))


def verified(tmp_path, name, *options):
    """Exit status, and the failed suites, of a run on the published form of a definition."""
    report = tmp_path / "report.json"
    command = [SOFTPROOF, "verify", name, "--subject", f"{MODULE}:{name}", "--json", str(report)]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert report.exists(), done.stderr[-2000:]
    results = json.loads(report.read_text(encoding="utf-8"))["results"]
    return {result["suite"] for result in results if result["violations"]}


def test_it_computes_in_the_format_of_its_input():
    found = published.softplus(np.array([1.0, 128.0], np.float32))
    assert found.dtype == np.float32
    assert found[1] == np.inf  # log(1 + e^128), whose exponential is beyond float32
    assert published.softplus(np.array([128.0]))[0] == 128


def test_it_takes_batches_and_parameters():
    x = np.array([[3.0, 4.0], [6.0, 8.0]])
    np.testing.assert_array_equal(published.scale_norm(x, 10.0), [[6.0, 8.0], [6.0, 8.0]])


def test_another_name_is_an_error_that_says_so():
    with pytest.raises(AttributeError, match="no definition 'soft_max'"):
        _ = published.soft_max


def test_verify_finds_where_it_overflows(tmp_path):
    assert "overflow" in verified(tmp_path, "softplus", "--dtype", "float32", "--suite", "overflow")


def test_verify_finds_nothing_where_the_form_is_right(tmp_path):
    assert not verified(tmp_path, "corrected_relu", "--dtype", "float32", "--suite", "accuracy")


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", REGISTRY)
def test_every_published_form_runs_through_verify(tmp_path, name, dtype):
    verified(tmp_path, name, "--dtype", dtype)
