"""What all kernels share: dtypes, strides, out=, threads, and the compiler's disk cache."""

import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view
from softproof import kernels
from softproof.kernels import ALGORITHMS, cross_entropy, log_softmax, logsumexp
from softproof.kernels import cross_entropy_with_gradient as with_gradient
from softproof.kernels.runtime import rows as kernel_rows
from softproof.kernels.runtime.rows import BLOCK_BYTES

KERNELS = Path(kernels.__file__).parent
SAME_SHAPE = {**ALGORITHMS, "log_softmax": log_softmax}


def labels_for(logits):
    return np.arange(logits[..., 0].size).reshape(logits.shape[:-1]) % logits.shape[-1]


def loss(logits, *, axis=-1, **options):
    labels = labels_for(np.moveaxis(np.asarray(logits), axis, -1))
    return cross_entropy(logits, labels, axis=axis, **options)


def gradient(logits, *, axis=-1, **options):
    labels = labels_for(np.moveaxis(np.asarray(logits), axis, -1))
    return with_gradient(logits, labels, axis=axis, **options)[1]


ROW_BY_ROW = {**SAME_SHAPE, "logsumexp": logsumexp, "loss": loss, "gradient": gradient}
NARROW = {name: f for name, f in ROW_BY_ROW.items() if name != "naive"}
IN_PLACE = {**SAME_SHAPE, "gradient": gradient}

each_function = pytest.mark.parametrize("function", ROW_BY_ROW.values(), ids=ROW_BY_ROW)
each_in_place = pytest.mark.parametrize("function", IN_PLACE.values(), ids=IN_PLACE)


def random_logits(*shape, dtype=np.float64):
    return (np.random.default_rng(0).normal(size=shape) * 9).astype(dtype)


# --- strides ---

LAYOUTS = {
    "Fortran": np.asfortranarray,
    "negative strides": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "every third column": lambda a: np.repeat(a, 3, axis=-1)[..., ::3],
    "every second row": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "transposed": lambda a: a.transpose(2, 0, 1).copy().transpose(1, 2, 0),
    "read-only": lambda a: np.broadcast_to(a, a.shape),
    "unaligned": lambda a: np.frombuffer(b"." + a.tobytes(), np.uint8)[1:].view(a.dtype),
}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each_function
def test_any_strides_give_the_same_bits(function, dtype, layout):
    logits = random_logits(4, 6, 67, dtype=dtype)
    strided = LAYOUTS[layout](logits).reshape(logits.shape)
    np.testing.assert_array_equal(function(strided), function(logits))


@each_function
def test_broadcast_logits(function):
    row = random_logits(67)
    broadcast = np.broadcast_to(row, (3, 5, 67))
    np.testing.assert_array_equal(function(broadcast), function(broadcast.copy()))


@pytest.mark.parametrize("function", [*SAME_SHAPE.values(), logsumexp])
def test_a_row_does_not_depend_on_its_neighbours(function):
    logits = random_logits(50, 70)
    for row, expected in zip(logits, function(logits), strict=True):
        np.testing.assert_array_equal(function(row), expected)


