"""Arrays of the user's: logits, slopes and curvatures in .npy and .npz files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import BFLOAT16


def load_array(path: str | Path, name: str, *, half_precision: bool = False) -> NDArray[Any]:
    """Read one float32 or float64 array from a .npy or .npz file.

    Parameters
    ----------
    path
        The file. Of an .npz archive the entry called `name` is read, else its only entry.
    name
        What the array stands for, "logits", "slopes" or "curvatures"; also used in messages.
    half_precision
        Whether float16 and bfloat16 are taken as well; NumPy stores the latter as two raw bytes.

    Returns
    -------
    numpy.ndarray
        As stored: shape and contents are checked by `softproof.kernels.radius`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is neither .npy nor .npz or not readable as one, holds Python objects (they are
        pickled, and unpickling runs code, so it is always refused), or is an archive in which
        the entry cannot be told.
    TypeError
        If the array is none of these.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "step.npz"
    ...     np.savez(path, logits=np.zeros((2, 3)), slopes=np.ones((2, 3)))
    ...     load_array(path, "slopes")
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    return _load(Path(path), name, half_precision)[0]


def load_samples(logits: str | Path, slopes: str | Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Read logits and slopes, which may be two entries of one file, but not one array.

    Parameters
    ----------
    logits, slopes
        The files, .npy or .npz; the entries "logits" and "slopes" of an archive are read.

    Returns
    -------
    tuple of numpy.ndarray
        The logits and the slopes, as stored.

    Raises
    ------
    FileNotFoundError, TypeError
        What `load_array` raises.
    ValueError
        What `load_array` raises; also if one stored array would be read as both.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "step.npy"
    ...     np.save(path, np.ones((2, 3)))
    ...     load_samples(path, path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...step.npy gives one array for both logits and slopes: store two, by these names
    """
    (z, of_z), (a, of_a) = _load(Path(logits), "logits"), _load(Path(slopes), "slopes")
    if of_z == of_a and Path(logits).samefile(slopes):
        raise ValueError(
            f"{logits} gives one array for both logits and slopes: store two, by these names"
        )
    return z, a


def _load(path: Path, name: str, half_precision: bool = False) -> tuple[NDArray[Any], str]:
    """The array, and the entry of the archive that it was; "" in a .npy file."""
    if path.suffix not in (".npy", ".npz"):
        raise ValueError(
            f"{name}: {path} must be a .npy or .npz file: save it with numpy.save or numpy.savez"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {path}")
    with path.open("rb") as file:  # np.load itself would leave a damaged archive open
        with _reading(path, name):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            array, entry = loaded, ""
        else:
            entry = _entry(path, name, loaded.files)
            array = _stored_array(path, name, loaded, entry)
    if half_precision and array.dtype in (np.float16, np.dtype("V2")):
        return array if array.dtype == np.float16 else array.view(BFLOAT16.dtype), entry
    if array.dtype.type not in (np.float32, np.float64):
        raise TypeError(
            f"{name}: {path} holds {array.dtype}, not float32 or float64: "
            "convert with .astype('float32') before saving"
        )
    return array, entry


def load_labels(path: str | Path) -> NDArray[Any] | None:
    """Read the entry "labels" of a file of logits, where it has one.

    Parameters
    ----------
    path
        The file of logits.

    Returns
    -------
    numpy.ndarray or None
        The labels as stored; None where the file is no .npz archive or has no such entry.

    Raises
    ------
    ValueError
        If the entry cannot be read.
    """
    path = Path(path)
    if path.suffix != ".npz":
        return None
    with path.open("rb") as file:
        with _reading(path, "labels"):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray) or "labels" not in loaded:
            return None
        return _stored_array(path, "labels", loaded, "labels")


def _stored_array(path: Path, name: str, archive: Any, entry: str) -> NDArray[Any]:
    """An entry of an archive; ValueError where it cannot be read, or is no array."""
    with _reading(path, name):
        stored = archive[entry]
        if not isinstance(stored, np.ndarray):  # NumPy gives the bytes of any other file
            raise ValueError(f"its entry {entry} is no array in the format .npy")
    return stored


@contextmanager
def _reading(path: Path, name: str) -> Iterator[None]:
    """Report whatever NumPy raises on a file that it cannot or must not read as a ValueError."""
    try:
        yield
    except Exception as error:  # a damaged file surfaces as nearly anything, even a TokenError
        kind = "integers" if name == "labels" else "float32 or float64"
        raise ValueError(
            f"{name}: cannot read {path} ({error}): store a plain array of {kind} with numpy.save"
        ) from error


def _entry(path: Path, name: str, entries: list[str]) -> str:
    if name in entries:
        return name
    if len(entries) == 1:
        return entries[0]
    raise ValueError(
        f"{name}: {path} has the entries {', '.join(entries) or '(none)'}: "
        f"call the one to read {name!r}"
    )
