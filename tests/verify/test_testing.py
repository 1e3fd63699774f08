"""Conformance in a test suite: one assertion, or one test per property, and what they say."""

import contextlib
import io
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.power import broken
from softproof.verify.subjects.contract import CONVENTIONAL, Contract
from softproof.verify.suites import SUITES
from softproof.verify.testing import Conformance, NothingToCheck, assert_conforms

TESTS = Path(__file__).parents[1]


def softmax(x):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)


def message_of(fn, definition="softmax", **arguments):
    with pytest.raises(AssertionError) as caught:
        assert_conforms(fn, definition, **arguments)
    return str(caught.value)


# --- the assertion ---


def test_a_function_that_conforms_passes():
    assert_conforms(softmax, "softmax", dtype=["float16", "float32"], suites="overflow")


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: softmax(x),
        np.vectorize(softmax, signature="(n)->(n)"),
        f"{broken.__name__}:softmax_hot",
    ],
    ids=["lambda", "object", "name"],
)
def test_whatever_can_be_called_is_called(fn, monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    if isinstance(fn, str):
        assert f"{broken.__name__}:softmax_hot does not conform" in message_of(
            fn, suites="overflow"
        )
    else:
        assert_conforms(fn, "softmax", suites="overflow")


def test_the_message_says_all_of_the_worst_case():
    message = message_of(broken.softmax_without_max, suites="overflow")
    assert message.splitlines()[0] == (
        f"{broken.__name__}:softmax_without_max does not conform to softmax in float32 (overflow)"
    )
    row, decimal = re.findall(r"\[(.*)\]$", message, flags=re.MULTILINE)[:2]
    assert len(row.split(",")) == 1  # shrunk
    assert float.fromhex(row) == float(decimal) > np.log(np.finfo(np.float32).max)
    for line in (
        "float32 overflow: value beyond its error bound",
        "observed  nan at index 0",
        "expected  0x1p+0 (1)",
        "error     inf ulp",
        "threshold 8.5 ulp",
        "from      proven bound of softmax in float32, accumulator float32",
        "likely    the same logits minus their maximum pass: subtract the maximum of each row",
    ):
        assert f"\n    {line}" in message or f"\n{line}" in message


@pytest.mark.parametrize(
    ("fn", "definition", "suite"),
    [
        (broken.softmax_without_max, "softmax", "overflow"),
        (broken.softmax_nan_at_masks, "softmax", "special-values"),
        (broken.cross_entropy_gradient_without_label, "cross_entropy", "gradient"),
        (broken.cross_entropy_clipped, "cross_entropy", "accuracy"),
        (broken.sigmoid_overflowing, "sigmoid", "special-values"),
        (broken.logsumexp_without_max, "logsumexp", "overflow"),
    ],
)
def test_the_script_in_the_message_shows_what_the_message_says(fn, definition, suite):
    message = message_of(fn, definition, suites=suite)
    script = message.partition("    reproduce\n")[2]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), np.errstate(all="ignore"):
        exec("\n".join(line.strip() for line in script.splitlines()), {"fn": fn})
    for what in ("observed", "expected"):
        (said,) = re.findall(rf"^    {what} +(\S+)", message, flags=re.MULTILINE)
        (shown,) = re.findall(rf"^{what} (\S+)", printed.getvalue(), flags=re.MULTILINE)
        np.testing.assert_equal(float.fromhex(shown), float.fromhex(said))


def along(x, axis=0):
    return broken.softmax_without_max(np.moveaxis(x, axis, -1))


def test_the_script_names_the_axis_as_the_call_does():
    assert "y = fn(x, axis=-1)" in message_of(along, suites="overflow")


def test_what_a_row_alone_does_not_show_is_reproduced_by_the_assertion():
    arguments = {"suites": "overflow", "seed": 3, "contract": {"empty": "error"}}
    message = message_of(broken.softmax_max_of_the_batch, **arguments)
    assert "only in its batch" in message
    call = message.splitlines()[-1].strip()
    with pytest.raises(AssertionError) as again:
        eval(call, {"assert_conforms": assert_conforms, "fn": broken.softmax_max_of_the_batch})
    assert str(again.value) == message


