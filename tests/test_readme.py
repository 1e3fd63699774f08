"""Every example of the README prints what it says."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def sessions() -> list[tuple[str, str]]:
    """Pairs of a command and the output printed below it."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


FILES = {command.split()[1]: text for command, text in sessions() if command.startswith("cat ")}
COMMANDS = [(command, text) for command, text in sessions() if not command.startswith("cat ")]


@pytest.mark.parametrize(("command", "expected"), COMMANDS, ids=[c for c, _ in COMMANDS])
def test_session(command, expected, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "verify").symlink_to(ROOT / "verify")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "COLUMNS": "150"},
        capture_output=True,
        text=True,
    )
    assert result.returncode in (0, 1), result.stderr
    assert doctest.OutputChecker().check_output(expected, result.stdout, FLAGS), result.stdout


def test_python_examples():
    text = re.sub(r"^```.*$", "", README, flags=re.MULTILINE)  # a fence is no output
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", "README.md", 0)
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert result.failed == 0
    assert result.attempted >= 8


def test_there_are_sessions():
    assert len(COMMANDS) >= 4


@pytest.mark.long
def test_the_table_of_bugs_on_record_is_what_the_command_prints():
    """For the versions that the README names; JAX compiles for minutes."""
    (table,) = re.findall(r"```text\n(┏.*?)```", README, re.DOTALL)
    command = str(Path(sys.executable).with_name("softproof"))
    result = subprocess.run(
        [command, "regressions"],
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith(table)


def test_the_definition_shown_is_one(monkeypatch):
    from softproof.derivations import REGISTRY, definition, facts, prove

    others = {name: known for name, known in REGISTRY.items() if name != "tanh"}
    monkeypatch.setattr(definition, "REGISTRY", others)
    (code,) = re.findall(r"```python\n(@define.*?)```", README, re.DOTALL)
    scope = {**vars(definition), **vars(facts)}
    exec(code, scope)
    assert all(proof.proven for proof in prove(scope["tanh"]))
