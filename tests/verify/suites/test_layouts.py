"""Layouts have the properties they are named for; the suite finds each wrong idea of memory."""

import dataclasses

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.inputs.families import Batch
from softproof.verify.power import broken_layouts
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.layouts import FAR, LAYOUTS, lay_out
from softproof.verify.subjects.subject import NotApplicable, Subject
from softproof.verify.suites import layouts

each_format = pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)

IN_MEMORY = {f"layout {name}" for name in LAYOUTS}
ALONG_AXES = {
    "2 dimensions, axis 0",
    "3 dimensions, axis 0",
    "3 dimensions, axis 1",
    "3 dimensions, axis -1",
}
EMPTY = {"no rows", "no dimensions"}


def numbers(fmt, shape=(3, 5), equal_rows=False):
    x = np.random.default_rng(0).standard_normal(shape).astype(fmt.dtype)
    return np.repeat(x[:1], len(x), axis=0) if equal_rows else x


def laid_out(array, layout):
    try:
        return lay_out(array, layout)
    except NotApplicable as why:
        pytest.skip(f"this system cannot: {why}")


def live(function, definition="softmax"):
    subject = Subject("tests:function", definition, Contract(accumulator="input", empty="error"))
    return InProcess(subject, function)


def found(function, fmt=FORMATS["float32"], definition="softmax"):
    """The names of the cases that a function fails, and of those in which it was checked."""
    cases = layouts.check(live(function, definition), lookup(definition), fmt)
    failed = {batch.family for batch, verdict in cases if verdict.violations}
    assert all(v.message.startswith(b.family) for b, verdict in cases for v in verdict.violations)
    return failed, {batch.family for batch, verdict in cases if verdict.checks}


# --- the layouts ---


@each_layout
@each_format
@pytest.mark.parametrize("shape", [(3, 5), (2, 1), (3, 2, 4)])
def test_a_layout_is_a_copy_with_the_same_numbers(layout, fmt, shape):
    x = numbers(fmt, shape, equal_rows=layout == "broadcast")
    y = laid_out(x, layout)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert y.tobytes() == x.tobytes()
    assert not np.shares_memory(x, y)


def test_contiguous_is_aligned_to_cache_lines():
    y = lay_out(numbers(FORMATS["float32"]), "contiguous")
    assert y.flags.c_contiguous
    assert y.flags.writeable
    assert y.ctypes.data % 64 == 0


@each_format
def test_offset_is_aligned_to_elements_but_to_no_vector(fmt):
    y = lay_out(numbers(fmt), "offset")
    assert y.flags.aligned
    assert y.flags.c_contiguous
    assert y.ctypes.data % 64 == fmt.dtype.itemsize


@each_format
def test_misaligned_is_at_an_odd_address(fmt):
    y = lay_out(numbers(fmt), "misaligned")
    assert not y.flags.aligned
    assert y.ctypes.data % 2 == 1


@pytest.mark.parametrize("layout", ["contiguous", "offset", "misaligned"])
@each_format
def test_what_lies_around_is_nan(layout, fmt):
    y = lay_out(numbers(fmt), layout)
    size = fmt.dtype.itemsize
    wider = np.lib.stride_tricks.as_strided(y, (4, 5), y.strides, writeable=False)
    assert np.isnan(wider[3].astype(float)).all()
    buffer = np.frombuffer(y.base, np.uint8)
    start = y.ctypes.data - buffer.ctypes.data
    assert (buffer[start - 8 * size : start] == 0xFF).all()


def test_read_only_refuses_to_be_written():
    y = lay_out(numbers(FORMATS["float32"]), "read_only")
    with pytest.raises(ValueError, match="read-only"):
        y[0, 0] = 1


def test_fortran_runs_along_the_first_axis():
    y = lay_out(numbers(FORMATS["float32"]), "fortran")
    assert y.strides == (4, 12)
    assert not y.flags.c_contiguous


@each_format
def test_strided_has_nan_between(fmt):
    y = lay_out(numbers(fmt), "strided")
    size = fmt.dtype.itemsize
    assert y.strides == (15 * size, 3 * size)
    wide = np.lib.stride_tricks.as_strided(y, (3, 13), (15 * size, size)).astype(float)
    assert np.isnan(wide[:, 1::3]).all()
    assert np.isnan(wide[:, 2::3]).all()


def test_reversed_runs_backwards():
    y = lay_out(numbers(FORMATS["float64"]), "reversed")
    assert y.strides == (40, -8)
    assert y[..., ::-1].flags.c_contiguous


def test_broadcast_has_one_row_in_memory():
    y = lay_out(numbers(FORMATS["float32"], equal_rows=True), "broadcast")
    assert y.strides == (0, 4)
    assert np.shares_memory(y[0], y[2])
    assert not y.flags.writeable