def test_each_suite_that_fails_has_its_worst_case_in_one_message():
    arguments = {"dtype": ["float32", "float64"], "suites": ["overflow", "invariance"]}
    message = message_of(broken.softmax_over_the_others, **arguments)
    heads = re.findall(r"^(float\d\d \S+):", message, flags=re.MULTILINE)
    assert heads == [f"{d} {s}" for d in arguments["dtype"] for s in arguments["suites"]]
    assert "in float32 (overflow, invariance), float64 (overflow, invariance)\n" in message


def test_what_keeps_a_function_from_being_judged_is_said_once():
    message = message_of(broken.softmax_returns_float64, dtype="float64")
    assert message.count("has dtype float128, expected float64; nothing else was checked") == 1


def test_the_same_arguments_give_the_same_message():
    def once():
        return message_of(broken.softmax_tail_skipped, suites=["accuracy", "special-values"])

    assert once() == once()


# --- what to fix ---

MISSING_MAX = "likely    the same logits minus their maximum pass"
HINTS = [
    ("softmax_without_max", "softmax", "float32", "accuracy", MISSING_MAX),
    ("softmax_without_max", "softmax", "float64", "overflow", MISSING_MAX),
    ("logsumexp_without_max", "logsumexp", "float32", "overflow", "and add it to the result"),
    ("log_softmax_log_of_softmax", "log_softmax", "float32", "overflow", "never log(softmax(x))"),
    ("log_softmax_log_for_log1p", "log_softmax", "float64", "accuracy", "use log1p"),
    ("softmax_max_of_the_batch", "softmax", "float32", "overflow", "rows depend on each other"),
    ("softmax_poisoned_by_a_masked_row", "softmax", "float32", "special-values", "rows depend"),
    ("softmax_in_place", "softmax", "float32", "overflow", "work on a copy"),
    ("softmax_returns_float64", "softmax", "float64", "overflow", "round the result to the dtype"),
    ("softmax_squeezed", "softmax", "float32", "special-values", "keep axes of length 1"),
    ("softmax_random", "softmax", "float32", "overflow", "depends on more than the input"),
    ("softmax_flushed", "softmax", "float32", "accuracy", "turn flushing off"),
    (
        "cross_entropy_gradient_without_label",
        "cross_entropy",
        "float32",
        "gradient",
        "the gradient is p - 1",
    ),
]


@pytest.mark.parametrize(("name", "definition", "dtype", "suite", "hint"), HINTS)
def test_what_to_fix(name, definition, dtype, suite, hint):
    arguments = {"dtype": dtype, "suites": suite, "contract": CONVENTIONAL}
    assert hint in message_of(getattr(broken, name), definition, **arguments)


def test_a_tail_that_is_not_summed():
    def vectorised(x):
        e = np.exp(x.astype(np.float64) - x.max(axis=-1, keepdims=True))
        whole = x.shape[1] // 8 * 8 or x.shape[1]
        return (e / e[:, :whole].sum(axis=-1, keepdims=True)).astype(x.dtype)

    assert "9 is one more than a vector holds" in message_of(vectorised, suites="accuracy")


@pytest.mark.parametrize("name", ["softmax_hot", "softmax_cubic_exp", "softmax_sums_to_0_999"])
def test_no_cause_is_named_where_the_case_does_not_tell(name):
    message = message_of(getattr(broken, name), suites="accuracy")
    assert "likely" not in message
    assert "if meant" not in message


DECLARED = [
    ("softmax_masked_row_is_zero", "float32", "special-values", {"all_masked": "zero"}),
    ("softmax_masked_row_is_uniform", "float32", "special-values", {"all_masked": "uniform"}),
    ("softmax_infinity_is_large", "float32", "special-values", {"pos_inf": "mass"}),
    ("softmax_nan_at_its_place", "float32", "special-values", {"nan": "at"}),
    ("softmax_flushed", "float32", "accuracy", {"flush_to_zero": "yes"}),
]


