"""Conformance as an assertion, for test suites: what a message says, and what to fix."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ..derivations import Definition, lookup
from ..derivations.arithmetic.formats import ARRAY_FORMATS, Format
from .inputs.families import Batch
from .oracle.metrics import hexadecimal
from .reports.hints import hints
from .reports.text import counted, row_of_numbers
from .reports.wording import observed_told, quantities, worst_first
from .runs.execute import Connect, in_this_process
from .runs.plan import ROWS, plan
from .runs.results import Failure, Report, Result
from .runs.run import run
from .runs.snippet import LIBRARIES, snippet
from .subjects.built_in import select
from .subjects.call import keywords_of
from .subjects.contract import Contract
from .subjects.isolation.worker_pool import Workers
from .subjects.subject import NotApplicable, Subject, SubjectError, SubjectFault
from .subjects.surroundings import Surroundings, our_own
from .suites import FORMER_NAMES, SUITES, present_name

MAX_SHOWN = 8  # logits of a row in a message

Function = Callable[..., Any]


class NothingToCheck(ValueError):
    """A suite that has no case for the function, as that of gradients where it returns none."""


def assert_conforms(
    fn: Function | str,
    definition: str,
    *,
    dtype: str | Sequence[str] = "float32",
    contract: Contract | Mapping[str, Any] | None = None,
    suites: str | Sequence[str] | None = None,
    budget: str = "quick",
    seed: int = 0,
    arrays: str = "numpy",
    device: str = "",
) -> None:
    """Assert that a function keeps what its definition and its contract promise.

    The message gives the worst case of each suite that fails: the row in hex and decimal, what was
    observed and expected, the error, the threshold and its source, and what to fix where the case
    tells that.

    Parameters
    ----------
    fn
        Called with logits of shape (rows, classes), and labels of shape (rows,) for a loss; returns
        an array of their dtype, or (loss, gradient). A callable, closures and methods included,
        runs in this process, under the floating-point environment and ``np.seterr`` that the caller
        has: a crash takes the tests with it, and a hang stops them. Its name
        ``"module:attribute"``, or the command line of a program, runs in a process of its own,
        where both are findings.
    definition
        The name of the definition that it implements.
    dtype
        The name of the format, or several: float16, bfloat16, float32, float64.
    contract
        Where implementations differ legitimately, what this one does, as a Contract or a mapping of
        its settings. What it does not say is observed: the function may go any of the legitimate
        ways, but not two at once.
    suites
        The name of a suite, or several; None: all that apply.
    budget
        "quick" or "standard".
    seed
        The seed of the inputs; the same one gives the same message.
    arrays
        The library whose arrays ``fn`` takes: numpy, torch, jax or cupy.
    device
        Where the arrays live, as "cuda"; empty for the library's default.

    Raises
    ------
    AssertionError
        If the function does not conform.
    TypeError, ValueError
        If an argument cannot be; the message names it.
    NothingToCheck
        If no check, or none of a suite that was named, applies to ``fn``.

    Examples
    --------
    >>> from softproof.kernels import softmax
    >>> assert_conforms(softmax, "softmax", suites="overflow")
    >>> assert_conforms(softmax, "softmax", dtype="float8")
    Traceback (most recent call last):
    ValueError: dtype 'float8' is none of float16, bfloat16, float32, ...
    """
    __tracebackhide__ = True  # pytest then shows the line of the test
    conformance = Conformance(
        definition, dtype, contract, suites, budget=budget, seed=seed, arrays=arrays, device=device
    )
    conformance.check(fn)


@dataclass(frozen=True)
class Conformance:
    """What is asked of a function: the arguments of ``assert_conforms`` but for the function.

    TypeError or ValueError names an argument that cannot be.
    """

    definition: str
    dtype: str | Sequence[str] = "float32"
    contract: Contract | Mapping[str, Any] | None = None
    suites: str | Sequence[str] | None = None
    budget: str = "quick"
    seed: int = 0
    arrays: str = "numpy"
    device: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is run."""
        try:
            lookup(self.definition)
        except KeyError as error:
            raise ValueError(f"definition: {error.args[0]}") from None
        _names("dtype", self.dtype, ARRAY_FORMATS)
        if self.suites is not None:
            _names("suites", self.suites, {**SUITES, **FORMER_NAMES})
        _one("budget", self.budget, ROWS)
        _one("arrays", self.arrays, LIBRARIES)
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; give an integer, 0 or more")
        _declared(self.contract, Contract())
        if not self.chosen_suites:
            raise NothingToCheck(
                f"suites {self.suites!r} has nothing to check of {self.definition}"
            )

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The formats to check, once each."""
        return _names("dtype", self.dtype, ARRAY_FORMATS)

    @property
    def chosen_suites(self) -> tuple[str, ...]:
        """The suites to run, in their order: of those that were named, or of all, what applies."""
        named: Iterable[str] = SUITES
        if self.suites is not None:
            named = _names("suites", self.suites, {**SUITES, **FORMER_NAMES})
        chosen = {present_name(name) for name in named}
        anyone = Subject("", self.definition, dtypes=self.dtypes)
        return tuple(
            suite
            for suite in SUITES
            if suite in chosen and plan([anyone], [suite], self.dtypes, budget=self.budget)
        )

    def parts(self) -> dict[str, Conformance]:
        """The checks of this call split by suite and format, by a name.

        >>> list(Conformance("sigmoid", ["float16", "float32"], suites=["overflow"]).parts())
        ['float16-overflow', 'float32-overflow']
        """
        return {
            f"{dtype}-{suite}": replace(self, dtype=dtype, suites=suite)
            for dtype in self.dtypes
            for suite in replace(self, dtype=dtype).chosen_suites
        }

    def check(self, fn: Function | str) -> None:
        """Do what ``assert_conforms`` says."""
        __tracebackhide__ = True
        surroundings = Surroundings()  # of the function: what the caller has
        with our_own():
            self._check(fn, surroundings)

    def _check(self, fn: Function | str, surroundings: Surroundings) -> None:
        __tracebackhide__ = True
        subject = self.subject(fn)
        report = Report(self.seed, self.budget, [subject])
        items = plan([subject], self.chosen_suites, self.dtypes, budget=self.budget, seed=self.seed)
        with _hosts(subject, fn, surroundings) as connect:
            for _ in run(items, report, connect):
                pass
            if report.interrupted:
                raise KeyboardInterrupt
            if not report.passed:
                message = _FailureMessage(self, subject, fn, connect).message(report)
                raise AssertionError(message)
        self._demand_checks(subject, report)

    def subject(self, fn: Function | str) -> Subject:
        """The subject that is asked, as it is declared.

        Parameters
        ----------
        fn
            As ``assert_conforms`` takes it.

        Returns
        -------
        Subject
            One, for these formats and arrays.

        Raises
        ------
        TypeError, ValueError
            If it is no function and no name of one, or of several.
        """
        if isinstance(fn, str):
            try:
                found = select(fn, [lookup(self.definition)])
            except SubjectError as error:
                raise ValueError(f"fn {fn!r}: {error}") from None
            if len(found) != 1:
                raise ValueError(f"fn {fn!r} names {len(found)} subjects; name one")
            (subject,) = found
            # What is built in tells its arrays itself.
            arrays = subject.arrays if self.arrays == "numpy" else self.arrays
            device = self.device or subject.device
        elif callable(fn):
            subject = Subject(_name(fn), self.definition)
            arrays, device = self.arrays, self.device
        else:
            raise TypeError(
                f"fn is a {type(fn).__name__}; give a function, its name as module:attribute, or "
                "the command line of a program"
            )
        contract = _declared(self.contract, subject.contract)
        return replace(subject, contract=contract, dtypes=self.dtypes, arrays=arrays, device=device)

    def _demand_checks(self, subject: Subject, report: Report) -> None:
        __tracebackhide__ = True
        results = report.results.values()
        for result in results:
            if self.suites is not None and result.checks == 0:
                raise NothingToCheck(
                    f"suite {result.suite} has nothing to check of {subject.id} in {result.dtype}"
                )
        if not any(result.checks for result in results):
            raise NothingToCheck(f"there is nothing to check of {subject.id}")


def _one(argument: str, value: object, known: Mapping[str, object]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{argument} is {value!r}; give a name, one of {', '.join(known)}")
    if value not in known:
        raise ValueError(f"{argument} {value!r} is none of {', '.join(known)}")
    return value


def _names(argument: str, value: object, known: Mapping[str, object]) -> tuple[str, ...]:
    """One name, or several, each a known one, in the order of these (a set has none)."""
    if isinstance(value, str):
        return (_one(argument, value, known),)
    if not isinstance(value, Iterable):
        raise TypeError(f"{argument} is {value!r}; give names, of {', '.join(known)}")
    given = {_one(argument, name, known) for name in value}
    names = tuple(name for name in known if name in given)
    if not names:
        raise ValueError(f"{argument} is empty; name at least one of {', '.join(known)}")
    return names


def _declared(contract: object, known: Contract) -> Contract:
    """A contract from what was given, settings on top of a known one."""
    if contract is None:
        return known
    if isinstance(contract, Contract):
        return contract
    if not isinstance(contract, Mapping):
        raise TypeError(
            f"contract is {contract!r}; give a Contract, or a mapping such as "
            '{"all_masked": "zero"}'
        )
    settings = [f.name for f in fields(Contract)]
    for name in contract:
        if name not in settings:
            raise ValueError(f"contract has {name!r}, which is none of {', '.join(settings)}")
    ulps = contract.get("ulps", {})
    if not isinstance(ulps, Mapping) or not set(ulps) <= set(ARRAY_FORMATS):
        raise ValueError(
            f'contract ulps is {ulps!r}; give the most ulps by dtype, such as {{"float32": 4.0}}'
        )
    return replace(known, **contract)


def _name(fn: Function) -> str:
    """``module:attribute`` of a function, of the type of any other callable."""
    named = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{named.__module__}:{named.__qualname__}"


@contextlib.contextmanager
def _hosts(subject: Subject, fn: Function | str, surroundings: Surroundings) -> Iterator[Connect]:
    """What calls the function, as it is declared or with another contract."""
    if not isinstance(fn, str):
        yield in_this_process(fn, surroundings)
        return
    with Workers() as workers:
        for error in workers.load([subject]):
            raise ValueError(f"fn {fn!r}: {error}")
        yield workers.connect


class _FailureMessage:
    """Writes the message of a failed assertion."""

    def __init__(
        self, asked: Conformance, subject: Subject, fn: Function | str, connect: Connect
    ) -> None:
        self._asked = asked
        self._subject = subject
        self._fn = fn
        self._connect = connect
        self._definition: Definition = lookup(subject.definition)

    def message(self, report: Report) -> str:
        """The worst case of each suite that failed."""
        failed = [r for r in report.results.values() if r.status in ("fail", "refused")]
        dtypes = dict.fromkeys(r.dtype for r in failed)
        where = [f"{d} ({', '.join(r.suite for r in failed if r.dtype == d)})" for d in dtypes]
        lines = [
            f"{self._subject.id} does not conform to {self._definition.name} in {', '.join(where)}"
        ]
        for observed in report.observed.values():
            lines += [f"observed: {line}" for line in observed_told(observed)]
        told = set()
        for result in failed:
            worst = worst_first(asdict(f) for f in result.failures)[0]
            failure = Failure(**worst)
            # What keeps a function from being judged is the same in every suite and format.
            if failure.family == "preflight":
                if failure.message in told:
                    continue
                told.add(failure.message)
            lines += ["", *self._case(result, failure)]
        return "\n".join(lines)

    def _case(self, result: Result, failure: Failure) -> Iterator[str]:
        if failure.case is not None:
            yield from self._case_of_arguments(result, failure)
            return
        fmt = ARRAY_FORMATS[result.dtype]
        batch = _batch(failure, fmt)
        rows = [*zip(("logits", ""), row_of_numbers(failure.logits, MAX_SHOWN), strict=True)]
        if failure.label is not None:
            rows.append(("label", str(failure.label)))
        rows += quantities(asdict(failure))
        if failure.detail:
            rows.append(("detail", _in_python(failure.detail)))
        if failure.family == "preflight":
            yield f"{result.dtype}: {failure.message}; nothing else was checked"
        else:
            yield f"{result.dtype} {result.suite}: {failure.message}"
            violations = counted(result.violations, "violation")
            checks = counted(result.checks, "check")
            families = ", ".join(dict.fromkeys(f.family for f in result.failures))
            rows.append(("found", f"{violations} in {checks} ({families})"))
        rows += hints(self._subject, self._connect, result.suite, fmt, failure, batch)
        for name, value in rows:
            yield f"    {name:<10}{value}"
        yield "    reproduce"
        for line in self._again(result, failure, batch).splitlines():
            yield f"        {line}".rstrip()

    def _case_of_arguments(self, result: Result, failure: Failure) -> Iterator[str]:
        """What failed of a function of several arguments: the numbers, and the case as text."""
        is_refused = failure.family == "preflight"
        yield f"{result.dtype}{'' if is_refused else f' {result.suite}'}: {failure.message}"
        rows = quantities(asdict(failure))
        if failure.detail:
            rows.append(("detail", _in_python(failure.detail)))
        if not is_refused:
            violations = counted(result.violations, "violation")
            families = ", ".join(dict.fromkeys(f.family for f in result.failures))
            rows.append(
                ("found", f"{violations} in {counted(result.checks, 'check')} ({families})")
            )
        for name, value in rows:
            yield f"    {name:<10}{value}"
        yield "    case"
        for line in (failure.case or "").splitlines():
            yield f"        {line}"
        yield "    reproduce"
        again = failure.reproduce if isinstance(self._fn, str) else self._call(result)
        for line in again.splitlines():
            yield f"        {line}"

    def _again(self, result: Result, failure: Failure, batch: Batch) -> str:
        """What shows the case once more."""
        if isinstance(self._fn, str):
            return failure.reproduce
        return self._script(failure, batch) or self._call(result)

    def _script(self, failure: Failure, batch: Batch) -> str | None:
        """A script that calls fn with the row alone; None unless that was seen to show the case."""
        if failure.observed is None:
            return None
        in_gradient = "gradient beyond" in failure.message
        subject = self._connect(self._subject)
        try:
            outcome = subject(batch.logits, batch.labels)
        except (SubjectFault, NotApplicable):
            return None
        result = outcome.gradient if in_gradient else outcome.value
        if result is None:
            return None
        place = (0, failure.index or 0)[: result.ndim]
        if hexadecimal(float(result[place])) != failure.observed:
            return None
        if in_gradient and self._subject.arrays in ("torch", "jax"):
            return None  # scripts of these differentiate by themselves
        call = self._expression()
        if outcome.gradient is not None:
            call = f"value, gradient = {call}\nvalue" + ", gradient" * in_gradient
        expected = None if failure.expected is None else float.fromhex(failure.expected)
        script = snippet(
            replace(self._subject, snippet=call),
            batch.logits,
            batch.labels,
            place=place,
            in_gradient=in_gradient,
            expected=expected,
        )
        return script and f"# fn = {self._subject.id}\n{script}"

    def _expression(self) -> str:
        """The call as it is made here: along the last axis, where fn takes one."""
        assert callable(self._fn)
        arguments = ["x", *(["labels"] if self._definition.labelled else [])]
        names = () if self._definition.elementwise else keywords_of(self._fn, self._subject.arrays)
        arguments += [f"{name}=-1" for name in ("axis", "dim") if name in names]
        return f"fn({', '.join(arguments)})"

    def _call(self, result: Result) -> str:
        """The assertion, for the one suite and format."""
        asked, plain = self._asked, Conformance(self._definition.name)
        settings = self._subject.contract.settings_from(Contract())
        contract: dict[str, object] = {**dict(s.split("=") for s in settings)}
        if self._subject.contract.ulps:
            contract["ulps"] = dict(self._subject.contract.ulps)
        given: dict[str, object] = {"dtype": result.dtype, "suites": result.suite}
        if contract:
            given["contract"] = contract
        for name in ("budget", "seed", "arrays", "device"):
            if getattr(asked, name) != getattr(plain, name):
                given[name] = getattr(asked, name)
        keywords = ", ".join(f"{name}={value!r}" for name, value in given.items())
        return f"assert_conforms(fn, {asked.definition!r}, {keywords})"


def _batch(failure: Failure, fmt: Format) -> Batch:
    """The row of a failure."""
    row = np.array([[float.fromhex(v) for v in failure.logits]]).astype(fmt.dtype)
    labels = None if failure.label is None else np.array([failure.label])
    return Batch(failure.family, row, labels)


def _in_python(detail: str) -> str:
    """A detail with the settings of the command line as the argument ``contract``."""

    def argument(match: re.Match[str]) -> str:
        settings = re.findall(r"--contract (\w+)=(\w+)", match[0])
        return f"contract={json.dumps(dict(settings))}"

    return re.sub(r"--contract \w+=\w+(?: --contract \w+=\w+)*", argument, detail)
