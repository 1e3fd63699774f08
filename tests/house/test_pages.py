"""Every example of the README, of the pages and of CONTRIBUTING prints what it says."""

import contextlib
import doctest
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "notebooks" / "pages").glob("*.md")),
    )
}
ALL = "\n".join(PAGES.values())
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def sessions() -> dict[str, list[str]]:
    """Each command, with the outputs that are printed below it, on whatever page."""
    found: dict[str, list[str]] = {}
    for block in re.findall(r"```console\n(.*?)```", ALL, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.setdefault(command, []).append(output)
    return found


FILES = {command.split()[1]: texts for command, texts in sessions().items() if "cat " in command}
COMMANDS = {command: texts for command, texts in sessions().items() if "cat " not in command}


def test_a_file_is_shown_alike_on_all_pages():
    assert all(len(set(texts)) == 1 for texts in FILES.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_session(command, tmp_path):
    for name, texts in FILES.items():
        (tmp_path / name).write_text(texts[0])
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
    for expected in COMMANDS[command]:
        assert doctest.OutputChecker().check_output(expected, result.stdout, FLAGS), result.stdout


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if ">>>" in text])
def test_python_examples(page):
    text = re.sub(r"^```.*$", "", PAGES[page], flags=re.MULTILINE)  # a fence is no output
    test = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test)
    assert result.failed == 0
    assert result.attempted >= 3


def fenced(language):
    """All blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", ALL, re.DOTALL)


# What of the blocks without a prompt is run, by the tests below.
RUN_BELOW = ("assert_conforms(my_softmax", "radius_clip(", "@define", "report(")


def test_every_block_is_run_by_a_test_of_this_file():
    assert set(re.findall(r"^```(\w+)$", ALL, re.MULTILINE)) == {
        "sh", "console", "toml", "yaml", "text", "python",
    }  # fmt: skip
    plain = [block for block in fenced("python") if ">>>" not in block]
    for block in plain:
        assert sum(mark in block for mark in RUN_BELOW) == 1, block
    assert {mark for mark in RUN_BELOW for block in plain if mark in block} == set(RUN_BELOW)
    assert len(fenced("toml")) == len(fenced("yaml")) == 1


def test_the_assertion_shown_is_one():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    (code,) = {block for block in fenced("python") if RUN_BELOW[0] in block}
    exec(code, {"my_softmax": lambda x: torch.softmax(x, -1)})
    with pytest.raises(AssertionError, match="does not conform"):
        exec(code, {"my_softmax": lambda x: x.exp() / x.exp().sum(-1, keepdim=True)})


def test_the_training_step_shown_is_clipped():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    (code,) = (block for block in fenced("python") if RUN_BELOW[1] in block)
    torch.manual_seed(0)
    model, inputs = torch.nn.Linear(4, 3), torch.randn(8, 4)
    loss = torch.nn.functional.cross_entropy(model(inputs), torch.arange(8) % 3)
    scope = {"torch": torch, "model": model, "inputs": inputs, "loss": loss}
    exec(code, scope)
    (record,) = scope["optimizer"].log
    assert record.r * record.factor <= 1 + 1e-12
    assert record.tau > 0


def test_the_declarations_shown_are_read(tmp_path):
    from softproof.verify.runs.conformance_file import parse

    (text,) = fenced("toml")
    found = parse(text, tmp_path / "conformance.toml")
    function, program = found.subjects
    assert (function.id, function.arrays, function.device) == (
        "mykernels.ops:softmax",
        "torch",
        "cuda",
    )
    assert function.contract.all_masked == "zero"
    assert program.definition == "softmax"
    (expected,) = found.expected
    assert expected.covers("softmax", "mykernels.ops:softmax", "accuracy", "float16")


def commands_shown():
    """Every command line of softproof: in shell blocks, in the workflow, in the text."""
    text = re.sub(r"^```console\n.*?```", "", ALL, flags=re.DOTALL | re.MULTILINE)  # run above
    blocks = "\n".join((*fenced("sh"), *fenced("yaml")))
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`(softproof [^`]+)`", text)]
    return [*re.findall(r"\b(softproof \w[^#\n]*)", blocks), *inline]


@pytest.mark.parametrize("line", commands_shown())
def test_the_command_shown_can_be_parsed(line):
    from softproof.verify.cli.main import app

    command = typer.main.get_command(app)
    _, *words = shlex.split(line)
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if words:  # the name of a command alone stands in the text, too
        # (An option may do all, and end the command, when it is read; a slip raises UsageError.)
        with contextlib.suppress(typer.Exit):
            command.make_context("softproof", words)


def test_a_command_that_does_not_exist_is_seen():
    with pytest.raises(KeyError):
        test_the_command_shown_can_be_parsed("softproof prove softmax")
    with pytest.raises(Exception, match="No such option"):
        test_the_command_shown_can_be_parsed("softproof verify --subjekt numpy:tanh")


def test_the_targets_shown_are_those_of_the_makefile():
    shown = set(re.findall(r"\bmake ([a-z]+)\b", "".join(fenced("sh"))))
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert shown <= set(phony.split())
    assert {"verify", "test"} <= shown


def test_there_are_sessions():
    assert len(COMMANDS) >= 4


def test_the_readme_is_read_in_five_minutes():
    assert len(PAGES["README.md"].splitlines()) <= 200


def test_every_link_between_pages_leads_somewhere():
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name}: {link}"


@pytest.mark.long
def test_the_table_of_bugs_on_record_is_what_the_command_prints():
    """For the versions that the README names; JAX compiles for minutes."""
    (table,) = re.findall(r"```text\n(┏.*?)```", ALL, re.DOTALL)
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
    from softproof.derivations import REGISTRY, definition, prove, signature
    from softproof.derivations.proofs import facts

    others = {name: known for name, known in REGISTRY.items() if name != "bipolar_sigmoid"}
    monkeypatch.setattr(definition, "REGISTRY", others)
    (code,) = re.findall(r"```python\n(@define.*?)```", ALL, re.DOTALL)
    scope = {**vars(definition), **vars(facts), **vars(signature)}
    exec(code, scope)
    assert all(proof.proven for proof in prove(scope["bipolar_sigmoid"]))