@each_format
@pytest.mark.parametrize("rows", [2, 3, 6])
def test_far_rows_lie_beyond_2_to_the_32_elements(fmt, rows):
    y = laid_out(numbers(fmt, (rows, 5)), "far")
    apart = y.strides[0] // fmt.dtype.itemsize
    assert y.strides == (apart * fmt.dtype.itemsize, fmt.dtype.itemsize)
    assert (rows - 1) * apart > FAR == 2**32
    # An offset that wraps lands outside of all rows: even after it, between them.
    for bits in (31, 32):
        wrapped = np.arange(rows) * apart % 2**bits
        moved = wrapped[np.arange(rows) * apart >= 2**bits]
        assert moved.size
        assert (np.abs(moved[:, None] - np.arange(rows) * apart) >= 5).all()
    y[rows - 1, 0] = 7
    assert y[rows - 1].astype(float)[0] == 7


@pytest.mark.parametrize(
    ("layout", "shape", "message"),
    [
        ("sideways", (2, 2), "'sideways'; use one of contiguous"),
        ("broadcast", (2, 2), "needs one row or more, all the same"),
        ("broadcast", (0, 2), "one row or more"),
        ("broadcast", (2,), "needs 2 axes; this array has 1"),
        ("far", (1, 2), "needs two rows; this array has 1"),
        ("far", (), "needs 2 axes; this array has 0"),
        ("strided", (), "needs 1 axes; this array has 0"),
        ("reversed", (), "needs 1 axes; this array has 0"),
    ],
)
def test_what_cannot_be_laid_out_is_refused_with_the_reason(layout, shape, message):
    with pytest.raises(ValueError, match=message):
        lay_out(np.arange(float(np.prod(shape))).reshape(shape), layout)


# --- the suite ---


@each_format
def test_a_right_function_passes_every_case(fmt):
    failed, checked = found(broken_layouts.softmax, fmt)
    assert not failed
    assert checked == IN_MEMORY | ALONG_AXES | EMPTY


def wants_two_dimensions(x):
    assert x.ndim == 2
    return broken_layouts.softmax(x)


def test_a_function_without_axis_need_not_know_other_dimensions():
    failed, checked = found(wants_two_dimensions)
    assert not failed
    assert checked == IN_MEMORY | EMPTY


