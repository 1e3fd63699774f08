"""What the suites see of planted mistakes: the share of those that people make, the smallest size.

Nothing is shrunk: a suite sees a mistake as soon as one of its batches has a violation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...derivations import lookup
from ...derivations.arithmetic.formats import FORMATS
from ..inputs.families import draw
from ..runs.execute import asked_of, verdicts
from ..runs.plan import plan
from ..runs.results import Item
from ..subjects.contract import Contract
from ..subjects.isolation.in_process import InProcess, LiveSubject
from ..subjects.subject import NotApplicable, Subject, SubjectFault
from ..suites import SUITES, Suite
from ..suites.grades import weakest
from . import sized
from .mistakes import Mistake, planted

GRADED = ("accuracy", "overflow")


@dataclass(frozen=True)
class Setting:
    """What the power is measured of: suites, in a format, at a budget, for some seeds."""

    suites: tuple[str, ...]
    dtype: str = "float32"
    budget: str = "quick"
    seeds: tuple[int, ...] = (0,)


@dataclass
class Power:
    """What was found out of a setting, as far as it was measured.

    * ``seen``: for each planted mistake, the suites that see it, each with the share of the seeds.
    * ``smallest``: for each (definition, family, classes) the smallest size that is seen, for all
      seeds; None where none is.
    * ``lowering``: likewise, the smallest size that lowers the grade of a right implementation.
    * ``tails``: for each (definition, kind, longer_than) how many of how many were seen.
    """

    setting: Setting
    seen: dict[str, dict[str, float]] = field(default_factory=dict)
    smallest: dict[tuple[str, str, int], float | None] = field(default_factory=dict)
    lowering: dict[tuple[str, str, int], float | None] = field(default_factory=dict)
    tails: dict[tuple[str, str, int], tuple[int, int]] = field(default_factory=dict)
    interrupted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """What was measured, as plain data for JSON."""
        setting = self.setting
        return {
            "budget": setting.budget,
            "dtype": setting.dtype,
            "seeds": list(setting.seeds),
            "suites": list(setting.suites),
            "interrupted": self.interrupted,
            "mistakes": self.seen,
            "sizes": [
                {
                    "definition": d,
                    "family": f,
                    "classes": k,
                    "smallest_seen": size,
                    "smallest_that_lowers_the_grade": self.lowering.get((d, f, k)),
                }
                for (d, f, k), size in self.smallest.items()
            ],
            "tails": [
                {"definition": d, "kind": k, "longer_than": n, "seen": seen, "of": of}
                for (d, k, n), (seen, of) in self.tails.items()
            ],
        }


def measure(power: Power, definitions: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Measure which planted mistakes the suites of a setting see, and how small ones.

    KeyboardInterrupt ends it, with what is known kept.

    Parameters
    ----------
    power
        What is filled in.
    definitions
        The names of the definitions whose mistakes are planted.

    Yields
    ------
    tuple
        Before each step, how many are done, of how many, and what is next.
    """
    mistakes = planted(tuple(definitions))
    of_size = [d for d in sized.DEFINITIONS if d in definitions]
    sizes = [(d, f, k) for d in of_size for f in sized.FAMILIES for k in sized.CLASSES]
    tails = [(d, t, n) for d in of_size for t in sized.TAILS for n in sized.LONGER_THAN]
    count = len(mistakes) + len(sizes) + len(tails)
    done = 0
    try:
        for mistake in mistakes:
            yield done, count, mistake.name
            power.seen[mistake.name] = _suites_that_see(power.setting, mistake)
            done += 1
        for d, family, classes in sizes:
            yield done, count, f"{family.name}, {classes} classes"
            place = d, family.name, classes
            power.smallest[place] = _smallest(power.setting, d, family, classes)
            power.lowering[place] = _smallest_that_lowers_the_grade(
                power.setting, d, family, classes
            )
            done += 1
        for d, kind, longer_than in tails:
            yield done, count, f"{kind}, K > {longer_than}"
            pairs = [(longer_than, r) for r in range(sized.REMAINDERS)]
            power.tails[d, kind, longer_than] = share_of_tails(power.setting, d, kind, pairs)
            done += 1
    except KeyboardInterrupt:
        power.interrupted = True


def _suites_that_see(setting: Setting, mistake: Mistake) -> dict[str, float]:
    """The suites that see a mistake, each with the share of the seeds for which it does."""
    live = InProcess(mistake.subject, mistake.function)
    found = {}
    for suite in setting.suites:
        seen = sum(_suite_sees(setting, suite, live, seed) for seed in setting.seeds)
        if seen:
            found[suite] = seen / len(setting.seeds)
    return found


