"""The disk cache of compiled functions: what it takes for unchanged, and when the disk fails."""

import importlib
import os
import resource
import shutil
import sys
from contextlib import contextmanager

import numba
import numpy as np
import pytest
from softproof.kernels.runtime import compile_cache, jit, source_stamp

FILES = {
    "__init__.py": '"""A package."""\n\nfrom .use.first import result\n',
    "use/__init__.py": "",
    "use/first.py": '''"""What is called."""

import math

from ..parts import middle
from ..parts.inlined import step
from ..runtime.jit import jit


@jit
def result(x):
    """The number that tells the versions apart."""
    return step(x) + middle.WEIGHT
''',
    "use/beside.py": "from ..runtime.jit import jit\n\nUNUSED = 1\n",
    "parts/__init__.py": "",
    "parts/inlined.py": '''from ..runtime.jit import inline


@inline
def step(x):
    """Text of the inlined."""
    return x + 1  # a comment
''',
    "parts/middle.py": "from ..data import TABLE\n\nWEIGHT = TABLE[0]\n",
    "data/__init__.py": "from .table import TABLE\n",
    "data/table.py": "TABLE = (1000, 2000)\n",
    "runtime/__init__.py": "",
}


class Package:
    """A small package in folders that compiles with the decorators of the kernels."""

    def __init__(self, folder):
        self.folder = folder
        for name, source in FILES.items():
            path = folder / "tiny" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        for module in (jit, compile_cache, source_stamp):
            shutil.copy(module.__file__, folder / "tiny" / "runtime")

    def edit(self, name, old, new):
        path = self.folder / "tiny" / name
        source = path.read_text()
        assert old in source
        path.write_text(source.replace(old, new))

    def load(self, name="tiny"):
        """The compiled function `result` as a new process would find it."""
        for module in [m for m in sys.modules if m.split(".")[0] == name.split(".")[0]]:
            del sys.modules[module]
        importlib.invalidate_caches()
        return importlib.import_module(name).result

    def files(self):
        return sorted(self.folder.rglob("*.nbc"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    yield Package(tmp_path)
    for module in [m for m in sys.modules if m.split(".")[0] in ("tiny", "outer")]:
        del sys.modules[module]


def is_compiled(function):
    """Whether the function was compiled by this process, or read from its file."""
    (misses,) = function.stats.cache_misses.values() or [0]
    (hits,) = function.stats.cache_hits.values() or [0]
    assert misses + hits == 1
    return misses == 1


# --- what counts as a change ---


def test_an_unchanged_package_is_compiled_once(package):
    first = package.load()
    assert first(0) == 1001
    assert is_compiled(first)
    again = package.load()
    assert again(0) == 1001
    assert not is_compiled(again)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("parts/inlined.py", "x + 1", "x + 2", 1002),
        ("parts/middle.py", "TABLE[0]", "TABLE[1]", 2001),
        ("data/table.py", "1000", "5000", 5001),
        ("data/__init__.py", "TABLE\n", "TABLE\n\nTABLE = (7, 8)\n", 8),
        ("use/first.py", "step(x) +", "step(x) -", -999),
    ],
)
def test_an_edit_of_what_a_function_stands_on_recompiles_it(package, name, old, new, expected):
    assert package.load()(0) == 1001
    package.edit(name, old, new)
    edited = package.load()
    assert edited(0) == expected
    assert is_compiled(edited)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("parts/inlined.py", "Text of the inlined.", "Another text,\n    of several lines."),
        ("parts/inlined.py", "# a comment", "# another"),
        ("parts/middle.py", "\n\nWEIGHT", '\n\n# A comment.\n"""Text."""\n\nWEIGHT'),
        ("use/first.py", '"""What is called."""', '"""What is called,\nin more words."""'),
        ("use/first.py", "tells the versions apart", "says which version it is"),
        ("use/beside.py", "UNUSED = 1", "UNUSED = 2"),
        ("__init__.py", "import result\n", "import result\n\nANOTHER = 1\n"),
    ],
)
def test_an_edit_of_text_or_of_another_module_recompiles_nothing(package, name, old, new):
    assert package.load()(0) == 1001
    package.edit(name, old, new)
    edited = package.load()
    assert edited(0) == 1001
    assert not is_compiled(edited)


def test_an_edit_after_the_import_is_not_taken_for_the_code_in_memory(package):
    running = package.load()
    package.edit("parts/inlined.py", "x + 1", "x + 2")
    assert running(0) == 1001  # compiled, and kept, under the old code
    assert package.load()(0) == 1002


