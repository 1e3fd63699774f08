"""The built-in subjects with their contracts, and the choice among them and the user's.

Each is declared where it is written: a kernel by ``kernel_of`` above it, a wrapper in
``implementations/`` by ``subject``.  What is called as its library has it, without a wrapper, is
listed in ``library_functions``.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from collections.abc import Sequence

from .... import kernels
from ....derivations import REGISTRY, Definition
from ....derivations.arithmetic.formats import ARRAY_FORMATS
from ....kernels.runtime.declared import KERNELS
from .. import implementations
from ..contract import promising
from ..isolation.program import as_subject, is_command
from ..registration import REGISTERED
from ..subject import LIBRARIES, Subject, SubjectError, matches
from .library_functions import LIBRARY_FUNCTIONS


def _all() -> tuple[Subject, ...]:
    """Kernels, wrappers and functions of libraries, by definition in the order of the catalogue."""
    for module in pkgutil.walk_packages(implementations.__path__, f"{implementations.__name__}."):
        importlib.import_module(module.name)
    ours = (
        Subject(f"{kernels.__name__}:{k.name}", k.definition, promising(k.promised), tuple(k.ulps))
        for k in KERNELS.values()
    )
    order = list(REGISTRY)
    found = (*ours, *REGISTERED, *LIBRARY_FUNCTIONS)
    return tuple(sorted(found, key=lambda subject: order.index(subject.definition)))


BUILT_IN = _all()


def registered(subject_id: str, definition: str) -> Subject:
    """Return the built-in subject of a name, or the user's as ``select`` makes it.

    Parameters
    ----------
    subject_id
        The id, ``module:attribute``.
    definition
        The name of the definition that it implements.

    Returns
    -------
    Subject
        The one that is declared; else one of this name without a declared contract, for all
        formats, which takes the arrays of the library that the module belongs to, or NumPy's.
    """
    known = (s for s in BUILT_IN if (s.id, s.definition) == (subject_id, definition))
    module, _, _ = subject_id.partition(":")
    library = module.partition(".")[0]
    own = Subject(
        subject_id,
        definition,
        dtypes=tuple(ARRAY_FORMATS),
        arrays=library if library in LIBRARIES else "numpy",
    )
    return next(known, own)


def select(
    pattern: str, definitions: Sequence[Definition], known: Sequence[Subject] = BUILT_IN
) -> list[Subject]:
    """Return the known subjects that a pattern names, or else the user's.

    A pattern is an id, or a glob of ids; the user's own is ``module:attribute``, or the command
    line of a program.  Of several definitions it is held against the one in its name.  SubjectError
    where nothing matches, or where no definition, or no single one, is in that name.

    Parameters
    ----------
    pattern
        An id, or a glob of ids; the user's own is ``module:attribute``, or the command line of a
        program.
    definitions
        Those that are asked about. The user's own subject is held against the only one of them, or
        against the one in its name.
    known
        The subjects to choose from.

    Returns
    -------
    list of Subject
        One or more.

    Raises
    ------
    SubjectError
        If nothing matches, or if the name of the user's own holds no definition, or no single one.
    """
    names = [d.name for d in definitions]
    found = [s for s in known if s.definition in names and matches(pattern, s.id)]
    if found:
        return found
    is_own = is_command(pattern) or (":" in pattern and not any(c in pattern for c in "*?["))
    if not is_own:
        raise SubjectError(
            f"no known subject of {', '.join(names)} matches {pattern!r}; name one as "
            "module:attribute or by its command line, or list them with `softproof subjects`"
        )
    name = _implemented(pattern, names)
    if name is None:
        quoted = shlex.quote(pattern)
        commands = "; ".join(
            f"softproof verify {name} --subject {quoted}" for name in names[:MOST_NAMED]
        )
        more = f"; or another of {', '.join(names)}" if len(names) > MOST_NAMED else ""
        raise SubjectError(
            f"{pattern} has the name of no definition; say which it implements: {commands}{more}"
        )
    if is_command(pattern):
        return [as_subject(pattern, name)]
    return [registered(pattern, name)]


MOST_NAMED = 3  # commands in an error


def _implemented(own: str, names: Sequence[str]) -> str | None:
    """Which definition a user's subject implements: the only one, or the one in its name.

    Of several in its name the longest, which holds the others; None where none is, or several.

    >>> names = ["softmax", "log_softmax", "cross_entropy"]
    >>> [_implemented(f"mine:{f}", names) for f in ("log_softmax", "fast_softmax_v2", "f")]
    ['log_softmax', 'softmax', None]
    """
    if len(names) == 1:
        return names[0]
    last = own.rpartition("/")[2] if is_command(own) else own.rpartition(":")[2]
    found = [n for n in names if re.search(rf"(?<![a-z]){n}(?![a-z])", last.lower())]
    longest = max(found, key=len, default="")
    return longest if found and all(name in longest for name in found) else None
