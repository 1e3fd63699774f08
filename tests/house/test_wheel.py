"""The built wheel, in a clean environment outside the checkout, has what people are promised."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def required_by(name: str, known: set[str]) -> set[str]:
    """The names of all distributions that one requires, at whatever distance, without extras."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and canonicalize_name(requirement.name) not in known:
            known.add(canonicalize_name(requirement.name))
            required_by(requirement.name, known)
    return known


def link(name: str, site: Path) -> None:
    """Make the files of an installed distribution those of another environment, too."""
    distribution = metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(distribution.locate_file(top))


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
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    run(
        *pip, "--python", folder / "venv", "install", "--no-deps", "--no-compile", wheel, cwd=folder
    )
    # What it requires is installed beside us: linked, since unpacking it again takes ten seconds.
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    for required in required_by("softproof", {"softproof"}) - {"softproof"}:
        link(required, site)
    run(*pip, "--python", folder / "venv", "check", cwd=folder)
    return folder


def test_the_command_prints_its_version(environment):
    assert run(environment / "venv/bin/softproof", "--version", cwd=environment).startswith(
        "softproof "
    )


def test_a_kernel_runs(environment):
    code = (
        "import numpy as np; from softproof.kernels import softmax;"
        "print(softmax(np.zeros(4, np.float32)))"
    )
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
    arguments = "verify softmax --subject softproof.kernels:softmax --suite regressions"
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
    """Of the kernel and in the format that are compiled by now: each takes seconds."""
    command = "venv/bin/softproof verify softmax --subject softproof.kernels:softmax --row=1,2"
    program, *arguments = f"{command} --dtype float32 --suite accuracy".split()
    assert "all passed" in run(environment / program, *arguments, cwd=environment)
