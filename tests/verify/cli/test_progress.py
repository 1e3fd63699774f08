"""What a command says while it works: how far it is, and what is being compiled."""

import re
import time

import numba
import numpy as np
import pytest
from rich.progress import MofNCompleteColumn
from softproof.verify.cli import command_line, compiling
from softproof.verify.cli.command_line import progress_bar
from softproof.verify.cli.compiling import compiling_told


def new_kernel():
    @numba.njit
    def inner(x):
        return x * 2.0

    @numba.njit
    def kernel(x):
        return inner(x[0])

    return kernel


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(compiling, "PATIENCE", 0.0)
    monkeypatch.setattr(compiling, "REPEAT", 0.01)


def test_what_compiles_is_told_with_its_format_and_its_time(impatient):
    told = []
    with compiling_told(told.append):
        new_kernel()(np.ones(3))
    name = "test_progress.new_kernel.<locals>.kernel for float64"
    *words, last = told
    assert len(words) > 1  # again and again
    for word in words:
        assert re.fullmatch(
            rf"compiling {re.escape(name)}, for the first call alone; \d+ s so far", word
        )
    assert re.fullmatch(rf"compiled {re.escape(name)} in \d+ s", last)


def test_a_quick_compilation_is_not_worth_a_word():
    told = []
    with compiling_told(told.append):
        new_kernel()(np.ones(3))
    assert not told


def test_nothing_is_told_before_and_after(impatient):
    told = []
    with compiling_told(told.append):
        pass
    new_kernel()(np.ones(3))
    assert not told


def test_a_failed_compilation_ends_its_words(impatient):
    @numba.njit
    def wrong(x):
        return x + "a"

    told = []
    with compiling_told(told.append):
        with pytest.raises(numba.TypingError):
            wrong(np.ones(3))
        count = len(told)
        time.sleep(0.05)
        assert len(told) == count


def test_without_a_terminal_lines_say_how_far_the_work_is(monkeypatch, capsys):
    monkeypatch.setattr(command_line, "SILENCE", 0.05)
    with progress_bar(MofNCompleteColumn()) as progress:
        task = progress.add_task("verify", total=10)
        progress.update(task, advance=3, description="softmax float32")
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"softproof: softmax float32, 3 of 10, \d+ s", line)


def test_quick_work_is_silent(capsys):
    with progress_bar() as progress:
        progress.add_task("verify", total=10)
        new_kernel()(np.ones(3))
    assert capsys.readouterr().err == ""


def test_a_bar_tells_what_compiles(impatient, capsys):
    with progress_bar() as progress:
        progress.add_task("radii", total=None)
        new_kernel()(np.ones(3))
    assert "kernel for float64" in capsys.readouterr().err
