"""The code that a compiled function is made from: its module, and all that this imports from here.

numba's disk cache takes a function for unchanged while its own file is. Functions of this package
are inlined across files, so a compiled function is as good as the code of its module and of every
module of the package that this one imports, directly or by way of others. Docstrings, comments and
the places of lines are no code: editing them recompiles nothing.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path


def _package_folder() -> Path:
    """The outermost folder around this file that is a package with an `__init__.py`."""
    folder = Path(__file__).parent
    while (folder.parent / "__init__.py").exists():
        folder = folder.parent
    return folder


# Read when the package is imported and parsed when a function is first called: by then a file may
# have been edited, and it is the code in memory that is compiled.
_SOURCES = {path: path.read_bytes() for path in _package_folder().rglob("*.py") if path.is_file()}


@functools.cache
def source_stamp(path: Path) -> str:
    """Return a digest of the code of the module at `path` and of all that it imports from here.

    Two checkouts with the same code give the same digest, wherever they are. A module outside of
    this package counts with its own text alone.
    """
    found, new = {path}, [path]
    while new:
        for imported in _parsed(new.pop())[1]:
            if imported not in found:
                found.add(imported)
                new.append(imported)
    digest = hashlib.sha256()
    for module in sorted(found):
        digest.update(_parsed(module)[0])
    return digest.hexdigest()


@functools.cache
def _parsed(path: Path) -> tuple[bytes, tuple[Path, ...]]:
    """Return a digest of the code of a module and the modules of the package that it imports."""
    tree = ast.parse(_SOURCES[path] if path in _SOURCES else path.read_bytes())
    imported = [
        module
        for statement in _statements(tree)
        if isinstance(statement, ast.ImportFrom) and statement.level
        for module in _modules(path, statement)
    ]
    return hashlib.sha256(ast.dump(tree).encode()).digest(), tuple(imported)


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements below `node`; those that are only a string are taken out of the tree."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            statements[:] = [s for s in statements if not _is_text(s)]
            for statement in statements:
                yield statement
                yield from _statements(statement)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _modules(path: Path, statement: ast.ImportFrom) -> Iterator[Path]:
    """Yield the modules that a relative import in the module at `path` takes code from.

    Each name may be a module, or come from the `__init__.py` of the package that is named. One
    that encloses the module at `path`, and of which only modules are taken, does not count: it is
    not yet there when its modules are imported.
    """
    package = path.parents[statement.level - 1]
    named = package.joinpath(*statement.module.split(".")) if statement.module else package
    modules = [list(_at(named / alias.name)) for alias in statement.names]
    for module in modules:
        yield from module
    if not (all(modules) and named in path.parents):
        yield from _at(named)


def _at(place: Path) -> Iterator[Path]:
    """Yield the file of the module or package whose import name stands for `place`."""
    for path in (place.parent / f"{place.name}.py", place / "__init__.py"):
        if path in _SOURCES:
            yield path
