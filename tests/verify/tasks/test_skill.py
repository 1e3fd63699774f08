"""What teaches a coding assistant is true: its commands run, and give what it says."""

import re
import shlex

import pytest
from softproof.verify.cli.main import app
from softproof.verify.gate.judgement import STATUS
from typer.testing import CliRunner

from tests.verify.tasks import stand_ins

SKILL = CliRunner().invoke(app, ["gate", "--skill"]).stdout
COMMANDS = re.findall(r"```sh\nsoftproof (.*)\n```", SKILL)
MINE = """
import numpy as np

def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)
"""


def test_it_has_a_name_and_says_when_it_is_of_use():
    assert SKILL.startswith("---\nname: softproof-gate\ndescription: ")
    assert len(COMMANDS) == SKILL.count("```sh") == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_runs(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    stand_ins.written(
        tmp_path, mine=MINE, problem=stand_ins.SOFTMAX, candidate=stand_ins.WITHOUT_MAXIMUM
    )
    told = CliRunner().invoke(app, [*shlex.split(command), "--seconds", "1", "--seed", "3"])
    right = "mine" in command
    assert told.exit_code == (0 if right else 1), told.output
    assert ("--json" in command) == (tmp_path / "verdict.json").exists()


def test_each_verdict_is_told_with_its_exit_status():
    for verdict, status in STATUS.items():
        assert f"| {status} | {verdict} |" in SKILL
