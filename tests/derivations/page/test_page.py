"""What `softproof derive` prints: every part is there, and every printed derivative is true."""

import functools
import re

import mpmath
import pytest
import sympy
from softproof.derivations import REGISTRY, Output, lookup, prove
from softproof.derivations import page as module
from softproof.derivations.arithmetic.gaussian import D, Phi, phi
from softproof.derivations.arithmetic.systems import big_floats
from softproof.derivations.definition import Definition
from softproof.derivations.page import derive
from softproof.derivations.signature import Signature, Vector

from tests.implemented import OF_A_ROW

EVERY = pytest.mark.parametrize("definition", OF_A_ROW, ids=lambda d: d.name)
MP = mpmath.MPContext()
MP.dps = 30
XP = big_floats(400)
POINT = ("0.7", "-1.3", "2.1", "-0.4")
PARAMETERS = {
    "label_smoothing": 0.3,
    "beta": 1.5,
    "width": 0.75,
    "tau": 0.25,
    "q": 0.7,
    "gamma": 2.5,
}


FORMULAS = module._formulas


@pytest.fixture(autouse=True)
def _prove_two_classes_only(monkeypatch):
    """The proofs have tests of their own, and take seconds, as do derivatives.

    Both are the same in every style of a page.
    """
    monkeypatch.setattr(module, "prove", lambda definition: [*_proofs_of(definition.name)])
    monkeypatch.setattr(module, "_formulas", lambda found, size: [*_formulas_of(found.name, size)])


@functools.cache
def _proofs_of(name):
    return tuple(prove(lookup(name), sizes=(2,)))


@functools.cache
def _formulas_of(name, size):
    return tuple(FORMULAS(lookup(name), size))


@functools.cache
def _page_of(name, size, style):
    return derive(name, size=size, style=style)


def page_of(name, size=3, style="text"):
    """Made once, however its size and style are given."""
    return _page_of(name, size, style)


# --- independent truth: finite differences of the definition at 120 digits ---


def output(definition, i, point):
    """Output i of the definition at a point of big floats."""
    arguments = [XP.number(point[0]) if definition.elementwise else XP.vector(point)]
    if definition.labelled:
        arguments.append(0)
    parameters = {name: XP.number(PARAMETERS[name]) for name in definition.parameters}
    value = definition(*arguments, XP, **parameters)
    return value[i] if definition.output is Output.VECTOR else value


def difference(definition, i, point, directions):
    """The mixed derivative of output i along the given coordinates, by central differences."""
    if not directions:
        return output(definition, i, point)
    (k, *others), h = directions, XP.number(1) / 2**90
    up, down = ([v + sign * h if j == k else v for j, v in enumerate(point)] for sign in (1, -1))
    rise = difference(definition, i, up, others) - difference(definition, i, down, others)
    return rise / (2 * h)


# --- the printed formulas, read back from the page ---


def equations(page):
    """{title: {left: right}} of the text page, with the lines of a matrix or of cases joined."""
    sections = {}
    for block in page.split("\n\n")[2:]:
        title, *lines = block.split("\n")
        read, left = {}, None
        for line in lines:
            match = re.match(r"  ([\w'(){}]+) = (.*)", line)
            if match:
                left, right = match.groups()
                read[left] = [right]
            elif left and read[left][-1].endswith((" +", " -")):  # a long expression goes on
                read[left][-1] += f" {line.strip()}"
            elif left:
                read[left].append(line.strip())
        sections[title.split(" (")[0]] = read
    return sections


# What SymPy would take for its registry, and functions that it does not have.
SYMBOLS = {name: sympy.Symbol(name) for name in ("S", "beta", "gamma")}
NAMES = {**SYMBOLS, "Phi": Phi, "phi": phi, "D": D}


def parse(text):
    """A printed expression, with s'_1 as an ordinary name."""
    return sympy.sympify(re.sub(r"'", "prime", text), locals=NAMES)


def rows(lines):
    return [[parse(e) for e in re.split(r"\s{3,}", line.strip("[] "))] for line in lines]


def meaning(definition, size):
    """The values of all symbols that a page may use, at POINT."""
    z = [sympy.Rational(v) for v in POINT[:size]]
    values = {f"z_{k + 1}": v for k, v in enumerate(z)}
    values |= {"x": z[0], "p": 1 / (1 + sympy.exp(-z[0]))}
    values |= {name: sympy.Rational(value) for name, value in PARAMETERS.items()}
    first = equations(page_of(definition.name)).get("First derivative", {})
    if "q" in first:  # the logistic function of something else
        values["q"] = parse(" ".join(first["q"])).subs("x", z[0])
    if definition.breakpoint_at_zero:
        weights = [v + 1 if v >= 0 else 1 / (1 - v) for v in z]
        slopes = [sympy.Integer(1) if v >= 0 else 1 / (1 - v) ** 2 for v in z]
        bends = [sympy.Integer(0) if v >= 0 else 2 / (1 - v) ** 3 for v in z]
    else:
        weights = [sympy.exp(v) for v in z]
        slopes = bends = []
    values["S"] = sum(weights)
    for k, w in enumerate(weights):
        values |= {f"s_{k + 1}": w, f"p_{k + 1}": w / values["S"]}
    for prime, row in (("prime", slopes), ("primeprime", bends)):
        values |= {f"s{prime}_{k + 1}": v for k, v in enumerate(row)}
    return values