MOVED = {"fortran", "strided", "reversed", "broadcast", "far"}
WRONG = {
    "ignores_strides": MOVED,
    "knows_only_row_strides": {"fortran", "strided", "reversed"},
    "transposes_fortran_order": {"fortran"},
    "offsets_of_31_bits": {"far"},
    "offsets_of_32_bits": {"far"},
    "aligned_elements": {"misaligned"},
    "aligned_vectors": {"offset", "misaligned"},
    "negative_strides_are_sizes": {"reversed"},
    "one_row_of_many": {"broadcast"},
    "shifts_in_place": {"fortran", "strided", "reversed", "far"},
    "borrows_the_input": {"read_only", "broadcast"},
    "last_axis_only": ALONG_AXES - {"3 dimensions, axis -1"},
    "first_axis_by_swapping_two": {"3 dimensions, axis 0"},
    "refuses_no_rows": {"no rows"},
    "one_half_of_a_number": {"no dimensions"},
    "always_two_dimensions": {"no dimensions"},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_each_wrong_idea_of_memory_is_found_where_it_matters(name, dtype):
    failed, _ = found(getattr(broken_layouts, name), FORMATS[dtype])
    short = {family.removeprefix("layout ") for family in failed}
    assert short == WRONG[name]


def test_labels_and_gradients_move_along():
    def loss(x, labels, axis=-1):
        p = broken_layouts.softmax(x.astype(np.float64), axis)
        onehot = np.arange(x.shape[axis]) == labels[..., None]
        right = np.moveaxis(onehot, -1, axis)
        value = -np.log(np.sum(p * right, axis=axis))
        return value.astype(x.dtype), (p - right).astype(x.dtype)

    failed, checked = found(loss, definition="cross_entropy")
    assert not failed
    assert checked >= IN_MEMORY | ALONG_AXES

    def gradient_in_another_order(x, labels, axis=-1):
        value, gradient = loss(x, labels, axis)
        return value, gradient if axis == -1 else gradient[::-1]

    failed, _ = found(gradient_in_another_order, definition="cross_entropy")
    assert failed == ALONG_AXES - {"3 dimensions, axis -1"}


def test_a_subject_that_is_wrong_everywhere_is_left_to_the_other_suites():
    failed, checked = found(lambda x: broken_layouts.softmax(x) * x.dtype.type(0.9))
    assert not checked - EMPTY
    assert not failed - EMPTY


def refuses(x):
    if x.ndim == 0 or not x.flags.c_contiguous:
        raise TypeError("rows, please")
    return broken_layouts.softmax(x)


def may_write(x):
    """As a kernel with an explicit signature, which is for arrays that can be written."""
    if not x.flags.writeable:
        raise TypeError("No matching definition for argument type(s) readonly array")
    return broken_layouts.softmax(x)


def declaring(function, declared):
    subject = live(function)
    contract = dataclasses.replace(subject.contract, layouts=declared)
    return InProcess(dataclasses.replace(subject.subject, contract=contract), function)


def failing(subject):
    """The layouts in which a subject fails, and those that were asked."""
    cases = layouts.check(subject, subject.definition, FORMATS["float32"])
    named = [(b.family, v) for b, v in cases if b.family.startswith("layout")]
    return {f for f, v in named if v.violations}, {f for f, v in named if v.checks}


def test_who_refuses_a_layout_clearly_and_declares_nothing_does_not_fail():
    for function, way in ((refuses, "contiguous"), (may_write, "writable")):
        failed, asked = failing(live(function))
        assert not failed
        assert asked == IN_MEMORY
        subject = live(function)
        assert layouts.way(subject, subject.definition, FORMATS["float32"]) == way
    subject = live(broken_layouts.softmax)
    assert layouts.way(subject, subject.definition, FORMATS["float32"]) == "any"


def test_what_is_declared_of_layouts_is_held():
    failed, _ = failing(declaring(refuses, "any"))
    assert failed == {f"layout {name}" for name in MOVED}
    failed, _ = failing(declaring(refuses, "writable"))
    assert failed == {f"layout {name}" for name in MOVED} - {"layout broadcast"}
    failed, asked = failing(declaring(may_write, "writable"))
    assert not failed
    assert asked == IN_MEMORY - {"layout read_only", "layout broadcast"}
    failed, asked = failing(declaring(refuses, "contiguous"))
    assert not failed
    assert asked == {"layout contiguous", "layout offset"}


def test_neither_a_crash_of_an_index_nor_wrong_numbers_are_a_refusal():
    def slips(x):
        if not x.flags.writeable:
            raise IndexError("out of bounds")
        return broken_layouts.softmax(x)

    failed, _ = failing(live(slips))
    assert failed == {"layout read_only", "layout broadcast"}
    failed, _ = failing(live(broken_layouts.ignores_strides))
    assert {"layout strided", "layout reversed"} <= failed


def test_who_refuses_ordinary_arrays_goes_no_way():
    def picky(x):
        raise ValueError("nothing is good enough")

    subject = live(picky)
    assert layouts.way(subject, subject.definition, FORMATS["float32"]) is None


def test_what_cannot_be_expressed_is_no_check():
    def of_another_library(x):
        if not x.flags.aligned:
            raise NotApplicable("no such arrays")
        return broken_layouts.softmax(x)

    failed, checked = found(of_another_library)
    assert not failed
    assert checked == (IN_MEMORY - {"layout misaligned"}) | EMPTY


def test_functions_of_one_real_have_no_axis():
    def sigmoid(x):
        e = np.exp(-np.abs(x.astype(np.float64)))
        return np.asarray(np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)

    failed, checked = found(sigmoid, definition="sigmoid")
    assert not failed
    assert checked == IN_MEMORY | EMPTY


def test_a_given_row_is_tried_in_the_layouts_that_one_row_has():
    fmt, definition = FORMATS["float32"], lookup("softmax")
    batch = Batch("given", numbers(fmt, (1, 35)), None)
    good = layouts.check_rows(live(broken_layouts.softmax), definition, fmt, batch)
    assert good.checks == 35 * (len(LAYOUTS) - 1)
    assert not good.violations
    bad = layouts.check_rows(live(broken_layouts.ignores_strides), definition, fmt, batch)
    assert {v.message.split(":")[0] for v in bad.violations} == {
        "layout strided",
        "layout reversed",
    }


def softmax_over_the_axis_and_all_behind_it(x, axis=-1):
    """The axis is flattened together with those behind it; without rows it cannot be."""
    rows = int(np.prod(x.shape[: axis % x.ndim]))
    flat = x.reshape(rows, -1)  # numpy: cannot reshape an array of size 0 into (0, -1)
    e = np.exp(flat - flat.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).reshape(x.shape)


def test_wrong_numbers_along_an_axis_are_shown_before_what_becomes_of_no_rows():
    subject = Subject(f"{__name__}:softmax_over_the_axis_and_all_behind_it", "softmax")
    (item,) = plan([subject], ["layouts"], ["float32"])
    result = execute(item, lambda s: InProcess(s, softmax_over_the_axis_and_all_behind_it))
    (failure,) = result.failures
    assert failure.message == "2 dimensions, axis 0: value beyond its error bound"
    assert float.fromhex(failure.observed) < float.fromhex(failure.expected)