@pytest.mark.parametrize(("name", "dtype", "suite", "contract"), DECLARED)
def test_what_may_be_meant_is_named_and_passes_when_declared(name, dtype, suite, contract):
    fn, arguments = getattr(broken, name), {"dtype": dtype, "suites": suite}
    setting = re.sub("'", '"', str(contract))
    told = message_of(fn, **arguments, contract=CONVENTIONAL)
    assert f"if meant  declare contract={setting}" in told
    assert_conforms(fn, "softmax", **arguments, contract=contract)
    assert_conforms(fn, "softmax", **arguments, contract=Contract(**contract))


def test_the_fewest_settings_that_admit_a_case_are_named_together():
    arguments = {"dtype": "bfloat16", "suites": "accuracy"}
    message = message_of(broken.softmax_sticky_sum, **arguments)
    assert "keep it in a wider format" in message  # or else
    assert 'if meant  declare contract={"summation": "any", "accumulator": "input"}' in message
    whole = {"summation": "any", "accumulator": "input", "arithmetic": "input"}
    assert_conforms(broken.softmax_sticky_sum, "softmax", **arguments, contract=whole)


def test_an_exception_for_an_empty_axis_may_be_meant():
    def raising(x):
        if not x.shape[-1]:
            raise ValueError("no classes")
        return softmax(x)

    message = message_of(raising, suites="special-values", contract={"empty": "empty"})
    assert 'where that is meant, declare it: contract={"empty": "error"}' in message
    assert_conforms(raising, "softmax", suites="special-values", contract={"empty": "error"})


def test_a_promise_is_held():
    def rough(x):
        return softmax(x) * x.dtype.type(1 + 2**-21)

    assert_conforms(rough, "softmax", suites="overflow")
    contract = {"ulps": {"float32": 2.0}}
    message = message_of(rough, suites="overflow", contract=contract)
    assert "threshold 2 ulp\n    from      promised by the subject" in message


# --- a process of its own ---


def test_a_name_runs_in_a_process_of_its_own(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    message = message_of("hazardous:softmax_dies_always", suites="accuracy")
    assert "preflight: exited with status 1; nothing else was checked" in message
    assert "softproof verify softmax --subject hazardous:softmax_dies_always" in message


# --- arguments that cannot be ---


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"definition": "softmacks"}, ValueError, "definition: .*softmacks.*softmax"),
        ({"dtype": "float8"}, ValueError, "dtype 'float8' is none of float16, bfloat16"),
        ({"dtype": np.float32}, TypeError, "dtype is .*float32.*; give names, of float16"),
        ({"dtype": ["float32", 64]}, TypeError, "dtype is 64; give a name, one of float16"),
        ({"dtype": []}, ValueError, "dtype is empty; name at least one of float16"),
        ({"suites": "speed"}, ValueError, "suites 'speed' is none of accuracy, overflow"),
        ({"budget": "endless"}, ValueError, "budget 'endless' is none of quick, standard"),
        ({"seed": -1}, ValueError, "seed is -1; give an integer, 0 or more"),
        ({"arrays": "tensorflow"}, ValueError, "arrays 'tensorflow' is none of numpy, torch"),
        ({"contract": "all_masked=zero"}, TypeError, "contract is 'all_masked=zero'; give a Contr"),
        ({"contract": {"masked": "zero"}}, ValueError, "contract has 'masked', .*none of all_mask"),
        ({"contract": {"nan": "gone"}}, ValueError, "contract nan='gone' is none of row, at"),
        ({"contract": {"ulps": 2}}, ValueError, "contract ulps is 2; give the most ulps by dtype"),
        ({"fn": 3.0}, TypeError, "fn is a float; give a function, its name"),
        ({"fn": "mine"}, ValueError, "fn 'mine': no known subject"),
        ({"fn": "softproof.kernels:*"}, ValueError, r"names \d subjects; name one"),
        ({"fn": "no_such_module:f"}, ValueError, "fn 'no_such_module:f': .*ModuleNotFoundError"),
    ],
)
def test_arguments_that_cannot_be_are_named(arguments, error, message):
    arguments = {"fn": softmax, "definition": "softmax", **arguments}
    with pytest.raises(error, match=message):
        assert_conforms(**arguments)


