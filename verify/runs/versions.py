"""Which versions a report stands on: of softproof, of its libraries, of those under test."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version

from ..subjects.subject import CXX, Subject

STANDS_ON = ("numpy", "scipy", "numba", "python-flint", "mpmath")


def installed_versions(subjects: Iterable[Subject] = ()) -> dict[str, str]:
    """The versions of softproof, of what it stands on, and of what the subjects come from."""
    theirs = (library for s in subjects for library in s.requires if library != CXX)
    return {
        "softproof": version("softproof"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{library: version(library) for library in (*STANDS_ON, *theirs)},
    }
