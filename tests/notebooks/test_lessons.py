"""The lessons run from a clean kernel, in their fast mode, and are text that reads like one."""

import importlib
import re
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parents[2] / "notebooks"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(FOLDER)
    build_notebooks = importlib.import_module("build_notebooks")

LESSONS = {lesson.stem: lesson for lesson in build_notebooks.LESSONS}
TRAINS = [name for name in LESSONS if name.startswith(("4_", "5_"))]
LONGEST_CELL = 30  # lines


@pytest.fixture
def lesson(tmp_path):
    """Write a lesson of one cell."""

    def write(code: str) -> Path:
        path = tmp_path / "0_lesson.py"
        path.write_text(f"# %% [markdown]\n# # A lesson\n\n# %%\n{code}\n")
        return path

    return write


def printed(notebook):
    return "".join(
        output["text"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    )


def links(notebook):
    prose = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"\]\(([^)]+)\)", prose)


# --- the lessons ---


def test_there_is_one_for_each_question():
    assert [name[0] for name in LESSONS] == list("123456789")


@pytest.mark.parametrize("name", LESSONS)
def test_the_lesson_runs_from_a_clean_kernel(name):
    if name in TRAINS:
        pytest.importorskip("torch", reason="torch is not installed")
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    notebook = build_notebooks.executed(LESSONS[name], fast=True)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    warnings = [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert not warnings
    assert any("image/png" in output.get("data", {}) for output in outputs) or name.startswith("7_")


@pytest.mark.parametrize("name", LESSONS)
def test_the_lesson_is_prose_and_short_cells(name):
    notebook = build_notebooks.read(LESSONS[name])
    first, *rest = notebook.cells
    assert first.source.startswith(f"# {name[0]}. ")
    assert all(cell.source.strip() for cell in rest)
    code = [cell.source.splitlines() for cell in rest if cell.cell_type == "code"]
    assert max(map(len, code)) <= LONGEST_CELL
    assert any(line.strip().startswith("assert ") for lines in code for line in lines)
    prose = sum(len(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    assert prose > sum(len(line) for lines in code for line in lines) / 2


@pytest.mark.parametrize("name", LESSONS)
def test_links_between_lessons_lead_somewhere(name):
    local = [link for link in links(build_notebooks.read(LESSONS[name])) if "://" not in link]
    assert all(Path(link).suffix == ".ipynb" and Path(link).stem in LESSONS for link in local)


# --- how they are built ---


def test_a_failed_assertion_ends_the_build(lesson):
    with pytest.raises(CellExecutionError, match="1 \\+ 1 is 2"):
        build_notebooks.executed(lesson("assert 1 + 1 == 3, '1 + 1 is 2'"), fast=True)


def test_the_built_notebook_has_the_outputs(lesson, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SOFTPROOF_FAST", "1")  # of whoever builds: the command line decides
    path = lesson("import os\nprint('fast' if 'SOFTPROOF_FAST' in os.environ else 'in full')")
    told = {}
    for options in ([], ["--fast"]):
        build_notebooks.main([*options, "--output", str(tmp_path / "built"), str(path)])
        notebook = nbformat.read(tmp_path / "built" / "0_lesson.ipynb", as_version=4)
        nbformat.validate(notebook)
        told[*options] = printed(notebook)
    assert told == {(): "in full\n", ("--fast",): "fast\n"}
    assert "0_lesson" in capsys.readouterr().out
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_lesson_finds_its_neighbours(lesson):
    path = lesson("import neighbour\nprint(neighbour.NAME)")
    path.with_name("neighbour.py").write_text("NAME = 'next door'")
    assert printed(build_notebooks.executed(path, fast=True)) == "next door\n"
