"""What a user declares in a TOML file: subjects, contracts, and expected failures.

::

    [[subject]]                       # a function of yours
    id = "mykernels.ops:softmax"      # module:attribute
    definition = "softmax"            # what it implements
    dtypes = ["float16", "float32"]   # default: float32 and float64
    arrays = "torch"                  # what it takes: numpy (default), torch, jax, cupy
    device = "cuda"                   # as that library names it; default: where it puts arrays
    time_limit = 5.0                  # seconds a call may take
    contract = { all_masked = "zero", ulps = { float32 = 2.0 } }

    [[subject]]                       # a program that speaks the protocol of program.py
    command = ["./softmax", "--fast"] # ./ and ../ begin in the folder of this file
    definition = "softmax"            # (its id, where none is given, is the command line)

    [[contract]]                      # what subjects promise that are declared elsewhere
    subject = "scipy.special:*"       # an id, or a glob
    pos_inf = "nan_at"

    [[expected_failure]]              # a result that may fail
    subject = "mykernels.ops:softmax"
    definition = "softmax"            # these three are optional: any
    suite = "accuracy"
    dtype = "float16"
    reason = "issue 12: sums in the input format"

Keys of a contract are those of ``Contract``; what is not declared is observed.  Later entries win
over earlier ones.
"""

from __future__ import annotations

import difflib
import math
import shlex
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...derivations.arithmetic.formats import ARRAY_FORMATS
from ...derivations.definition import REGISTRY
from ..subjects.contract import CHOICES, Contract
from ..subjects.subject import LIBRARIES, Subject, matches
from ..suites import FORMER_NAMES, SUITES, present_name

if TYPE_CHECKING:
    from .results import Result

MOST_NAMED = 40  # choices in an error; of more, those nearest to what was written
FUNCTION_KEYS = ("arrays", "device")  # which a program has not
COMMON_KEYS = ("id", "command", "definition", "dtypes", "time_limit", "contract")
SUBJECT_KEYS = (*COMMON_KEYS, *FUNCTION_KEYS)
CONTRACT_KEYS = (*CHOICES, "ulps")
CONTRACT_ENTRY_KEYS = ("subject", "definition", *CONTRACT_KEYS)
EXPECTED_KEYS = ("subject", "definition", "suite", "dtype", "reason")


@dataclass(frozen=True)
class ContractEntry:
    """Settings of the contracts of all subjects that a pattern matches."""

    subject: str
    definition: str | None
    settings: Mapping[str, Any]
    where: str  # "FILE: contract 2"

    def applies_to(self, subject: Subject) -> bool:
        """Whether a subject's contract is changed."""
        return self.definition in (None, subject.definition) and matches(self.subject, subject.id)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.subject, self.definition)))


@dataclass(frozen=True)
class ExpectedFailure:
    """Results that may fail, and why; None stands for any."""

    subject: str
    definition: str | None
    suite: str | None
    dtype: str | None
    reason: str
    where: str

    def applies_to(self, subject: Subject) -> bool:
        """Whether some result of a subject may fail."""
        return any(
            self.covers(subject.definition, subject.id, self.suite or "", dtype)
            for dtype in subject.dtypes
        )

    def covers(self, definition: str, subject_id: str, suite: str, dtype: str) -> bool:
        """Whether a result may fail."""
        return (
            self.definition in (None, definition)
            and self.suite in (None, suite)
            and self.dtype in (None, dtype)
            and matches(self.subject, subject_id)
        )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.subject, self.definition, self.suite, self.dtype)))


