"""Outcomes of proofs, kept from one process to the next.

What is kept is whether one claim was proven, under a digest of everything that the outcome depends
on: the claim's expression with the assumptions on its symbols, the ranges of the parameters, the
source of the prover, and SymPy's version.  A formula that changes makes other expressions, so a
kept outcome is never that of another claim.  A claim that ran out of time has no outcome.

The file is ``softproof/proofs.sqlite`` in ``XDG_CACHE_HOME`` (by default ``~/.cache``), or what the
environment variable SOFTPROOF_PROOFS names; where that is empty, nothing is kept.  A file that
cannot be read or written costs the time of the proofs, and nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import sympy

WAIT = 2.0  # seconds for another process that writes


def place() -> Path | None:
    """Return the file that outcomes are kept in.

    Returns
    -------
    Path or None
        None where nothing is to be kept.
    """
    named = os.environ.get("SOFTPROOF_PROOFS")
    if named is not None:
        return Path(named) if named else None
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "softproof" / "proofs.sqlite"


def once(claim: str, compute: Callable[[], bool]) -> bool:
    """Return the outcome of a claim, as it was kept or as it is computed now.

    Parameters
    ----------
    claim
        Everything that tells the claim from others, in text.
    compute
        The proof, where none is kept; what it raises is raised, and nothing is kept.

    Returns
    -------
    bool
        Whether the claim is proven.
    """
    file = place()
    if file is None:
        return compute()
    key = hashlib.sha256(f"{_prover()}\n{claim}".encode()).hexdigest()
    kept = _read(file, key)
    if kept is None:
        kept = compute()
        _write(file, key, kept)
    return kept


@functools.cache
def _prover() -> str:
    """A digest of the prover's source and SymPy's version."""
    digest = hashlib.sha256(sympy.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _read(file: Path, key: str) -> bool | None:
    if not file.exists():
        return None
    with contextlib.suppress(sqlite3.Error), _opened(file) as kept:
        row = kept.execute("SELECT proven FROM proofs WHERE claim = ?", (key,)).fetchone()
        return None if row is None else bool(row[0])
    return None


def _write(file: Path, key: str, proven: bool) -> None:
    with contextlib.suppress(sqlite3.Error, OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with _opened(file) as kept, kept:
            kept.execute("CREATE TABLE IF NOT EXISTS proofs (claim TEXT PRIMARY KEY, proven INT)")
            kept.execute("INSERT OR REPLACE INTO proofs VALUES (?, ?)", (key, int(proven)))


def _opened(file: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(file, timeout=WAIT))
