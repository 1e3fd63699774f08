"""Proofs are kept from one process to the next, and only for the very same claim."""

import sqlite3

import pytest
import sympy
from softproof.derivations.definition import Definition
from softproof.derivations.proofs import kept, prove
from softproof.derivations.proofs.facts import Claim
from softproof.derivations.proofs.time_limit import OutOfTime
from softproof.derivations.signature import Parameter, Real, Signature

x, y = sympy.symbols("x y", positive=True)


@pytest.fixture
def file(tmp_path, monkeypatch):
    found = tmp_path / "folder" / "proofs.sqlite"
    monkeypatch.setenv("SOFTPROOF_PROOFS", str(found))
    return found


def a_definition(**parameters):
    return Definition(
        name="for this test",
        family="tests",
        source="tests",
        signature=Signature({"x": Real()}, {"value": ()}),
        formula=lambda x, xp: x,
        parameters=parameters,
    )


@pytest.fixture
def counted(monkeypatch):
    """How often each prover was asked."""
    asked = []
    for name in ("vanishes", "never_negative"):
        real = getattr(prove, name)

        def counting(*arguments, name=name, real=real):
            asked.append(name)
            return real(*arguments)

        monkeypatch.setattr(prove, name, counting)
    return asked


def test_a_claim_is_proven_once(file, counted):
    for _ in range(3):
        assert prove.holds(Claim(x - x * y / y), a_definition())
        assert not prove.holds(Claim(x - y), a_definition())
    assert counted == ["vanishes", "vanishes"]


@pytest.mark.parametrize(
    ("claim", "definition"),
    [
        (Claim(x + 1), a_definition()),
        (Claim(x, nonnegative=True), a_definition()),
        (Claim(sympy.Symbol("x", real=True)), a_definition()),
        (Claim(x + 2, nonnegative=True), a_definition(s=Parameter(1.0, 0.0, 2.0))),
    ],
    ids=["expression", "kind", "assumptions", "ranges"],
)
def test_another_claim_is_another_proof(file, counted, claim, definition):
    prove.holds(Claim(x), a_definition())
    prove.holds(Claim(x + 2, nonnegative=True), a_definition())
    before = len(counted)
    prove.holds(claim, definition)
    assert len(counted) == before + 1


def test_another_prover_proves_anew(file, counted, monkeypatch):
    prove.holds(Claim(x - x), a_definition())
    monkeypatch.setattr(kept, "_prover", lambda: "a changed source")
    prove.holds(Claim(x - x), a_definition())
    assert len(counted) == 2


def test_what_runs_out_of_time_has_no_outcome(file):
    def late():
        raise OutOfTime

    with pytest.raises(OutOfTime):
        kept.once("a claim", late)
    assert kept.once("a claim", lambda: True)


def test_a_file_that_cannot_be_used_costs_the_time_of_the_proofs_alone(file):
    file.parent.mkdir()
    file.write_text("this is no database, and long enough to be seen not to be one" * 20)
    assert kept.once("a claim", lambda: True)
    assert not kept.once("a claim", lambda: False)
    assert file.read_text().startswith("this is no database")


def test_nothing_is_kept_where_nothing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SOFTPROOF_PROOFS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.once("a claim", lambda: True)
    assert [*tmp_path.iterdir()] == []


def test_by_default_the_cache_of_the_user_keeps_them(tmp_path, monkeypatch):
    monkeypatch.delenv("SOFTPROOF_PROOFS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.once("a claim", lambda: True)
    with sqlite3.connect(tmp_path / "softproof" / "proofs.sqlite") as found:
        assert found.execute("SELECT proven FROM proofs").fetchall() == [(1,)]
    found.close()
