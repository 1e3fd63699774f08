"""Measure what kills most wrong kernels in a second: the order in verify/gate/order.py.

    python -m notebooks.order_of_the_gate [SEED]

from the root of the checkout prints, for definitions of rows and for those of several arguments,
which kind of inputs kills the most planted mistakes in a second that the kinds before it left, how
many, and how long it takes a right implementation, the truths included.  First come the kinds that
are drawn and that can be shown by a few numbers, then those that suites ask by themselves.  It
takes about ten minutes.

The mistakes of rows are those of ``softproof power``; of several arguments those of the tests:
tests/verify/suites/of_cases and tests/verify/register.
"""

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from softproof.verify.gate.order import LAST, kind_of
from softproof.verify.power.mistakes import planted
from softproof.verify.runs.execute import asked_of, verdicts
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Item
from softproof.verify.subjects.implementations import functions_of_arrays
from softproof.verify.subjects.isolation.in_process import InProcess, LiveSubject
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES

from tests import right
from tests.verify.register.planted import PLANTED
from tests.verify.suites.of_cases import test_facts, test_suites_of_cases

Kind = tuple[str, str]
SUITES_ASKED = [name for name, suite in SUITES.items() if suite.budget == "quick"]
ARRAYS = (
    "rms_norm", "layer_norm", "attention", "kl_divergence", "linear_cross_entropy", "sparsemax",
)  # fmt: skip
OVERHEAD = 0.005  # seconds that each kind costs besides


def of_rows() -> dict[str, LiveSubject]:
    """The mistakes in functions of rows, ready to be asked."""
    return {m.name: InProcess(m.subject, m.function) for m in planted()}


def of_arrays() -> dict[str, LiveSubject]:
    """The mistakes in functions of several arguments."""
    named = [(name, function) for name, function, *_ in test_suites_of_cases.MISTAKES]
    named += [*test_facts.MISTAKES.values(), *(rest for _, *rest in test_facts.FURTHER)]
    found = {f"{n}:{f.__name__}": InProcess(Subject("m:f", n), f) for n, f in named if n in ARRAYS}
    for bug in PLANTED:
        if bug.definition in ARRAYS:
            subject = Subject("m:f", bug.definition, bug.contract)
            found[bug.case] = InProcess(subject, bug.broken)
    return found


def asked(live: LiveSubject, seed: int) -> Iterator[tuple[Kind, bool, float]]:
    """Each item: its kind, whether it kills, and how long it took to the first proof."""
    for item in plan([live.subject], SUITES_ASKED, ["float32"], seed=seed):
        began = time.perf_counter()
        kills = _kills(item, live)
        yield kind_of(item), kills, time.perf_counter() - began


def _kills(item: Item, live: LiveSubject) -> bool:
    return any(verdict.violations for _, verdict in verdicts(asked_of(item, live)))


def costs(definitions: set[str], function: Callable[[str], Any], seed: int) -> dict[Kind, float]:
    """Seconds that each kind takes a right implementation, on average over the definitions."""
    found: defaultdict[Kind, Counter[str]] = defaultdict(Counter)
    for name in sorted(definitions):
        live = InProcess(Subject("r:f", name), function(name))
        for kind, _, seconds in asked(live, seed):
            found[kind][name] += seconds
    return {kind: sum(of.values()) / len(of) for kind, of in found.items()}


def is_drawn(kind: Kind) -> bool:
    """Whether inputs of a kind are drawn anew for each seed, and shrunk."""
    suite, family = kind
    return family not in ("", "record") and suite not in ("layouts", *LAST)


def print_order(mistakes: dict[str, LiveSubject], cost: dict[Kind, float], seed: int) -> None:
    """Print the kinds, the one that kills the most of what is left in a second first."""
    kills: defaultdict[Kind, set[str]] = defaultdict(set)
    for name, live in mistakes.items():
        for kind, kills_it, _ in asked(live, seed):
            if kills_it:
                kills[kind].add(name)
    left, total = set(mistakes), 0.0
    print(f"{len(left)} mistakes, seed {seed}")
    for drawn in (True, False):
        while kinds := [k for k in kills if is_drawn(k) == drawn and kills[k] & left]:
            best = max(kinds, key=lambda k: len(kills[k] & left) / (cost[k] + OVERHEAD))
            total += cost[best]
            print(
                f"  {' '.join(best):32} kills {len(kills[best] & left):3} more in "
                f"{cost[best]:6.3f} s; {len(left - kills[best]):3} left after {total:6.2f} s"
            )
            left -= kills[best]
    print(f"  seen by none: {', '.join(sorted(left)) or '-'}")


def main() -> None:
    """Measure both sorts of definitions."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    rows, arrays = of_rows(), of_arrays()
    names = {live.subject.definition for live in rows.values()}
    print_order(rows, costs(names, lambda name: getattr(right, f"careful_{name}"), seed), seed)
    names = {live.subject.definition for live in arrays.values()}
    print_order(arrays, costs(names, lambda name: getattr(functions_of_arrays, name), seed), seed)


if __name__ == "__main__":
    main()
