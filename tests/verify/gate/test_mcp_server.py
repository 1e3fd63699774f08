"""What an assistant gets that calls the gate's tools."""

import asyncio
import json
import sys

import pytest
from softproof.verify.gate import REFUSED, RIGHT, WRONG, Judgement
from softproof.verify.gate.mcp_server import TO_DO, Judged, Tools

CANDIDATES = """
import os

import numpy as np


def unshifted(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def ends(x):
    os._exit(3)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(CANDIDATES)
    return str(tmp_path)


def gate(tools, folder, name):
    return tools.gate(folder, ["softmax", f"--subject=mine:{name}", "--seconds=9", "--seed=5"])


# --- what the tools do ---


def test_a_wrong_candidate_is_judged_explained_and_reproduced(folder):
    tools = Tools()
    found = gate(tools, folder, "unshifted")
    assert (found["judgement"], found["verdict"]) == (1, WRONG)
    assert found["told"].startswith("wrong: softmax mine:unshifted float32")
    assert TO_DO[WRONG] in tools.explain(1)
    again = tools.reproduce(1)
    assert "softproof verify softmax --subject mine:unshifted" in again
    assert "exit status 1" in again  # of the command
    assert "observed" in again.rpartition("exit status 1")[2]  # and of the script, which ends well
    assert again.endswith("exit status 0")


def test_a_candidate_that_ends_its_process_is_refused(folder):
    assert gate(Tools(), folder, "ends")["verdict"] == REFUSED


def test_where_nothing_failed_nothing_is_reproduced(tmp_path):
    right = Judgement(RIGHT, "softmax", "mine:softmax", "float32", 7, "")
    tools = Tools([Judged(tmp_path, "", right.as_dict())])
    assert TO_DO[RIGHT] in tools.explain(1)
    with pytest.raises(ValueError, match="judgement 1 is right within its class: nothing failed"):
        tools.reproduce(1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["soft_max", "--subject=mine:softmax"], "soft_max"),
        (["softmax", "--subject=mine:softmax", "--seconds=-1"], "--seconds is -1"),
    ],
)
def test_what_the_command_refuses_is_an_error_that_says_why(folder, arguments, said):
    with pytest.raises(ValueError, match=said):
        Tools().gate(folder, arguments)


def test_a_number_that_was_not_given_and_a_folder_that_is_none_are_errors():
    with pytest.raises(ValueError, match="judgement is 3; 0 were given so far"):
        Tools().explain(3)
    with pytest.raises(ValueError, match="folder is 'nowhere', and no folder"):
        Tools().gate("nowhere", [])


# --- as the protocol hands it on ---


def test_the_server_answers_a_client_on_standard_input_and_output(folder):
    mcp = pytest.importorskip("mcp", reason="the package mcp is not installed")

    started = mcp.StdioServerParameters(
        command=sys.executable,
        args=["-c", "from softproof.verify.cli.main import main; main()", "gate", "--mcp"],
    )

    async def session():
        async with mcp.Client(mcp.stdio_client(started)) as client:
            tools = await client.list_tools()
            wrong = await client.call_tool(
                "gate",
                {
                    "candidate": "mine:unshifted",
                    "definition": "softmax",
                    "folder": folder,
                },
            )
            told = await client.call_tool("explain", {"judgement": 1})
            none = await client.call_tool("gate", {"candidate": "mine:unshifted", "folder": folder})
            return tools, wrong, told, none

    tools, wrong, told, none = asyncio.run(session())
    assert {tool.name for tool in tools.tools} == {"gate", "explain", "reproduce"}
    assert json.loads(wrong.content[0].text)["verdict"] == WRONG
    assert TO_DO[WRONG] in told.content[0].text
    assert none.is_error
    assert "give one of definition, kernelbench and reference" in none.content[0].text