@pytest.mark.parametrize("classes", [1, 1000, BLOCK_BYTES // 8 - 1, BLOCK_BYTES // 8 + 1])
def test_blocks_of_rows_and_rows_longer_than_a_block(classes):
    logits = random_logits(3 + 2 * BLOCK_BYTES // 8 // classes, classes)
    expected = np.array([kernels.softmax(row)[-1] for row in logits[-50:]])
    np.testing.assert_array_equal(kernels.softmax(logits)[-50:, -1], expected)
    transposed = np.asfortranarray(logits)
    np.testing.assert_array_equal(kernels.softmax(transposed)[-50:, -1], expected)


# --- out= ---


@each_in_place
def test_out_is_filled_and_returned(function):
    logits = random_logits(5, 67)
    out = np.full_like(logits, np.nan)
    assert function(logits, out=out) is out
    np.testing.assert_array_equal(out, function(logits))


@pytest.mark.parametrize("view", ["whole", "strided", "transposed"])
@pytest.mark.parametrize("threads", [1, 2])
@each_in_place
def test_out_may_be_logits_itself(function, threads, view):
    base = random_logits(66, 130)
    logits = {"whole": base, "strided": base[:, ::2], "transposed": base.T}[view]
    expected = function(logits.copy())
    function(logits, out=logits, threads=threads)
    np.testing.assert_array_equal(logits, expected)


@each_in_place
def test_out_of_any_strides(function):
    logits = random_logits(4, 6, 67)
    base = np.full((67, 12, 4), np.nan)
    out = base.transpose(2, 1, 0)[:, ::-2]
    function(logits, out=out)
    np.testing.assert_array_equal(out, function(logits))
    assert np.isnan(base[:, ::2]).all()


def test_out_that_overlaps_in_part_is_refused():
    base = random_logits(10, 8)
    for out in (base[1:9], base[:8, ::-1], base.T[:8, :8]):
        with pytest.raises(ValueError, match="out overlaps logits in part"):
            kernels.softmax(base[:8], out=out)
    with pytest.raises(ValueError, match="out overlaps logits in part"):
        logsumexp(base, out=base[:, 0])


def test_out_interleaved_with_logits_is_no_overlap():
    base = random_logits(5, 8)
    expected = kernels.softmax(base[:, ::2].copy())
    kernels.softmax(base[:, ::2], out=base[:, 1::2])
    np.testing.assert_array_equal(base[:, 1::2], expected)


def test_unfit_out_is_refused():
    logits = np.zeros((2, 3))
    read_only = np.zeros((2, 3))
    read_only.flags.writeable = False
    with pytest.raises(TypeError, match="out must be a NumPy array, got list"):
        kernels.softmax(logits, out=[[0.0] * 3] * 2)
    with pytest.raises(TypeError, match="out must have the dtype of logits, float64, got float32"):
        kernels.softmax(logits, out=np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"out must have shape \(2, 3\), got \(3, 2\)"):
        kernels.softmax(logits, out=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="out must be writeable"):
        kernels.softmax(logits, out=read_only)


# As strides of five rows of eight numbers, in bytes.
ITSELF = {
    "windows": (8, 8),
    "windows that share their ends": (56, 8),
    "one row for all": (0, 8),
    "one element for all": (64, 0),
    "half an element further": (64, 4),
    "every third and every second": (24, 16),  # 3 i + 2 j is 6 for (0, 3) and (2, 0)
}


@pytest.mark.parametrize("strides", ITSELF.values(), ids=ITSELF)
def test_out_that_overlaps_itself_is_refused(strides):
    logits, out = random_logits(5, 8), as_strided(np.zeros(100), (5, 8), strides)
    with pytest.raises(ValueError, match=r"out overlaps itself.*out\.copy"):
        kernels.softmax(logits, out=out)
    kernels.softmax(logits, out=out.copy())


def test_logits_that_overlap_themselves_are_no_place_for_the_result():
    windows = sliding_window_view(random_logits(12), 8, writeable=True)
    with pytest.raises(ValueError, match="out overlaps itself"):
        kernels.softmax(windows, out=windows)


def test_out_whose_axes_reach_into_each_other_without_meeting_is_taken():
    buffer = np.full(100, np.nan)
    # 3 i + 2 j: all different for two rows of up to three.
    out = as_strided(buffer, (2, 3), (24, 16))
    logits = random_logits(2, 3)
    np.testing.assert_array_equal(kernels.softmax(logits, out=out), kernels.softmax(logits))


def test_a_cotangent_in_the_memory_of_out_is_read_before_it_is_overwritten():
    logits = random_logits(4, 5)
    labels, cotangent = labels_for(logits), np.array([1.0, -2.0, 3.0, 0.5])
    expected = kernels.cross_entropy_gradient(logits, labels, cotangent)
    out = np.empty((4, 5))
    out.reshape(-1)[3:7] = cotangent
    shared = out.reshape(-1)[3:7]
    np.testing.assert_array_equal(
        kernels.cross_entropy_gradient(logits, labels, shared, out=out), expected
    )


# --- threads ---


@pytest.mark.parametrize("threads", [2, 3, 7, 100])
@each_function
def test_threads_give_the_same_bits(function, threads):
    logits = random_logits(41, 67)
    np.testing.assert_array_equal(function(logits, threads=threads), function(logits))


@pytest.mark.parametrize("threads", [0, -1])
@each_function
def test_less_than_one_thread_is_refused(function, threads):
    with pytest.raises(
        ValueError, match=f"threads must be an integer of at least 1, got {threads}"
    ):
        function([[0.0, 1.0]], threads=threads)


@pytest.mark.parametrize("threads", [np.int64(2), np.uint8(2), True])
def test_any_kind_of_integer_is_a_number_of_threads(threads):
    logits = random_logits(3, 70_000)
    for rows in (logits, logits[0]):
        np.testing.assert_array_equal(kernels.softmax(rows, threads=threads), kernels.softmax(rows))
        np.testing.assert_array_equal(log_softmax(rows, threads=threads), log_softmax(rows))


LATE = """
import atexit, threading
import numpy as np
from softproof.kernels import softmax
from softproof.kernels.runtime import rows

rows._CORES = 2
logits = np.random.default_rng(0).normal(size=(4, 1 << 17)).astype(np.float32)
expected = softmax(logits)

def call(when):
    for part in (slice(None), slice(1)):  # rows for each thread, and one row for both
        print(when, np.array_equal(softmax(logits[part], threads=2), expected[part]), flush=True)

def after_the_main_thread():
    threading.main_thread().join()
    call("after")

if {pool}:
    call("before")
threading.Thread(target=after_the_main_thread).start()
atexit.register(call, "at exit")
"""


@pytest.mark.parametrize("pool", [False, True], ids=["new threads", "threads that wait"])
def test_threads_are_done_without_once_the_interpreter_is_ending(pool):
    result = subprocess.run(
        [sys.executable, "-c", LATE.replace("{pool}", str(pool))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines == ["before True"] * 2 * pool + ["after True"] * 2 + ["at exit True"] * 2


def test_every_part_is_done_once_where_no_thread_can_be_started(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    kernel_rows._pool.cache_clear()
    done = []
    kernel_rows.in_parallel(done.append, range(10), 3)
    assert done == list(range(10))
    monkeypatch.undo()
    kernel_rows.in_parallel(done.append, range(10, 20), 3)  # what could not start does nothing now
    assert sorted(done) == list(range(20))
    kernel_rows._pool.cache_clear()


def test_what_one_thread_raises_is_raised_when_the_others_have_ended():
    started = threading.Barrier(2)
    ended = []

    def run(start):
        started.wait()
        if start == 0:
            raise ZeroDivisionError
        time.sleep(0.05)
        ended.append(start)

    with pytest.raises(ZeroDivisionError):
        kernel_rows.in_parallel(run, [0, 1], 2)
    assert ended == [1]


# --- dtypes ---


@pytest.mark.parametrize(
    "dtype", [np.longdouble, np.int64, np.complex128, bool, object, "S3", ">f2", ">f4", ">f8"]
)
@each_function
def test_other_dtypes_are_refused_with_a_remedy(function, dtype):
    with pytest.raises(TypeError, match=r"logits must be float32.*float64.*logits\.astype"):
        function(np.zeros((2, 3), dtype))


def test_naive_computes_in_float32_and_float64_alone():
    with pytest.raises(TypeError, match="logits must be float32 or float64 in native byte order"):
        kernels.naive(np.zeros(3, np.float16))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_sixteen_bits_are_float32_rounded_once(function, dtype):
    """Up to the error of the float32 result, which may lie across a midpoint: 1/2 ulp and a bit."""
    logits = random_logits(40, 67, dtype=np.float32).astype(dtype)
    result = function(logits)
    assert result.dtype == dtype
    exact = function(logits.astype(np.float64))
    unit = np.spacing(np.abs(exact).astype(dtype)).astype(np.float64)
    assert (np.abs(result.astype(np.float64) - exact) <= 0.51 * unit).all()


# --- axis ---


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_any_axis_is_as_good_as_the_last(function, axis):
    logits = random_logits(4, 6, 67)
    expected = function(np.ascontiguousarray(np.moveaxis(logits, axis, -1)))
    if expected.ndim == logits.ndim:
        expected = np.moveaxis(expected, -1, axis)
    np.testing.assert_array_equal(function(logits, axis=axis), expected)


@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize("function", SAME_SHAPE.values(), ids=SAME_SHAPE)
def test_out_goes_along_with_the_axis(function, axis):
    logits = random_logits(4, 6, 67)
    out = np.full_like(logits, np.nan)
    assert np.shares_memory(function(logits, axis=axis, out=out), out)
    np.testing.assert_array_equal(out, function(logits, axis=axis))


@pytest.mark.parametrize("function", [*SAME_SHAPE.values(), logsumexp])
def test_an_axis_that_is_not_there_is_refused(function):
    with pytest.raises(ValueError, match="axis: axis 2 is out of bounds for array of dimension 2"):
        function(np.zeros((2, 3)), axis=2)


# --- scale ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_scaling_by_a_power_of_two_is_scaling_the_logits(function, dtype):
    logits = random_logits(4, 67, dtype=dtype)
    expected = function(logits / 4) * (0.25 if function is gradient else 1)  # the chain rule
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(function(logits, scale=0.25), expected, rtol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", sorted(set(ALGORITHMS) - {"naive"}))
def test_a_scaled_softmax_is_not_broken_by_huge_products(algorithm, dtype):
    """c x - max(c x) with one of the products rounded is not 0 (pytorch issue 101039)."""
    logits = (np.arange(1, 70) * 1.1).astype(dtype)
    result = ALGORITHMS[algorithm](logits, scale=4.4e9)
    assert result[-1] == 1
    assert not result[:-1].any()


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_a_scale_out_of_range_is_refused(function, scale):
    with pytest.raises(ValueError, match=r"scale must be from 2\*\*-100 to 2\*\*100, got"):
        function(np.zeros(3), scale=scale)


@pytest.mark.parametrize("number", [np.float32, np.float64, ml_dtypes.bfloat16, np.array])
@pytest.mark.parametrize("function", NARROW.values(), ids=NARROW)
def test_a_scale_of_any_type_is_the_number_that_it_stands_for(function, number):
    logits, scale = random_logits(4, 67), number(0.3)
    np.testing.assert_array_equal(
        function(logits, scale=scale), function(logits, scale=float(scale))
    )


NUMBERS = {
    **{f"{name} scale": (f, "scale") for name, f in NARROW.items()},
    "loss label_smoothing": (loss, "label_smoothing"),
    "softmax_vjp scale": (partial(kernels.softmax_vjp, np.ones(3)), "scale"),
    "log_softmax_jvp scale": (partial(kernels.log_softmax_jvp, np.zeros(3)), "scale"),
    "comp_sum tau": (partial(kernels.comp_sum, labels=0), "tau"),
    "smoothed_rsqrt width": (kernels.smoothed_rsqrt, "width"),
    "normal_cdf beta": (kernels.ria, "beta"),
    "consistency_gamma tau": (partial(kernels.consistency_gamma, classes=3), "tau"),
    "consistency_gamma classes": (partial(kernels.consistency_gamma, tau=1.0), "classes"),
}


@pytest.mark.parametrize("value", [None, "2", [1.0, 2.0], np.ones(2), 1j])
@pytest.mark.parametrize(("function", "name"), NUMBERS.values(), ids=NUMBERS)
def test_what_is_no_number_is_refused_by_the_name_of_its_argument(function, name, value):
    with pytest.raises(TypeError, match=f"{name} must be a number, got"):
        function(np.zeros(3), **{name: value})


@pytest.mark.parametrize("scale", [10**400, -(10**400)])
def test_an_integer_beyond_the_floats_is_out_of_range(scale):
    with pytest.raises(ValueError, match=r"scale must be from 2\*\*-100 to 2\*\*100"):
        kernels.softmax(np.zeros(3), scale=scale)


@pytest.mark.parametrize("axis", [None, 0.0, (0, 1), "0"])
@pytest.mark.parametrize("function", [*SAME_SHAPE.values(), logsumexp])
def test_an_axis_that_is_no_integer_is_refused(function, axis):
    with pytest.raises(TypeError, match="axis must be an integer, got"):
        function(np.zeros((2, 3)), axis=axis)


@each_function
def test_lists_of_floats_are_float64(function):
    np.testing.assert_array_equal(function([[1.0, 2.0]]), function(np.array([[1.0, 2.0]])))


@pytest.mark.parametrize(
    "function", [*SAME_SHAPE.values(), logsumexp, partial(cross_entropy, labels=0)]
)
def test_a_scalar_is_refused(function):
    with pytest.raises(ValueError, match="logits must have at least one axis"):
        function(1.0)


# --- the compiler ---


def run(source, directory, **environment):
    # The cache stands beside the sources, wherever that of these tests is.
    ours = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-c", source],
        cwd=directory,
        env={**ours, "NUMBA_DEBUG_CACHE": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


CALL = "import kernels; print(float(kernels.softmax([[0.0, 1.0, 3.0]])[0, 0]))"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the sources, importable as `kernels`, with an empty cache."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(KERNELS, folder / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def compiled(checkout, tmp_path_factory):
    """A copy with a cache of what CALL compiles."""
    folder = tmp_path_factory.mktemp("compiled")
    shutil.copytree(checkout, folder, dirs_exist_ok=True)
    assert "data saved" in run(CALL, folder)
    return folder


def test_importing_compiles_nothing(checkout):
    source = """
import sys
import kernels
from numba.core.dispatcher import Dispatcher
modules = [m for name, m in sys.modules.items() if name.startswith("kernels.")]
compiled = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
assert len(compiled) > 10
assert not any(f.signatures for f in compiled)
"""
    run(source, checkout)
    assert not list(checkout.rglob("*.nb[ci]"))


def test_a_second_process_compiles_nothing(compiled):
    again = run(CALL, compiled)
    assert "data loaded" in again
    assert "saved" not in again


def test_an_edited_helper_invalidates_the_cache_of_its_callers(compiled, tmp_path):
    shutil.copytree(compiled, tmp_path, dirs_exist_ok=True)
    before = run(CALL, tmp_path)
    assert "data loaded" in before  # the cache is as good as where it was made
    assert "saved" not in before
    helper = tmp_path / "kernels" / "arithmetic" / "vector_exp.py"
    source = helper.read_text()
    assert "return fma(f, q, broadcast(f, 1.0))" in source
    helper.write_text(source.replace("broadcast(f, 1.0))", "broadcast(f, 1.125))"))
    after = run(CALL, tmp_path)
    assert after.splitlines()[-1] != before.splitlines()[-1]


def test_the_two_import_names_do_not_share_a_cache(compiled):
    (compiled / "softproof_").mkdir()
    (compiled / "softproof_" / "kernels").symlink_to(compiled / "kernels")
    other = run(CALL.replace("kernels;", "softproof_.kernels as kernels;"), compiled)
    assert "data loaded" not in other


def test_a_masked_array_is_refused():
    with pytest.raises(TypeError, match="mask would be lost"):
        kernels.softmax(np.ma.masked_array([1.0, 2.0], mask=[True, False]))


@pytest.mark.parametrize("threads", [1.5, "2", None])
def test_threads_must_be_an_integer(threads):
    with pytest.raises(ValueError, match="threads must be an integer"):
        kernels.softmax([1.0, 2.0], threads=threads)


def test_uncompiled_kernels_that_need_vectors_say_what_to_do():
    source = """
import numpy as np
from softproof import kernels
print(kernels.normal_cdf(0.0), kernels.stablemax(np.zeros(2)))
try:
    kernels.softmax(np.zeros(3))
except RuntimeError as error:
    print(error)
"""
    lines = run(source, None, NUMBA_DISABLE_JIT="1").splitlines()
    assert lines[0] == "0.5 [0.5 0.5]"
    assert "only compiled code has: unset the environment variable NUMBA_DISABLE_JIT" in lines[1]
