"""Mistakes that only a batch shows: rows at odd places, row numbers of 16 bits, shared scratch.

``softmax_right`` and ``softmax_scratch_of_each_thread`` make none.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np


def softmax_right(x):
    """A right softmax, shifted and in binary64."""
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def softmax_second_rows_of_odd_lengths(x):
    """Two rows share a vector: of odd lengths the second loses its first class (pytorch#147284)."""
    p = softmax_right(x)
    if 512 < x.shape[-1] < 1024 and x.shape[-1] % 2:
        e = np.exp(x[1::2].astype(np.float64) - x[1::2].max(axis=-1, keepdims=True))
        p[1::2] = e / (e.sum(axis=-1, keepdims=True) - e[:, :1])
    return p


def softmax_row_index_of_16_bits(x):
    """Rows from 65 536 on are those of others (pytorch#162588, mxnet#12751, DeepSpeed#1239)."""
    p = softmax_right(x)
    p[2**16 :] = np.resize(p[: 2**16], p[2**16 :].shape)
    return p


def softmax_signed_row_index_of_16_bits(x):
    """Rows from 32 768 on are not written."""
    p = softmax_right(x)
    p[2**15 :] = 0
    return p


def _on_two_threads(x, *, shared):
    """Each half of the rows on a thread, through one row of scratch, or through one each.

    Threads that are worth starting meet: here they do so in each row, on any machine.
    """
    half = len(x) // 2 if x.shape[-1] >= 1000 else 0
    p = np.empty_like(x)
    scratch = np.empty((2, x.shape[-1]))
    meet = Barrier(2)

    def work(thread):
        row = scratch[0 if shared else thread]
        for i in range(thread * half, (thread + 1) * half):
            np.subtract(x[i], x[i].max(), out=row, dtype=np.float64)
            meet.wait()
            np.exp(row, out=row)
            meet.wait()
            np.divide(row, row.sum(), out=p[i], casting="unsafe")
            meet.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (0, 1)))
    p[2 * half :] = softmax_right(x[2 * half :])
    return p


def softmax_scratch_of_all_threads(x):
    """One row of scratch, allocated outside of the parallel loop (numba#2997)."""
    return _on_two_threads(x, shared=True)


def softmax_scratch_of_each_thread(x):
    """A right one: each thread has a row of scratch."""
    return _on_two_threads(x, shared=False)