def test_nothing_checked_is_no_pass():
    with pytest.raises(NothingToCheck, match="suites 'pairs' has nothing to check of sigmoid"):
        assert_conforms(np.tanh, "sigmoid", suites="pairs")
    with pytest.raises(NothingToCheck, match=r"suite gradient has nothing to check of .*softmax"):
        assert_conforms(softmax, "softmax", suites="gradient")

    def loss(x, labels):
        return broken._loss(x, labels)

    with pytest.raises(NothingToCheck, match=r"suite gradient has nothing to check of .*loss"):
        assert_conforms(loss, "cross_entropy", suites=["accuracy", "gradient"])


# --- one test per property ---

TESTS_OF_A_USER = """
import numpy as np
import pytest

def softmax(x):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=-1, keepdims=True)).astype(x.dtype)

def naive(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)

def loss(x, labels):
    return np.zeros(len(x), x.dtype)

def sigmoid(x):
    e = np.exp(-np.abs(x.astype(np.float64)))
    return (np.where(x < 0, e, 1) / (1 + e)).astype(x.dtype)

@pytest.mark.conforms("sigmoid", dtype={"float32", "bfloat16"})
def test_right(conformance):
    conformance(sigmoid)

@pytest.mark.parametrize("kernel", [softmax, naive])
@pytest.mark.conforms("softmax", suites={"overflow", "special-values"}, contract={"nan": "row"})
def test_two(kernel, conformance):
    conformance(kernel)

@pytest.mark.conforms("cross_entropy")
def test_loss(conformance):
    conformance(loss)

@pytest.mark.conforms("cross_entropy", suites="gradient")
def test_gradient(conformance):
    conformance(loss)

@pytest.mark.conforms("softmax", suites="overflow")
def test_forgetful(conformance):
    softmax(np.zeros((1, 2)))
"""


