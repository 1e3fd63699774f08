"""The implementations whose errors are drawn: chosen by name, run as `verify` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...derivations import Definition
from ..subjects.built_in import BUILT_IN, select
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.isolation.worker_pool import Workers
from ..subjects.subject import Subject, SubjectError, matches


@contextmanager
def connected(
    definitions: Sequence[Definition], patterns: Sequence[str]
) -> Iterator[list[LiveSubject]]:
    """Start the subjects that some patterns name, and stop them afterwards; no subject twice.

    Those that are not known are taken to implement the first definition.

    Parameters
    ----------
    definitions
        What the subjects implement.
    patterns
        Patterns as of ``verify --subject``.

    Yields
    ------
    list of LiveSubject
        The subjects, ready to be called.

    Raises
    ------
    SubjectError
        If a pattern names nothing, or nothing that can be run here.
    """
    names = [definition.name for definition in definitions]
    found: dict[str, Subject] = {}
    for pattern in patterns:
        known = any(s.definition in names and matches(pattern, s.id) for s in BUILT_IN)
        chosen = select(pattern, definitions if known else definitions[:1])
        words = [word for subject in chosen if (word := subject.missing())]
        if len(words) == len(chosen):
            raise SubjectError(f"{pattern} cannot be run here: {'; '.join(dict.fromkeys(words))}")
        found |= {subject.id: subject for subject in chosen if not subject.missing()}
    with Workers() as workers:
        live = [workers.connect(subject) for subject in found.values()]
        for subject in live:
            subject.load()
        yield live
