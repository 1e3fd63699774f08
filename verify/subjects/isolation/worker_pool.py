"""The processes of a run."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable

from ..subject import Died, Subject
from .in_process import LiveSubject, Process, Worker
from .program import Program


class Workers:
    """A context manager that gives each subject a process to run in, and ends them all.

    Functions of one module share a worker process; each program has its own.
    """

    def __init__(self) -> None:
        self._processes: defaultdict[str, Process] = defaultdict(Process)
        self._live: list[LiveSubject] = []

    def connect(self, subject: Subject) -> LiveSubject:
        """The subject, to be called in its process, which starts with the first call."""
        for live in self._live:
            if live.subject == subject:
                return live
        module, _, _ = subject.id.partition(":")
        live = Program(subject) if subject.command else Worker(subject, self._processes[module])
        self._live.append(live)
        return live

    def load(self, subjects: Iterable[Subject]) -> None:
        """Find what the subjects name; SubjectError where there is no such thing."""
        for subject in subjects:
            with contextlib.suppress(Died):  # a finding, which the run will make
                self.connect(subject).load()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for live in self._live:
            live.close()
