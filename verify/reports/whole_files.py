"""Files that are written whole or not at all: a reader finds the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file, text in UTF-8, in place of the one that is there.

    The content goes to a file in the same folder first, which then gets the name: where the disk is
    full, or the process is killed, what was there before stays as it was. A link is followed, and
    what is no regular file (a pipe, `/dev/stdout`) is written to directly.

    Parameters
    ----------
    path
        The file to write.
    content
        All of it.

    Raises
    ------
    OSError
        If it cannot be written. The message names the file, also where the operating system's
        own, as that for a full disk, does not.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_whole(f"{folder}/report.txt", "all of it")
    ...     Path(f"{folder}/report.txt").read_text(), len(os.listdir(folder))
    ('all of it', 1)
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        target = Path(path).resolve()
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(target: Path, data: bytes) -> None:
    if target.exists():
        with target.open("r+b"):  # a file that may not be written to is not replaced either
            pass
    draft = target.with_name(f".softproof-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with draft.open("xb") as file:
            file.write(data)
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def write_each(*files: tuple[Path | None, Callable[[Path], None]]) -> None:
    """Call each function with its path, also after one that failed.

    Parameters
    ----------
    *files
        Pairs of a path and the function that writes to it; None in place of a path: no file is
        wanted.

    Raises
    ------
    OSError
        If some raised it; with all messages, a line for each.
    """
    failed = []
    for path, write in files:
        try:
            if path is not None:
                write(path)
        except OSError as error:
            failed.append(error)
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise OSError("\n".join(map(str, failed)))
