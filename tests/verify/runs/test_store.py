"""A store keeps what a run has found, however the run ends: a killed run that is started again
until it is done has found the same as one that was never killed, and nothing twice."""

import contextlib
import importlib
import itertools
import json
import math
import os
import random
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from softproof.verify.inputs.families import Batch
from softproof.verify.runs import run as run_module
from softproof.verify.runs import store as store_module
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.runs.results import Failure, Report, Result, decode, encode
from softproof.verify.runs.run import run
from softproof.verify.runs.store import (
    Store,
    Stored,
    StoreError,
    describe,
    differences,
)
from softproof.verify.subjects.built_in import registered
from softproof.verify.subjects.subject import Subject

SUBJECTS = [  # one that fails, so that there are failures to keep, and one that passes
    registered("softproof.verify.textbook:softmax_naive", "softmax"),
    registered("softproof.verify.textbook:softmax_shifted", "softmax"),
]
ITEMS = [
    replace(item, rows=1)
    for item in plan(SUBJECTS, ["accuracy", "overflow", "special-values"], ["float32"])
    if item.family in ("wide", "beyond_exp", "")
]


def report() -> Report:
    return Report(0, "quick", SUBJECTS)


# --- a process that runs the plan into a store, to be killed ---


class MarksBeforeResult(Store):
    """Broken: commits that an item is done before it has the result."""

    def put(self, item, result):
        super().put(item, Result(result.definition, result.subject, result.suite, result.dtype))
        self._commit()
        key = self._given.key(item)
        self._connection.execute("DELETE FROM results WHERE item = ?", (key,))
        super().put(item, result)
        self._commit()


class MarksAfterResult(Store):
    """Broken: commits the result before it says that the item is done, so it may come again."""

    def _create(self, described):
        super()._create(described)
        self._connection.execute("DROP TABLE results")
        self._connection.execute("CREATE TABLE results (item TEXT, result TEXT, digest TEXT)")
        self._connection.execute("CREATE TABLE done (item TEXT PRIMARY KEY)")

    def get(self, item):
        key = (self._given.key(item),)
        done = self._connection.execute("SELECT * FROM done WHERE item = ?", key).fetchone()
        return super().get(item) if done else None

    def put(self, item, result):
        super().put(item, result)
        self._commit()
        self._connection.execute("INSERT INTO done VALUES (?)", (self._given.key(item),))
        self._commit()


class CommitsAtTheEnd(Store):
    """Broken: a kill loses everything."""

    def _commit(self):
        if self.count == 0:
            super()._commit()


STORES = {s.__name__: s for s in (Store, MarksBeforeResult, MarksAfterResult, CommitsAtTheEnd)}


