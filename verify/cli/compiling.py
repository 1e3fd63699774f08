"""What is being compiled, said where a user waits for it.

The kernels compile at their first call, which takes seconds and is kept on disk. A library that
printed would annoy its callers, so it is the commands that say this; a silent one seems to hang.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event, types

PATIENCE = 2.0
"""Seconds of compiling that are not worth a word."""

REPEAT = 4.0
"""Seconds from one word to the next."""


def say(text: str) -> None:
    """Print a line to stderr at once.

    Parameters
    ----------
    text
        The line, without the name of the program.
    """
    print(f"softproof: {text}", file=sys.stderr, flush=True)


@contextmanager
def compiling_told(tell: Callable[[str], None] = say) -> Iterator[None]:
    """Within this context, say what numba compiles and for how long, if it takes long.

    Parameters
    ----------
    tell
        Called with each line.

    Yields
    ------
    None
        The context.
    """
    listener = _Listener(tell)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)


class _Listener(event.Listener):  # type: ignore[misc]
    """Hears of every function that numba begins and ends to compile, those called by it within."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._depth = 0
        self._what = ""
        self._began = 0.0
        self._ended = threading.Event()
        self._teller = threading.Thread()

    def on_start(self, happened: Any) -> None:
        self._depth += 1
        if self._depth == 1:
            self._what = described(happened.data["dispatcher"].py_func, happened.data["args"])
            self._began, self._ended = time.monotonic(), threading.Event()
            arguments = (self._what, self._began, self._ended)
            self._teller = threading.Thread(target=self._wait, args=arguments, daemon=True)
            self._teller.start()

    def on_end(self, happened: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._ended.set()
            self._teller.join()  # so that its last word is not behind ours
            took = time.monotonic() - self._began
            if took > PATIENCE:
                self._tell(f"compiled {self._what} in {took:.0f} s")

    def _wait(self, what: str, began: float, ended: threading.Event) -> None:
        pause = PATIENCE
        while not ended.wait(pause):
            took = time.monotonic() - began
            self._tell(f"compiling {what}, for the first call alone; {took:.0f} s so far")
            pause = REPEAT


def described(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """Name a function and the format of its first array, such as `radius._bounds for float64`.

    Parameters
    ----------
    function
        A Python function that numba compiles.
    arguments
        The types of its arguments.

    Returns
    -------
    str
        The name alone where it takes no array.
    """
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
    formats = [str(a.dtype) for a in arguments if isinstance(a, types.Array)]
    return f"{name} for {formats[0]}" if formats else name
