"""Symbolic proofs, for K = 2, 3, 4, of every declared fact and of every closed-form gradient.

Both decisions are one-sided: True is a proof (wherever the formula is defined: poles are not
looked for), False means "not proven".  A statement that says nothing is not proven either: one
without claims, or about a function of K logits that does not depend on them, as layer
normalisation of two, which is +-1.  Nor is one that takes longer than TIME_LIMIT.
* ``vanishes``: rational functions of positive symbols cancel to 0; logarithms are expanded over
  factored arguments first, after which those of different irreducible factors stand for themselves.
  So do square roots, but for their squares, and Gaussian functions (``gaussian``) of one argument.
* ``never_negative``: after cancelling, numerator and denominator are polynomials with nonnegative
  coefficients in positive symbols and even powers of real ones.  sum c_i log A_i >= 0 is
  prod A_i^(c_i m) - 1 >= 0 for any m > 0 that clears the denominators of c.  An expression affine
  in a parameter is nonnegative on an interval when it is at both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import sympy

from ..arithmetic.gaussian import Opaque, Phi
from ..definition import Definition, Fact, Parameter
from .charts import Symbolic
from .chosen_points import symbolic_points
from .decided import decided_symbols
from .examine import examine
from .exponentials import (
    Names,
    exponents_as_logarithms,
    logarithms_as_exponents,
    name_exponentials,
)
from .facts import Claim
from .facts_of_arguments import OF_ARGUMENTS
from .kept import once
from .points import Point
from .time_limit import OutOfTime, time_limit

SIZES = (2, 3, 4)
SIZES_OF_AXES = (2, 3)
AXES_LIMIT = 20.0  # seconds, where arguments are named
TIME_LIMIT = 120.0  # seconds for a statement at one size; those of the catalogue take a few
NO_CLAIM = "it claims nothing there"
NO_PROOF = "no proof was found"
CONSTANT = "the function is constant there"
IDLE = "it says nothing"
REFUTED = "refuted"
DISCONTINUOUS = "no proof of continuity at 0 was found"


@dataclass(frozen=True)
class Proof:
    """The outcome for one fact of one definition at one size."""

    definition: str
    statement: str
    size: int
    proven: bool
    reason: str = ""  # why it is not proven
    points: int = 0  # at which it was certified, where it is not proven


def vanishes(expression: sympy.Expr) -> bool:
    """Whether an expression in positive symbols is proven to be 0.

    Parameters
    ----------
    expression
        A formula of rational functions, roots, exponentials and logarithms.

    Returns
    -------
    bool
        False says nothing: the expression may be 0 all the same.

    Examples
    --------
    >>> x, y = sympy.symbols("x y", positive=True)
    >>> vanishes(sympy.log(x**2 + x * y) - sympy.log(x) - sympy.log(x + y)), vanishes(x - y)
    (True, False)
    """
    expression, exponentials = _name_functions(expression)
    expression = logarithms_as_exponents(_expand_logs(expression), exponentials)
    if _indefinite(expression):
        return False
    expression = expression.xreplace({log: sympy.Dummy() for log in expression.atoms(sympy.log)})
    expression, squares = _name_roots(expression)
    fraction = _fraction(expression)
    if fraction is None:
        return False
    numerator = fraction.numer.as_expr()
    for root, square in squares.items():
        if numerator == 0:  # it has no degree, and SymPy no remainder
            break
        numerator = sympy.prem(numerator, sympy.numer(sympy.together(root**2 - square)), root)
    return bool(sympy.expand(numerator) == 0)


def never_negative(
    expression: sympy.Expr, parameters: dict[sympy.Symbol, Parameter] | None = None
) -> bool:
    """Whether an expression in positive symbols is proven to be at least 0.

    Parameters
    ----------
    expression
        A formula of rational functions, roots, exponentials and logarithms.
    parameters
        Further real symbols of the expression, with their ranges.

    Returns
    -------
    bool
        False says nothing: the expression may be at least 0 all the same.

    Examples
    --------
    >>> x, y = sympy.symbols("x y", positive=True)
    >>> never_negative(x / (x + y)), never_negative(sympy.log(1 + x)), never_negative(x - y)
    (True, True, False)
    """
    known = {
        symbol: sympy.Dummy(real=True, positive=parameter.lower > 0 or None)
        for symbol, parameter in (parameters or {}).items()
    }
    parameters = {known[symbol]: parameter for symbol, parameter in (parameters or {}).items()}
    expression, exponentials = _name_functions(sympy.sympify(expression).xreplace(known))
    for symbol, parameter in parameters.items():
        if expression.has(symbol):
            if not (math.isfinite(parameter.lower) and math.isfinite(parameter.upper)):
                return False
            if sympy.expand(expression).diff(symbol, 2) != 0:  # not affine; a positive product, say
                return not _indefinite(expression) and bool(expression.is_nonnegative)
            ends = (sympy.Rational(parameter.lower), sympy.Rational(parameter.upper))
            rest = {s: p for s, p in parameters.items() if s is not symbol}
            return all(never_negative(expression.subs(symbol, e), rest) for e in ends)
    if exponentials:
        expression = exponents_as_logarithms(_expand_logs(expression), exponentials)
    else:
        expression = _expand_logs(expression)
    if _indefinite(expression):
        return False
    logs = expression.atoms(sympy.log)
    if not all(never_negative(log.args[0]) for log in logs):
        return False
    if logs:
        coefficients = [expression.coeff(log) for log in logs]
        terms = zip(coefficients, logs, strict=True)
        if sympy.expand(expression - sum(c * log for c, log in terms)) != 0:
            return False
        if not all(c.is_Rational for c in coefficients):
            return False
        clear = math.lcm(*(int(c.q) for c in coefficients))
        product = sympy.Integer(1)
        for c, log in zip(coefficients, logs, strict=True):
            product *= log.args[0] ** (c * clear)
        expression = product - 1
    fraction = _fraction(expression)
    if fraction is None:  # perhaps for an irrational factor
        factor, rest = expression.as_independent(*expression.free_symbols, as_Add=False)
        return bool(factor.is_positive) and rest != expression and never_negative(rest)
    return all(
        c >= 0 and all(map(_power_is_not_negative, fraction.numer.ring.symbols, powers))
        for powers, c in [*fraction.numer.terms(), *fraction.denom.terms()]
    )


def _power_is_not_negative(symbol: sympy.Symbol, exponent: int) -> bool:
    return bool(exponent == 0 or symbol.is_positive or (symbol.is_real and exponent % 2 == 0))


def _name_functions(expression: sympy.Expr) -> tuple[sympy.Expr, Names]:
    """Put symbols for Gaussian functions and exponentials, positive ones where these are positive.

    What holds for all values of independent symbols holds for the functions.  Phi, which lies
    between 0 and 1, is p / (1 + p) with p > 0.  What the names of exponentials stand for is given.
    """
    expression = sympy.sympify(expression)
    names = {}
    for function in expression.atoms(Opaque):
        name = sympy.Dummy(real=True, positive=function.is_positive or None)
        names[function] = name / (1 + name) if isinstance(function, Phi) else name
    return name_exponentials(expression.xreplace(names), _expand_logs)


def _indefinite(expression: sympy.Expr) -> bool:
    """Whether it holds a pole, or a decimal fraction, which SymPy would take for another number."""
    return bool(expression.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo, sympy.Float))


def _fraction(expression: sympy.Expr) -> sympy.polys.fields.FracElement | None:
    """A rational function in lowest terms, cancelled at each step; None where there is none."""
    generators = sorted(expression.free_symbols, key=str) or [sympy.Dummy()]
    try:
        return sympy.QQ.frac_field(*generators).from_sympy(expression)
    except ValueError:
        return None


def _name_roots(
    expression: sympy.Expr,
) -> tuple[sympy.Expr, dict[sympy.Symbol, sympy.Expr]]:
    """Put a symbol for each square root of a factored expression; what their squares are."""
    roots: dict[sympy.Expr, sympy.Symbol] = {}

    def name(power: sympy.Expr) -> sympy.Expr:
        result = sympy.Integer(1)
        for factor in sympy.Mul.make_args(sympy.sqrt(sympy.factor(power.base))):
            if factor.is_Pow and factor.exp == sympy.Rational(1, 2):
                factor = roots.setdefault(factor.base, sympy.Dummy())
            elif isinstance(factor, sympy.Abs):  # the root of a square
                factor = roots.setdefault(factor.args[0] ** 2, sympy.Dummy())
            result *= factor
        return result ** (2 * power.exp)

    def is_root(power: sympy.Expr) -> bool:
        return bool(power.is_Pow and power.exp.is_Rational and power.exp.q == 2)

    named = expression.replace(is_root, name)
    return named, {root: square for square, root in roots.items()}


def _expand_logs(expression: sympy.Expr) -> sympy.Expr:
    """Write logarithms of products as sums of logarithms of irreducible factors."""
    expression = sympy.sympify(expression)
    if not expression.has(sympy.log):
        return expression

    def expand(argument: sympy.Expr) -> sympy.Expr:
        return sympy.expand_log(sympy.log(sympy.factor(sympy.together(argument))))

    return sympy.expand(expression.replace(sympy.log, expand))


def holds(claim: Claim, definition: Definition) -> bool:
    """Whether a claim about a definition is proven.

    Parameters
    ----------
    claim
        An expression that has to be 0, or at least 0.
    definition
        The definition, whose parameters have their ranges.

    Returns
    -------
    bool
        False says nothing: the claim may be true all the same.
    """
    expression = sympy.sympify(claim.expression)
    written = sympy.srepr(expression, order="none")  # sorting takes a fifth of a proof's time
    if not claim.nonnegative:
        return once(f"vanishes {written}", lambda: vanishes(expression))
    parameters = {sympy.Symbol(name, real=True): p for name, p in definition.parameters.items()}
    ranges = {name: (p.lower, p.upper) for name, p in definition.parameters.items()}
    return once(
        f"never negative {ranges} {written}",
        lambda: never_negative(expression, parameters),
    )


def continuity_claims(case: Symbolic) -> Iterator[Claim]:
    """Claim that from each orthant the values tend to those where a coordinate is 0.

    Without this the orthants would say nothing of the whole: f(x) = x for x < 0, x - 1 for x >= 0
    rises on both sides.

    Parameters
    ----------
    case
        The definition at a point of one orthant.

    Yields
    ------
    Claim
        One for each coordinate and output; none for a definition without a breakpoint.
    """
    for k, x in enumerate(case.coordinates if case.signs else ()):
        at_zero = [z if j != k else sympy.Integer(0) for j, z in enumerate(case.point)]
        for limit, value in zip(case.value(), case.value(at_zero), strict=True):
            yield Claim(limit.subs(x, 0) - value)


def gradient_claims(case: Symbolic) -> Iterator[Claim]:
    """Claim that the closed-form gradient equals the derivative of the definition.

    Parameters
    ----------
    case
        The definition at a point.

    Yields
    ------
    Claim
        One for each output and argument.
    """
    pairs = zip(case.derivatives().flat, case.closed_form_derivatives().flat, strict=True)
    for derived, declared in pairs:
        yield Claim(derived - declared)


def _is_constant(charts: Iterable[Symbolic]) -> bool:
    """Whether no derivative of an output was seen to differ from 0, on any chart.

    They are evaluated at one point of each chart, in general position, to many digits.
    """
    for chart in charts:
        point = {x: sympy.Rational(7 + 4 * k, 5 + 2 * k) for k, x in enumerate(chart.coordinates)}
        for name, symbol in chart.parameters.items():
            point[symbol] = sympy.Rational(chart.definition.parameters[name].default)
        for value in chart.value():
            for x in chart.coordinates:
                slope = sympy.diff(value, x).subs(point).evalf(50)
                if not (slope.is_finite and abs(slope) < sympy.Rational(1, 10**30)):
                    return False
    return True


def _everywhere(claims: Callable[[Symbolic], Iterator[Claim]], charts: Iterable[Symbolic]) -> bool:
    """Whether all claims are proven, on each chart or on an alternative to it."""
    return all(
        any(
            all(holds(claim, alternative.definition) for claim in claims(alternative))
            for alternative in chart.alternatives()
        )
        for chart in charts
    )


def prove(
    definition: Definition, sizes: tuple[int, ...] | None = None, seconds: float = TIME_LIMIT
) -> list[Proof]:
    """Prove every declared fact, and the gradient, for the given numbers of classes.

    Parameters
    ----------
    definition
        The definition.
    sizes
        The numbers of classes; they do not count for a function of one real.  Of a definition with
        named arguments, the sizes of all axes.  If None, SIZES or SIZES_OF_AXES.
    seconds
        The most time for a statement at one size; what takes longer is not proven.

    Returns
    -------
    list of Proof
        One for each statement and size, proven or with the reason why not, which for named
        arguments may be that a point refutes it.

    Examples
    --------
    >>> from ..catalogue import lookup
    >>> all(p.proven for p in prove(lookup("softplus")))
    True
    """
    if not definition.of_a_row:
        return [*_of_arguments(definition, definition.facts, sizes, seconds)]
    apart = [fact for fact in definition.facts if isinstance(fact, OF_ARGUMENTS)]
    statements = {fact.text: fact.claims for fact in definition.facts if fact not in apart}
    if definition.gradient is not None:
        statements[DeclaredGradient.text] = gradient_claims
    proofs = []
    for size in (1,) if definition.elementwise else sizes or SIZES:
        charts = list(Symbolic.charts(definition, size))
        try:
            with time_limit(seconds):
                is_constant = not definition.elementwise and _is_constant(charts)
                is_continuous = _everywhere(continuity_claims, charts)
        except OutOfTime:
            is_constant = is_continuous = False
        for statement, claims in statements.items():
            if is_constant:
                reason = CONSTANT
            else:
                reason = _proof(claims, charts, seconds) if is_continuous else DISCONTINUOUS
            proofs.append(Proof(definition.name, statement, size, not reason, reason))
    for fact in (*definition.facts, DeclaredGradient()):
        if any(p.statement == fact.text and p.reason == NO_PROOF for p in proofs):
            proofs = _seen_at_points(definition, fact, proofs)
    return [*proofs, *_of_arguments(definition, apart, sizes, seconds)]


@dataclass(frozen=True)
class DeclaredGradient:
    """The closed-form gradient of a real function is its derivative, as a fact of points."""

    text: str = "closed-form gradient = derivative"

    def claims(self, case: Point) -> Iterator[Claim]:
        """Each entry less that of reverse mode is 0."""
        formula = case.definition.gradient
        assert formula is not None
        declared = formula(*case.arguments.values(), case.xp, **case.parameters)
        for derived, closed in zip(*case.derivatives(), declared, strict=True):
            yield Claim(derived - closed)


def _seen_at_points(definition: Definition, fact: Fact, proofs: list[Proof]) -> list[Proof]:
    """The proofs, with what points say of a fact of a row for which no proof was found."""
    try:
        seen = examine(definition, fact)
    except (ArithmeticError, AttributeError, IndexError, LookupError, TypeError, ValueError):
        return proofs  # a fact that only symbols can state
    reason = f"{REFUTED} {seen.counterexample}" if seen.counterexample else NO_PROOF
    points = 0 if seen.idle or seen.counterexample else seen.points
    return [
        replace(p, reason=reason, points=points)
        if p.statement == fact.text and p.reason == NO_PROOF
        else p
        for p in proofs
    ]


def _of_arguments(
    definition: Definition, facts: Iterable[Fact], sizes: tuple[int, ...] | None, seconds: float
) -> Iterator[Proof]:
    """The proofs of facts of named arguments, by points first (``examine``)."""
    for fact in facts:
        points, stated = 0, ""
        try:
            seen = examine(definition, fact)
        except (ArithmeticError, IndexError, LookupError, TypeError, ValueError) as error:
            stated = f"it cannot be stated: {error}"
        else:
            points = seen.points
            stated = seen.idle and f"{IDLE}: {seen.idle}"
            stated = stated or (seen.counterexample and f"{REFUTED} {seen.counterexample}")
        for size in sizes or SIZES_OF_AXES:
            if definition.even_axes and size % 2:
                continue
            limit = min(seconds, AXES_LIMIT)
            reason = stated or _proof_of_arguments(definition, fact, size, limit)
            kept = 0 if stated else points
            yield Proof(definition.name, fact.text, size, not reason, reason, kept)


def _proof_of_arguments(definition: Definition, fact: Fact, size: int, seconds: float) -> str:
    """Why a fact is not proven at a size of all axes; "" if it is."""
    claimed = False
    try:
        with time_limit(seconds):
            for point in symbolic_points(definition, size, decided_symbols(never_negative)):
                for claim in fact.claims(point):
                    claimed = True
                    if not holds(claim, definition):
                        return NO_PROOF
    except OutOfTime:
        return f"not decided within {seconds:g} s"
    except (ArithmeticError, NotImplementedError, TypeError, ValueError):
        return NO_PROOF  # a decision on a symbol, or a size that has no value
    return "" if claimed else NO_CLAIM


def _proof(
    claims: Callable[[Symbolic], Iterator[Claim]], charts: list[Symbolic], seconds: float
) -> str:
    """Why a statement is not proven; "" if it is."""
    try:
        with time_limit(seconds):
            # What claims nothing here, as an order of the outputs of one real, is not proven.
            if not any(True for chart in charts for _ in claims(chart)):
                return NO_CLAIM
            return "" if _everywhere(claims, charts) else NO_PROOF
    except OutOfTime:
        return f"not decided within {seconds:g} s"
