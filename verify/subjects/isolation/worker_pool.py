"""The processes of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..subject import NoSuchSubject, Subject, SubjectError, SubjectFault
from .in_process import LiveSubject, Process, Start, Worker, spawn
from .program import Program


class Workers:
    """A context manager that gives each subject a process to run in, and ends them all.

    Functions of one module share a worker process; each program has its own.  ``start`` and
    ``first_call`` are those of ``Process``.
    """

    def __init__(self, start: Start = spawn, first_call: float | None = None) -> None:
        self._processes: defaultdict[str, Process] = defaultdict(lambda: Process(start, first_call))
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

    def load(self, subjects: Iterable[Subject]) -> list[NoSuchSubject]:
        """Import what the subjects name; what is said of names that there are not.

        That a module cannot be imported, or ends its process, is a finding, which the run makes.
        """
        missing = []
        for subject in subjects:
            try:
                self.connect(subject).load()
            except NoSuchSubject as error:
                missing.append(error)
            except (SubjectError, SubjectFault):
                pass
        return missing

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for live in self._live:
            live.close()
