"""Inference engines that are subjects: what runs a trained model on a processor."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def silent(descriptor: int) -> Iterator[None]:
    """Send away what an engine's own code writes to stdout or stderr.

    Parameters
    ----------
    descriptor
        The file descriptor: 1 for stdout, 2 for stderr.

    Yields
    ------
    None
        While nothing that is written there is shown.
    """
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(nowhere)
