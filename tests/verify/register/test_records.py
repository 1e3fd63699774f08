"""The records of cases: numbers that are true by other formulas, forms that are read or refused."""

import re
from fractions import Fraction

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY16, FORMATS
from softproof.derivations.signature import Numbers
from softproof.verify.cases.choices import exact_choice, with_choice
from softproof.verify.cases.products import products as definition_of_products
from softproof.verify.cases.truth import truth
from softproof.verify.register.case_probe import CaseProbe
from softproof.verify.register.numbers import recorded
from softproof.verify.register.record import PROPERTIES, load

from tests.derivations.catalogue.truths import MP, TRUTHS

PROBES = [
    pytest.param(probe, id=f"{case.id} {i}")
    for case in load()
    for i, probe in enumerate(case.probes, 1)
    if isinstance(probe, CaseProbe) and probe.property in ("value", "gradient")
]
DIGITS = 150


def focal_loss(logits, label, gamma=2.0):
    others = [MP.exp(z - logits[label]) for i, z in enumerate(logits) if i != label]
    missed = sum(others) / (1 + sum(others))
    return [missed ** MP.mpf(gamma) * MP.log(1 + sum(others))]


FORMULAS = {**TRUTHS, "focal_loss": focal_loss}


def test_every_property_is_asked_for():
    assert {probe.property for case in load() for probe in case.probes} == set(PROPERTIES)


# --- the truths, computed again without softproof ---


def plain(case, definition):
    """The arguments of a case in mpmath numbers, lists of them, ints and truth values."""

    def numbers(nested):
        if isinstance(nested, list):
            return [numbers(x) for x in nested]
        return MP.mpf(np.copysign(1e6, nested) if np.isinf(nested) else nested)  # as good as it

    found = {}
    for name, kind in definition.signature.arguments.items():
        value = case.values[name]
        if isinstance(kind, Numbers):
            found[name] = numbers(value.astype(np.float64).tolist())
        else:
            found[name] = value.tolist()
    return found


def rounded(value, fmt):
    if MP.isinf(value):
        return float(value)
    if abs(value) < MP.ldexp(1, fmt.tiny_exponent - 8):  # its exponent may be -10^12
        return 0.0
    man, exponent = (int(v) for v in MP.mpf(value).man_exp)
    signed = -abs(man) if value < 0 else abs(man)
    return float(fmt.round(Fraction(signed) * Fraction(2) ** exponent))


def product(formula, arguments, cotangent, name, index, parameters):
    """One entry of a vector-Jacobian product, by the difference of two values."""
    step = MP.mpf(10) ** -(DIGITS // 3)

    def weighted(moved):
        changed = dict(arguments)
        changed[name] = replaced(arguments[name], index, moved)
        return sum(g * y for g, y in zip(cotangent, formula(**changed, **parameters), strict=True))

    return (weighted(step) - weighted(-step)) / (2 * step)


def replaced(nested, index, step):
    """The same numbers with one moved by a step."""
    if not index:
        return nested + step
    return [
        replaced(entry, index[1:], step) if i == index[0] else entry
        for i, entry in enumerate(nested)
    ]


@pytest.mark.parametrize("probe", PROBES)
def test_recorded_numbers_are_true_and_the_oracle_gives_them(probe):
    definition = lookup(probe.definition)
    formula = FORMULAS[probe.definition]
    for dtype in probe.dtypes:
        fmt = FORMATS[dtype]
        case = probe.case(definition, fmt)
        with MP.workdps(DIGITS):
            arguments = plain(case, definition)
            if probe.property == "value":
                parameters = {n: int(v) if v == int(v) else v for n, v in probe.parameters.items()}
                values = [rounded(v, fmt) for v in formula(*arguments.values(), **parameters)]
                true = {next(iter(definition.signature.outputs)): values}
                if probe.ulps is None:
                    assert by_the_oracle(definition, case, fmt) == values
            else:
                true = products(probe, definition, case, arguments, fmt)
        for name, expected in probe.expected.get(dtype, {}).items():
            assert expected.array(fmt).astype(np.float64).reshape(-1).tolist() == true[name]


def by_the_oracle(definition, case, fmt):
    """All outputs, one after the other: the choice, where there is one, and the numbers."""
    if not definition.signature.indices:
        return truth(definition, case, fmt).rounded.astype(np.float64).tolist()
    chosen = exact_choice(definition, case)
    numbers = truth(*with_choice(definition, case, chosen), fmt).rounded
    return [*chosen.tolist(), *numbers.astype(np.float64).tolist()]


def products(probe, definition, case, arguments, fmt):
    """All vector-Jacobian products, rounded; and the oracle gives the same."""
    cotangent = [MP.mpf(float(g)) for g in case.values["cotangent"].reshape(-1)]
    asked = definition_of_products(definition)
    true = {}
    for name in asked.signature.outputs:
        indices = np.ndindex(case.values[name].shape)
        true[name] = [
            rounded(
                product(
                    FORMULAS[definition.name], arguments, cotangent, name, index, probe.parameters
                ),
                fmt,
            )
            for index in indices
        ]
    exact = truth(asked, case, fmt).rounded.astype(np.float64)
    np.testing.assert_allclose(exact, np.concatenate([*true.values()]), rtol=0, atol=1e-40)
    return true


# --- the forms of arrays ---


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (1.5, 1.5),
        ("0x1.8p+0", 1.5),
        ([[1], [2, 3]], "rows of several lengths"),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([], "no numbers"),
        ({"fill": 1, "shape": [2, 2], "at": {"3": "-inf"}}, [[1, 1], [1, -np.inf]]),
        ({"fill": 1, "shape": [2], "at": {"2": 0}}, "index 2 is none of 2 entries"),
        ({"fill": 1, "size": 2}, "lacks shape"),
        ({"runs": [[0, 1], [70000, 2]]}, [0, np.inf, np.inf]),
        ({"runs": [[0, 1], [1, 3]], "shape": [2, 2]}, [[0, 1], [1, 1]]),
        ({"from": 0, "to": 1, "shape": [3]}, [0, 0.5, 1]),
        ({"size": 2}, "has none of fill, runs, from, normal"),
        ("one", "'one' is no number"),
    ],
)
def test_an_array_of_a_record(given, numbers):
    if isinstance(numbers, str):
        with pytest.raises(ValueError, match=f"^here: .*{re.escape(numbers)}"):
            recorded(given, "here")
    else:
        assert recorded(given, "here").array(BINARY16).tolist() == numbers


