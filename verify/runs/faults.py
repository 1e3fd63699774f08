"""A call of a subject that gives no result: whom it is put down to, and what asking again costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..subjects.subject import ProcessDied, SubjectFault
from ..suites.verdicts import Verdict, no_result

MOST_ALONE = 100  # of a batch that fails, to see whether one of them fails alone
DEADLY = {death.kind for death in ProcessDied.__subclasses__()}
# Trials of shrinking that may end a process: each costs a new one, or even a time limit.
MOST_TRIALS = {"crashed": 30, "memory": 5, "hung": 0}


def put_down(fault: SubjectFault, count: int, alone: Callable[[int], object]) -> Verdict:
    """Return the verdict on a batch whose call failed: a violation at the one that fails alone.

    Where nobody fails alone the violation is at the first, and says that it is in its batch only.

    Parameters
    ----------
    fault
        What the call of the whole batch raised.
    count
        How many rows or cases the batch has.
    alone
        Asks the subject for number i of the batch alone, and raises what it does.

    Returns
    -------
    Verdict
        One violation.
    """
    found, row, in_batch = fault, 0, count > 1
    for i in range(min(count, MOST_ALONE)) if in_batch else ():
        try:
            alone(i)
        except SubjectFault as again:
            if not isinstance(again, ProcessDied) or again.called:
                found, row, in_batch = again, i, False
            break
    verdict = no_result(found, row=row)
    violations = [replace(violation, only_in_batch=in_batch) for violation in verdict.violations]
    return replace(verdict, violations=violations)
