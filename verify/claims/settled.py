"""Which claims to settle, and what came of each, for the table and for JSON."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...derivations.claims import CLAIMS, Claim, Verdict
from ...derivations.claims.dukhan2020 import TWO_PASS
from ...derivations.claims.mao2023 import COMP_SUM
from ...derivations.claims.prieto2025 import GROKKING
from ...derivations.claims.register import NOT_CHECKABLE, OUR_QUESTION, REFUTED, not_checkable
from ...derivations.claims.sao2026_radius import GHOSTS

CORE_PAPERS = (GHOSTS, TWO_PASS, GROKKING, COMP_SUM)
YES = "answered yes"
NO = "answered no"
COUNTEREXAMPLE = "counterexample"
SCHEMA = 2
"""The version of the JSON file of claims: raised when a field changes its meaning."""


@dataclass(frozen=True)
class Settled:
    """A claim with its verdict: one entry of the list ``claims`` in the JSON file."""

    name: str
    statement: str
    paper: str
    place: str
    """Where in the paper."""
    kind: str
    """"of the paper", or "our question", which the paper does not state."""
    method: str
    """symbolic proof, certified computation, search, or experiment."""
    outcome: str
    """For a statement of the paper: proven, attained (proven and sharp), certified (each of
    `cases` instances is proven), confirmed or simulated (in `cases` cases), refuted, or not
    checkable here. For our question: answered yes, answered no, or not checkable here."""
    strength: str
    """What the outcome rests on: proven, attained, certified, confirmed, simulated, counterexample;
    empty where nothing was checked."""
    cases: int
    """How many cases were computed; 0 for an argument that covers all."""
    evidence: str
    """The argument, the counterexample, or why it cannot be checked here."""
    opposite: str | None
    """Arguments for which the checker is to find the opposite, as Python; null where none are."""
    opposite_outcome: str | None
    opposite_evidence: str | None
    discriminates: bool | None
    """Whether the checker refutes one of the two, and one alone; null without an opposite."""
    seconds: float
    command: str
    """What reproduces the verdict."""

    def as_dict(self) -> dict[str, Any]:
        """The entry of the JSON file: the fields, where `discriminates` has the key told_apart."""
        renamed = {"discriminates": "told_apart"}
        return {renamed.get(name, name): value for name, value in asdict(self).items()}


def chosen(names: Sequence[str]) -> list[Claim]:
    """The claims that some names or patterns choose, paper by paper.

    Parameters
    ----------
    names
        Names, or patterns with ``*`` and ``?``; none for all claims.

    Returns
    -------
    list of Claim
        Each claim once.

    Raises
    ------
    ValueError
        If a name fits none.

    Examples
    --------
    >>> [claim.name for claim in chosen(["*_moment"])]
    ['third_central_moment']
    """
    for name in names:
        if not fnmatch.filter(CLAIMS, name):
            raise ValueError(
                f"there is no claim {name!r}: softproof claims lists them, patterns like "
                "'*radius*' choose several"
            )
    found = [
        claim
        for key, claim in CLAIMS.items()
        if not names or any(fnmatch.fnmatchcase(key, name) for name in names)
    ]
    others = dict.fromkeys(claim.paper for claim in found if claim.paper not in CORE_PAPERS)
    order = {paper: n for n, paper in enumerate((*CORE_PAPERS, *others))}
    return sorted(found, key=lambda claim: order[claim.paper])


def settle(claim: Claim, named: bool = False) -> Settled:
    """Check a claim and its opposite.

    Parameters
    ----------
    claim
        The claim.
    named
        Whether it was named: a slow one is checked only then.

    Returns
    -------
    Settled
        The claim with its verdict.

    Examples
    --------
    >>> settle(CLAIMS["popoviciu"]).outcome, settle(CLAIMS["popoviciu"]).discriminates
    ('attained', True)
    """
    start = time.perf_counter()
    opposite: Verdict | None = None
    if claim.slow and not named:
        verdict = not_checkable(f"not run: {claim.slow}; it runs by name")
    else:
        verdict = claim.check()
        if claim.opposite:
            opposite = claim.check(**claim.opposite)
    return Settled(
        name=claim.name,
        statement=claim.statement,
        paper=claim.paper,
        place=claim.place,
        kind=claim.kind,
        method=claim.method,
        outcome=_outcome(claim, verdict),
        strength=_strength(verdict),
        cases=verdict.cases,
        evidence=verdict.evidence,
        opposite=_arguments(claim) if claim.opposite else None,
        opposite_outcome=_outcome(claim, opposite) if opposite else None,
        opposite_evidence=opposite.evidence if opposite else None,
        discriminates=verdict.refuted != opposite.refuted if opposite else None,
        seconds=time.perf_counter() - start,
        command=claim.reproduce,
    )


def _outcome(claim: Claim, verdict: Verdict) -> str:
    """The outcome; of a question of ours, which is in no paper, the answer."""
    if claim.kind != OUR_QUESTION or verdict.outcome == NOT_CHECKABLE:
        return verdict.outcome
    return NO if verdict.refuted else YES


def _strength(verdict: Verdict) -> str:
    found = {REFUTED: COUNTEREXAMPLE, NOT_CHECKABLE: ""}
    return found.get(verdict.outcome, verdict.outcome)


def _arguments(claim: Claim) -> str:
    values = {name: getattr(v, "__name__", v) for name, v in claim.opposite.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())
