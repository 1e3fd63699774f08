"""What the gate answers: a verdict, with what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from typing import Any

from ..runs.results import Failure

RIGHT = "right within its class"
IMPRECISE = "less precise than declared"
WRONG = "wrong"
REFUSED = "refused"
STATUS = {RIGHT: 0, IMPRECISE: 1, WRONG: 1, REFUSED: 3}
SCHEMA = 2  # raised when a field is added or changes its meaning (data/gate.schema.json)


@dataclass(frozen=True)
class Judgement:
    """The answer of the gate on one candidate in one format.

    Attributes
    ----------
    verdict
        RIGHT where nothing that was asked is beyond its bound; IMPRECISE where all is within that
        of a coarser class of arithmetic than the declared one; WRONG where something is within that
        of none; REFUSED where nothing could be judged: the candidate raises at plain input, gives
        another shape or dtype, changes its input, dies, or gives two results for one input.
    definition, subject, dtype
        What was judged.
    seed
        What the inputs were drawn from: the same seed gives the same inputs.
    contract
        What the candidate declares, or is taken to: the class that it is held to.
    seconds
        How long the judgement took.
    fits
        Of IMPRECISE, the settings of a contract under which all that was asked is right.
    grade
        The sharpest class of arithmetic that all results fit, where the definition has such.
    checks
        How many results were judged.
    worst
        The largest error, in ulp.
    undecided
        How many rows or cases have no truth, or no known bound of what is admissible.
    asked
        How many groups of inputs were asked to their end.
    not_reached
        What was not asked, or not to its end, before the time was up or a proof of wrongness found.
    observed
        What the candidate did where nothing is declared, by axis of the contract.
    suite
        The suite that found the failure; "" where there is none.
    failure
        What is wrong, shrunk, with the commands that show it again; None of RIGHT.
    also
        What else fails, where the candidate was asked on: suites and groups of inputs.
    causes
        Pairs of a heading and a sentence: what is the likely cause, what to declare if it is meant.
    estimate
        Where the verdict rests on an estimate and on no proof, what it is; else "".
    """

    verdict: str
    definition: str
    subject: str
    dtype: str
    seed: int
    contract: str
    seconds: float = 0.0
    fits: tuple[str, ...] = ()
    grade: str | None = None
    checks: int = 0
    worst: float = 0.0
    undecided: int = 0
    asked: int = 0
    not_reached: tuple[str, ...] = ()
    observed: Mapping[str, str] = field(default_factory=dict)
    suite: str = ""
    failure: Failure | None = None
    also: tuple[str, ...] = ()
    causes: tuple[tuple[str, str], ...] = ()
    estimate: str = ""

    @property
    def status(self) -> int:
        """The exit status of ``softproof gate``: 0 right, 1 wrong or less precise, 3 refused."""
        return STATUS[self.verdict]

    def as_dict(self) -> dict[str, Any]:
        """The judgement as plain data, as ``data/gate.schema.json`` describes it."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "seed": str(self.seed),  # 64 bits, which not every parser of JSON keeps
            "fits": list(self.fits),
            "not_reached": list(self.not_reached),
            "also": list(self.also),
            "observed": dict(self.observed),
            "causes": [list(cause) for cause in self.causes],
        }


def schema() -> dict[str, Any]:
    """The published JSON Schema of judgements."""
    text = files("softproof.verify").joinpath("data/gate.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
