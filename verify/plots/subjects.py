"""The implementations whose errors are drawn: chosen by name, run as `verify` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...derivations import Definition
from ..subjects.built_in import select
from ..subjects.hosts import LiveSubject
from ..subjects.subject import Subject, SubjectError
from ..subjects.workers import Workers


@contextmanager
def connected(definition: Definition, patterns: Sequence[str]) -> Iterator[list[LiveSubject]]:
    """The subjects that the patterns name, ready to be called; no subject twice.

    SubjectError where a pattern names nothing, or nothing that can be run here.
    """
    found: dict[str, Subject] = {}
    for pattern in patterns:
        chosen = select(pattern, [definition])
        words = [word for subject in chosen if (word := subject.missing())]
        if len(words) == len(chosen):
            raise SubjectError(f"{pattern} cannot be run here: {'; '.join(dict.fromkeys(words))}")
        found |= {subject.id: subject for subject in chosen if not subject.missing()}
    with Workers() as workers:
        live = [workers.connect(subject) for subject in found.values()]
        for subject in live:
            subject.load()
        yield live
