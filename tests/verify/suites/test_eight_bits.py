"""Subjects of eight bits: right ones pass, wrong ones are caught; what overflows is observed."""

import ml_dtypes
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import ARRAY_FORMATS
from softproof.verify.cases.text import parse
from softproof.verify.inputs.families import Batch, draw, patterns
from softproof.verify.runs.execute import execute
from softproof.verify.runs.results import Item
from softproof.verify.subjects.arrays import to_native, to_numpy
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import exhaustive, verdicts

EIGHT_BITS = ("float8_e4m3fn", "float8_e5m2")
each_format = pytest.mark.parametrize("dtype", EIGHT_BITS)
LARGEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0}


def run(definition, function, suite, dtype, family, *, contract=None, arrays="numpy", case=None):
    """The result of one family; of a suite of its own inputs where the family is ''."""
    subject = Subject("mine:f", definition, contract or Contract(), EIGHT_BITS, arrays=arrays)
    item = Item(subject, suite, dtype, family, 8, 0, case=case)
    return execute(item, lambda asked: InProcess(asked, function))


# --- implementations ---


def softmax(x):
    """In float32, rounded once."""
    wide = x.astype(np.float32)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def softmax_in_the_format(x):
    """Every operation rounded to eight bits."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    total = np.zeros_like(e[..., :1])
    for k in range(e.shape[-1]):
        total = total + e[..., k : k + 1]
    return e / total


def softmax_wrong_at_one_number(x):
    """As ``softmax``, but for rows that begin with one of the 256 patterns."""
    p = softmax(x)
    bits = x[:, 0].view(np.uint8) == 0x33
    return np.where(bits[:, None], np.nextafter(p, p.dtype.type(1)), p)


def wide_log_softmax(x):
    wide = x.astype(np.float64)
    d = wide - wide.max(axis=-1, keepdims=True)
    return d - np.log(np.exp(d).sum(axis=-1, keepdims=True))


def log_softmax_as_an_infinity_or_nan(x):
    """What overflows is what a conversion makes of it: NaN in float8_e4m3fn."""
    return wide_log_softmax(x).astype(x.dtype)


def log_softmax_saturating(x):
    return np.maximum(wide_log_softmax(x), -LARGEST[x.dtype.name]).astype(x.dtype)


def log_softmax_zero_beyond_the_range(x):
    exact = wide_log_softmax(x)
    return np.where(exact < -1.04 * LARGEST[x.dtype.name], 0, exact).astype(x.dtype)


def rms_norm(x, gain, eps=1e-6):
    wide = x.astype(np.float32)
    root = np.sqrt((wide * wide).mean(axis=-1, keepdims=True) + np.float32(eps))
    return (wide / root * gain.astype(np.float32)).astype(x.dtype)


def rms_norm_saturating(x, gain, eps=1e-6):
    wide = x.astype(np.float32)
    root = np.sqrt((wide * wide).mean(axis=-1, keepdims=True) + np.float32(eps))
    most = np.float32(LARGEST[x.dtype.name])
    return np.clip(wide / root * gain.astype(np.float32), -most, most).astype(x.dtype)


# --- accuracy ---


@each_format
@pytest.mark.parametrize("family", ["normal", "ordered", "dominant", "extremes", "masks"])
def test_a_right_softmax_passes(dtype, family):
    suite = "overflow" if family in ("extremes", "masks") else "accuracy"
    result = run("softmax", softmax, suite, dtype, family)
    assert result.passed
    assert result.worst <= 0.5
    assert result.checks > 100


@each_format
def test_a_right_softmax_passes_the_suite_of_special_values(dtype):
    result = run("softmax", softmax, "special-values", dtype, "")
    assert result.passed
    assert result.checks > 20


@each_format
def test_operations_in_eight_bits_are_found_and_may_be_declared(dtype):
    found = run("softmax", softmax_in_the_format, "accuracy", dtype, "normal")
    assert not found.passed
    assert "arithmetic=input" in found.failures[0].detail
    declared = Contract(arithmetic="input", accumulator="input", summation="any")
    assert run("softmax", softmax_in_the_format, "accuracy", dtype, "normal", contract=declared)


@each_format
def test_every_number_of_eight_bits_is_tried(dtype):
    fmt, definition = ARRAY_FORMATS[dtype], lookup("softmax")
    batch = next(draw("every_value", fmt, 8, 0, labelled=False))
    assert batch.logits.shape == (256, 2)
    contract = Contract(nan="row", pos_inf="nan_all", all_masked="nan")
    with np.errstate(invalid="ignore"):
        right, wrong = softmax(batch.logits), softmax_wrong_at_one_number(batch.logits)
    passed = exhaustive.judge(definition, contract, fmt, batch, right)
    assert passed.checks == 512
    assert not passed.violations
    failed = exhaustive.judge(definition, contract, fmt, batch, wrong)
    assert {v.row for v in failed.violations} == {0x33}


def test_where_there_are_no_infinities_masks_are_the_lowest_number():
    fmt = ARRAY_FORMATS["float8_e4m3fn"]
    for batch in draw("mask_positions", fmt, 8, 0, labelled=False):
        assert np.isfinite(batch.logits.astype(np.float64)).all()
        assert (batch.logits.astype(np.float64) == -448).any()


# --- overflow ---

ROW = [[448, -448], [57344, -57344]]  # log_softmax: -896, -114688
WAYS = [
    ("float8_e4m3fn", log_softmax_as_an_infinity_or_nan, "nan"),
    ("float8_e5m2", log_softmax_as_an_infinity_or_nan, "inf"),
    ("float8_e4m3fn", log_softmax_saturating, "saturate"),
    ("float8_e5m2", log_softmax_saturating, "saturate"),
]


@pytest.mark.parametrize(("dtype", "function", "way"), WAYS)
def test_what_overflows_is_observed_and_what_is_declared_is_held(dtype, function, way):
    undeclared = run("log_softmax", function, "overflow", dtype, "extremes")
    assert undeclared.passed
    assert undeclared.observed["overflow"] == way
    for declared in ("inf", "nan", "saturate"):
        contract = Contract(overflow=declared)
        result = run("log_softmax", function, "overflow", dtype, "extremes", contract=contract)
        assert result.passed == (declared == way), declared


@each_format
@pytest.mark.parametrize("declared", [None, "nan", "saturate"])
def test_another_number_than_these_is_none(dtype, declared):
    function, contract = log_softmax_zero_beyond_the_range, Contract(overflow=declared)
    assert not run("log_softmax", function, "overflow", dtype, "extremes", contract=contract).passed


def test_a_saturated_number_of_the_wrong_sign_fails():
    fmt = ARRAY_FORMATS["float8_e5m2"]
    batch = Batch("", np.array(ROW[1:]).astype(fmt.dtype), None)
    for sign, passes in ((-1, True), (1, False)):
        computed = np.array([[0.0, sign * 57344.0]]).astype(fmt.dtype)
        verdict = verdicts.compare(lookup("log_softmax"), Contract(), fmt, batch, computed)
        assert (not verdict.violations) == passes


def test_in_wider_formats_infinity_alone_is_right_where_nothing_is_declared():
    fmt = ARRAY_FORMATS["float16"]
    batch = Batch("", np.float16([[65504, -65504]]), None)
    for found, passes in ((-np.inf, True), (-65504.0, False), (np.nan, False)):
        computed = np.float16([[0, found]])
        verdict = verdicts.compare(lookup("log_softmax"), Contract(), fmt, batch, computed)
        assert (not verdict.violations) == passes
        assert not verdict.observed
    saturating = Contract(overflow="saturate")
    computed = np.float16([[0, -65504]])
    assert not verdicts.compare(lookup("log_softmax"), saturating, fmt, batch, computed).violations


OVERFLOWS = """rms_norm
x[K=4] 0x1p+4 0x0p+0 0x0p+0 0x0p+0
gain[K=4] 0x1.cp+8 0x1p+0 0x1p+0 0x1p+0
"""  # 2 * 448


@pytest.mark.parametrize(
    ("function", "way"), [(rms_norm, "nan"), (rms_norm_saturating, "saturate")]
)
def test_so_it_is_of_functions_of_several_arguments(function, way):
    _, case = parse(OVERFLOWS, ARRAY_FORMATS["float8_e4m3fn"])
    for declared in (None, "nan", "saturate"):
        result = run(
            "rms_norm",
            function,
            "accuracy",
            "float8_e4m3fn",
            "given",
            contract=Contract(overflow=declared),
            case=case,
        )
        assert result.passed == (declared in (None, way))
        assert result.observed.get("overflow") == (None if declared else way)


# --- PyTorch ---


@each_format
def test_numbers_go_to_pytorch_and_back_bit_by_bit(dtype):
    pytest.importorskip("torch")
    numbers = patterns(ARRAY_FORMATS[dtype])
    native = to_native(numbers, "torch")
    assert str(native.dtype) == f"torch.{dtype}"
    back = to_numpy(native)
    assert back.dtype == getattr(ml_dtypes, dtype)
    np.testing.assert_array_equal(back.view(np.uint8), numbers.view(np.uint8))


def torch_rms_norm(x, gain, eps=1e-6):
    from torch.nn import functional

    return functional.rms_norm(x.float(), gain.shape, gain.float(), eps).to(x.dtype)


def torch_rms_norm_of_twice_the_gain(x, gain, eps=1e-6):
    return torch_rms_norm(x, gain.float() * 2, eps)


@pytest.mark.parametrize(
    ("dtype", "suite"),
    [("float8_e4m3fn", "accuracy"), ("float8_e5m2", "accuracy"), ("float8_e5m2", "gradient")],
)
def test_a_function_of_pytorch_is_tested_as_any(dtype, suite):
    pytest.importorskip("torch")
    right = run("rms_norm", torch_rms_norm, suite, dtype, "x: normal", arrays="torch")
    assert right.passed
    assert right.checks > 100
    wrong = torch_rms_norm_of_twice_the_gain
    assert not run("rms_norm", wrong, suite, dtype, "x: normal", arrays="torch").passed
