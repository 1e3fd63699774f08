"""Where a subject runs: in this process, in a worker process, or as a program of its own.

In a process of its own a crash, a hang and runaway memory are findings like any other.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from typing import IO, Any, Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from ....derivations import Definition, Output, lookup
from .. import subject as faults
from ..call import MOST_LARGER, Loaded, call, call_with_arguments, load
from ..contract import CHOICES, Contract
from ..subject import Crashed, Outcome, OutOfMemory, ProcessDied, Subject, TimedOut, WrongResult
from ..surroundings import Surroundings
from .descendants import end_marked, marked_environment

Array = NDArray[Any]

WORKER = "softproof.verify.subjects.isolation.worker"

FIRST_CALL = 120.0  # seconds: a first call may import a framework and compile
MEMORY_LIMIT = 4 << 30  # bytes that a process may take beyond what it has when it is loaded
LARGE = 1 << 15  # bytes that a connection may not take at once
# Seconds that a call may take once one has hung: what has found a hang need not wait as long again.
AFTER_A_HANG = 10.0
# What imports and compiles uses the processor.  A first call that has used none in as many seconds
# as a later one may take, and no fewer than these, waits for what does not come.
LEAST_IDLE = 10.0
BUSY = 0.02  # the share of a processor that is no waiting, though threads look at a clock
BETWEEN_LOOKS = 0.5  # seconds between looks at children, and at the memory after short calls
POLL = 0.05  # seconds between looks at the memory of a busy process
# A subject that ended its process so often is not called any more: each time costs a new process,
# a hang its time limit besides.
MOST_DEATHS = {Crashed: 50, OutOfMemory: 10, TimedOut: 3}


def death_limit_reached(deaths: Counter[type[ProcessDied]]) -> ProcessDied | None:
    """Return the exception that stands in place of a further call after too many deaths.

    Parameters
    ----------
    deaths
        How often the process of a subject has ended, by the kind of its end.

    Returns
    -------
    ProcessDied or None
        The exception; None as long as no limit of MOST_DEATHS is reached.
    """
    for end, most in MOST_DEATHS.items():
        if deaths[end] >= most:
            return end(f"not called any more: {most} calls ended so ({end.kind})", called=False)
    return None


class LiveSubject(ABC):
    """A subject that can be called: what the suites are given."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.settle({})

    @property
    def declared(self) -> frozenset[str]:
        """The axes of the contract that the subject declares."""
        return frozenset(CHOICES) - {*self.subject.contract.undeclared}

    def settle(self, observed: Mapping[str, str]) -> None:
        """Take what was observed, for some axes of the contract that are not declared."""
        self.observed: Mapping[str, str] = dict(observed)
        self.contract: Contract = replace(
            self.subject.contract,
            **self.observed,  # type: ignore[arg-type]
        )
        """What the subject declares, and what was observed where it declares nothing."""

    @property
    def definition(self) -> Definition:
        """What the subject implements."""
        return lookup(self.subject.definition)

    @property
    def given_up(self) -> ProcessDied | None:
        """Why the subject is not called any more; None where it is."""
        return None

    @property
    def last_death(self) -> ProcessDied | None:
        """How its process last ended in a call; None where it never did, or has none."""
        return None

    @abstractmethod
    def load(self) -> None:
        """Find what will be called; SubjectError where there is nothing of that name."""

    def close(self) -> None:  # noqa: B027  (nothing to end in this process)
        """End what the subject runs in."""

    def __call__(
        self,
        logits: Array,
        labels: Array | None = None,
        *,
        axis: int = -1,
        layout: str = "contiguous",
        options: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Call on a batch.

        Raises SubjectFault for an exception, a death of its process, or a result of another form;
        NotApplicable where the subject cannot be asked this.
        """
        options = options or {}
        arrays = self._call(
            logits, labels, None if self.definition.elementwise else axis, layout, options
        )
        self._demand_form(
            arrays,
            logits,
            axis,
            weighted="cotangent" in options,
            one_number=options.get("reduction", "none") != "none",
        )
        return Outcome(arrays[0], arrays[1] if len(arrays) == 2 else None)

    def of_arguments(
        self,
        arguments: Sequence[Array],
        shapes: Mapping[str, tuple[int, ...]],
        dtype: np.dtype[Any],
        *,
        parameters: Mapping[str, float],
        out: Array | None = None,
        cotangents: int = 0,
        layouts: Sequence[str] = (),
    ) -> list[Array]:
        """The results of a function of several arguments, one for each output.

        ``shapes``: those that the outputs must have, by name; ``dtype``: that of the numbers;
        ``out``: a buffer for the result, for functions that take one; ``cotangents``: how many of
        the arguments, the last, are cotangents, where vector-Jacobian products are asked for;
        ``layouts``: how each argument lies in memory.
        Raises as a call does.
        """
        declared = self.definition.parameters
        defaults = {n: p.default for n, p in declared.items()}
        if self.definition.of_a_row and not self.definition.elementwise:
            defaults |= {"axis": -1, "dim": -1}
        arrays = self._call_with_arguments(
            arguments,
            {
                "parameters": {
                    n: declared[n].exact(v) if n in declared else v for n, v in parameters.items()
                },
                "defaults": {n: v for n, v in defaults.items() if v is not None},
                "most": MOST_LARGER * (1 + sum(map(math.prod, shapes.values()))),
                "out": out,
                "cotangents": cotangents,
                "layouts": tuple(layouts),
            },
        )
        if len(arrays) != len(shapes):
            raise WrongResult(f"returned {len(arrays)} arrays, expected {', '.join(shapes)}")
        for (name, shape), array in zip(shapes.items(), arrays, strict=True):
            if array.shape != shape:
                given = ", ".join(str(argument.shape) for argument in arguments)
                raise WrongResult(
                    f"{name} has shape {array.shape}, expected {shape} for arguments of {given}"
                )
            is_choice = name in self.definition.signature.indices
            if array.dtype.kind not in "iu" if is_choice else array.dtype != dtype:
                wanted = "integers" if is_choice else dtype
                raise WrongResult(f"{name} has dtype {array.dtype}, expected {wanted}")
        return arrays

    @abstractmethod
    def _call_with_arguments(
        self, arguments: Sequence[Array], keywords: Mapping[str, Any]
    ) -> list[Array]:
        """The arrays that a call with several arguments returns; ``call_with_arguments`` has the
        keywords.
        """

    @abstractmethod
    def _call(
        self,
        logits: Array,
        labels: Array | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[Array]:
        """The arrays that a call returns."""

    def _demand_form(
        self,
        arrays: list[Array],
        logits: Array,
        axis: int,
        *,
        weighted: bool,
        one_number: bool = False,
    ) -> None:
        """WrongResult unless there is a value, or value and gradient, of right shape and dtype.

        A vector has a gradient only where it is ``weighted`` by a cotangent; ``one_number`` is what
        a batch is reduced to.
        """
        if len(arrays) not in (1, 2):
            raise WrongResult(
                f"returned a tuple of {len(arrays)}; return an array, or (value, gradient)"
            )
        vector = self.definition.output is Output.VECTOR or self.definition.elementwise
        if vector and len(arrays) == 2 and not weighted:
            raise WrongResult(f"returned a tuple of 2; {self.subject.definition} is one array")
        reduced = list(logits.shape)
        if reduced:
            reduced.pop(axis)
        reduced = [] if one_number else reduced
        shapes = (logits.shape if vector else tuple(reduced), logits.shape)
        for what, array, shape in zip(("result", "gradient"), arrays, shapes, strict=False):
            if array.shape != shape:
                raise WrongResult(
                    f"{what} has shape {array.shape}, expected {shape} for logits of {logits.shape}"
                )
            if array.dtype != logits.dtype:
                raise WrongResult(f"{what} has dtype {array.dtype}, expected {logits.dtype}")


class InProcess(LiveSubject):
    """A Python function called here: fast, and what kills it kills us."""

    def __init__(
        self,
        subject: Subject,
        function: Callable[..., Any] | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        """Of the function that the subject's id names, unless one is given.

        A function that is given runs under ``surroundings``, what there is now when None.
        """
        super().__init__(subject)
        self._loaded = function and Loaded(function, surroundings or Surroundings())

    def load(self) -> None:
        """Import the function, unless it was given."""
        if self._loaded is None:
            self._loaded = load(self.subject.id)

    def _call(
        self,
        logits: Array,
        labels: Array | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[Array]:
        self.load()
        assert self._loaded is not None
        return call(
            self._loaded,
            logits,
            labels,
            library=self.subject.arrays,
            device=self.subject.device,
            axis=axis,
            layout=layout,
            options=options,
            may_flush=self.contract.flush_to_zero == "yes",
        )

    def _call_with_arguments(
        self, arguments: Sequence[Array], keywords: Mapping[str, Any]
    ) -> list[Array]:
        self.load()
        assert self._loaded is not None
        return call_with_arguments(
            self._loaded,
            arguments,
            library=self.subject.arrays,
            device=self.subject.device,
            may_flush=self.contract.flush_to_zero == "yes",
            **keywords,
        )


class Waiting:
    """How long a process, with its children, has been waiting: it neither computed nor read."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._looked = self._busy = time.monotonic()
        self._used = 0.0

    def seconds(self) -> float:
        """Since it was last seen to be busy; it is looked at no more often than BETWEEN_LOOKS.

        One that could run and was not let to, as others had the processors, is busy.
        """
        now = time.monotonic()
        if now - self._looked >= BETWEEN_LOOKS:
            used, runs = 0.0, False
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(self._pid)
                for each in (process, *process.children(recursive=True)):
                    times = each.cpu_times()
                    used += times.user + times.system
                    runs |= each.status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
            if runs or abs(used - self._used) > BUSY * (now - self._looked):
                self._busy = now
            self._looked, self._used = now, used
        return now - self._busy


class Running(Protocol):
    """A process that runs, as ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int:
        """The number of the process."""

    def poll(self) -> int | None:
        """The exit status of the process, negative for a signal; None while it runs."""

    def wait(self) -> int:
        """The exit status of the process, when it has ended."""


@dataclass(frozen=True)
class Started:
    """A worker that was started, and what ends all that it started itself."""

    process: Running
    end_descendants: Callable[[], None]


Start = Callable[[int, int, IO[bytes]], Started]
"""Starts a worker, of the descriptors of its connection and its lifeline, and of its stderr."""


def spawn(connection: int, lifeline: int, stderr: IO[bytes]) -> Started:
    """Start a worker as a new process of Python.

    Parameters
    ----------
    connection, lifeline
        Descriptors that it inherits: where requests come from, and what tells that we are gone.
    stderr
        The file for what it writes to stderr.

    Returns
    -------
    Started
        The worker.
    """
    environment, mark = marked_environment()
    process = subprocess.Popen(
        [sys.executable, "-m", WORKER, str(connection), str(lifeline)],
        # While they wait, threads of OpenMP sleep, not spin: others need the cores.
        env={"OMP_WAIT_POLICY": "PASSIVE", **environment},
        pass_fds=[connection, lifeline],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C is for us, who then end it
    )
    return Started(process, functools.partial(end_marked, mark))


class Process:
    """A worker process; started at the first request, and again after a death.

    ``start``: how.  ``first_call``: how many seconds its import, and the first call of a function,
    may take.
    """

    def __init__(self, start: Start = spawn, first_call: float | None = None) -> None:
        self._start_worker = start
        self._first_call = first_call
        self._started: Started | None = None
        self._process: Running | None = None
        self._stderr: IO[bytes] | None = None
        self._has_loaded = False  # the one module whose functions it runs
        self._called: set[str] = set()
        self._resident: int | None = None  # bytes of memory when the function was loaded
        self._looked = 0.0
        self._deaths: defaultdict[str, Counter[type[ProcessDied]]] = defaultdict(Counter)
        self.last_deaths: dict[str, ProcessDied] = {}  # by the id of the subject

    def ask(self, request: dict[str, Any], limit: float) -> tuple[str, Any]:
        """The worker's reply; Crashed, TimedOut or OutOfMemory where there is none."""
        if (death := self.given_up(request["id"])) is not None:
            raise death
        first = request["id"] not in self._called and len(request) > 1  # more than to load it
        if first:
            self._called.add(request["id"])
        try:
            if self._process is None:
                self._start()
                self._load(request["id"], limit)  # what it imports is not the call's
            idle = math.inf
            if self._deaths[request["id"]][TimedOut]:
                limit = min(limit, AFTER_A_HANG)
            elif first:
                idle, limit = max(limit, LEAST_IDLE), max(limit, self._longest_first_call)
            kind, what = self._tell(request, limit, idle)
        except KeyboardInterrupt:
            self.close()
            raise
        except (EOFError, ConnectionError, ProcessDied) as fault:
            death = fault if isinstance(fault, ProcessDied) else Crashed(self._exit_description())
            self._deaths[request["id"]][type(death)] += 1
            self.last_deaths[request["id"]] = death
            self.close()
            raise death from None
        return kind, what

    def _load(self, subject_id: str, limit: float) -> None:
        """Import the module of a subject; where that has hung before, it is not waited for long."""
        hung = self._deaths[subject_id][TimedOut] and not self._has_loaded
        most = AFTER_A_HANG if hung else self._longest_first_call
        self._tell({"id": subject_id}, most, max(limit, LEAST_IDLE))
        self._has_loaded = True

    @property
    def _longest_first_call(self) -> float:
        return FIRST_CALL if self._first_call is None else self._first_call

    def given_up(self, subject_id: str) -> ProcessDied | None:
        """What to say in place of a further call; None where a subject may be called."""
        return death_limit_reached(self._deaths[subject_id])

    def _tell(self, request: dict[str, Any], limit: float, idle: float) -> tuple[str, Any]:
        """Send a request and take the reply; EOFError or ConnectionError where the process ends."""
        arrays = (request.get("logits"), *request.get("arguments", ()))
        if sum(getattr(array, "nbytes", 0) for array in arrays) > LARGE:
            self._send_large(request, limit)
        else:
            self._connection.send(request)
        self._await(limit, idle)
        kind, what = self._connection.recv()
        return str(kind), what

    def _send_large(self, request: dict[str, Any], limit: float) -> None:
        """A process that does not read would keep us in ``send`` for ever: TimedOut."""
        watchdog = threading.Timer(limit, self._kill)
        end = time.monotonic() + limit
        watchdog.start()
        try:
            self._connection.send(request)
        except ConnectionError:
            if time.monotonic() >= end:
                raise TimedOut(f"took no input within {limit:g} s") from None
            raise
        finally:
            watchdog.cancel()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        self._resident = None
        # Nothing is ever written here: that it closes tells the worker that we are gone.
        for_worker, self._lifeline = os.pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self._started = self._start_worker(theirs.fileno(), for_worker, self._stderr)
        self._process = self._started.process
        theirs.close()
        os.close(for_worker)
        self._connection.send(sys.path)

    def _await(self, limit: float, idle: float) -> None:
        """Wait for a reply, looking at the clock and at the memory now and then.

        TimedOut after ``limit`` seconds, or where the process was idle for so many in a row.
        """
        assert self._process is not None
        end = time.monotonic() + limit
        waiting = Waiting(self._process.pid) if idle < limit else None
        while not self._connection.poll(POLL):
            if time.monotonic() > end:
                raise TimedOut(f"no result within {limit:g} s")
            if waiting is not None and waiting.seconds() > idle:
                raise TimedOut(f"no result, and no use of the processor in {idle:g} s")
            if self._process.poll() is not None and not self._connection.poll():
                raise EOFError  # a child of its may hold the connection open
            self._look_at_memory()
        if time.monotonic() - self._looked > BETWEEN_LOOKS:  # it may grow a little in each call
            self._look_at_memory()

    def _look_at_memory(self) -> None:
        """OutOfMemory where the process and its children grew by too much since it was loaded."""
        assert self._process is not None
        with contextlib.suppress(psutil.Error):
            worker = psutil.Process(self._process.pid)
            resident = worker.memory_info().rss
            if self._resident is None:
                self._resident = resident
            if time.monotonic() - self._looked > BETWEEN_LOOKS:  # they are dear to find
                resident += sum(c.memory_info().rss for c in worker.children(recursive=True))
                self._looked = time.monotonic()
            if resident - self._resident > MEMORY_LIMIT:
                raise OutOfMemory(f"took more than {MEMORY_LIMIT >> 30} GiB of memory")

    def _exit_description(self) -> str:
        """How the process ended, and the last line it wrote to stderr."""
        assert self._process is not None
        assert self._stderr is not None
        return how_it_ended(self._process.wait(), self._stderr)

    def close(self) -> None:
        """End the process, and all that it started."""
        if self._process is None:
            return
        self._kill()
        self._process.wait()
        assert self._started is not None
        self._started.end_descendants()
        self._connection.close()
        os.close(self._lifeline)
        if self._stderr is not None:
            self._stderr.close()
        self._process = None

    def _kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


def how_it_ended(status: int, stderr: IO[bytes]) -> str:
    """Tell how a process ended, with the last line of what it wrote to stderr.

    Parameters
    ----------
    status
        Its exit status; negative for a signal.
    stderr
        The file that its stderr was written to.

    Returns
    -------
    str
        A sentence without a full stop.
    """
    if status < 0:
        named = -status in set(signal.Signals)  # a real-time signal has no name
        how = f"killed by {signal.Signals(-status).name if named else f'signal {-status}'}"
    else:
        how = f"exited with status {status}"
    stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - 4096))
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return f"{how}: {lines[-1]}" if lines else how


