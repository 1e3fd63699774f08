"""Every paper of the list is in the catalogue, and a definition that is added is, too."""

import json
from collections import Counter

import pytest
from softproof.derivations import REGISTRY, Real, define
from softproof.verify.catalogue.entries import EXACT, LEFT_OUT, RECONSTRUCTED, entries
from softproof.verify.catalogue.papers import DEFINITION, SYSTEM, papers
from softproof.verify.cli.main import app
from typer.testing import CliRunner


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))


def test_every_paper_occurs():
    listed = {paper.number for paper in papers()}
    assert len(listed) == 199
    assert {number for entry in entries() for number in entry.ids} == listed


def test_every_definition_is_an_entry():
    names = [entry.name for entry in entries() if entry.kind == DEFINITION and entry.definitions]
    assert names == list(REGISTRY)


def test_papers_that_definitions_and_claims_name_are_on_the_list():
    listed = {paper.number for paper in papers()}
    assert {number for d in REGISTRY.values() for number in d.papers} <= listed


def test_a_definition_that_is_added_takes_no_code_elsewhere():
    """It is listed with its paper, which is no longer left out; and all of it is told."""

    @define(
        family="examples",
        source="this test",
        arguments={"x": Real()},
        papers=(198,),
        reconstructed="all of it",
    )
    def of_this_test(x, xp):
        """Twice a number."""
        return x + x

    try:
        (entry,) = [entry for entry in entries() if 198 in entry.ids]
        assert (entry.name, entry.status, entry.reason) == (
            "of_this_test",
            RECONSTRUCTED,
            "all of it",
        )
        told = softproof("catalogue", "of_this_test").stdout
        assert "A Lie Group Approach to Riemannian Batch Normalization" in told
        assert "as published: rounding, 0 ulp" in told
    finally:
        del REGISTRY["of_this_test"]


def test_an_entry_tells_its_facts_its_forms_and_what_breaks():
    told = softproof("catalogue", "mish").stdout
    assert "217: Mish: A Self Regularized Non-Monotonic Activation Function" in told
    assert "-1 <= f: certified at 8 points" in told
    assert "as published: rounding" in told
    assert "powers of e^x: overflow, inf ulp" in told


def test_the_file_has_all_of_each_entry(tmp_path):
    file = tmp_path / "activations.json"
    assert softproof("catalogue", "--family", "activations", "--json", str(file)).exit_code == 0
    written = json.loads(file.read_text())
    assert not written["interrupted"]
    (softplus,) = [entry for entry in written["entries"] if entry["name"] == "softplus"]
    assert softplus["kind"] == DEFINITION
    assert softplus["status"] == EXACT
    assert {"text": "f' >= 0", "settled": "proven"} in softplus["facts"]
    assert any("softplus" in subject for subject in softplus["subjects"])


def test_the_list_counts_what_it_lists():
    told = softproof("catalogue").stdout.splitlines()
    counted = Counter((entry.kind, entry.status) for entry in entries())
    assert len(told) == len(entries()) + 2
    for (kind, status), number in counted.items():
        assert f"{number} {status} ({kind}s)" in told[-1]


def test_systems_are_known_by_their_names():
    names = {entry.name for entry in entries() if entry.kind == SYSTEM}
    assert {"two-pass softmax", "StableMax", "cut cross-entropy", "EnsLoss", "LDR-KL"} <= names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("catalogue", "softplos"), "nearest: softplus"),
        (("catalogue", "--family", "nothing"), "no family matches 'nothing'"),
        (("catalogue", "--breaks", "float31"), "give one of"),
    ],
)
def test_what_is_not_there_is_named(arguments, said):
    result = softproof(*arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_what_is_left_out_says_why():
    for entry in entries():
        if entry.status == LEFT_OUT:
            assert entry.reason, entry.name
