"""A run's results in an SQLite file, written as they come: a killed run goes on where it was.

One file holds one run: the same subjects, suites and inputs, in the same versions, on the same kind
of machine.  Each result is written once, under the names of its item, so that none is counted
twice.  A result that comes ``INTERVAL`` or more after the last commit is committed, with those that
came before it.

What is lost, and found again by the next run: with the process, the item in work and at most
``INTERVAL`` seconds of results.  With the power, the same where the disk keeps what it was told to
keep (``synchronous=FULL``); where it does not, the last results, and the file is still whole.  Each
entry has a digest beside it, so that a file that was damaged since is refused, not believed.  WAL
needs a local disk; while a run writes, two files stand beside (``-wal``, ``-shm``), and a copy must
take them along.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...derivations import lookup
from ..cases.case import Case
from ..cases.user_definitions import source_file
from ..inputs.families import Batch
from .results import Item, Report, Result, decode, encode
from .versions import code_files, digest_of, files_of_definitions, own_code, processor

SCHEMA = 2  # of what is written; raised when runs stored before cannot be gone on with
WITHOUT_DIGESTS = 1  # the schema before, which is read, but not written
APPLICATION = int.from_bytes(b"sofp")  # tells our files from those of other programs
DAMAGE = ("malformed", "no such", "Could not decode")  # in SQLite's words
ORDERED = "SELECT item, result, digest FROM results ORDER BY item"
INTERVAL = 0.2  # seconds between commits: the finished work that a kill may cost


class StoreError(Exception):
    """A file that cannot be used as this store: the message says why and what to do."""


# --- a store as a file ---


class _Database:
    """A file with results, opened."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._connection: sqlite3.Connection

    @property
    def count(self) -> int:
        """How many results it holds."""
        with self._telling():
            (count,) = self._connection.execute("SELECT count(*) FROM results").fetchone()
        return int(count)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._connection.close()

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors of SQLite, as ours."""
        try:
            yield
        except UnicodeDecodeError as error:  # of a message of SQLite that quotes the file
            raise self._damaged(str(error)) from error
        except sqlite3.Error as error:
            if "locked" in str(error):
                what = "another process is using it: wait for that to end, or choose another file"
            elif "not a database" in str(error):
                what = "that is no SQLite file; choose another file"
            elif any(word in str(error) for word in DAMAGE):
                raise self._damaged(str(error)) from error
            elif "unable to open" in str(error) or "readonly" in str(error):
                what = f"{error}: is there such a folder, and may you write to it?"
            else:
                what = str(error)
            raise StoreError(f"store {self.path}: {what}") from error

    def _damaged(self, how: str) -> StoreError:
        return StoreError(
            f"store {self.path}: it is damaged ({how}); take a copy from before, or start anew "
            "with another file"
        )

    def _demand_whole(self) -> None:
        """StoreError where the file, or an entry in it, is not what was written."""
        for (found,) in self._connection.execute("PRAGMA quick_check(1)"):
            if found != "ok":
                raise self._damaged(" ".join(found.split()))
        for name in ("plan", "started"):
            self._entry(name)
        for row in self._connection.execute("SELECT item, result, digest FROM results"):
            self._demand_digest(*row)

    def _demand_digest(self, name: Any, text: Any, digest: Any) -> None:
        is_text = isinstance(name, str) and isinstance(text, str)
        if not is_text or digest != _digest_entry(name, text):
            raise self._damaged(f"what it holds of {name} is not what was written")

    def _is_new(self, *readable: int) -> bool:
        """Whether there is nothing in the file; StoreError where there is something foreign.

        Stores of the present schema, and of those ``readable`` besides, are not foreign.
        """
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (schema,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if (application, schema, tables) == (0, 0, 0):
            return True
        if application != APPLICATION:
            raise StoreError(
                f"store {self.path}: that is an SQLite file of another program; choose another file"
            )
        if schema not in (SCHEMA, *readable):
            raise StoreError(
                f"store {self.path}: it has schema {schema}, and this softproof reads {SCHEMA}; "
                "open it with the version that wrote it"
            )
        return False

    def _entry(self, name: str) -> Any:
        entry = self._connection.execute(
            "SELECT value, digest FROM run WHERE name = ?", (name,)
        ).fetchone()
        if entry is None:
            raise self._damaged(f"it has no {name}")
        text, digest = entry
        self._demand_digest(name, text, digest)
        return json.loads(text)

    def _result(self, key: str, text: str, digest: str) -> Result:
        """The result that was written with these; StoreError where it cannot be read."""
        self._demand_digest(key, text, digest)
        try:
            return decode(text)
        except (TypeError, ValueError, KeyError, RecursionError) as error:
            raise StoreError(
                f"store {self.path}: {key} cannot be read ({error}); was it written by another "
                f"version of softproof ({self._entry('plan')['versions']['softproof']})?"
            ) from error


class Store(_Database):
    """The store of a run, for writing; a context manager that keeps what it has however it ends.

    Only one process can have a store open for writing.

    >>> import tempfile
    >>> from softproof.verify.runs.plan import plan
    >>> from softproof.verify.runs.results import Report
    >>> from softproof.verify.runs.run import run
    >>> from softproof.verify.subjects import built_in
    >>> subject = built_in.registered("scipy.special:softmax", "softmax")
    >>> items = plan([subject], ["special-values"], ["float32"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):
    ...         report = Report(0, "quick", [subject])
    ...         with Store(f"{folder}/results.sqlite", items, report) as store:
    ...             print(store.count, "of", len(items), "known")
    ...             done = list(run(items, report, store=store))
    0 of 1 known
    1 of 1 known
    """

    def __init__(self, path: str | Path, items: Sequence[Item], report: Report) -> None:
        """Create it, or open it to go on with it.

        StoreError where the file is no store, holds another run, cannot be written, or is being
        written by another process.
        """
        super().__init__(path)
        self._given = _GivenRows()
        described = describe(items, report)
        with self._telling():
            # No waiting: whoever has it, has it for the length of a run.
            self._connection = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            with self._telling():
                self._open(described)
        except BaseException:
            self._connection.close()
            raise
        self._committed = time.monotonic()

    def _open(self, described: dict[str, Any]) -> None:
        self._is_new()  # what is foreign stays as it is
        self._connection.execute("PRAGMA journal_mode = WAL")  # readers need not wait for us
        self._connection.execute("PRAGMA synchronous = FULL")
        # The lock on writing is kept from here to the end: it is what keeps a second writer out.
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("PRAGMA busy_timeout = 5000")
        if self._is_new():
            self._create(described)
            self._commit()
            return
        self._demand_whole()
        if found := differences(self._entry("plan"), described):
            # The digest over all items says something only where nothing else does.
            found = [d for d in found if d.name != "plan"] or found
            told = "; ".join(str(difference) for difference in found[:5])
            more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
            raise StoreError(
                f"store {self.path} holds another run ({told}{more}); choose another file, and "
                "hold the two against each other with `softproof compare`"
            )

    def _create(self, described: dict[str, Any]) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA application_id = {APPLICATION}")
        execute(f"PRAGMA user_version = {SCHEMA}")
        digested = "TEXT NOT NULL, digest TEXT NOT NULL"
        execute(f"CREATE TABLE run (name TEXT PRIMARY KEY, value {digested})")
        execute(f"CREATE TABLE results (item TEXT PRIMARY KEY, result {digested}) WITHOUT ROWID")
        started = datetime.now(UTC).isoformat(timespec="seconds")
        for name, value in (("plan", described), ("started", started)):
            text = json.dumps(value)
            execute("INSERT INTO run VALUES (?, ?, ?)", (name, text, _digest_entry(name, text)))

    def get(self, item: Item) -> Result | None:
        """The result of an item, where it is known."""
        key = self._given.key(item)
        with self._telling():
            row = self._connection.execute(
                "SELECT result, digest FROM results WHERE item = ?", (key,)
            ).fetchone()
        return None if row is None else self._result(key, *row)

    def put(self, item: Item, result: Result) -> None:
        """Keep the result of an item; StoreError where it has one already."""
        key, text = self._given.key(item), encode(result)
        with self._telling():
            self._connection.execute(
                "INSERT INTO results VALUES (?, ?, ?)", (key, text, _digest_entry(key, text))
            )
            if time.monotonic() - self._committed >= INTERVAL:
                self._commit()

    def _commit(self) -> None:
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")
        self._committed = time.monotonic()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Commit, and leave one file that can be copied and opened in a read-only folder."""
        try:
            with self._telling():
                if self._connection.in_transaction:
                    self._connection.execute("COMMIT")
            with contextlib.suppress(sqlite3.OperationalError):  # somebody is reading
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")
        finally:
            super().close()


class Stored(_Database):
    """A store for reading, also while a run writes it: what it holds when it is opened.

    * ``plan``: what was run, as ``describe`` tells it.
    * ``started``: when, in UTC.
    """

    def __init__(self, path: str | Path) -> None:
        """Open it; StoreError where the file is missing, or no store."""
        super().__init__(path)
        if not self.path.is_file():
            raise StoreError(f"store {self.path}: there is no such file")
        with self._telling():
            self._connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
        try:
            with self._telling():
                if self._is_new(WITHOUT_DIGESTS):
                    raise StoreError(f"store {self.path}: it is empty; no run was started in it")
                self._add_missing_digests()
                self._connection.execute("BEGIN")  # one snapshot for all that is read
                self._demand_whole()
                self.plan: dict[str, Any] = self._entry("plan")
                self.started: str = self._entry("started")
        except BaseException:
            self._connection.close()
            raise

    def _add_missing_digests(self) -> None:
        """Let a store of the schema before be read by the same words: its entries are believed."""
        (schema,) = self._connection.execute("PRAGMA user_version").fetchone()
        if schema == WITHOUT_DIGESTS:
            self._connection.create_function("digest_of", 2, _digest_entry)
            for table, columns in (("run", "name, value"), ("results", "item, result")):
                self._connection.execute(
                    f"CREATE TEMP VIEW {table} AS "
                    f"SELECT {columns}, digest_of({columns}) AS digest FROM main.{table}"
                )

    @property
    def finished(self) -> bool:
        """Whether all items of the run are done."""
        return self.count >= int(self.plan["items"])

    def results(self) -> Iterator[tuple[str, Result]]:
        """The key and the result of each item that is done, sorted by key."""
        with self._telling():
            for key, *entry in self._connection.execute(ORDERED):
                yield key, self._result(key, *entry)

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _digest_entry(name: str, text: str) -> str:
    """What stands beside an entry: 16 hexadecimal digits of the SHA-256 of its name and text."""
    content = f"{name}\0{text}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:16]


# --- the names of an item ---


class _GivenRows:
    """Keys of items, with the digest of the rows that many items share found once."""

    def __init__(self) -> None:
        self._digests: dict[int, tuple[tuple[Batch, ...], str | None]] = {}

    def key(self, item: Item) -> str:
        """The item's names as canonical JSON: two items of a plan have the same key never."""
        names = {f.name: getattr(item, f.name) for f in fields(item)}
        names |= {"definition": item.subject.definition, "subject": item.subject.id}
        names["given"] = self.digest(item.given)
        del names["given_in"]  # the rows count, not where they lie
        if (case := names.pop("case")) is not None:
            names["case"] = _digest_case(case)
        if item.family == "":  # the suite makes its own inputs
            del names["rows"], names["seed"]
        return json.dumps(names, sort_keys=True, separators=(",", ":"))

    def digest(self, given: tuple[Batch, ...]) -> str | None:
        """SHA-256 of the user's rows; None where there are none."""
        if id(given) not in self._digests:
            # Kept with the rows themselves, so that no other tuple gets their id.
            self._digests[id(given)] = (given, _digest_rows(given) if given else None)
        return self._digests[id(given)][1]


def _digest_case(case: Case) -> str:
    return hashlib.sha256(repr(case.key).encode()).hexdigest()


def _digest_rows(given: tuple[Batch, ...]) -> str:
    digest = hashlib.sha256()
    for batch in given:
        for array in (batch.logits, batch.labels):
            if array is not None:
                digest.update(f"{array.dtype.name}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


# --- what was run ---


def describe(items: Sequence[Item], report: Report) -> dict[str, Any]:
    """Describe all that a run's results depend on, as far as it can be told.

    ValueError where the plan holds an item twice.

    Parameters
    ----------
    items
        The plan.
    report
        What has the seed, the budget and the versions.

    Returns
    -------
    dict
        As JSON has it.

    Raises
    ------
    ValueError
        If the plan holds an item twice.
    """
    rows = _GivenRows()
    keys = sorted(rows.key(item) for item in items)
    for key, following in itertools.pairwise(keys):
        if key == following:
            raise ValueError(f"the plan holds {key} twice; name each subject once")
    subjects = {(i.subject.definition, i.subject.id): i.subject for i in items}
    declared_in = {lookup(name).declared_in for name, _ in subjects} - {""}
    described = {
        "seed": report.seed,
        "budget": report.budget,
        "dtypes": sorted({item.dtype for item in items}),
        "suites": sorted({item.suite for item in items}),
        "given rows": sorted({d for i in items if (d := rows.digest(i.given)) is not None}),
        "given cases": sorted({_digest_case(i.case) for i in items if i.case is not None}),
        "versions": report.versions,
        "processor": processor(),
        "subjects": {f"{s.definition} {s.id}": asdict(s) for s in subjects.values()},
        "code": {"softproof": own_code()}
        | {s.id: digest_of(files) for s in subjects.values() if (files := code_files(s))}
        | {
            name: digest_of(files_of_definitions(str(source_file(name))))
            for name in sorted(declared_in)
        },
        "items": len(items),
        "plan": hashlib.sha256("\n".join(keys).encode()).hexdigest(),
    }
    told: dict[str, Any] = json.loads(json.dumps(described))  # lists for tuples, as it is stored
    return told


@dataclass(frozen=True)
class Difference:
    """Something that two runs do not have in common."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """In a few words: a subject is only said to be there or not."""
        return f"{self.name}: {_word(self.before)} -> {_word(self.after)}"


def _word(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "declared" if isinstance(value, dict) else str(value)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """List where two descriptions differ, entry by entry.

    Parameters
    ----------
    before, after
        What ``describe`` returned.

    Returns
    -------
    list of Difference
        Each with both values; None stands for what is missing.

    Examples
    --------
    >>> differences({"seed": 0, "versions": {"numpy": "2.1"}}, {"seed": 0, "versions": {}})
    [Difference(name='versions numpy', before='2.1', after=None)]
    """
    found = []
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            inner = differences(one, other)
            found += [Difference(f"{name} {d.name}", d.before, d.after) for d in inner]
        elif one != other:
            found.append(Difference(name, one, other))
    return found
