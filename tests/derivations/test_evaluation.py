"""Values at given arguments are those of mpmath, with the shape of the output."""

import math

import mpmath
import pytest
from softproof.derivations import value


def test_a_value_is_the_double_nearest_to_the_exact_one():
    with mpmath.workdps(40):
        assert value("softplus", x=-745.5) == float(mpmath.log1p(mpmath.exp("-745.5")))
        assert value("erf", x=0.1) == float(mpmath.erf(mpmath.mpf(0.1)))


def test_results_stand_by_the_names_and_axes_of_the_outputs():
    found = value("top_k_gate", logits=[0.0, 3.0, 3.5], k=2)
    assert found["indices"] == [2, 1]
    assert found["weights"] == pytest.approx([1 / (1 + math.exp(-0.5)), 1 / (1 + math.exp(0.5))])
    plan = value("sinkhorn", cost=[[0.0, 1.0], [1.0, 0.0]], epsilon=1.0)
    assert [len(row) for row in plan] == [2, 2]


def test_a_parameter_that_is_not_given_has_its_default():
    x, gain = [3.0, 4.0], [1.0, 1.0]
    assert value("rms_norm", x=x, gain=gain) == value("rms_norm", x=x, gain=gain, eps=1e-6)
    assert value("rms_norm", x=x, gain=gain, eps=0.0) != value("rms_norm", x=x, gain=gain)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"x": [1.0, 2.0]}, "argument 'gain' is missing"),
        ({"x": [1.0, 2.0], "gain": [1.0]}, "argument 'gain' has 1 entries"),
        ({"x": [1.0], "gain": [1.0], "epsilon": 0.1}, "there is no argument 'epsilon'"),
    ],
)
def test_what_does_not_fit_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        value("rms_norm", **given)


def test_where_there_is_no_value_it_is_nan():
    assert math.isnan(value("log1p", x=-2.0))
