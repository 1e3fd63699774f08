"""Error against precision: the computed errors are right, and the figures are legible."""

import dataclasses
import math

import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.kernels.softmax_family.softmax import ULP_BOUND
from softproof.verify.plots import precision
from softproof.verify.plots.plot import ENDINGS, save
from softproof.verify.studies.precision import PUBLISHED, precision_errors
from softproof.verify.subjects.subject import SubjectError

NAMES = (
    "softmax",
    "log_softmax",
    "logsumexp",
    "cross_entropy",
    "sigmoid",
    "softplus",
    "stablemax",
    "stablemax_cross_entropy",
)
PRECISIONS = (4, 8, 11, 16, 20, 24, 32, 40, 53, 64, 80, 96, 113)
# The forms that the bounds of softproof.derivations.error_bounds are proven for.
BOUNDED = (
    ("softmax", "shifted"),
    ("sigmoid", "by sign"),
    ("softplus", "log1p"),
    ("stablemax", PUBLISHED),
    ("stablemax_cross_entropy", "log1p"),
)


@pytest.fixture(scope="module")
def errors():
    computed = {}

    def of(name):
        if name not in computed:
            computed[name] = precision_errors(name, PRECISIONS)
        return computed[name]

    return of


# --- errors ---


@pytest.mark.parametrize(("fmt", "p"), [("bfloat16", 8), ("float16", 11), ("float32", 24)])
def test_a_rational_function_errs_alike_in_a_format_and_in_emulated_precision(errors, fmt, p):
    data = errors("stablemax")
    assert data.errors[PUBLISHED][data.precisions.index(p)] == data.formats[PUBLISHED][fmt] > 0


def test_exponentials_of_a_format_cost_at_most_ulps_more(errors):
    data = errors("softmax")
    emulated = data.errors["shifted"][data.precisions.index(24)]
    assert data.formats["shifted"]["float32"] == pytest.approx(emulated, rel=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_every_form_loses_one_bit_of_accuracy_per_bit_of_precision(errors, name):
    data = errors(name)
    p = np.array(data.precisions)
    for error in data.errors.values():
        slope = np.polyfit(p[p >= 24], np.log2(error[p >= 24]), 1)[0]
        assert slope == pytest.approx(-1, abs=0.02)


@pytest.mark.parametrize(("name", "form"), BOUNDED)
def test_the_form_of_the_bound_stays_below_it(errors, name, form):
    data = errors(name)
    proven = np.isfinite(data.bounds)
    assert proven[np.array(data.precisions) >= 16].all()
    assert (data.errors[form][proven] < data.bounds[proven]).all()


def test_a_dropped_term_exceeds_the_bound(monkeypatch):
    def broken(z, xp):
        e = xp.exp(z - xp.max(z))
        return e / xp.sum(e[:-1])

    monkeypatch.setitem(lookup("softmax").forms, "dropped term", broken)
    data = precision_errors("softmax", precisions=range(16, 114, 16))
    assert (data.errors["dropped term"] > data.bounds).all()


def test_the_unshifted_formula_overflows_where_formats_do(errors):
    formats = errors("softmax").formats
    assert math.isinf(formats[PUBLISHED]["float16"])
    assert math.isinf(formats[PUBLISHED]["bfloat16"])
    assert math.isinf(formats[PUBLISHED]["float32"])
    assert formats[PUBLISHED]["float64"] < 2.0**-48
    assert all(math.isfinite(error) for error in formats["shifted"].values())


def test_the_unshifted_sigmoid_underflows_in_float16_to_a_wrong_zero(errors):
    formats = errors("sigmoid").formats
    assert formats[PUBLISHED]["float16"] == 1.0
    assert formats["by sign"]["float16"] < 2.0**-8


def test_softplus_by_log_has_no_correct_digit_until_p_exceeds_that_of_the_result(errors):
    data = errors("softplus")
    published = data.errors[PUBLISHED]
    assert published[data.precisions.index(11)] == 1.0  # log(1 + e^-12) = log 1
    assert data.errors["log1p"][data.precisions.index(11)] < 2.0**-9


def test_progress_counts_precisions():
    calls = []
    precision_errors("sigmoid", [8, 11], progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]


def test_an_unknown_definition_is_refused_with_near_names():
    with pytest.raises(KeyError, match="did you mean softmax"):
        precision.plot("sofmax")


@pytest.mark.parametrize("p", [1, 114])
def test_a_precision_beyond_the_truth_is_refused(p):
    with pytest.raises(ValueError, match="each must be 2 to 113"):
        precision_errors("softmax", [p])


# --- figures ---


def test_overflow_is_marked_at_the_top_of_the_axes_and_explained(errors):
    figure = precision.draw(errors("softmax")).figure
    for axes in figure.axes:
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        assert sorted(float(x) for line in crosses for x in line.get_xdata()) == [8, 11, 24]
        assert all(line.get_transform() == axes.get_xaxis_transform() for line in crosses)
    assert "result not finite" in labels(figure)
    assert "result not finite" not in labels(precision.draw(errors("stablemax")).figure)


def test_the_legend_names_every_form(errors):
    assert {"as published", "shifted", "division-free"} <= labels(
        precision.draw(errors("softmax")).figure
    )


def test_the_caption_tells_inputs_bound_and_command(errors):
    caption = precision.draw(errors("softmax")).figure.get_supxlabel()
    assert "seed 0" in caption
    assert "proven for: Shifted softmax" in " ".join(caption.split())
    assert caption.endswith("softproof plot precision softmax --output FILE")


@pytest.mark.parametrize(
    ("ending", "magic"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml"), (".pdf", b"%PDF-")]
)
def test_each_ending_is_written_in_its_format(errors, tmp_path, ending, magic):
    path = tmp_path / f"figure{ending}"
    save(precision.draw(errors("sigmoid")).figure, path)
    content = path.read_bytes()
    assert content.startswith(magic)
    assert len(content) > 10_000


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "png"])
def test_other_endings_are_refused(errors, tmp_path, name):
    with pytest.raises(ValueError, match=r"use one of \.png, \.svg, \.pdf"):
        save(precision.draw(errors("sigmoid")).figure, tmp_path / name)
    assert not list(tmp_path.iterdir())
    assert len(ENDINGS) == 3