def number(expression, values):
    exact = expression.subs({s: values[s.name] for s in expression.free_symbols})
    return MP.mpf(str(sympy.N(exact, 30)))


def printed_derivatives(definition, size):
    """(output, directions, expression) of every derivative on the page."""
    sections = equations(page_of(definition.name, size=size))
    if definition.elementwise:
        yield 0, (0,), parse(" ".join(sections["First derivative"]["f'"]))
        yield 0, (0, 0), parse(" ".join(sections["Second derivative"]["f''"]))
        return
    for name, lines in (item for section in sections.values() for item in section.items()):
        if re.fullmatch(r"g_\d", name):
            yield 0, (int(name[2:]) - 1,), parse(lines[0])
        elif name in ("J", "H"):
            for i, row in enumerate(rows(lines)):
                for j, entry in enumerate(row):
                    yield (i, (j,), entry) if name == "J" else (0, (i, j), entry)
        elif re.fullmatch(r"H_\d\d", name):
            yield 0, (int(name[2]) - 1, int(name[3]) - 1), parse(lines[0])


@EVERY
@pytest.mark.parametrize("size", [2, 3])
def test_every_printed_derivative_is_that_of_the_definition(definition, size):
    point = [XP.number(1) * int(10 * float(v)) / 10 for v in POINT[:size]]
    values = meaning(definition, size)
    seen = set()
    for i, directions, expression in printed_derivatives(definition, size):
        truth = difference(definition, i, point, directions)
        assert MP.almosteq(number(expression, values), MP.mpf(truth), 1e-20, 1e-20)
        seen.add((i, tuple(sorted(directions))))
    if definition.elementwise:
        assert len(seen) == 2
    else:
        first = size * (size if definition.output is Output.VECTOR else 1)
        assert len(seen) == first + size * (size + 1) // 2  # and the Hessian of one output


@EVERY
def test_every_printed_value_is_that_of_the_definition(definition):
    page = equations(page_of(definition.name))
    title = "Definition" if definition.elementwise else "Definition for K = 3"
    point = [XP.number(1) * int(10 * float(v)) / 10 for v in POINT[:3]]
    printed = {k: v for k, v in page[title].items() if k.startswith("f")}
    for i, lines in enumerate(printed.values()):
        value = number(parse(" ".join(lines)), meaning(definition, 3))
        assert MP.almosteq(value, MP.mpf(output(definition, i, point)), 1e-25)


# --- readable: derivatives of what is made from exponentials are in probabilities ---


def test_the_softmax_jacobian_is_in_probabilities():
    sections = equations(page_of("softmax"))
    assert rows(sections["Jacobian"]["J"])[0] == [
        parse("p_1*(1-p_1)"),
        *map(parse, ["-p_1*p_2", "-p_1*p_3"]),
    ]
    assert rows(sections["Hessian of output 1"]["H"])[1][2] == parse("2*p_1*p_2*p_3")


def test_the_gradient_of_logsumexp_is_softmax():
    gradient = equations(page_of("logsumexp"))["Gradient"]
    assert [gradient[f"g_{k}"] for k in (1, 2, 3)] == [["p_1"], ["p_2"], ["p_3"]]


def test_the_gradient_of_cross_entropy_is_probability_minus_target():
    gradient = equations(page_of("cross_entropy"))["Gradient"]
    assert (
        parse(gradient["g_1"][0])
        == parse("p_1 - (1 - label_smoothing) - label_smoothing/3").expand()
    )
    assert parse(gradient["g_2"][0]) == parse("p_2 - label_smoothing/3")


def test_the_kink_of_stablemax_leaves_its_second_derivative_undefined_at_zero():
    sections = equations(page_of("stablemax"))
    assert sections["Jacobian"]["s'(x)"] == ["1  for x >= 0", "1/(1 - x)**2  otherwise"]
    assert sections["Hessian of output 1"]["s''(x)"] == ["0  for x > 0", "2/(1 - x)**3  for x < 0"]


# --- the page ---


@EVERY
def test_the_text_page_has_its_parts_and_fits(definition):
    page = page_of(definition.name)
    assert page.startswith(
        f"{definition.name}: {definition.summary}\n\n  family  {definition.family}\n"
    )
    assert definition.source.split(",")[0] in page
    assert max(map(len, page.splitlines())) <= 100
    assert not re.search(r"[ \t]$", page, re.M)
    order = ["\nDefinition", "derivative\n" if definition.elementwise else "Hessian", "\nFacts\n"]
    positions = [page.index(part) for part in order]
    assert positions == sorted(positions)
    outcome = r"proven( for K = 2)?"
    if definition.name == "focal_loss":  # of its real powers no proof is found
        outcome += r"|certified at 8 points \(no proof was found.*\)"
    for fact in definition.facts:
        assert re.search(rf"^  {re.escape(fact.text)}\s+({outcome})$", page, re.M)
    for part in [*definition.forms, *definition.parameters]:
        assert re.search(rf"^  {re.escape(part)}\b", page, re.M)
    assert ("F(t) = " in page) == ("rho >= pi/Delta" in page) == definition.partition_function