class Worker(LiveSubject):
    """A Python function called in a worker process."""

    def __init__(self, subject: Subject, process: Process) -> None:
        super().__init__(subject)
        self._process = process

    def _call(
        self,
        logits: Array,
        labels: Array | None,
        axis: int | None,
        layout: str,
        options: Mapping[str, Any],
    ) -> list[Array]:
        request = {
            "id": self.subject.id,
            "logits": logits,
            "labels": labels,
            "library": self.subject.arrays,
            "device": self.subject.device,
            "axis": axis,
            "layout": layout,
            "options": dict(options),
            "may_flush": self.contract.flush_to_zero == "yes",
        }
        arrays: list[Array] = self._ask(request)
        return arrays

    def _call_with_arguments(
        self, arguments: Sequence[Array], keywords: Mapping[str, Any]
    ) -> list[Array]:
        request = {
            "id": self.subject.id,
            "arguments": list(arguments),
            "library": self.subject.arrays,
            "device": self.subject.device,
            "may_flush": self.contract.flush_to_zero == "yes",
            **keywords,
        }
        arrays: list[Array] = self._ask(request)
        return arrays

    @property
    def given_up(self) -> ProcessDied | None:
        """Too many deaths of the process in its calls."""
        return self._process.given_up(self.subject.id)

    @property
    def last_death(self) -> ProcessDied | None:
        """How the process last ended in a call of the subject."""
        return self._process.last_deaths.get(self.subject.id)

    def load(self) -> None:
        """Import the function in the worker."""
        self._ask({"id": self.subject.id})

    def close(self) -> None:
        """End the process, which other subjects may share."""
        self._process.close()

    def _ask(self, request: dict[str, Any]) -> Any:
        kind, what = self._process.ask(request, self.subject.time_limit)
        if kind != "done":
            error: Exception = getattr(faults, kind)(what)
            raise error
        return what