def _smallest(
    setting: Setting, definition: str, family: sized.Family, classes: int
) -> float | None:
    """The last size, from the gravest on, that some suite sees for every seed."""
    lengths = sized.around(classes)
    smallest = None
    for size in family.sizes_of(classes):
        function = family.planted(definition, size, lengths)
        if not all(_seen(setting, definition, function, lengths, s) for s in setting.seeds):
            break
        smallest = size
    return smallest


def _smallest_that_lowers_the_grade(
    setting: Setting, definition: str, family: sized.Family, classes: int
) -> float | None:
    """The last size, from the gravest on, whose grade is below that of none, for every seed."""
    lengths = sized.around(classes)
    right = sized.RIGHT.planted(definition, 0.0, lengths)
    best = [_grade(setting, definition, right, lengths, seed) for seed in setting.seeds]
    smallest = None
    if None in best:  # no batch of these lengths has a grade
        return None
    for size in family.sizes_of(classes):
        function = family.planted(definition, size, lengths)
        grades = [_grade(setting, definition, function, lengths, seed) for seed in setting.seeds]
        if not all(weakest([g, b]) == g != b for g, b in zip(grades, best, strict=True)):
            break
        smallest = size
    return smallest


def _grade(
    setting: Setting,
    definition: str,
    function: sized.Function,
    wrong_at: sized.Lengths,
    seed: int,
) -> str | None:
    """The weakest grade of a function at batches of some lengths; None where there is none."""
    live, fmt = _live(definition, function), FORMATS[setting.dtype]
    verdicts = (
        SUITES[item.suite].check(live, live.definition, fmt, batch)  # type: ignore[misc]
        for item in plan(
            [live.subject], setting.suites, [setting.dtype], budget=setting.budget, seed=seed
        )
        if item.family and SUITES[item.suite].name in GRADED and not item.on_cases
        for batch in draw(item.family, fmt, item.rows, item.seed, live.definition.labelled)
        if wrong_at(batch.logits.shape[1])
    )
    return weakest(verdict.grade for verdict in verdicts)


def _live(definition: str, function: sized.Function) -> LiveSubject:
    subject = Subject("softproof.verify.power.sized", definition, Contract(), tuple(FORMATS))
    return InProcess(subject, function)


def share_of_tails(
    setting: Setting, definition: str, kind: str, tails: Sequence[tuple[int, int]]
) -> tuple[int, int]:
    """Count the mistakes at lengths with a certain remainder that the suites see.

    Parameters
    ----------
    setting
        The suites, their budget and the seeds.
    definition
        The name of the definition.
    kind
        What goes wrong there, a key of `sized.TAILS`.
    tails
        Pairs (longer_than, remainder) of lengths.

    Returns
    -------
    tuple of int
        How many are seen, of how many: one for each pair and seed.
    """
    seen = 0
    for longer_than, remainder in tails:
        wrong_at = sized.in_the_tail(longer_than, remainder)
        function = sized.TAILS[kind](definition, wrong_at)
        seen += sum(_seen(setting, definition, function, wrong_at, s) for s in setting.seeds)
    return seen, len(tails) * len(setting.seeds)


def _seen(
    setting: Setting,
    definition: str,
    function: sized.Function,
    wrong_at: sized.Lengths,
    seed: int,
) -> bool:
    """Whether any suite sees a function that is wrong at some lengths alone."""
    live = _live(definition, function)
    return any(_suite_sees(setting, suite, live, seed, wrong_at) for suite in setting.suites)


def _suite_sees(
    setting: Setting,
    suite: str,
    live: LiveSubject,
    seed: int,
    wrong_at: sized.Lengths | None = None,
) -> bool:
    chosen = SUITES[suite]
    items = plan([live.subject], [suite], [setting.dtype], budget=setting.budget, seed=seed)
    for item in items:
        if wrong_at is not None and item.family and not item.on_cases:
            if _sees_at(item, chosen, live, wrong_at):
                return True
        elif any(verdict.violations for _, verdict in verdicts(asked_of(item, live))):
            return True
    return False


def _sees_at(item: Item, suite: Suite, live: LiveSubject, wrong_at: sized.Lengths) -> bool:
    """Whether a suite sees a mistake in the batches of the lengths at which it is wrong."""
    fmt, definition = FORMATS[item.dtype], lookup(live.subject.definition)
    assert suite.check is not None
    for batch in draw(item.family, fmt, item.rows, item.seed, definition.labelled):
        if wrong_at(batch.logits.shape[1]):
            try:
                if suite.check(live, definition, fmt, batch).violations:
                    return True
            except NotApplicable:
                continue
            except SubjectFault:
                return True
    return False
