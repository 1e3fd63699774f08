"""The script of a failing case, run in a process without softproof, shows what the report says."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest
from softproof.derivations import Integer, Matrix, Real, Vector, lookup
from softproof.derivations.definition import REGISTRY, define
from softproof.verify.cases.case import Case
from softproof.verify.cli.main import app
from softproof.verify.runs.snippet_of_case import case_snippet
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.subject import Subject
from typer.testing import CliRunner

MODULE = """
import numpy as np

def eps_outside(x, gain, eps=1e-6):
    mean = np.sum(x * x, axis=-1, keepdims=True) / x.dtype.type(x.shape[-1])
    return x / (np.sqrt(mean) + x.dtype.type(eps)) * gain

def of_torch(x, gain, eps=1e-6):
    return x / ((x * x).mean(-1, keepdim=True).sqrt() + eps) * gain

def of_jax(x, gain):
    import jax.numpy as jnp
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True)) * gain

def of_jax_vjp(x, gain, cotangent):
    return x, gain * 1

of_jax.vjp = of_jax_vjp

def right(x, gain, eps=1e-6):
    return eps_outside(x, gain, 0.0)

def wrong_vjp(x, gain, cotangent, eps=1e-6):
    return gain * cotangent, np.sum(cotangent * x, axis=0)

right.vjp = wrong_vjp

def frozen(x, gain, eps=1e-6):
    scale = ((x * x).mean(-1, keepdim=True) + eps).rsqrt().detach()
    return x * scale * gain

def several(q, shift, count, table):
    return q[:, 0] + shift, q + np.float32(count) * table[0, :]
"""


PLACE = ("value", (0,))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "kernels_of_me.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("kernels_of_me", None)


INTERPRETER = """
import contextlib, io, json, os, sys
sys.modules["softproof"] = None
for line in sys.stdin:
    script, folder = json.loads(line)
    os.chdir(folder)
    sys.modules.pop("kernels_of_me", None)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(script, {"__name__": "__main__"})
    print(json.dumps(printed.getvalue()), flush=True)
"""


@pytest.fixture(scope="module")
def told():
    """A function: what a script prints, by the first word of its lines.

    It runs in a process of its library, which that takes seconds to import, and in which softproof
    cannot be imported.
    """
    processes = {}

    def run(script, folder, library="numpy"):
        if library not in processes:
            processes[library] = subprocess.Popen(
                [sys.executable, "-c", INTERPRETER],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        process = processes[library]
        print(json.dumps([script, str(folder)]), file=process.stdin, flush=True)
        printed = process.stdout.readline()
        assert printed, f"{script}\n{process.communicate()[1]}"
        return {line.split()[0]: line.split()[1] for line in json.loads(printed).splitlines()}

    yield run
    for process in processes.values():
        process.communicate()


@pytest.mark.parametrize(
    ("function", "library"),
    [("eps_outside", "numpy"), ("of_torch", "torch"), ("of_jax", "jax")],
)
def test_the_script_in_a_report_shows_what_the_report_says(here, told, function, library):
    pytest.importorskip(library)
    run = ("verify", "rms_norm", "--subject", f"kernels_of_me:{function}", "--dtype", "float32")
    options = ("--suite", "accuracy", "--arrays", library, "--json", "report.json")
    (here / "case.txt").write_text("rms_norm\nx[K=2] 0x1p-9 0x1.8p-9\ngain[K=2] 0x1p+0 0x1p+1\n")
    outcome = CliRunner().invoke(app, [*run, *options, "--case", "case.txt"])
    assert outcome.exit_code == 1, outcome.output
    (failure,) = json.loads((here / "report.json").read_text())["results"][0]["failures"]
    found = told(failure["snippet"], here, library)
    assert float.fromhex(found["observed"]) == float.fromhex(failure["observed"])
    assert float.fromhex(found["expected"]) == float.fromhex(failure["expected"])
    assert float(found["error"]) == pytest.approx(failure["error"], abs=0.5)


@pytest.mark.parametrize(
    ("function", "library"), [("right", "numpy"), ("frozen", "torch"), ("of_jax", "jax")]
)
def test_the_script_of_a_gradient_shows_what_the_report_says(here, told, function, library):
    """By the function's own vjp, by autograd, and by a vjp that a function of JAX has."""
    pytest.importorskip(library)
    run = ("verify", "rms_norm", "--subject", f"kernels_of_me:{function}", "--dtype", "float32")
    options = ("--suite", "gradient", "--arrays", library, "--json", "report.json")
    (here / "case.txt").write_text(
        "rms_norm\nx[K=2] 0x1p+1 0x1.8p+0\ngain[K=2] 0x1p+0 0x1p+1\ncotangent[K=2] 0x1p+0 -0x1p+0\n"
    )
    outcome = CliRunner().invoke(app, [*run, *options, "--case", "case.txt"])
    assert outcome.exit_code == 1, outcome.output
    (failure,) = json.loads((here / "report.json").read_text())["results"][0]["failures"]
    found = told(failure["snippet"], here, library)
    assert float.fromhex(found["observed"]) == float.fromhex(failure["observed"])
    assert float.fromhex(found["expected"]) == float.fromhex(failure["expected"])