def test_drawn_numbers_are_those_of_their_seed():
    drawn = recorded({"normal": 2.0, "seed": 0, "shape": [2, 1]}, "here").array(FORMATS["float64"])
    assert drawn.tolist() == [[3.528104691935328], [0.8003144167344466]]


# --- malformed records ---

GOOD = """
[[case]]
id = "one"
upstream = ["numpy/numpy#1"]
why = "Because."
[[case.probe]]
definition = "rms_norm"
arguments.x = [1.0, 1.0]
arguments.gain = [1.0, 1.0]
parameters = { eps = 0.0 }
property = "value"
expected.float32.value = [1.0, 1.0]
"""
VALUE = 'property = "value"\nexpected.float32.value = [1.0, 1.0]'

MALFORMED = [
    ("arguments.gain = [1.0, 1.0]", "", "argument 'gain' is missing"),
    ("arguments.gain = [1.0, 1.0]", "arguments.gain = [1.0]", "along 'K'"),
    ("arguments.gain", "arguments.bias", "unknown argument bias"),
    ("eps =", "epsilon =", "unknown parameter epsilon; known are eps"),
    ("eps = 0.0", "eps = 2.0", "outside its range"),
    ("float32.value", "float32.result", "no result is called result; they are value"),
    ("value = [1.0, 1.0]", "value = [1.0]", "value has the shape (1,), expected (2,)"),
    ("value = [1.0, 1.0]", "value = [0.1, 1.0]", "is no number of float32"),
    ("expected.float32.value = [1.0, 1.0]", 'expected = "contract"', "give numbers"),
    ('"value"', '"gradient"', "needs cotangent among the arguments"),
    ('"value"', '"raises"', "property 'raises' is none of value"),
    ('"value"', '"no_nan"', "this is 'no_nan'"),
    ('"value"', '"bitwise"', "batches belong to a bitwise probe"),
    (VALUE, 'property = "acts"\ndtypes = ["float32"]', "one thing is changed"),
    ("arguments.x", "changed = { eps = 0.5 }\narguments.x", "one thing is changed"),
    ("arguments.x", "arguments.cotangent = [1.0, 1.0]\narguments.x", "no cotangent belongs"),
    ("arguments.x", 'layout = "far"\narguments.x', "unknown layout"),
    ("arguments.x", "ulps = 1\narguments.x", "ulps and their reason belong together"),
]


@pytest.mark.parametrize(("old", "new", "message"), MALFORMED, ids=[m for _, _, m in MALFORMED])
def test_malformed_records_are_named(old, new, message, tmp_path):
    file = tmp_path / "cases.toml"
    file.write_text(GOOD)
    assert len(load(file)) == 1
    broken = tmp_path / "broken.toml"
    broken.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        load(broken)
    assert "case 'one', probe 1" in str(raised.value)