def test_the_same_package_under_another_name_has_files_of_its_own(package):
    assert package.load()(0) == 1001
    (package.folder / "outer").mkdir()
    (package.folder / "outer" / "tiny").symlink_to(package.folder / "tiny")
    other = package.load("outer.tiny")
    assert other(0) == 1001
    assert is_compiled(other)
    again = package.load()
    assert again(0) == 1001
    assert not is_compiled(again)


def test_each_type_of_argument_is_a_file_of_its_own(package):
    first = package.load()
    assert first(0) == 1001
    before = len(package.files())
    assert first(np.float32(0.5)) == 1001.5
    assert len(package.files()) > before


def test_every_kernel_depends_on_the_decorator_and_not_on_the_whole_package():
    """The real modules: those of the radius and those of softmax do not touch each other."""
    from softproof.kernels import ALGORITHMS, radius, softmax_vjp  # noqa: F401

    stems = {path.stem: path for path in source_stamp._SOURCES}

    def stands_on(stem):
        found, new = set(), [stems[stem]]
        while new:
            path = new.pop()
            if path.stem not in found:
                found.add(path.stem)
                new += source_stamp._parsed(path)[1]
        return found

    assert {"jit", "compile_cache", "vector_exp", "simd", "exp"} <= stands_on("softmax_rows")
    assert not {"radius_bounds", "clip", "stablemax"} & stands_on("softmax_rows")
    assert {"jit", "exp", "directed"} <= stands_on("radius_bounds")
    assert not {"softmax_rows", "simd", "vector_exp"} & stands_on("radius_bounds")


# --- disks that fail ---


@contextmanager
def full_disk():
    """As on a full disk, no file grows beyond a few bytes: OSError comes of writing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def said(caplog):
    return [record.getMessage() for record in caplog.records if "cannot be kept" in record.msg]


def test_without_a_folder_to_write_to_it_compiles_and_says_so_once(package, monkeypatch, caplog):
    for folder in ("use", "parts", "runtime"):  # what a folder cannot be made of
        (package.folder / "tiny" / folder / "__pycache__").write_text("no folder")
    (package.folder / "home").write_text("no folder")
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(package.folder / "home"))
    function = package.load()
    assert not said(caplog)  # an import says nothing
    assert function(0) == 1001
    assert function(np.float32(0.5)) == 1001.5
    (message,) = said(caplog)
    assert "set NUMBA_CACHE_DIR to a folder that can be written" in message
    assert function.stats.cache_path is None


def test_a_full_disk_costs_time_and_leaves_no_pieces(package, caplog):
    function = package.load()
    with full_disk():
        assert function(0) == 1001
        assert function(np.float32(0.5)) == 1001.5
    (message,) = said(caplog)
    assert "__pycache__: " in message
    assert not package.files()
    assert not list(package.folder.rglob("*.tmp"))
    again = package.load()
    assert again(0) == 1001
    assert package.files()


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda content: content[:100], lambda content: content + b".", flipped],
    ids=["empty", "truncated", "longer", "one bit"],
)
def test_damaged_files_are_replaced(package, damage):
    assert package.load()(0) == 1001
    for path in package.files():
        path.write_bytes(damage(path.read_bytes()))
    mended = package.load()
    assert mended(0) == 1001
    assert is_compiled(mended)
    whole = package.load()
    assert whole(0) == 1001
    assert not is_compiled(whole)


def test_whole_files_that_hold_something_else_are_replaced(package, monkeypatch):
    function = package.load()
    assert function(0) == 1001
    assert function(0.5) == 1001.5
    mine, other = package.files()[-2:]
    assert mine.name.split("-")[0] == other.name.split("-")[0]
    mine.write_bytes(other.read_bytes())  # the code for another type, under the name of this one
    again = package.load()
    assert again(0) == 1001
    assert again(0.5) == 1001.5
    assert sorted(again.stats.cache_misses.values()) == [1]


def test_a_folder_removed_while_the_process_runs_is_made_again(package):
    function = package.load()
    assert function(0) == 1001
    shutil.rmtree(package.files()[-1].parent)
    assert function(np.float32(0.5)) == 1001.5
    assert package.files()


def test_files_of_older_code_are_removed_after_a_day(package):
    assert package.load()(0) == 1001
    (old,) = (path for path in package.files() if "result" in path.name)
    package.edit("parts/inlined.py", "x + 1", "x + 2")
    assert package.load()(0) == 1002
    assert old.exists()  # another process may still run it
    os.utime(old, (0, 0))
    package.edit("parts/inlined.py", "x + 2", "x + 3")
    assert package.load()(0) == 1003
    assert not old.exists()
    assert len([path for path in package.files() if "result" in path.name]) == 2


def test_forgotten_functions_are_compiled_again(package):
    function = package.load()
    assert function(0) == 1001
    function.recompile()
    assert function(0) == 1001
    assert sum(function.stats.cache_misses.values()) == 2
