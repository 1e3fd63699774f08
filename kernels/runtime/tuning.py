"""The sizes at which a kernel changes its ways. Results do not depend on them, only time does.

Measured on 2026-11-26 with `softproof bench softmax --roofline` and `softproof bench softmax` on
2 cores of an AMD EPYC (Zen 4, 1 MiB of second-level cache a core, 32 MiB of third). They are safe
elsewhere: a wrong one costs some tens of percent. To tune for another machine, assign before the
first call:

    from softproof.kernels.runtime import tuning
    tuning.STREAM_BYTES = 8 << 20
"""

ROW_BYTES = 1 << 22
"""Rows of up to this size are kept in a cache, with their exponentials; of longer rows these are
computed twice. Here storing them is half as fast again up to 4 MiB, and faster up to 16."""

STREAM_BYTES = 24 << 20
"""Results of at least this size are written past the caches, if `out` is given: what does not fit
the last cache would be read before it is written."""

STREAM_ROW_BYTES = 1 << 15
"""Rows shorter than this are not: their ends share a line of the cache with the next row."""

STREAM_GROUPED_ROW_BYTES = 1 << 12
"""The same of `softmax` and the gradient of cross-entropy, which write short rows in groups."""

THREAD_BYTES = 1 << 18
"""Each thread gets at least so many bytes of logits: waking it takes as long as these."""