def run_pytest(folder, *arguments):
    """What pytest prints, in a process of its own: with the plugin."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-Werror"]
    command += ["-p", "softproof.verify.pytest_plugin", *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    return result.stdout + result.stderr


# Of the wrong loss, only that it has no gradient; in two processes, one test of each outcome.
ALONE = "gradient or not test_loss"
TOGETHER = "gradient or test_two or test_forgetful or (test_right and overflow)"


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The output and JUnit XML of the user's tests, in one process and in two."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "test_mine.py").write_text(TESTS_OF_A_USER)
    found = []
    for processes, chosen in (("0", ALONE), ("2", TOGETHER)):
        arguments = ("-rs", "--strict-markers", "-k", chosen, "-n", processes)
        output = run_pytest(folder, *arguments, "--junitxml=junit.xml")
        cases = ET.parse(folder / "junit.xml").iter("testcase")
        found.append((output, {case.get("name"): case for case in cases}))
    return found


def outcome(case):
    """Passed, or the tag of what JUnit XML tells instead, with its text."""
    told = ((part.tag, f"{part.get('message')}\n{part.text}") for part in case)
    tag, text = next(told, ("passed", ""))
    return tag, re.sub(r" at 0x\w+>", ">", text)  # as pytest shows the arguments of a test


def test_one_test_for_each_dtype_and_suite(reports):
    _, cases = reports[0]
    suites = Conformance("sigmoid").chosen_suites
    assert {"accuracy", "overflow", "special-values", "invariance"} <= set(suites)
    assert "gradient" in suites  # skipped, as these functions have no products
    right = {name: case for name, case in cases.items() if name.startswith("test_right")}
    assert list(right) == [
        f"test_right[{dtype}-{suite}]" for dtype in ("bfloat16", "float32") for suite in suites
    ]
    assert all(outcome(case)[0] in ("passed", "skipped") for case in right.values())
    for suite in ("accuracy", "overflow", "special-values", "invariance"):
        assert outcome(right[f"test_right[float32-{suite}]"])[0] == "passed"


def test_a_broken_kernel_fails_with_the_property_and_the_fix(reports):
    output, cases = reports[0]
    assert outcome(cases["test_two[float32-overflow-softmax]"])[0] == "passed"
    tag, message = outcome(cases["test_two[float32-overflow-naive]"])
    assert tag == "failure"
    assert "float32 overflow: value beyond its error bound" in message
    assert re.search(r"logits +\[0x1\.\w+p\+6\]", message)
    assert "likely    the same logits minus their maximum pass" in message
    assert ">       conformance(kernel)" in output  # the line of the user's test, none of ours
    assert "verify/testing.py" not in output


def test_a_suite_that_does_not_apply_is_skipped_unless_it_was_named(reports):
    _, cases = reports[0]
    tag, message = outcome(cases["test_loss[float32-gradient]"])
    assert tag == "skipped"
    assert "suite gradient has nothing to check of test_mine:loss in float32" in message
    tag, message = outcome(cases["test_gradient[float32-gradient]"])
    assert tag == "failure"
    assert "suite gradient has nothing to check" in message


def test_a_fixture_that_is_not_called_fails_the_test(reports):
    tag, message = outcome(reports[0][1]["test_forgetful[float32-overflow]"])
    assert tag == "failure"
    assert "nothing was checked: call the fixture with a function" in message


def test_the_processes_of_xdist_say_the_same(reports):
    (_, alone), (_, together) = reports
    assert {outcome(case)[0] for case in together.values()} == {"passed", "failure", "skipped"}
    assert {"test_right[bfloat16-overflow]", "test_right[float32-overflow]"} < together.keys()
    for name, case in together.items():
        assert outcome(case) == outcome(alone[name])


MISTAKES = """
    import pytest

    def test_without_marker(conformance): pass

    @pytest.mark.conforms("softmax")
    def test_without_fixture(): pass

    @pytest.mark.conforms("softmacks")
    def test_definition(conformance): pass

    @pytest.mark.conforms("softmax", dtype="float8")
    def test_dtype(conformance): pass

    @pytest.mark.conforms("softmax", dtypes="float16")
    def test_keyword(conformance): pass

    @pytest.mark.conforms("sigmoid", suites="pairs")
    def test_suite(conformance): pass
"""


def test_mistakes_end_the_collection_with_a_word(tmp_path):
    head, *tests = textwrap.dedent(MISTAKES).strip().split("\n\n")
    for i, code in enumerate(tests):
        (tmp_path / f"test_{i}.py").write_text(f"{head}\n{code}\n")
    output = run_pytest(tmp_path)
    assert f"{len(tests)} errors" in output
    for message in (
        "::test_without_marker does not say what to conform to; write",
        "::test_without_fixture is marked but checks nothing; write",
        "::test_definition: conforms: definition: .*softmacks",
        "::test_dtype: conforms: dtype 'float8' is none of ",
        "::test_keyword: conforms: .*unexpected keyword argument 'dtypes'",
        "::test_suite: conforms: suites 'pairs' has nothing to check of sigmoid",
    ):
        assert re.search(message, output)


LIGHT = """
import sys

def test_light(request):
    assert request.config.pluginmanager.hasplugin("softproof.verify.pytest_plugin")
    ours = {name for name in sys.modules if name.startswith("softproof.")}
    assert ours == {"softproof.verify", "softproof.verify.pytest_plugin"}
    assert not {"numpy", "numba", "sympy", "typer", "rich"} & set(sys.modules)
"""


def test_loading_the_plugin_costs_almost_nothing(tmp_path):
    (tmp_path / "test_light.py").write_text(LIGHT)
    assert "1 passed" in run_pytest(tmp_path)


def test_the_suites_and_formats_that_messages_offer_are_all():
    for dtype in FORMATS:
        assert Conformance("softmax", dtype).dtypes == (dtype,)
    labelled = Conformance("cross_entropy", "float16", budget="exhaustive").chosen_suites
    of_arguments = Conformance("rms_norm").chosen_suites
    assert {*labelled, *of_arguments} == set(SUITES)