def labels(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


# --- subjects ---

SUBJECTS = """
import numpy as np

def dropping(x):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return (e / e[:, :-1].sum(axis=-1, keepdims=True)).astype(np.float32)

def raising(x):
    raise RuntimeError("not today")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a module of the user's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "subjects_to_draw.py").write_text(SUBJECTS)


def observed(plot, subject):
    return {fmt: error for series, fmt, _, error in plot.rows if series == subject}


def test_subjects_stand_beside_the_forms_with_their_own_errors(here):
    ours, dropping = "softproof.kernels:softmax", "subjects_to_draw:dropping"
    plot = precision.plot("softmax", [ours, dropping], precisions=[11, 24, 53])
    bound = {p: error for series, _, p, error in plot.rows if series == "bound"}
    # An ulp is at most 2 u of the result.
    assert 0 < observed(plot, ours)["float32"] <= 2 * ULP_BOUND["online"]["float32"] * 2.0**-24
    assert 0 < observed(plot, ours)["float64"] <= 2 * ULP_BOUND["online"]["float64"] * 2.0**-53
    # A dropped term is seen, and formats in which there is no result are left out.
    assert list(observed(plot, dropping)) == ["float32"]
    assert observed(plot, dropping)["float32"] > 1000 * bound[24]
    assert {"kernels:softmax", dropping} <= labels(plot.figure)
    assert f"--subject {ours} --subject {dropping}" in plot.command


def test_a_subject_without_any_result_is_refused(here):
    with pytest.raises(SubjectError, match=r"raising gives no result .*not today"):
        precision.plot("softmax", ["subjects_to_draw:raising"], precisions=[24])


def test_an_unknown_subject_is_refused():
    with pytest.raises(SubjectError, match="no known subject of softmax matches 'nobody\\*'"):
        precision.plot("softmax", ["nobody*"], precisions=[24])


def test_a_variance_that_rounds_below_zero_is_nan_in_the_precision_plot(monkeypatch):
    """E x^2 - (E x)^2 comes out negative in few bits, where mpmath's root is complex."""

    def formula(z, xp):
        """Deviation by the formula that cancels."""
        mean = xp.sum(z) / len(z)
        return xp.sqrt(xp.sum(z * z) / len(z) - mean * mean) + 0 * z

    kept = dataclasses.replace(
        lookup("softmax"), name="cancelling", formula=formula, forms={}, facts=(), second=None
    )
    monkeypatch.setitem(REGISTRY, "cancelling", kept)
    result = precision_errors("cancelling", [4, 8, 53])
    errors = result.errors["published"]
    assert len(errors) == 3
    assert math.isnan(errors[0]) or errors[0] > errors[2]
    assert all(isinstance(error, float) for error in errors)