@dataclass(frozen=True)
class Declarations:
    """The content of a file at a path."""

    path: str = ""
    subjects: tuple[Subject, ...] = ()
    contracts: tuple[ContractEntry, ...] = ()
    expected: tuple[ExpectedFailure, ...] = ()

    def among(self, known: Iterable[Subject]) -> list[Subject]:
        """All subjects: those known with their contracts changed, and the file's.

        A subject of the file replaces a known one of the same id and definition.
        """
        every = {(s.id, s.definition): s for s in (*known, *self.subjects)}
        return [self.contracted(subject) for subject in every.values()]

    def contracted(self, subject: Subject) -> Subject:
        """A subject with its contract changed as the file says."""
        for entry in self.contracts:
            if entry.applies_to(subject):
                changed = _changed(subject.contract, entry.settings)
                subject = replace(subject, contract=changed, declared_in=self.path)
        return subject

    def reason(self, definition: str, subject_id: str, suite: str, dtype: str) -> str | None:
        """Why a result may fail; None where it may not."""
        for entry in reversed(self.expected):
            if entry.covers(definition, subject_id, suite, dtype):
                return entry.reason
        return None

    def unmatched(self, known: Iterable[Subject]) -> list[str]:
        """A warning for each entry that matches none of the subjects there are, run or not."""
        every = self.among(known)
        entries: list[ContractEntry | ExpectedFailure] = [*self.contracts, *self.expected]
        return [
            f"{entry.where}: {entry} matches no subject; `softproof subjects` lists them"
            for entry in entries
            if not any(entry.applies_to(subject) for subject in every)
        ]

    def fixed(self, results: Iterable[Result]) -> list[str]:
        """A warning for each expected failure of which every result, of those there are, passed."""
        tested = [r for r in results if r.checks]
        warnings = []
        for entry in self.expected:
            covered = [r for r in tested if entry.covers(r.definition, r.subject, r.suite, r.dtype)]
            if covered and all(r.passed for r in covered):
                warnings.append(
                    f"{entry.where}: {entry} passed (expected to fail: {entry.reason}); "
                    "if it is fixed, remove the entry"
                )
        return warnings


def load(path: Path) -> Declarations:
    """Read the declarations of a file.

    Parameters
    ----------
    path
        A file in TOML.

    Returns
    -------
    Declarations
        The subjects, contracts and expected failures.

    Raises
    ------
    ValueError
        For what is wrong in it, with the file, the entry and the key.
    """
    with path.open("rb") as file:
        try:
            return parse(file.read().decode(), path)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text: {error}") from None


def parse(text: str, path: Path) -> Declarations:
    """Read the declarations in a text.

    Parameters
    ----------
    text
        The text, in TOML.
    path
        The file that it stands in, for messages and for the subjects.

    Returns
    -------
    Declarations
        The subjects, contracts and expected failures.

    Raises
    ------
    ValueError
        For what is wrong in it, with the file, the entry and the key.

    Examples
    --------
    >>> text = '''
    ... [[subject]]
    ... id = "mine:softmax"
    ... definition = "softmax"
    ... contract = { all_masked = "zero" }
    ... '''
    >>> parse(text, Path("conformance.toml")).subjects[0].contract.all_masked
    'zero'
    """
    try:
        data = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, and that of an endless integer
        raise ValueError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deep; no entry needs more than 4 levels") from None
    file = Table(data, str(path), ("subject", "contract", "expected_failure"))
    subjects = tuple(_subject(entry, path) for entry in file.entries("subject", SUBJECT_KEYS))
    contracts = tuple(map(_contract_entry, file.entries("contract", CONTRACT_ENTRY_KEYS)))
    expected = tuple(map(_expected_failure, file.entries("expected_failure", EXPECTED_KEYS)))
    _demand_unique(subjects, path)
    return Declarations(str(path), subjects, contracts, expected)


def _demand_unique(subjects: tuple[Subject, ...], path: Path) -> None:
    first: dict[tuple[str, str], int] = {}
    for number, subject in enumerate(subjects, 1):
        earlier = first.setdefault((subject.id, subject.definition), number)
        if earlier != number:
            raise ValueError(
                f"{path}: subject {number}: {subject.id} is declared for {subject.definition} by "
                f"subject {earlier} already; keep one"
            )


def _subject(table: Table, path: Path) -> Subject:
    command = table.texts("command", "give a list of words") if "command" in table else ()
    if not command:
        subject_id = table.text("id", "write module:attribute, or give a command")
        module, _, attribute = subject_id.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
            raise table.wrong("id", "write module:attribute, or give a command")
    else:
        for key in FUNCTION_KEYS:
            if key in table:
                raise table.wrong(key, "remove it: a program takes numbers, not arrays")
        subject_id = table.text("id", "write a name") if "id" in table else shlex.join(command)
    subject = Subject(
        subject_id,
        table.choice("definition", REGISTRY),
        _changed(Contract(), _settings(table.table("contract", CONTRACT_KEYS))),
        command=_resolved(command, path.parent),
        declared_in=str(path),
    )
    if "dtypes" in table:
        names = table.texts("dtypes", f"give a list of {', '.join(ARRAY_FORMATS)}", ARRAY_FORMATS)
        subject = replace(subject, dtypes=names)
    if "arrays" in table:
        subject = replace(subject, arrays=table.choice("arrays", LIBRARIES))
    if "device" in table:
        subject = replace(subject, device=table.text("device", "name one, as cuda:1"))
    if "time_limit" in table:
        subject = replace(subject, time_limit=table.positive("time_limit", "seconds"))
    return subject


