"""Checks as files: what they draw, and what is refused with a message that says what to write."""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.verify.audit.check import FILES, load, names, parse

TEXT = """
title = "attention"
definition = "attention"
dtype = "bfloat16"
reference = "exact"

[[inputs]]
cases = 200
sizes = { d = 2, n = 30, e = 3 }
parameters = { softcap = 2.0 }

[draws]
q = { uniform = [1.0, 2.0] }
k = { constant = 0.5 }
mask = { kept = 0.25 }

[[comparison]]
kind = "allclose"
atol = 0.1
rtol = 0.1
share = 0.95
"""


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new)


def test_a_call_is_drawn_as_the_file_says():
    (call,) = parse(TEXT, "f").calls(0)
    q, k, v, mask = (call.values[name] for name in ("q", "k", "v", "mask"))
    assert (q.shape, k.shape, v.shape, mask.shape) == (
        (200, 2),
        (200, 30, 2),
        (200, 30, 3),
        (200, 30),
    )
    assert q.dtype == k.dtype == v.dtype == "bfloat16"
    assert 1 <= q.min() < q.max() <= 2
    assert (k == k.dtype.type(0.5)).all()
    assert abs(float(v.astype(np.float64).std()) - 1) < 0.05  # normal, where nothing is said
    assert 0.2 < mask.mean() < 0.3
    assert call.parameters == {"softcap": 2.0}


def test_the_same_seed_draws_the_same():
    check = parse(TEXT, "f")
    first, again, another = (check.calls(seed)[0].values["q"] for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, another)


def test_numbers_stay_in_the_domain_and_labels_in_their_axis():
    text = """
    title = "loss"
    definition = "linear_cross_entropy"
    dtype = "float32"
    inputs = [{ cases = 50, sizes = { d = 2, K = 3 } }]
    comparison = [{ kind = "mean square", most = 1.0 }]
    """
    (call,) = parse(text, "f").calls(0)
    assert set(call.values["label"].tolist()) == {0, 1, 2}
    assert call.values["weight"].shape == (3, 2)  # shared by all cases


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "f is not TOML"),
        (
            changed('"attention"\ndtype', '"attentoin"\ndtype'),
            "definition is 'attentoin'",
        ),
        (changed("bfloat16", "float8"), "dtype is 'float8'; possible are float16, bfloat16"),
        (changed('"exact"', '"wide"'), "reference is 'wide'; possible are rounded, exact"),
        (changed("d = 2, ", ""), "f: inputs 1: sizes: d is missing; give a whole number above 0"),
        (changed("n = 30", "n = 0"), "n is 0; give a whole number above 0"),
        (changed("n = 30", "m = 30"), "unknown key 'm'; possible are d, n, e"),
        (changed("cases = 200", "cases = true"), "cases is True; give a whole number"),
        (changed("cases = 200", "cases = 100000000"), "give it 67,108,864 at most"),
        (changed("softcap = 2.0", "softcap = -1.0"), "its range is [0, 10000]"),
        (changed("softcap = 2.0", "cap = 2.0"), "unknown key 'cap'; possible are scale, softcap"),
        (changed("[1.0, 2.0]", "[1.0]"), "draws: q: uniform is [1.0]; give 2 finite numbers"),
        (changed("uniform = [", "even = ["), "unknown key 'even'; possible are normal, uniform"),
        (
            changed("{ kept = 0.25 }", "{ normal = [0, 1] }"),
            "unknown key 'normal'; possible are kept",
        ),
        (changed('"allclose"', '"close"'), "kind is 'close'; possible are allclose, either"),
        (changed("atol = 0.1\n", ""), "comparison 1: atol is missing; give a finite number"),
        (changed("atol = 0.1", "atol = -0.1"), "give a number that is not below 0"),
        (changed("atol = 0.1", "atol = inf"), "atol is inf; give a finite number"),
        (changed("share = 0.95", "most = 0.95"), "most is 0.95; allclose has atol, rtol, share"),
        (TEXT.partition("[[comparison]]")[0], "comparison is missing; write [[comparison]]"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(text, message):
    with pytest.raises(ValueError, match="f") as told:
        parse(text, "f")
    assert message in str(told.value)


def test_a_label_is_not_drawn_by_a_distribution():
    text = """
    title = "loss"
    definition = "cross_entropy"
    dtype = "float32"
    inputs = [{ cases = 5, sizes = { K = 3 } }]
    draws = { label = { normal = [0, 1] } }
    comparison = [{ kind = "mean square", most = 1.0 }]
    """
    with pytest.raises(ValueError, match="indices and whole numbers are drawn evenly"):
        parse(text, "f")


@pytest.mark.parametrize("name", names())
def test_the_checks_of_the_package_are_read_and_say_where_they_are_from(name):
    check = load(FILES / f"{name}.toml")
    assert check.source
    assert check.title
    axes = set(lookup(check.definition).signature.axes)
    assert all(set(inputs.sizes) == axes for inputs in check.inputs)


def test_there_are_ten_at_least():
    assert len(names()) >= 10
