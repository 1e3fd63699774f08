"""Definitions and solutions in JSON, written here after the public format of FlashInfer-Bench."""

import json

import pytest
from softproof.verify.gate import REFUSED, RIGHT, WRONG
from softproof.verify.tasks.flashinfer import flashinfer

SEED = 11
DEFINITION = {
    "name": "norm_h48",
    "op_type": "rmsnorm",
    "axes": {"rows": {"type": "var"}, "hidden": {"type": "const", "value": 48}},
    "inputs": {
        "x": {"shape": ["rows", "hidden"], "dtype": "float32"},
        "gain": {"shape": ["hidden"], "dtype": "float32"},
    },
    "outputs": {"y": {"shape": ["rows", "hidden"], "dtype": "float32"}},
    "reference": (
        "import torch\n\ndef run(x, gain):\n"
        "    wide = x.to(torch.float32)\n"
        "    root = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)\n"
        "    return (wide * root * gain).to(x.dtype)\n"
    ),
}
INTO_BUFFER = (
    "def run(x, gain, y):\n"
    "    y.copy_(x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * gain)\n"
)
RETURNED = "def run(x, gain):\n    return x / x.square().mean(-1, keepdim=True).sqrt()\n"


def solution(source, **spec):
    given = {"language": "python", "entry_point": "src/main.py::run", "target_hardware": ["cpu"]}
    sources = [{"path": "src/main.py", "content": source}]
    return {"name": "mine", "definition": "norm_h48", "spec": given | spec, "sources": sources}


def judged(tmp_path, definition, given):
    paths = tmp_path / "definition.json", tmp_path / "solution.json"
    for path, content in zip(paths, (definition, given), strict=True):
        path.write_text(json.dumps(content))
    return flashinfer(*paths, seconds=1.0, seed=SEED)


@pytest.mark.parametrize(
    ("source", "into_buffers", "verdict"),
    [(INTO_BUFFER, True, RIGHT), (RETURNED, False, WRONG), (INTO_BUFFER, False, REFUSED)],
)
def test_a_solution_is_judged_as_the_definition_that_its_reference_is(
    tmp_path, source, into_buffers, verdict
):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    given = solution(source, destination_passing_style=into_buffers)
    found = judged(tmp_path, DEFINITION, given)
    assert (found.verdict, found.subject) == (verdict, "mine")
    assert found.definition == "rms_norm(eps=1e-05)"


def changed(**inputs):
    return DEFINITION | {"inputs": DEFINITION["inputs"] | inputs}


@pytest.mark.parametrize(
    ("definition", "given", "told"),
    [
        (DEFINITION, solution("", language="cuda"), "cuda"),
        (DEFINITION, solution("", entry_point="main.py"), "entry point"),
        (DEFINITION, {"name": "mine"}, "spec"),
        (changed(pages={"shape": ["rows"], "dtype": "int32"}), solution(""), "int32"),
        ([], solution(""), "no JSON object"),
        (
            DEFINITION,
            solution("") | {"sources": [{"path": "../../x.py", "content": ""}]},
            "outside its folder",
        ),
    ],
)
def test_what_cannot_be_asked_is_an_error_that_says_why(tmp_path, definition, given, told):
    with pytest.raises(ValueError, match=told):
        judged(tmp_path, definition, given)