def _resolved(command: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """A command whose paths begin in a folder: the program's, and words with ./ or ../."""
    return tuple(
        str(folder.absolute() / word)
        if word.startswith(("./", "../")) or (i == 0 and "/" in word)
        else word
        for i, word in enumerate(command)
    )


def _contract_entry(table: Table) -> ContractEntry:
    settings = _settings(table)
    if not settings:
        raise ValueError(f"{table.where} declares nothing; give one of {', '.join(CONTRACT_KEYS)}")
    return ContractEntry(
        table.text("subject", "give an id or a glob"),
        table.choice("definition", REGISTRY) if "definition" in table else None,
        settings,
        table.where,
    )


def _expected_failure(table: Table) -> ExpectedFailure:
    return ExpectedFailure(
        table.text("subject", "give an id or a glob"),
        table.choice("definition", REGISTRY) if "definition" in table else None,
        present_name(table.choice("suite", (*SUITES, *FORMER_NAMES))) if "suite" in table else None,
        table.choice("dtype", ARRAY_FORMATS) if "dtype" in table else None,
        table.text("reason", "say why it fails"),
        table.where,
    )


def _settings(table: Table) -> dict[str, Any]:
    """The keys of a contract that a table sets."""
    settings: dict[str, Any] = {
        key: table.choice(key, choices) for key, choices in CHOICES.items() if key in table
    }
    if "ulps" in table:
        ulps = table.table("ulps", ARRAY_FORMATS)
        settings["ulps"] = {dtype: ulps.positive(dtype, "ulps") for dtype in ulps.data}
    return settings


def _changed(contract: Contract, settings: Mapping[str, Any]) -> Contract:
    ulps = {**contract.ulps, **settings.get("ulps", {})}
    return replace(contract, **{**settings, "ulps": ulps})


class Table:
    """A table of the file, read strictly: each ValueError says where, what was, and what can be."""

    def __init__(self, data: Any, where: str, keys: Iterable[str]) -> None:
        """ValueError where it is no table, or for a key that is none of ``keys``."""
        if not isinstance(data, dict):
            raise ValueError(f"{where} is {data!r}; write a table")
        for key in data:
            if key not in keys:
                raise ValueError(f"{where}: unknown key {key!r}; possible are {', '.join(keys)}")
        self.data = data
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def wrong(self, key: str, advice: str) -> ValueError:
        """What to raise where a key is missing, or has a value that it cannot have."""
        what = f"is {self.data[key]!r}" if key in self.data else "is missing"
        return ValueError(f"{self.where}: {key} {what}; {advice}")

    def table(self, key: str, keys: Iterable[str]) -> Table:
        """A table inside of this one; an empty one where there is none."""
        return Table(self.data.get(key, {}), f"{self.where}: {key}", keys)

    def entries(self, key: str, keys: Iterable[str]) -> list[Table]:
        """List the tables ``[[key]]`` inside of this one."""
        entries = self.data.get(key, [])
        if not isinstance(entries, list):
            raise ValueError(f"{self.where}: {key} is not a list of tables; write [[{key}]]")
        return [
            Table(entry, f"{self.where}: {key} {number}", keys)
            for number, entry in enumerate(entries, 1)
        ]

    def text(self, key: str, advice: str) -> str:
        """A text, not empty."""
        value = self.data.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, advice)
        return value

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """A text that is one of some."""
        value = self.data.get(key)
        known = [*choices]
        if not isinstance(value, str) or value not in known:
            if len(known) <= MOST_NAMED:
                raise self.wrong(key, f"possible are {', '.join(known)}")
            near = difflib.get_close_matches(str(value), known, n=3) or sorted(known)[:3]
            raise self.wrong(key, f"{len(known)} are possible, such as {', '.join(near)}")
        return value

    def texts(self, key: str, advice: str, choices: Iterable[str] | None = None) -> tuple[str, ...]:
        """A list of texts, not empty; of some choices, where there are such."""
        value = self.data[key]
        if not isinstance(value, list) or not value:
            raise self.wrong(key, advice)
        for item in value:
            if not isinstance(item, str) or not (choices is None or item in choices):
                raise self.wrong(key, advice)
        return tuple(value)

    def positive(self, key: str, unit: str) -> float:
        """A finite number above 0."""
        value = self.data[key]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise self.wrong(key, f"give a number of {unit} above 0")
        return float(value)
