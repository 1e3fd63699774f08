"""What a claim is, how it is judged, and where all claims are listed.

A claim is a function of its constants: called without arguments it checks what the paper says, and
with other constants it checks another statement by the same means.  Each claim names arguments that
turn it into its *opposite*, a false statement if it is true and a true one if it is false; a
checker that cannot tell the two apart is none.

>>> from softproof.derivations.claims import CLAIMS
>>> claim = CLAIMS["zero_free_strip"]
>>> claim.check().outcome, claim.check(**claim.opposite).outcome
('attained', 'refuted')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROOF = "symbolic proof"
"""Identities by SymPy, inequalities by the argument that the check states."""
COMPUTATION = "certified computation"
"""Ball arithmetic: what is said of the cases is proven."""
SEARCH = "search"
"""Cases by floating-point or rational arithmetic, the way the code in question computes."""
EXPERIMENT = "experiment"
"""Timing or training."""
METHODS = (PROOF, COMPUTATION, SEARCH, EXPERIMENT)

PROVEN = "proven"
ATTAINED = "attained"
"""Proven, and reached: no better constant is true."""
CERTIFIED = "certified"
"""True of so many instances, each with proof; of others nothing is said."""
CONFIRMED = "confirmed"
"""True in so many cases, by running the code or the formula in question."""
SIMULATED = "simulated"
"""True in so many cases of a model of its subject: somebody else's arithmetic, random networks."""
REFUTED = "refuted"
"""The statement is false."""
NOT_CHECKABLE = "not checkable here"
OUTCOMES = (PROVEN, ATTAINED, CERTIFIED, CONFIRMED, SIMULATED, REFUTED, NOT_CHECKABLE)

OF_THE_PAPER = "of the paper"
OUR_QUESTION = "our question"
"""The paper does not state it: what comes of it neither confirms nor refutes the paper."""
KINDS = (OF_THE_PAPER, OUR_QUESTION)


@dataclass(frozen=True)
class Verdict:
    """What came of a claim, and why."""

    outcome: str
    """One of OUTCOMES."""
    evidence: str
    """The argument, the counterexample, or the reason why it cannot be checked here."""
    cases: int = 0
    """How many cases were computed; 0 for an argument that covers all."""

    @property
    def refuted(self) -> bool:
        """Whether the statement is false."""
        return self.outcome == REFUTED


def proven(evidence: str, cases: int = 0) -> Verdict:
    """The verdict that a statement is true, with proof.

    Parameters
    ----------
    evidence
        The argument, in words.
    cases
        How many cases were computed; 0 for an argument that covers all.

    Returns
    -------
    Verdict
        With the outcome PROVEN.
    """
    return Verdict(PROVEN, evidence, cases)


def attained(evidence: str, cases: int = 0) -> Verdict:
    """The verdict that a bound is true, with proof, and sharp.

    Parameters
    ----------
    evidence
        The argument, and where the bound is attained, in words.
    cases
        How many cases were computed; 0 for an argument that covers all.

    Returns
    -------
    Verdict
        With the outcome ATTAINED.
    """
    return Verdict(ATTAINED, evidence, cases)


def certified(cases: int, evidence: str) -> Verdict:
    """The verdict that a statement is true of a number of instances, each with proof.

    Parameters
    ----------
    cases
        How many instances were decided.
    evidence
        What was computed, in words.

    Returns
    -------
    Verdict
        With the outcome CERTIFIED.
    """
    return Verdict(CERTIFIED, evidence, cases)


def confirmed(cases: int, evidence: str) -> Verdict:
    """The verdict that a statement was true in a number of cases, without proof.

    Parameters
    ----------
    cases
        How many cases were computed.
    evidence
        What was computed, in words.

    Returns
    -------
    Verdict
        With the outcome CONFIRMED.
    """
    return Verdict(CONFIRMED, evidence, cases)


def simulated(cases: int, evidence: str) -> Verdict:
    """The verdict that a statement was true in a number of cases of a model of its subject.

    Parameters
    ----------
    cases
        How many cases were computed.
    evidence
        The model and what was computed, in words.

    Returns
    -------
    Verdict
        With the outcome SIMULATED.
    """
    return Verdict(SIMULATED, evidence, cases)


def refuted(counterexample: str, cases: int = 0) -> Verdict:
    """The verdict that a statement is false, with a counterexample.

    Parameters
    ----------
    counterexample
        The instance and what goes wrong there, in words.
    cases
        How many cases were tried, the counterexample last.

    Returns
    -------
    Verdict
        With the outcome REFUTED.
    """
    return Verdict(REFUTED, counterexample, cases)


def not_checkable(why: str) -> Verdict:
    """The verdict that nothing can be said about a statement here.

    Parameters
    ----------
    why
        What is missing, in words.

    Returns
    -------
    Verdict
        With the outcome NOT_CHECKABLE.
    """
    return Verdict(NOT_CHECKABLE, why)


@dataclass(frozen=True)
class Claim:
    """A statement of a paper, or a question of ours about it, and the function that checks it."""

    name: str
    statement: str
    paper: str
    place: str
    """Where in the paper."""
    method: str
    """One of METHODS."""
    check: Callable[..., Verdict]
    opposite: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of `check` that make a true statement false, or a false one true."""
    slow: str = ""
    """Why it runs only by name; empty for what always runs."""
    command: str = ""
    """What reproduces it, if that is not ``softproof claims NAME``."""
    kind: str = OF_THE_PAPER
    """One of KINDS."""
    papers: tuple[int, ...] = ()
    """The numbers of the paper in the list of ``softproof catalogue``."""

    @property
    def reproduce(self) -> str:
        """The command that reproduces the verdict."""
        return self.command or f"softproof claims {self.name}"


def require(holds: Any) -> None:
    """Check one step of a proof, which has to be true for all constants that a claim may have.

    Parameters
    ----------
    holds
        What the step states; anything with a truth value.

    Raises
    ------
    ArithmeticError
        If it is false: the proof is wrong, which says nothing about the claim.
    """
    if not holds:
        raise ArithmeticError("a step of the proof does not hold: this is an error of softproof")


CLAIMS: dict[str, Claim] = {}
"""All claims by name, in the order in which they were made."""


def claim(
    statement: str,
    paper: str,
    place: str,
    method: str,
    *,
    opposite: Mapping[str, Any] | None = None,
    name: str = "",
    slow: str = "",
    command: str = "",
    kind: str = OF_THE_PAPER,
    papers: tuple[int, ...] = (),
) -> Callable[[Callable[..., Verdict]], Callable[..., Verdict]]:
    """Enter the decorated check among CLAIMS.

    Parameters
    ----------
    statement
        The statement, or the question, as a sentence.
    paper
        The paper that it is about.
    place
        Where in the paper.
    method
        How it is checked, one of METHODS.
    opposite
        Arguments of the check that make a true statement false, or a false one true.
    name
        The name of the claim; that of the function unless given.
    slow
        Why it runs only by name; empty for what always runs.
    command
        What reproduces it, if that is not ``softproof claims NAME``.
    kind
        Whose statement it is, one of KINDS.
    papers
        The numbers of the papers in the list of ``softproof catalogue``.

    Returns
    -------
    callable
        A decorator that returns the check as it is.

    Raises
    ------
    ValueError
        If the name is taken, or the method or kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")

    def enter(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
        key = name or check.__name__
        if key in CLAIMS:
            raise ValueError(f"there is a claim {key!r} already: give it another name")
        CLAIMS[key] = Claim(
            key, statement, paper, place, method, check, opposite or {}, slow, command, kind, papers
        )
        return check

    return enter
