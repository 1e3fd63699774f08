"""The same row gives the same bits: alone or in a batch, anywhere in memory, in any threads."""

import math
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from softproof import kernels
from softproof.kernels import ALGORITHMS
from softproof.kernels.runtime import rows, tuning
from softproof.kernels.softmax_family.passes import BLOCK

DTYPES = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
LINE = 64
SHORT = [*range(1, 71), 127, 128, 129, 130]
LONG = [BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 2, 3 * BLOCK + 5]


def with_labels(function, x, **options):
    return function(x, np.full(len(x), x.shape[-1] - 1), label_smoothing=0.1, **options)


def gradient(x, **options):
    return with_labels(kernels.cross_entropy_with_gradient, x, **options)[1]


def twice(function, x, **options):
    return function(x, x, **options)


SAME_SHAPE = {
    "softmax": kernels.softmax,
    **{name: ALGORITHMS[name] for name in sorted(ALGORITHMS) if name != "naive"},
    "log_softmax": kernels.log_softmax,
    "gradient": gradient,
    "cross_entropy_gradient": partial(with_labels, kernels.cross_entropy_gradient),
    **{
        name: partial(twice, getattr(kernels, name))
        for name in ("softmax_vjp", "softmax_jvp", "log_softmax_vjp", "log_softmax_jvp")
    },
}
PER_ROW = {
    "logsumexp": kernels.logsumexp,
    "cross_entropy": partial(with_labels, kernels.cross_entropy),
}
ALL = {**SAME_SHAPE, **PER_ROW}

each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
each_function = pytest.mark.parametrize("name", ALL)
streamed_or_not = pytest.mark.parametrize("streams", [False, True])


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch):
    """Let small work be shared out, too, and in more threads than there are cores."""
    monkeypatch.setattr(rows, "_CORES", 7)
    monkeypatch.setattr(tuning, "THREAD_BYTES", 1)


@pytest.fixture
def _streams(streams, stream_from):
    """Write results of any size past the caches, or none."""
    stream_from(0 if streams else 1 << 60)


def logits(*shape, dtype):
    """Negative ones, that log-probabilities may be, from near 0 to where float16 underflows."""
    return -abs(np.random.default_rng(0).normal(size=shape) * 6).astype(dtype)


def room(shape, dtype, offset):
    """Return memory full of NaN, and an array in its midst, `offset` bytes from a multiple of 64.

    At least a line of the cache is before it, and one behind it.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.full(size + 4 * LINE, 0xFF, np.uint8)
    start = -memory.ctypes.data % LINE + LINE + offset
    return memory, memory[start : start + size].view(dtype).reshape(shape)


def alone(name, x):
    """The results of each row by itself, in new memory."""
    return np.concatenate([ALL[name](x[i : i + 1].copy()) for i in range(len(x))])


def assert_stays_inside(name, x, expected, offset):
    _, here = room(x.shape, x.dtype, offset)
    here[...] = x
    memory, out = room(expected.shape, x.dtype, 5 * offset % LINE)
    ALL[name](here, out=out)
    assert out.tobytes() == expected.tobytes(), (x.shape, offset)
    out.view(np.uint8)[...] = 0xFF
    assert (memory == 0xFF).all(), (x.shape, offset)


# --- anywhere in memory ---


@pytest.mark.usefixtures("_streams")
@streamed_or_not
@each_dtype
@each_function
def test_any_address_and_nothing_outside(name, dtype, streams):
    """Elements around the logits are NaN, those around the result stay: neither is looked at.

    Rows of one call begin at different places in a line of the cache, and all of them occur.
    """
    itemsize = np.dtype(dtype).itemsize
    for length in SHORT:
        row = logits(1, length, dtype=dtype)
        between = math.gcd(length * itemsize, LINE)
        x = np.repeat(row, LINE // between + 1, axis=0)
        expected = np.repeat(ALL[name](row), len(x), axis=0)
        for offset in range(0, between, itemsize):
            assert_stays_inside(name, x, expected, offset)


@pytest.mark.usefixtures("_streams")
@streamed_or_not
@each_dtype
@each_function
def test_any_address_of_long_rows(name, dtype, streams):
    for length in LONG:
        x = logits(1, length, dtype=dtype)
        expected = ALL[name](x)
        for offset in (0, np.dtype(dtype).itemsize, LINE - np.dtype(dtype).itemsize):
            assert_stays_inside(name, x, expected, offset)


@pytest.mark.usefixtures("_streams")
@streamed_or_not
@each_dtype
@pytest.mark.parametrize("name", SAME_SHAPE)
def test_in_place(name, dtype, streams):
    for length in [1, 15, 16, 17, 33, 67, 130, *LONG]:
        x = logits(3, length, dtype=dtype)
        expected = ALL[name](x)
        memory, here = room(x.shape, dtype, np.dtype(dtype).itemsize)
        here[...] = x
        assert ALL[name](here, out=here) is not None
        assert here.tobytes() == expected.tobytes(), length
        here.view(np.uint8)[...] = 0xFF
        assert (memory == 0xFF).all(), length


# --- in any batch ---


@pytest.mark.usefixtures("_streams")
@streamed_or_not
@each_dtype
@each_function
def test_any_batch_and_any_threads(name, dtype, streams):
    for length in (1, 2, 7, 16, 17, 31, 64, 70, 129, BLOCK + 1):
        x = logits(13, length, dtype=dtype)
        whole = alone(name, x)
        for threads in (1, 2, 3, 7):
            for options in ({}, {"out": np.empty_like(whole)}):
                result = ALL[name](x, threads=threads, **options)
                assert result.tobytes() == whole.tobytes(), (length, threads)


@each_dtype
@each_function
def test_any_strides(name, dtype):
    for length in (3, 17, 67):
        x = logits(4, length, dtype=dtype)
        expected = ALL[name](x)
        for strided in (
            np.asfortranarray(x),
            np.repeat(x, 3, axis=1)[:, ::3],
            x[::-1, ::-1].copy()[::-1, ::-1],
            np.frombuffer(b"." + x.tobytes(), np.uint8)[1:].view(dtype).reshape(x.shape),
        ):
            assert ALL[name](strided).tobytes() == expected.tobytes(), length


# --- one long row ---


@pytest.mark.usefixtures("_streams")
@streamed_or_not
@each_dtype
@each_function
def test_a_row_shared_out_to_threads(name, dtype, streams):
    for length in (BLOCK + 1, 3 * BLOCK + 5, 9 * BLOCK - 1):
        x = logits(1, length, dtype=dtype)
        expected = ALL[name](x)
        for threads in (2, 3, 7):
            for row in (x, x[0]) if name in SAME_SHAPE and "gradient" not in name else (x,):
                result = ALL[name](row, threads=threads)
                assert result.tobytes() == expected.tobytes(), (length, threads)
                out = np.empty_like(result)
                ALL[name](row, threads=threads, out=out)
                assert out.tobytes() == expected.tobytes(), (length, threads)


@each_dtype
@each_function
def test_the_size_at_which_the_algorithm_changes(name, dtype, monkeypatch):
    for length in (1, 70, BLOCK + 1, 3 * BLOCK + 5):
        x = logits(2, length, dtype=dtype)
        results = set()
        for row_bytes in (1, 1 << 60):
            monkeypatch.setattr(tuning, "ROW_BYTES", row_bytes)
            for threads in (1, 7):
                results.add(ALL[name](x, threads=threads, out=None).tobytes())
        assert len(results) == 1, length