def serve() -> None:
    """Run the plan into a store, in a child process, for each line on stdin; kill it as asked.

    A child starts with modules imported, truths found and the plan described: many can be killed.
    """
    uninterrupted = report()
    list(run(ITEMS, uninterrupted))
    described = describe(ITEMS, uninterrupted)
    store_module.describe = lambda items, told: described
    print(json.dumps([repr(uninterrupted.results), described]), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        progress, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            status = 3
            try:
                _run_and_die(request, theirs)
                while "after_items" in request:
                    signal.pause()  # the kill comes
                status = 0
            except StoreError as error:
                Path(request["path"] + ".error").write_text(str(error))
            finally:
                os._exit(status)
        os.close(theirs)
        finished = 0
        if "after_items" in request:
            while finished < request["after_items"] and os.read(progress, 1):
                finished += 1
            time.sleep(request["delay"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        finished += len(os.read(progress, 1 << 16))
        os.close(progress)
        print(json.dumps([os.waitstatus_to_exitcode(status), finished]), flush=True)


def _run_and_die(request: dict, progress: int) -> None:
    """With ``at_statement`` n, be killed just before the n-th statement that SQLite is given."""
    store_module.INTERVAL = request["interval"]
    left = [request.get("at_statement", math.inf)]

    def connect(*arguments, **keywords):
        connection = real_connect(*arguments, **keywords)

        def count(_statement: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        connection.set_trace_callback(count)
        return connection

    real_connect, sqlite3.connect = sqlite3.connect, connect
    found = report()
    with STORES[request["store"]](request["path"], ITEMS, found) as store:
        for _ in run(ITEMS, found, store=store):
            os.write(progress, b".")
    Path(request["path"] + ".report").write_text(repr(found.results))


class Runner:
    """The process that ``serve``s, and what an uninterrupted run without a store has found."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.uninterrupted, self.described = json.loads(self._process.stdout.readline())

    def run(self, path: Path, store: str = "Store", interval: float = 0.0, **how) -> list[int]:
        """The exit status of a run into a store, and how many items it had finished."""
        request = {"path": str(path), "store": store, "interval": interval, **how}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    runner = Runner()
    with contextlib.closing(runner):
        yield runner


@pytest.fixture
def folder(tmp_path) -> Iterator[Path]:
    """A folder in memory where there is one: what a kill leaves does not depend on the disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def truth() -> list[str]:
    """The results of the items, each on its own and without a store."""
    return sorted(repr(execute(item)) for item in ITEMS)


def kept(path: Path) -> list[str]:
    """The results in a store; none where it has not even become a store."""
    try:
        with Stored(path) as stored:
            return sorted(repr(result) for _, result in stored.results())
    except StoreError as error:
        if "no such file" in str(error) or "it is empty" in str(error):
            return []
        raise


def resumed(runner: Runner, truth: list[str], path: Path, store: str = "Store", **how) -> str:
    """Kill a run, look at what it left, let another finish it; "whole" if nothing is wrong."""
    status, finished = runner.run(path, store, **how)
    if status == 0:
        return "not killed"
    assert status == -signal.SIGKILL
    left = kept(path)
    if not set(left) <= set(truth):
        return "holds a result that nothing gave"
    if how.get("interval", 0.0) == 0.0 and len(left) < finished:
        return "lost a finished item"
    assert runner.run(path, store)[0] == 0
    if kept(path) != truth:
        return "does not hold each item once"
    if Path(f"{path}.report").read_text() != runner.uninterrupted:
        return "gave another report"
    return "whole"


def killed_everywhere(runner: Runner, truth: list[str], folder: Path, store: str) -> Iterator[str]:
    """What comes of kills before the first statement, the second, ..., to the end of a run."""
    for n in itertools.count():
        path = folder / f"{store}{n}.sqlite"
        outcome = resumed(runner, truth, path, store, at_statement=n)
        if outcome == "not killed":
            break
        yield outcome


# --- killed ---


def test_a_run_killed_before_any_statement_of_its_store_resumes(runner, truth, folder):
    outcomes = list(killed_everywhere(runner, truth, folder, "Store"))
    assert len(outcomes) > 4 * len(ITEMS)  # an item is looked up, put, committed
    assert set(outcomes) == {"whole"}


@pytest.mark.parametrize(
    ("store", "flaw"),
    [
        ("MarksBeforeResult", "holds a result that nothing gave"),
        ("MarksAfterResult", "does not hold each item once"),
        ("CommitsAtTheEnd", "lost a finished item"),
    ],
)
def test_the_kills_find_a_broken_store(runner, truth, folder, store, flaw):
    assert flaw in killed_everywhere(runner, truth, folder, store)


@pytest.mark.parametrize("interval", [0.0, store_module.INTERVAL])
@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_at_random_again_and_again_ends_whole(runner, truth, folder, seed, interval):
    rng = random.Random(seed)
    for trial in range(3):
        path = folder / f"{trial}.sqlite"
        for _ in range(3):
            after, delay = rng.randrange(len(ITEMS)), rng.uniform(0, 0.004)
            how = {"interval": interval, "after_items": after, "delay": delay}
            assert runner.run(path, **how)[0] == -signal.SIGKILL
            assert set(kept(path)) <= set(truth)
        assert runner.run(path)[0] == 0
        assert kept(path) == truth
        assert Path(f"{path}.report").read_text() == runner.uninterrupted


def test_a_failed_power_supply_leaves_the_first_results(truth, folder, monkeypatch):
    """The disk has the start of the log, and rubbish where the end should be."""
    monkeypatch.setattr(store_module, "INTERVAL", 0)
    results = [execute(item) for item in ITEMS]
    path, cut = folder / "whole.sqlite", folder / "cut.sqlite"
    with Store(path, ITEMS, report()) as store:
        for item, result in zip(ITEMS, results, strict=True):
            store.put(item, result)
        file, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    rng = random.Random(0)
    numbers = set()
    for _ in range(30):
        end = rng.randrange(len(log))
        cut.write_bytes(file)
        Path(f"{cut}-wal").write_bytes(log[:end] + rng.randbytes(rng.choice([0, 64, 5000])))
        with Store(cut, ITEMS, report()) as store:
            found = [store.get(item) for item in ITEMS]
            assert found == results[: store.count] + [None] * (len(ITEMS) - store.count)
            numbers.add(store.count)
        with contextlib.closing(sqlite3.connect(cut)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(numbers) > 3


def test_what_is_committed_is_on_the_disk(tmp_path):
    with Store(tmp_path / "a.sqlite", ITEMS, report()) as store:
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_is_not_committed_was_found_within_the_interval(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(store_module.time, "monotonic", lambda: clock[0])
    path, result = tmp_path / "a.sqlite", Result("softmax", "a:b", "accuracy", "float32")
    seen = []
    with Store(path, ITEMS, report()) as store:
        for item, now in zip(ITEMS, (100.0, 100.1, 100.19, 100.2, 100.3), strict=False):
            clock[0] = now
            store.put(item, result)
            with Stored(path) as stored:
                seen.append(stored.count)
    assert seen == [0, 0, 0, 4, 4]
    with Stored(path) as stored:
        assert stored.count == 5


def test_ctrl_c_keeps_what_is_known(truth, tmp_path, monkeypatch):
    def interrupted_at_the_fifth(item, connect):
        if item == ITEMS[4]:
            raise KeyboardInterrupt
        return execute(item, connect)

    monkeypatch.setattr(run_module, "execute", interrupted_at_the_fifth)
    path, first = tmp_path / "a.sqlite", report()
    with Store(path, ITEMS, first) as store:
        assert list(run(ITEMS, first, store=store)) == ITEMS[:4]
    assert first.interrupted
    monkeypatch.undo()
    second = report()
    with Store(path, ITEMS, second) as store:
        assert store.count == 4
        list(run(ITEMS, second, store=store))
    assert kept(path) == truth


def test_what_is_known_is_not_run_again(tmp_path, monkeypatch):
    path, first, second = tmp_path / "a.sqlite", report(), report()
    with Store(path, ITEMS, first) as store:
        list(run(ITEMS, first, store=store))
    monkeypatch.setattr(run_module, "execute", None)
    with Store(path, ITEMS, second) as store:
        assert list(run(ITEMS, second, store=store)) == ITEMS
    assert second.results == first.results


# --- two processes ---


def test_a_second_writer_is_told_so(runner, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "describe", lambda items, told: runner.described)
    path = tmp_path / "a.sqlite"
    with Store(path, ITEMS, report()) as store:
        with pytest.raises(StoreError, match="another process is using it: wait"):
            Store(path, ITEMS, report())
        assert runner.run(path) == [3, 0]
        assert "another process is using it" in Path(f"{path}.error").read_text()
        store.put(ITEMS[0], execute(ITEMS[0]))
    Path(f"{path}.error").unlink()
    status = runner.run(path)
    assert not Path(f"{path}.error").exists(), Path(f"{path}.error").read_text()
    assert status == [0, len(ITEMS)]


def test_a_writer_that_lost_its_lock_between_commits_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "INTERVAL", 0)
    path, others = tmp_path / "a.sqlite", []

    def take(statement):
        if statement == "BEGIN IMMEDIATE" and not others:
            others.append(Store(path, ITEMS, report()))

    with Store(path, ITEMS, report()) as store:
        store._connection.execute("PRAGMA busy_timeout = 0")
        store._connection.set_trace_callback(take)
        with pytest.raises(StoreError, match="another process is using it"):
            store.put(ITEMS[0], execute(ITEMS[0]))
    with others[0] as other:
        assert [other.get(item) for item in ITEMS[:2]] == [execute(ITEMS[0]), None]
        other.put(ITEMS[1], execute(ITEMS[1]))
    with Stored(path) as stored:
        assert stored.count == 2


def test_a_result_is_put_once(tmp_path):
    with Store(tmp_path / "a.sqlite", ITEMS, report()) as store:
        store.put(ITEMS[0], execute(ITEMS[0]))
        with pytest.raises(StoreError, match="UNIQUE"):
            store.put(ITEMS[0], execute(ITEMS[0]))


def test_a_store_can_be_read_while_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "INTERVAL", 0)
    path, results = tmp_path / "a.sqlite", [execute(item) for item in ITEMS[:3]]
    with Store(path, ITEMS, report()) as store:
        store.put(ITEMS[0], results[0])
        with Stored(path) as stored:
            store.put(ITEMS[1], results[1])
            assert [r for _, r in stored.results()] == results[:1]  # what it held at the opening
            assert stored.plan == describe(ITEMS, report())
        store.put(ITEMS[2], results[2])
        reader = Stored(path)
    assert reader.count == 3  # the writer has ended in the meantime
    reader.close()
    with Store(path, ITEMS, report()) as store:
        assert [store.get(item) for item in ITEMS[:4]] == [*results, None]


def test_a_store_that_is_closed_is_one_file_and_reading_changes_nothing(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path, ITEMS, report()) as store:
        store.put(ITEMS[0], execute(ITEMS[0]))
        assert len(list(tmp_path.iterdir())) > 1
    before = path.read_bytes()
    with Stored(path) as stored:
        assert stored.count == 1
        assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


# --- files that are no such store ---


def refusal(path: Path, items=ITEMS, told=None) -> str:
    with pytest.raises(StoreError) as error:
        Store(path, items, told or report())
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("the best kernel so far\n" * 100)
    assert "no SQLite file; choose another file" in refusal(path)
    with pytest.raises(StoreError, match="no SQLite file"):
        Stored(path)
    assert path.read_text() == "the best kernel so far\n" * 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "bookmarks.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE run (name, value)")
        connection.commit()
    before = path.read_bytes()
    assert "of another program; choose another file" in refusal(path)
    with pytest.raises(StoreError, match="another program"):
        Stored(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path):
    path = tmp_path / "a.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="it is empty; no run was started in it"):
        Stored(path)
    Store(path, ITEMS, report()).close()
    with Stored(path) as stored:
        assert stored.count == 0


def test_a_store_of_another_schema_is_refused(tmp_path):
    path = tmp_path / "a.sqlite"
    Store(path, ITEMS, report()).close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "has schema 99, and this softproof reads 2" in refusal(path)
    with pytest.raises(StoreError, match="open it with the version that wrote it"):
        Stored(path)


def test_a_store_of_the_schema_before_is_read_and_not_gone_on_with(tmp_path):
    path, results = tmp_path / "a.sqlite", [execute(item) for item in ITEMS[:2]]
    with Store(path, ITEMS, report()) as store:
        for item, result in zip(ITEMS, results, strict=False):
            store.put(item, result)
    with contextlib.closing(sqlite3.connect(path)) as connection:  # as it was before digests
        for table in ("run", "results"):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN digest")
        connection.execute("PRAGMA user_version = 1")
    with Stored(path) as stored:
        assert sorted(repr(r) for _, r in stored.results()) == sorted(map(repr, results))
        assert stored.plan == describe(ITEMS, report())
    assert "has schema 1, and this softproof reads 2" in refusal(path)


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    for path in (tmp_path / "missing" / "a.sqlite", tmp_path):
        assert "is there such a folder, and may you write to it?" in refusal(path)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder closed even to root")
def test_a_folder_that_cannot_be_written_is_refused():
    assert "may you write to it?" in refusal(Path("/proc/softproof.sqlite"))


def test_a_store_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(StoreError, match="there is no such file"):
        Stored(tmp_path / "a.sqlite")
    assert list(tmp_path.iterdir()) == []


# --- stores of another run ---

STRICTER = replace(SUBJECTS[0], contract=replace(SUBJECTS[0].contract, accumulator="float64"))


@pytest.mark.parametrize(
    ("items", "told", "difference"),
    [
        ([replace(i, seed=1) for i in ITEMS], Report(1, "quick"), "seed: 0 -> 1"),
        (ITEMS, Report(0, "standard"), "budget: quick -> standard"),
        (
            [i for i in ITEMS if i.suite != "special-values"],
            Report(0, "quick"),
            "suites: accuracy, overflow, special-values -> accuracy, overflow",
        ),
        (ITEMS[::2], Report(0, "quick"), "subjects softmax .*softmax_shifted: declared -> none"),
        (
            [replace(i, subject=STRICTER) if i.subject == SUBJECTS[0] else i for i in ITEMS],
            Report(0, "quick"),
            "softmax_naive contract accumulator: input -> float64",
        ),
        ([replace(i, rows=2) for i in ITEMS], Report(0, "quick"), "plan: [0-9a-f]+ -> "),
        (
            [replace(i, given=(Batch("given", np.float32([[1, 2]]), None),)) for i in ITEMS],
            Report(0, "quick"),
            "given rows: none -> [0-9a-f]+",
        ),
    ],
)
def test_a_store_of_another_plan_says_what_differs(tmp_path, items, told, difference):
    path = tmp_path / "a.sqlite"
    Store(path, ITEMS, report()).close()
    message = refusal(path, items, told)
    assert re.search(difference, message)
    assert message.endswith(
        "choose another file, and hold the two against each other with `softproof compare`"
    )


def test_a_store_of_another_version_says_which(tmp_path, monkeypatch):
    path = tmp_path / "a.sqlite"
    Store(path, ITEMS, report()).close()
    versions = {**report().versions, "numpy": "9.9.9"}
    monkeypatch.setattr(Report, "versions", versions)
    assert f"versions numpy: {np.__version__} -> 9.9.9" in refusal(path)


def test_the_order_of_the_plan_does_not_matter(tmp_path):
    path = tmp_path / "a.sqlite"
    Store(path, ITEMS, report()).close()
    Store(path, ITEMS[::-1], report()).close()


def test_a_plan_that_holds_an_item_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="twice; name each subject once"):
        Store(tmp_path / "a.sqlite", [*ITEMS, ITEMS[0]], report())


def test_given_rows_are_told_apart_by_their_values_and_labels():
    def digest(logits, labels=None):
        batch = Batch("given", logits, None if labels is None else np.array(labels))
        return describe([replace(ITEMS[0], given=(batch,))], report())["given rows"]

    rows = [
        digest(np.float32([[1, 2]])),
        digest(np.float32([[1], [2]])),
        digest(np.float32([[1, -0.0]])),
        digest(np.float32([[1, 0.0]])),
        digest(np.float64([[1, 2]])),
        digest(np.float32([[1, 2]]), [0]),
        digest(np.float32([[1, 2]]), [1]),
    ]
    assert len({repr(r) for r in rows}) == len(rows)
    assert digest(np.float32([[1, 2]])) == rows[0]


@pytest.fixture
def described(tmp_path, monkeypatch):
    """The description of a run of a subject of the user's."""
    monkeypatch.chdir(tmp_path)

    def of(subject_id: str, **how):
        importlib.invalidate_caches()
        subject = Subject(subject_id, "softmax", **how)
        return describe([replace(ITEMS[0], subject=subject)], report())

    return of


@pytest.mark.parametrize(
    ("subject_id", "edited", "command"),
    [
        ("mykernels:softmax", "mykernels.py", ()),
        ("mypackage.ops:softmax", "mypackage/ops.py", ()),
        ("mypackage.ops:softmax", "mypackage/tables.py", ()),
        ("mypackage:softmax", "mypackage/__init__.py", ()),
        ("my program", "program.py", (sys.executable, "program.py")),
    ],
)
def test_a_kernel_that_was_edited_is_another_run(described, subject_id, edited, command):
    Path("mypackage").mkdir()
    for name in ("mykernels.py", "mypackage/ops.py", "mypackage/tables.py", "program.py"):
        Path(name).write_text("raise RuntimeError('nobody may run this')\n")
    Path("mypackage/__init__.py").write_text("raise RuntimeError('nor this')\n")
    before = described(subject_id, command=command)
    assert described(subject_id, command=command) == before
    Path(edited).write_text("softmax = None\n")
    (difference,) = differences(before, described(subject_id, command=command))
    assert difference.name == f"code {subject_id}"


@pytest.mark.parametrize("edited", ["elsewhere/deep/helper.py", "elsewhere/second.py"])
def test_what_a_kernel_imports_from_another_folder_is_part_of_it(described, edited):
    Path("elsewhere/deep").mkdir(parents=True)
    Path("mykernels.py").write_text(
        "import numpy\nfrom elsewhere.deep import helper\nraise RuntimeError('not to be run')\n"
    )
    Path("elsewhere/deep/helper.py").write_text("def f():\n    from ..second import g\n")
    Path("elsewhere/second.py").write_text("g = 1\n")
    Path("elsewhere/unused.py").write_text("h = 1\n")
    before = described("mykernels:softmax")
    Path("elsewhere/unused.py").write_text("h = 2\n")
    assert described("mykernels:softmax") == before
    Path(edited).write_text("def f():\n    from ..second import g\n    return 2\n")
    (difference,) = differences(before, described("mykernels:softmax"))
    assert difference.name == "code mykernels:softmax"


def test_a_subject_that_cannot_be_found_is_described_without_its_code(described):
    for subject_id in ("no_such_module:f", "json.no_such:f", "sys:exit", "mypackage.a.b:f"):
        assert subject_id not in described(subject_id)["code"]


# --- results as text ---

FAILURE = Failure(
    **{
        **dict.fromkeys((f.name for f in fields(Failure)), None),
        "family": "wide",
        "kind": "value",
        "message": 'löst "softmax"\n\x00\u2028 \N{FIRE} \udcff',
        "logits": ("0x1p+0", "-inf", "nan"),
        "error": math.inf,
        "threshold": math.nan,
    }
)
RESULT = Result(
    "softmax",
    "a:b",
    "accuracy",
    "float32",
    checks=7,
    violations=2,
    worst=math.inf,
    errors={-1: 5, 3: 1, 2000: 1},
    failures=(FAILURE, replace(FAILURE, error=-math.inf, threshold=None)),
)


def bits(value) -> object:
    """A value with its floats as bits, its types kept."""
    if isinstance(value, float):
        return struct.pack("<d", value)
    if is_dataclass(value):
        return type(value), {f.name: bits(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, dict):
        return {bits(k): bits(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(bits(v) for v in value)
    return type(value), value


def survives(result: Result, encoder, decoder) -> bool:
    return bits(decoder(encoder(result))) == bits(result)


def floats() -> list[float]:
    rng = random.Random(0)
    drawn = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(2000)]
    return [0.0, -0.0, 5e-324, 1 / 3, math.inf, -math.inf, *(x for x in drawn if x == x)]


def test_results_survive_to_the_bit():
    assert survives(RESULT, encode, decode)
    assert survives(replace(RESULT, failures=(), errors={}, expected="since 2.1"), encode, decode)
    for number in floats():
        assert survives(replace(RESULT, worst=number), encode, decode), number


def test_results_survive_the_file(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path, ITEMS, report()) as store:
        store.put(ITEMS[0], RESULT)
        assert bits(store.get(ITEMS[0])) == bits(RESULT)
    with Stored(path) as stored:
        ((_, result),) = stored.results()
    assert bits(result) == bits(RESULT)


def test_the_text_is_strictly_json():
    def refuse(constant):
        raise AssertionError(constant)

    json.loads(encode(RESULT), parse_constant=refuse)


def _fifteen_digits(result):
    return re.sub(r"\d\.\d{16,}", lambda m: f"{float(m[0]):.15g}", encode(result))


@pytest.mark.parametrize(
    "broken",
    [
        lambda result: encode(result).replace('{"float":"nan"}', "null"),
        lambda result: encode(result).replace('{"float":"-inf"}', '{"float":"inf"}'),
        lambda result: re.sub(r"\[(-?\d+),", r'["\1",', encode(result)),  # keys as text
        lambda result: encode(replace(result, errors={})),
        _fifteen_digits,
    ],
)
def test_a_broken_encoding_is_found(broken):
    results = [RESULT, *(replace(RESULT, worst=number) for number in floats())]
    assert not all(survives(result, broken, decode) for result in results)


def test_numbers_of_numpy_are_kept_as_numbers():
    assert decode(encode(replace(RESULT, worst=np.float64(0.1)))).worst == 0.1
    assert decode(encode(replace(RESULT, worst=np.float64("inf")))).worst == math.inf


def test_fields_that_were_added_since_have_their_defaults():
    older = json.loads(encode(replace(RESULT, expected="since 2.1")))
    del older["Result"]["expected"]
    older["Result"]["dropped since"] = 3
    assert bits(decode(json.dumps(older))) == bits(RESULT)


def test_a_result_that_cannot_be_read_names_its_version(tmp_path):
    path = tmp_path / "a.sqlite"
    with Store(path, ITEMS, report()) as store:
        store.put(ITEMS[0], RESULT)
    for text in ('{"Verdict":{}}', "{}", '{"float":"1"}', "[" * 20_000):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.create_function("digest", 2, store_module._digest_entry)
            connection.execute(
                "UPDATE results SET result = ?, digest = digest(item, ?)", [text] * 2
            )
            connection.commit()
        with Stored(path) as stored, pytest.raises(StoreError, match=r"another version of softpr"):
            list(stored.results())
        with Store(path, ITEMS, report()) as store, pytest.raises(StoreError, match="version"):
            store.get(ITEMS[0])


# --- damage ---


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A store with two results, and a name in its folder for a damaged copy."""
    path = tmp_path_factory.mktemp("damage") / "whole.sqlite"
    with Store(path, ITEMS, report()) as store:
        for item in ITEMS[:2]:
            store.put(item, execute(item))
    return path, path.with_name("damaged.sqlite")


def read(path):
    """All that a store holds, in one way and in the other."""
    with Stored(path) as stored:
        held = stored.plan, stored.started, stored.count, [bits(r) for _, r in stored.results()]
    with Store(path, ITEMS, report()) as store:
        return held, [bits(store.get(item)) for item in ITEMS[:2]]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET result = '{}'",
        "UPDATE results SET result = replace(result, '0', '1')",
        "UPDATE results SET result = x'7b7d'",
        "UPDATE results SET item = 'another' WHERE item = (SELECT min(item) FROM results)",
        "UPDATE run SET value = 'null' WHERE name = 'plan'",
        "UPDATE run SET value = '2001-01-01' WHERE name = 'started'",
        "DELETE FROM run WHERE name = 'plan'",
        "DELETE FROM run WHERE name = 'started'",
        "DROP TABLE results",
        "DROP TABLE run",
        "ALTER TABLE results DROP COLUMN digest",
    ],
)
def test_a_damaged_store_says_so_and_names_itself(change, whole):
    source, path = whole
    path.write_bytes(source.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(change)
        connection.commit()
    for opened in (lambda: list(Stored(path).results()), lambda: Store(path, ITEMS, report())):
        with pytest.raises(StoreError, match=rf"{path}: it is damaged .*; take a copy from before"):
            opened()


def believed_damage(whole):
    """Flip bytes: how many of the stores are neither refused nor read as they were."""
    source, path = whole
    content, rng, believed = source.read_bytes(), random.Random(0), 0
    truth = read(source)
    for _ in range(60):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 8))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            believed += read(path) != truth
        except StoreError:
            pass
        except Exception:  # a traceback is no refusal
            believed += 1
    return believed


def test_flipped_bytes_are_refused_or_change_nothing(whole):
    assert believed_damage(whole) == 0


def test_a_store_that_believes_what_it_reads_is_caught(whole, monkeypatch):
    monkeypatch.setattr(store_module._Database, "_demand_digest", lambda *_: None)
    assert believed_damage(whole) > 0


if __name__ == "__main__":
    serve()