@EVERY
def test_the_latex_page_is_balanced(definition):
    page = page_of(definition.name, style="latex")
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", page):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    assert len(re.findall(r"(?<!\\)\$", page)) % 2 == 0
    assert page.count(r"\left") == page.count(r"\right")
    opened = []
    for word, environment in re.findall(r"\\(begin|end)\{([a-z*]+)\}", page):
        if word == "begin":
            opened.append(environment)
        else:
            assert opened.pop() == environment
    assert opened == []


@EVERY
def test_the_latex_page_has_its_parts_and_no_double_superscript(definition):
    page = page_of(definition.name, style="latex")
    for part in [r"\paragraph{Definition", r"\begin{align*}", r"\paragraph{Facts}", "proven"]:
        assert part in page
    assert not re.search(r"'(_\{?\w+\}?)?\^", page)  # TeX refuses s'_{1}^{2}
    words = re.sub(r"\\begin\{align\*\}.*?\\end\{align\*\}", "", page, flags=re.S)
    assert not re.search(r"(?<!\\)[_^&#](?!\{\})", words)
    assert page.count(r"\rho \ge") + page.count(r"\rho &\ge") == 3 * definition.partition_function


def test_what_is_not_proven_says_so(monkeypatch):
    definition = lookup("softmax")
    outcome = [
        p.__class__(p.definition, p.statement, p.size, p.size != 3)
        for p in prove(definition, (2, 3))
    ]
    monkeypatch.setattr(module, "prove", lambda _: outcome)
    page = derive("softmax", size=2)
    assert re.search(r"outputs sum to 1\s+NOT PROVEN for K = 3$", page, re.M)


def test_the_number_of_classes_can_be_chosen():
    page = page_of("softmax", size=4)
    assert "Definition for K = 4" in page
    assert "f_4 = exp(z_4)/(exp(z_1) + exp(z_2) + exp(z_3) + exp(z_4))" in page


# --- errors ---


def test_an_unknown_name_passes_through():
    with pytest.raises(KeyError, match="did you mean softmax"):
        derive("softmx")


def test_an_unknown_style_is_refused():
    with pytest.raises(ValueError, match="style is 'html'; use 'text' or 'latex'"):
        derive("softmax", style="html")


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="size is 1; give 2 classes or more"):
        derive("softmax", size=1)


# --- forms that the catalogue does not have yet ---


def two_pieces(z, xp):
    """Rectified logits over their modulus: two piecewise functions of each logit."""
    positive = xp.by_sign(z, lambda v: v, lambda v: 0 * v)
    return positive / xp.sum(xp.by_sign(z, lambda v: v, lambda v: -v))


def layer_norm(z, xp):
    """Centred logits over their standard deviation: a square root."""
    d = z - xp.sum(z) / len(z)
    return d / xp.sqrt(xp.sum(d * d) / len(z))


@pytest.mark.parametrize("style", ["text", "latex"])
@pytest.mark.parametrize(("formula", "breakpoint"), [(two_pieces, True), (layer_norm, False)])
def test_a_formula_without_weights_is_printed_all_the_same(formula, breakpoint, style, monkeypatch):
    definition = Definition(
        name=formula.__name__,
        family="tests",
        source="tests",
        signature=Signature({"logits": Vector("K")}, {"value": ("K",)}),
        formula=formula,
        breakpoint_at_zero=breakpoint,
    )
    monkeypatch.setitem(REGISTRY, definition.name, definition)
    page = derive(definition.name, size=2, style=style)
    for title in ("Definition", "Jacobian", "Hessian"):
        assert title in page


def test_the_taylor_coefficients_of_the_loss_are_printed_in_cumulants():
    title = "Taylor series of the cross-entropy along the step"
    assert equations(page_of("softmax"))[title] == {
        "c_0": ["-z_y + log(F(0))"],
        "c_1": ["-a_y + kappa_1"],
        "c_2": ["kappa_2/2"],
        "c_3": ["kappa_3/6"],
        "c_4": ["kappa_4/24"],
    }
    assert title not in page_of("sigmoid")


@pytest.mark.parametrize("text", ["x*(log(x) - 1)", "x*(log(x) + 1/x - 1)", "(1/x - 2)*(3*x - 1)"])
def test_a_factor_with_a_pole_at_zero_has_no_sign_there_and_stays(text):
    """Log x - 1 is infinite at 0 and log x + 1/x not a number, of which SymPy compares neither."""
    expression = sympy.sympify(text, evaluate=False)
    written = module._with_positive_constants(expression)
    assert sympy.simplify(written - expression) == 0
    assert module._shortest([sympy.sympify(text)]) is not None


def test_a_factor_that_is_negative_at_zero_reads_the_other_way_round():
    p = sympy.Symbol("p")
    assert str(module._with_positive_constants(p * (p - 1))) == "-p*(1 - p)"
