"""A definition may have named arguments, on axes that have names; what makes no sense is told."""

import math

import pytest
from softproof.derivations import REGISTRY, Output, define, lookup
from softproof.derivations.signature import (
    VALUE,
    Integer,
    Label,
    Labels,
    Mask,
    Matrix,
    Parameter,
    Real,
    Signature,
    Vector,
)

EPS = {"eps": Parameter(1e-6, 0.0, 1.0, values=(0.5,))}
ABOUT = {"family": "tests", "source": "this test"}


@pytest.fixture(autouse=True)
def registry_as_it_was():
    before = dict(REGISTRY)
    yield
    for name in REGISTRY.keys() - before.keys():
        del REGISTRY[name]


def scaled(x, gain, xp, eps=1e-6):
    """x gain / sqrt(mean x^2 + eps)."""
    return x / xp.sqrt(xp.sum(x * x) / len(x) + xp.number(eps)) * gain


def define_scaled(formula=scaled, **changed):
    arguments = {"x": Vector("K"), "gain": Vector("K", shared=True)}
    declared = {"arguments": arguments, "output": ("K",), "parameters": EPS, **changed}
    return define(**ABOUT, **declared)(formula)


def test_a_definition_of_named_arguments_stands_in_the_registry():
    definition = define_scaled()
    assert lookup("scaled") is definition
    assert not definition.of_a_row
    assert not definition.labelled
    assert not definition.elementwise
    assert definition.output is Output.VECTOR
    assert definition.signature.axes == ("K",)
    assert [n for n, kind in definition.signature.arguments.items() if kind.shared] == ["gain"]


@pytest.mark.parametrize(
    ("output", "kind", "outputs"),
    [
        ((), Output.REAL, {VALUE: ()}),
        (("n", "d"), Output.MATRIX, {VALUE: ("n", "d")}),
        ({"y": ("n",), "loss": ()}, Output.TUPLE, {"y": ("n",), "loss": ()}),
        ({"y": ("n",)}, Output.VECTOR, {"y": ("n",)}),
    ],
)
def test_an_output_is_a_real_a_vector_a_matrix_or_a_tuple_of_them(output, kind, outputs):
    @define(**ABOUT, arguments={"w": Matrix("n", "d")}, output=output)
    def of_a_matrix(w, xp):
        """Anything."""

    assert of_a_matrix.output is kind
    assert of_a_matrix.signature.outputs == outputs


@pytest.mark.parametrize(
    ("name", "kinds", "outputs"),
    [
        ("softmax", {"logits": Vector("K")}, {VALUE: ("K",)}),
        ("cross_entropy", {"logits": Vector("K"), "label": Label("K")}, {VALUE: ()}),
        ("sigmoid", {"x": Real()}, {VALUE: ()}),
    ],
)
def test_a_definition_of_a_row_is_declared_as_any_other(name, kinds, outputs):
    definition = lookup(name)
    assert definition.of_a_row
    assert definition.signature == Signature(kinds, outputs)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"arguments": {}}, "no arguments"),
        ({"arguments": {"x": "K", "gain": Vector("K")}}, "argument 'x' is 'K'; give a kind"),
        ({"arguments": {"x": Vector("K"), "gain": Label("n")}}, "'gain' is an index into 'n'"),
        ({"arguments": {"x": Vector("K"), "gain": Labels("K", "C")}}, "an index into 'C'"),
        ({"arguments": {"x": Vector("K"), "gain": Integer(1, "C")}}, "'gain' is at most 'C'"),
        ({"arguments": {"x": Vector("K"), "gain": Integer(3, 2)}}, "'gain' is from 3 to 2"),
        ({"output": ("n",)}, "output 'value' has the axis 'n'; the axes of the arguments are K"),
        ({"output": "K"}, "give a tuple of axes"),
        ({"output": Output.VECTOR}, "give the axes of the result"),
        ({"output": None}, "the output is None; give the axes of the result"),
        ({"output": ("K", "K", "K")}, "it may have two"),
        ({"parameters": {"gain": Parameter(0, 0, 1)}}, "'gain' is an argument and something else"),
        ({"parameters": {}}, r"takes \(x, gain, xp, eps\); it has to take \(x, gain, xp\)"),
        ({"arguments": {"gain": Vector("K"), "x": Vector("K")}}, r"take \(gain, x, xp, eps\)"),
        ({"parameters": {"eps": Parameter(0.5, 0, 1)}}, "default of eps is 1e-06 in the formula"),
    ],
)
def test_what_makes_no_sense_is_told(changed, told):
    with pytest.raises(ValueError, match=told):
        define_scaled(**changed)
    assert "scaled" not in REGISTRY


