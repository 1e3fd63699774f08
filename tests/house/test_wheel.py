"""The built wheel, in a clean environment outside the checkout, has what people are promised."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    # (What is imported is compiled once, whatever the environment of these tests says.)
    ignored = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {k: v for k, v in os.environ.items() if k not in ignored}
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh virtual environment with nothing but the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    # A copy: building in the checkout would leave build/ and *.egg-info there.
    for name in ("kernels", "derivations", "verify"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ic]")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    told = run(*pip, "wheel", "--no-deps", "--wheel-dir", folder, source, cwd=folder)
    assert "Warning" not in told
    (wheel,) = folder.glob("softproof-*.whl")
    # Without a pip of its own, and compiling only what is imported: half of the time.
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    run(*pip, "--python", folder / "venv", "install", "--no-compile", wheel, cwd=folder)
    return folder


def test_the_command_prints_its_version(environment):
    assert run(environment / "venv/bin/softproof", "--version", cwd=environment).startswith(
        "softproof "
    )


def test_a_kernel_runs(environment):
    code = "import numpy as np; from softproof.kernels import softmax; print(softmax(np.zeros(4)))"
    output = run(environment / "venv/bin/python", "-c", code, cwd=environment)
    assert output.strip() == "[0.25 0.25 0.25 0.25]"


def test_the_modules_are_those_of_the_wheel(environment):
    code = "import softproof.verify as v; print(v.__file__)"
    output = run(environment / "venv/bin/python", "-c", code, cwd=environment)
    assert str(environment) in output


def test_the_stored_logits_and_the_type_markers_are_inside(environment):
    code = (
        "from importlib.resources import files; verify = files('softproof.verify');"
        "print((verify / 'data/digits.npz').is_file() and (verify / 'py.typed').is_file())"
    )
    assert run(environment / "venv/bin/python", "-c", code, cwd=environment).strip() == "True"


def test_the_data_of_reports_and_regressions_is_inside(environment):
    softproof = environment / "venv/bin/softproof"
    assert "urn:softproof:report:3" in run(softproof, "schema", cwd=environment)
    arguments = "verify logsumexp --subject softproof.kernels:logsumexp --suite regressions"
    arguments += " --dtype float32 --html report.html"
    told = run(softproof, *arguments.split(), cwd=environment)
    assert "all passed" in told
    assert "<style>" in (environment / "report.html").read_text()


def test_every_module_and_every_data_file_of_the_checkout_is_inside(environment):
    (wheel,) = environment.glob("softproof-*.whl")
    inside = {n for n in ZipFile(wheel).namelist() if n.startswith("softproof/")}
    source = environment / "source"
    expected = {
        f"softproof/{path.relative_to(source)}"
        for floor in ("kernels", "derivations", "verify")
        for path in (source / floor).rglob("*")
        if path.is_file()
    }
    assert inside == expected


def test_the_import_name_kernels_is_not_taken(environment):
    code = "import importlib.util; print(importlib.util.find_spec('kernels'))"
    assert run(environment / "venv/bin/python", "-c", code, cwd=environment).strip() == "None"


def test_a_verification_runs(environment):
    """In one format and suite: with nothing compiled yet, each takes seconds."""
    command = "venv/bin/softproof verify softmax --subject softproof.kernels:two_pass --row=1,2"
    program, *arguments = f"{command} --dtype float32 --suite accuracy".split()
    assert "all passed" in run(environment / program, *arguments, cwd=environment)
