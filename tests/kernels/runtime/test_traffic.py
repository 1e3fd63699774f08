"""Each softmax algorithm moves as much memory as Dukhan & Ablavatski 2020 count for it.

The kernels run uncompiled over `counted_simd`, which counts the lines that go between a cache and
each array. Counts are in units of the row: 1 read is every line of it once.
"""

import importlib
from pathlib import Path

import numpy as np
import pytest
from softproof.kernels import ALGORITHMS, cross_entropy, log_softmax, logsumexp

N = 4 * 8192  # 128 KiB, four times the first-level cache
FIRST_LEVEL, SECOND_LEVEL = 32 << 10, 1 << 20
NEVER, ALWAYS = 1 << 40, 0  # bytes from which results are streamed
SCRATCH = 0.02  # at most, for what is found of each stretch: six accesses in 4096 elements

# Reads of x, and of what was stored before; writes. The paper adds the reads up.
PAPER = {
    "three_pass_recompute": (3, 0, 1),
    "three_pass_reload": (2, 1, 2),
    "two_pass": (2, 0, 1),
    "online": (2, 0, 1),
}


@pytest.fixture(scope="module")
def counted_simd():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])
        return importlib.import_module("counted_simd")


@pytest.fixture(scope="module")
def modules(counted_simd):
    return counted_simd.kernels("softmax_family.softmax", "softmax_family.softmax_rows")


@pytest.fixture(scope="module")
def softmax(modules):
    return modules[0]


@pytest.fixture(scope="module")
def on_rows(modules):
    return modules[1]


@pytest.fixture
def count(counted_simd, softmax):
    """Run kernel(x, out=y) under a cache; return the traffic of x, of y and of all else, in N."""

    def run(kernel, x, y, *, stream_from=NEVER, cache=FIRST_LEVEL):
        softmax.tuning.STREAM_BYTES = stream_from
        softmax.tuning.STREAM_GROUPED_ROW_BYTES = 0
        with counted_simd.counting(cache) as traffic:
            kernel(x, out=y)
        of_x, of_y = (traffic.pop(a.ctypes.data, counted_simd.Traffic()) for a in (x, y))
        rest = sum(traffic.values(), counted_simd.Traffic())
        return of_x.times(16 / N), of_y.times(16 / N), rest.times(16 / N)

    return run


def aligned(*shape):
    """An uninitialised array that begins with a line of the cache."""
    room = np.empty(np.prod(shape) + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + np.prod(shape)].reshape(shape)


def logits(*shape):
    x = aligned(*shape)
    x[...] = np.random.default_rng(20).normal(0, 5, shape)
    return x


def assert_same(result, expected):
    """The compiled kernel's, so it is that algorithm that was counted; see the emulated `fma`."""
    np.testing.assert_array_max_ulp(result, expected, maxulp=1)


@pytest.mark.parametrize("name", PAPER)
def test_a_long_row_moves_what_the_paper_counts(name, softmax, on_rows, count):
    x, y = logits(N), aligned(N)
    of_x, of_y, scratch = count(getattr(softmax, name), x, y)
    assert (of_x.reads, of_y.reads, of_y.writes) == PAPER[name]
    assert of_x.writes == of_x.owned == 0
    assert of_y.owned == 1  # which the paper leaves out
    assert max(scratch) < SCRATCH
    assert of_x.ahead * N <= on_rows.BLOCK + on_rows.AHEAD
    assert_same(y, ALGORITHMS[name](x))


@pytest.mark.parametrize("name", PAPER)
def test_streaming_saves_the_read_before_the_write(name, softmax, count):
    x, y = logits(N), aligned(N)
    of_x, of_y, scratch = count(getattr(softmax, name), x, y, stream_from=ALWAYS)
    reads, reads_stored, writes = PAPER[name]
    assert (of_x.reads, of_y.reads, of_y.writes, of_y.owned) == (reads, 0, 1, 0)
    assert scratch.reads == pytest.approx(reads_stored, abs=SCRATCH)  # three_pass_reload's terms
    assert scratch.writes == pytest.approx(writes - 1, abs=SCRATCH)
    assert_same(y, ALGORITHMS[name](x))


@pytest.mark.parametrize("stream_from", [NEVER, ALWAYS])
def test_rows_that_fit_the_cache_are_read_once_and_written_once(
    stream_from, softmax, on_rows, count
):
    x, y = logits(64, N // 64), aligned(64, N // 64)
    of_x, of_y, scratch = count(softmax.three_pass_reload, x, y, stream_from=stream_from)
    assert (of_x.reads, of_y.reads, of_y.writes) == (1, 0, 1)
    assert of_y.owned == (stream_from == NEVER)
    assert max(scratch) <= on_rows.RELOAD_GROUP / N + SCRATCH  # the room for a group of rows
    assert_same(y, ALGORITHMS["three_pass_reload"](x))


def test_auto_reads_once_what_fits_the_second_level(softmax, count):
    x, y = logits(N), aligned(N)
    assert x.nbytes <= softmax.tuning.ROW_BYTES
    of_x, of_y, _ = count(softmax.softmax, x, y, cache=SECOND_LEVEL)
    assert (of_x.reads, of_y.reads, of_y.writes) == (1, 0, 1)


# --- the relatives ---


def test_log_softmax_reads_twice_and_writes_once(counted_simd, count):
    (module,) = counted_simd.kernels("softmax_family.log_softmax")
    x, y = logits(N), aligned(N)
    of_x, of_y, _ = count(module.log_softmax, x, y)
    assert (of_x.reads, of_y.reads, of_y.writes) == (2, 0, 1)
    assert_same(y, log_softmax(x))


def test_logsumexp_reads_once_and_writes_nothing(counted_simd, count):
    (module,) = counted_simd.kernels("softmax_family.logsumexp")
    x, y = logits(1, N), aligned(1)
    of_x, _, scratch = count(module.logsumexp, x, y)
    assert (of_x.reads, of_x.writes) == (1, 0)
    assert max(scratch) < SCRATCH
    assert_same(y, logsumexp(x))


def test_cross_entropy_reads_once_and_writes_nothing(counted_simd, count):
    (module,) = counted_simd.kernels("losses.cross_entropy")
    x, y = logits(1, N), aligned(1)
    of_x, _, scratch = count(lambda x, out: module.cross_entropy(x, [3], out=out), x, y)
    assert of_x.reads * N <= N + 16  # the logit of the label once more
    assert max(scratch) < SCRATCH
    assert_same(y, cross_entropy(x, [3]))


# --- the counter can tell ---


def test_a_pass_too_many_is_counted(softmax, on_rows, count):
    def wasteful(x, y, high, low, streams):
        block_stats = on_rows.pointer(on_rows.new_block_stats(1, N))
        on_rows.find_extremes(on_rows.pointer(x), N, block_stats)
        on_rows.two_pass_rows(x, y, high, low, streams)

    def run(x, out):
        kernel = softmax.RECOMPUTE._replace(compute=wasteful)
        softmax.rows.call(kernel, (x,), (1.0,), -1, out, 1)

    of_x, of_y, _ = count(run, logits(N), aligned(N))
    assert (of_x.reads, of_y.reads, of_y.writes) == (3, 0, 1) != PAPER["two_pass"]


def test_online_reads_once_only_because_a_stretch_fits_the_cache(softmax, on_rows, count):
    half_a_block = on_rows.BLOCK * 4 // 2
    of_x, _, _ = count(softmax.online, logits(N), aligned(N), cache=half_a_block)
    assert of_x.reads == 3