def test_an_argument_is_not_called_as_the_arithmetic_is():
    def formula(xp):
        """Nothing."""

    with pytest.raises(ValueError, match="'xp' is an argument and something else"):
        define(**ABOUT, arguments={"xp": Real()})(formula)


def test_a_form_takes_what_the_definition_takes():
    definition = define_scaled()
    with pytest.raises(ValueError, match=r"takes \(x, xp\); it has to take"):
        definition.form("another")(lambda x, xp: x)
    definition.form("another")(scaled)
    assert definition.forms == {"another": scaled}


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ({"logits": Vector("n")}, ("n",)),
        ({"logits": Vector("n")}, {"loss": ()}),
        ({"logits": Vector("K"), "target": Label("K")}, ()),
        ({"logits": Vector("K"), "target": Label("K")}, ("K",)),
        ({"t": Real()}, ()),
    ],
)
def test_who_takes_logits_with_a_label_or_one_real_is_of_a_row(arguments, output):
    definition = declared_of(arguments, output)
    assert definition.of_a_row
    assert definition.labelled == ("target" in arguments)
    assert definition.elementwise == ("t" in arguments)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ({"x": Vector("K")}, ("K",)),
        ({"logits": Vector("K", lower=0.0)}, ("K",)),
        ({"logits": Vector("K", shared=True)}, ("K",)),
        ({"logits": Matrix("n", "K")}, ("K",)),
        ({"logits": Vector("K"), "gain": Vector("K")}, ("K",)),
        ({"logits": Vector("K"), "mask": Mask("K")}, ("K",)),
        ({"logits": Vector("K"), "label": Label("K", shared=True)}, ()),
        ({"logits": Vector("K"), "label": Label("K"), "other": Label("K")}, ()),
        ({"label": Label("K"), "logits": Vector("K")}, ()),
        ({"logits": Vector("K")}, {"p": ("K",), "log_sum": ()}),
        ({"x": Real(lower=0.0)}, ()),
        ({"x": Real(), "y": Real()}, ()),
        ({"x": Real()}, {"sine": (), "cosine": ()}),
    ],
)
def test_who_takes_anything_else_is_not_of_a_row(arguments, output):
    definition = declared_of(arguments, output)
    assert not definition.of_a_row
    assert not definition.elementwise


def declared_of(arguments, output):
    scope = {}
    exec(f"def declared({', '.join(arguments)}, xp): 'Anything.'", scope)
    return define(**ABOUT, arguments=arguments, output=output)(scope["declared"])


@pytest.mark.parametrize("arguments", [(Real(),), ("logits", "label"), Vector("K"), None])
def test_arguments_without_names_are_told_how_to_be_named(arguments):
    with pytest.raises(ValueError, match=r"name them, as in {'logits': Vector\('K'\), 'label'"):
        define_scaled(arguments=arguments)


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)])
def test_a_domain_has_an_interior(ends):
    with pytest.raises(ValueError, match="give a lower end below the upper one"):
        Vector("K", lower=ends[0], upper=ends[1])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ((2.0, 0.0, 1.0), "the default 2.0 is outside"),
        ((0.5, 0.0, 1.0, (0.25, 3.0)), "the value 3.0 is outside"),
        ((math.nan, 0.0, 1.0), "the default nan is outside"),
        ((None, 0.0, 1.0), "give a default that is a number, or None with depends"),
        ((0.5, 0.0, 1.0, (), "on d"), "give a default that is a number, or None with depends"),
    ],
)
def test_a_parameter_lies_in_its_range_and_has_a_default_or_depends_on_sizes(wrong, told):
    with pytest.raises(ValueError, match=told):
        Parameter(*wrong)
    assert Parameter(None, 0.0, 1.0, depends="1 / sqrt(d)").default is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"q": (4,)}, "'k' has 3 entries along 'd', another argument has 4"),
        ({"mask": (5, 1)}, r"'mask' has shape \(5, 1\); its axes are \(n\)"),
        ({"z": ()}, "no argument 'z'; the arguments are q, k, mask, label"),
        ({"q": None}, "argument 'q' is missing"),
    ],
)
def test_equal_names_of_axes_are_equal_sizes(changed, told):
    signature = Signature(
        {"q": Vector("d"), "k": Matrix("n", "d"), "mask": Mask("n"), "label": Label("n")}
    )
    shapes = {"q": (3,), "k": (5, 3), "mask": (5,), "label": ()}
    assert signature.sizes(shapes) == {"d": 3, "n": 5}
    with pytest.raises(ValueError, match=told):
        signature.sizes({n: s for n, s in {**shapes, **changed}.items() if s is not None})