def test_every_kind_of_argument_and_output_is_written(here, told):
    """With a shared matrix, single numbers, an integer, and the second of two outputs."""

    @define(
        family="mine",
        source="me",
        arguments={
            "q": Vector("d"),
            "shift": Real(),
            "count": Integer(0, 9),
            "table": Matrix("n", "d", shared=True),
        },
        output={"first": (), "moved": ("d",)},
    )
    def several_of_mine(q, shift, count, table, xp):
        """Two outputs of four arguments."""
        return q[0] + shift, q + xp.number(count) * table[0]

    try:
        case = Case(
            {
                "q": np.float32([0.1, 0.2]),
                "shift": np.float32(0.5),
                "count": np.array(3),
                "table": np.float32([[1, 10]]),
            }
        )
        subject = Subject("kernels_of_me:several", "several_of_mine")
        moved = np.float32(0.2) + np.float32(30)
        first = np.float32(0.1) + np.float32(0.5)
        for place, expected in ((("first", ()), first), (("moved", (1,)), moved)):
            script = case_snippet(subject, several_of_mine, case, place, float(expected))
            found = told(script, here)
            assert float.fromhex(found["observed"]) == expected
            assert float(found["error"]) == 0
    finally:
        del REGISTRY["several_of_mine"]


CASES = {
    "rms_norm": {"x": [0.5, 2], "gain": [1, 3]},
    "layer_norm": {"x": [0.5, 2], "gain": [1, 3], "bias": [0, 1]},
    "attention": {"q": [1, 2], "k": [[1, 0], [0, 1]], "v": [[1], [2]], "mask": [True, True]},
    "kl_divergence": {"student": [1, 2], "teacher": [2, 1]},
    "linear_cross_entropy": {"hidden": [1, 2], "weight": [[1, 0], [0, 1]], "label": 1},
}
PARAMETERS = {"kl_divergence": {"temperature": 4.0}, "linear_cross_entropy": {"softcap": 2.0}}
EXACT = {  # by hand, to some digits
    "rms_norm": 3 * 2 / np.sqrt(4.25 / 2 + 1e-6),
    "layer_norm": 3 * 0.75 / np.sqrt(0.75**2 + 1e-5) + 1,
    "attention": (np.e ** (1 / 2**0.5) + 2 * np.e ** (2 / 2**0.5))
    / (np.e ** (1 / 2**0.5) + np.e ** (2 / 2**0.5)),
    "kl_divergence": 16 * np.tanh(1 / 8) / 4,
    "linear_cross_entropy": np.log1p(np.exp(2 * np.tanh(0.5) - 2 * np.tanh(1))),
}


@pytest.mark.parametrize("name", CASES)
def test_the_calls_that_pytorchs_subjects_state_compute_the_function(here, told, name):
    pytest.importorskip("torch")
    subject = next(s for s in BUILT_IN if s.definition == name and s.requires == ("torch",))
    values = {
        argument: np.array(value) if name_of_index(value) else np.float32(value)
        for argument, value in CASES[name].items()
    }
    case = Case(values, PARAMETERS.get(name, {}))
    axes = lookup(name).signature.outputs["value"]
    place = ("value", (CASES[name]["x"].index(2),) if "x" in CASES[name] else (0,) * len(axes))
    script = case_snippet(subject, lookup(name), case, place, float(np.float32(EXACT[name])))
    found = told(script, here, "torch")
    assert float.fromhex(found["observed"]) == pytest.approx(EXACT[name], rel=1e-6)


def name_of_index(value):
    """Whether it is an index or a mask, and no number."""
    return isinstance(value, int) or isinstance(value[0], bool)


@pytest.mark.parametrize(
    "subject",
    [
        Subject("./program", "sparsemax", command=("./program",)),
        Subject("softproof.verify.subjects.functions_of_arrays:sparsemax", "sparsemax"),
        Subject("python -c 'import x:y'", "sparsemax"),
    ],
)
def test_a_subject_that_no_script_can_call_has_none(subject):
    case = Case({"z": np.float32([1, 2])})
    assert case_snippet(subject, lookup("sparsemax"), case, PLACE, 1.0) is None


def test_a_script_of_thousands_of_numbers_is_not_written():
    case = Case({"z": np.zeros(8192, np.float32)})
    assert (
        case_snippet(Subject("mine:f", "sparsemax"), lookup("sparsemax"), case, PLACE, 1.0) is None
    )
