"""What a run stands on: versions of libraries, the kind of processor, and the code itself."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.metadata import version
from pathlib import Path

from ..subjects.subject import CXX, Subject

STANDS_ON = ("numpy", "scipy", "numba", "python-flint", "mpmath")


def installed_versions(subjects: Iterable[Subject] = ()) -> dict[str, str]:
    """List the versions of softproof, of what it stands on, and of what subjects come from.

    Parameters
    ----------
    subjects
        The subjects.

    Returns
    -------
    dict
        The version by name.
    """
    theirs = (library for s in subjects for library in s.requires if library != CXX)
    return {
        "softproof": version("softproof"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{library: version(library) for library in (*STANDS_ON, *theirs)},
    }


def processor() -> str:
    """Name the processor, by which libraries choose their code, and on which results depend."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache  # what is loaded does not change
def own_code() -> str:
    """Digest the code of this package; what is loaded does not change."""
    root = Path(__file__).parents[2]
    folders = (root / name for name in ("kernels", "derivations", "verify"))
    files = (path for folder in folders for path in folder.rglob("*"))
    return digest_of(sorted(path for path in files if path.suffix in (".py", ".toml")))


def code_files(subject: Subject) -> list[Path]:
    """List the files of a subject's code that can be found without running any of it.

    They are all of its package, or what lies beside its module, and whatever these import that is
    no installed distribution, wherever it lies: an edited kernel must not be given the results that
    it had before. Of what an installed distribution brings, the version tells; our own code has a
    digest of its own.

    Parameters
    ----------
    subject
        The subject.

    Returns
    -------
    list of Path
        The files; none of a subject of ours or of a library.
    """
    if subject.requires:
        return []
    if subject.command:
        program = shutil.which(subject.command[0]) or subject.command[0]
        return [p for p in map(Path, (program, *subject.command[1:])) if p.is_file()]
    module, _, _ = subject.id.partition(":")
    if module.partition(".")[0] == __name__.partition(".")[0]:
        return []
    spec = _find(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        return []
    top = _find(module.partition(".")[0])
    root = Path(top.origin).parent if top is not None and top.origin else Path(spec.origin).parent
    in_package = "." in module or spec.submodule_search_locations is not None
    endings = (".py", ".so", *EXTENSION_SUFFIXES)
    beside = root.rglob("*") if in_package else root.iterdir()
    found = {p for p in beside if p.is_file() and p.name.endswith(endings)}
    return sorted(found | _imported([module]))


def files_of_definitions(path: str) -> list[Path]:
    """Find a user's file of definitions, and what it imports that is no installed distribution.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    list of Path
        The file itself, and then the others in order.
    """
    file = Path(path)
    return [file, *sorted(_imported(_names_imported(file, "")))]


def _imported(modules: Iterable[str]) -> set[Path]:
    """The files that a module imports, and those that these import, told from their text.

    Not of what is installed, nor of the standard library.  (A name that is made up when the code
    runs is not seen.)
    """
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib")]
    installed += [Path(sysconfig.get_path("platlib")).resolve()]
    found: dict[str, Path | None] = {}
    waiting = [*modules]
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] in sys.stdlib_module_names:
            continue
        spec = _find(name)
        path = Path(spec.origin).resolve() if spec and spec.origin else None
        ours = path is not None and path.is_file()
        ours = ours and not any(path.is_relative_to(root) for root in installed)  # type: ignore[union-attr]
        found[name] = path if ours else None
        if spec is None or not ours or name.partition(".")[0] == __name__.partition(".")[0]:
            continue
        package = name if spec.submodule_search_locations else name.rpartition(".")[0]
        parents = name.split(".")
        waiting += [".".join(parents[:k]) for k in range(1, len(parents))]
        waiting += _names_imported(path, package)  # type: ignore[arg-type]
    return {path for path in found.values() if path is not None}


def _names_imported(path: Path, package: str) -> set[str]:
    """What the text of a module imports: modules, and attributes that may be modules."""
    names: set[str] = set()
    if path.suffix != ".py":
        return names
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return names
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*filter(None, above), *filter(None, [base])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.strip(".")}


def _find(module: str) -> ModuleSpec | None:
    """Where a module is; its packages are not imported, they are the subject's code."""
    top, *parts = module.split(".")
    with contextlib.suppress(ImportError, ValueError):
        path = [str(Path.cwd()), *sys.path]  # as ``call.load`` has it
        name, spec = top, PathFinder.find_spec(top, path) or importlib.util.find_spec(top)
        for part in parts:
            if spec is None:
                break
            name = f"{name}.{part}"
            spec = _find_within(list(spec.submodule_search_locations or []), name, part)
        return spec
    return None


def _find_within(folders: list[str], name: str, part: str) -> ModuleSpec | None:
    """A part of a package; a folder without ``__init__.py`` is one, too, of no file."""
    try:
        return PathFinder.find_spec(name, folders)
    except KeyError:  # of a folder in such a folder, which would have to be imported
        inner = ModuleSpec(name, None, is_package=True)
        inner.submodule_search_locations = [str(Path(folder, part)) for folder in folders]
        return inner


def digest_of(paths: Sequence[Path]) -> str:
    """Digest files by their names and contents.

    Parameters
    ----------
    paths
        The files; one that cannot be read is left out.

    Returns
    -------
    str
        16 hexadecimal digits of SHA-256.
    """
    digest = hashlib.sha256()
    for path in paths:
        with contextlib.suppress(OSError):  # a program may be run and not be read
            digest.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
