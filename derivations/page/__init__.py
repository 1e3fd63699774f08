"""What ``softproof derive`` prints: a definition, its derivatives, facts and radius, by SymPy.

Most formulas are made from weights w_k = w(z_k): exponentials, or a piecewise stand-in for them.
Differentiated in z_k and then written in the weights' shares p_k = w_k / S, S = w_1 + ... + w_K,
the derivatives become short: d p_i / d z_j = p_i (delta_ij - p_j) for softmax.  That is a
substitution, w_k = p_k S, and a simplification under p_1 + ... + p_K = 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import sympy

from ..arithmetic.gaussian import D, Phi, phi
from ..catalogue import lookup
from ..definition import Definition, Output
from ..proofs.charts import Symbolic
from ..proofs.facts import PermutationEquivariant, PermutationInvariant
from ..proofs.prove import CONSTANT, NO_PROOF, REFUTED, Proof, prove
from ..step_radius import partition
from ..step_radius import stablemax as stablemax_radius
from ..step_radius.activation_singularities import SingularitySet
from .arguments import of_arguments, settled_of_arguments
from .sections import (
    Equation,
    Section,
    equations_of,
    latex,
    matrix_lines,
    parameters_of,
    symbol,
    text,
)

WIDTH = 96  # of a matrix in text; wider ones are printed entry by entry

# The weight function w of a definition: exp itself, or called s where it is piecewise.
EXP = sympy.Function("w")
PIECEWISE = sympy.Function("s")
X = sympy.Symbol("x", real=True)
S = sympy.Symbol("S", positive=True)


def derive(name: str, *, size: int = 3, style: str = "text") -> str:
    """Print a definition with its derivatives, proven facts and step radius, derived by SymPy.

    Of a function of several arguments: its formula, its gradient by reverse mode, its arguments,
    other forms and parameters.

    Parameters
    ----------
    name
        The definition.
    size
        The number of classes K of the printed formulas, at least 2; functions of one real have
        none.
    style
        "text", within 100 columns for K <= 3, or "latex", a fragment that needs amsmath.

    Returns
    -------
    str
        The page.

    Raises
    ------
    KeyError
        If no definition has that name.
    ValueError
        If there is no such style, or there are fewer than 2 classes.

    Examples
    --------
    >>> print(derive("sigmoid").partition("First")[0].strip())
    sigmoid: Logistic function 1 / (1 + e^-x).
    <BLANKLINE>
      family  activations
      source  Verhulst 1838; Rumelhart, Hinton, Williams 1986, Nature 323
    <BLANKLINE>
    Definition
      f = 1/(1 + exp(-x))
    """
    if style not in ("text", "latex"):
        raise ValueError(f"style is {style!r}; use 'text' or 'latex'")
    if size < 2:
        raise ValueError(f"size is {size}; give 2 classes or more")
    definition = lookup(name)
    if not definition.of_a_row:
        return (text if style == "text" else latex)(definition, of_arguments(definition))
    try:
        sections = [*_formulas(definition, size), *_declarations(definition)]
    except (TypeError, ValueError):  # the formula takes a decision on a symbol
        return (text if style == "text" else latex)(definition, of_arguments(definition))
    if definition.partition_function:
        sections += _radius(size)
    if definition.singularities is not None:
        sections.append(_singularities(definition.singularities()))
    if definition.kink_radius is not None:
        sections += _kinks(definition, size)
    return (text if style == "text" else latex)(definition, sections)


# --- the formulas ---


def _formulas(definition: Definition, size: int) -> Iterator[Section]:
    if definition.elementwise:
        yield from _of_one_real(definition)
        return
    weights = _Weights(definition, size)
    symmetric = any(
        isinstance(fact, PermutationEquivariant | PermutationInvariant) for fact in definition.facts
    )
    title = f"Definition for K = {size}"
    for label in range(size) if definition.labelled else (None,):
        note = "" if label is None else f"right class {label + 1}"
        if symmetric and definition.labelled:
            note += "; the others follow by permutation"
        f = weights.values(label)
        if definition.output is Output.VECTOR:
            names = [symbol("f", i) for i in range(size)]
            yield weights.definition(title, note, names, label)
            jacobian = [[sympy.diff(fi, zj) for zj in weights.z] for fi in f]
            yield weights.matrix("Jacobian", "row i is the gradient of output i", "J", jacobian)
        else:
            names = [sympy.Symbol("f")]
            yield weights.definition(title, note, names, label)
            gradient = [sympy.diff(f[0], zk) for zk in weights.z]
            yield weights.vector("Gradient", "g", gradient)
        for i, fi in enumerate(f[:1] if symmetric else f):
            subject, note = "", ""
            if definition.output is Output.VECTOR:
                subject = f" of output {i + 1}"
                note = "those of the other outputs follow by permutation" if symmetric else ""
            hessian = [[sympy.diff(fi, zj, zk) for zk in weights.z] for zj in weights.z]
            yield weights.matrix(f"Hessian{subject}", note, "H", hessian)
        if symmetric:
            return


class _Weights:
    """A definition of K logits, written in its weights w_k = w(z_k).

    One with several piecewise functions has no weights, and is written in the z_k themselves.
    """

    def __init__(self, definition: Definition, size: int) -> None:
        self.plain = Symbolic.plain(definition, size)
        self.chart = next(Symbolic.charts(definition, size))
        self.z = self.plain.coordinates
        self.shares = sympy.symbols(f"p_1:{size + 1}", positive=True)
        self.exponential = not definition.breakpoint_at_zero
        self.function = EXP if self.exponential else PIECEWISE
        named = [symbol("s", k) for k in range(size)]
        self.weights = [sympy.exp(z) for z in self.z] if self.exponential else named
        label = 0 if definition.labelled else None
        # Each piecewise function of one logit, as a function of x.
        self.pieces = {
            p.subs(p.free_symbols.pop(), X)
            for f in self.plain.value(label=label)
            for p in f.atoms(sympy.Piecewise)
        }
        self.weighted = self.exponential or len(self.pieces) == 1

    def values(self, label: int | None) -> list[sympy.Expr]:
        """The outputs, as expressions in w(z_1) ... w(z_K)."""
        if not self.weighted:
            return self.plain.value(label=label)
        if not self.exponential:
            return [f.replace(sympy.Piecewise, self._weight) for f in self.plain.value(label=label)]
        logs = {sympy.log(x): z for x, z in zip(self.chart.coordinates, self.z, strict=True)}
        weights = {x: EXP(z) for x, z in zip(self.chart.coordinates, self.z, strict=True)}
        return [f.xreplace(logs).xreplace(weights) for f in self.chart.value(label=label)]

    def _weight(self, *branches: sympy.Tuple) -> sympy.Expr:
        piecewise = sympy.Piecewise(*branches)
        (z,) = piecewise.free_symbols
        return PIECEWISE(z)

    def piecewise(self) -> sympy.Piecewise:
        """The piecewise weight s(x)."""
        (piecewise,) = self.pieces
        return piecewise

    def in_shares(self, expression: sympy.Expr) -> sympy.Expr:
        """The expression by w_k = p_k S and sum p = 1; derivatives of s become symbols s'_k."""
        if not self.weighted:
            return sympy.simplify(expression)
        for derivative in expression.atoms(sympy.Derivative):
            z, order = derivative.args[1]
            slope = EXP(z) if self.exponential else symbol("s" + "'" * int(order), self.z.index(z))
            expression = expression.xreplace({derivative: slope})
        weights = {self.function(z): p * S for z, p in zip(self.z, self.shares, strict=True)}
        return _under_sum_one(expression.xreplace(weights), self.shares, self.weights)

    def definition(
        self, title: str, note: str, names: Sequence[sympy.Symbol], label: int | None
    ) -> Section:
        """The definition itself, in full for exponentials, in s_k where they are piecewise."""
        if self.exponential or not self.weighted:
            values = self.plain.value(label=label)
            return Section(title, note, equations_of(names, values))
        weights = {PIECEWISE(z): s for z, s in zip(self.z, self.weights, strict=True)}
        values = [f.xreplace(weights) for f in self.values(label)]
        note = ", ".join(filter(None, [note, "with s_k = s(z_k)"]))
        legend = [Equation(sympy.Symbol("s(x)"), self.piecewise())]
        return Section(title, note, [*equations_of(names, values), *legend])

    def vector(self, title: str, name: str, entries: Sequence[sympy.Expr]) -> Section:
        """A vector of derivatives, entry by entry."""
        values = [self.in_shares(e) for e in entries]
        names = [symbol(name, k) for k in range(len(values))]
        return Section(title, "", [*equations_of(names, values), *self.legend(values)])

    def matrix(
        self, title: str, note: str, name: str, entries: Sequence[Sequence[sympy.Expr]]
    ) -> Section:
        """A matrix of derivatives: whole where it fits the page, else entry by entry."""
        matrix = sympy.ImmutableMatrix([[self.in_shares(e) for e in row] for row in entries])
        legend = self.legend(matrix)
        if max(map(len, matrix_lines(matrix))) + len(f"  {name} = ") <= WIDTH:
            return Section(title, note, [Equation(sympy.Symbol(name), matrix), *legend])
        indices = [(i, j) for i in range(matrix.rows) for j in range(matrix.cols)]
        if matrix == matrix.T:
            indices = [(i, j) for i, j in indices if i <= j]
            note = "; ".join(filter(None, [note, "symmetric"]))
        names = [sympy.Symbol(f"{name}_{i + 1}{j + 1}") for i, j in indices]
        return Section(title, note, [*equations_of(names, [matrix[ij] for ij in indices]), *legend])

    def legend(self, expressions: Iterable[sympy.Expr]) -> Iterator[Equation]:
        """What the symbols p_k, S and the derivatives of s stand for, where they occur."""
        used = {symbol.name for e in expressions for symbol in e.free_symbols}
        weight = sympy.exp(sympy.Symbol("z_k")) if self.exponential else sympy.Symbol("s_k")
        if used & {p.name for p in self.shares}:
            yield Equation(sympy.Symbol("p_k"), weight / S)
            used.add("S")
        if "S" in used:
            yield Equation(S, sum(self.weights))
        for order in (1, 2):
            if any(name.startswith("s" + "'" * order + "_") for name in used):
                yield Equation(
                    sympy.Symbol("s" + "'" * order + "(x)"), _slope(self.piecewise(), order)
                )


NAMED = {
    Phi: "Phi: the normal distribution function",
    phi: "phi: the normal density",
    D: "D: the parabolic cylinder function",
}


def _of_one_real(definition: Definition) -> Iterator[Section]:
    plain = Symbolic.plain(definition, 1)
    (value,) = plain.value()
    known = [words for function, words in NAMED.items() if value.has(function)]
    yield Section("Definition", "; ".join(known), [Equation(sympy.Symbol("f"), value)])
    p, q = sympy.symbols("p q", positive=True)
    e = sympy.Dummy(positive=True)
    for title, order in (("First derivative", 1), ("Second derivative", 2)):
        derivative = sympy.diff(value, X, order)
        power = _curved_power(derivative)
        if definition.breakpoint_at_zero:
            short = _slope(value, order)
        elif power is not None:  # it is q / (1 - q)
            short = _shortest([derivative.xreplace({power: q / (1 - q)})])
        else:  # e^x = p / (1 - p), p the logistic function
            (at_log,) = plain.value([sympy.log(e)])
            for _ in range(order):
                at_log = e * sympy.diff(at_log, e)
            in_p = at_log.subs(sympy.log(e), X).subs(e, p / (1 - p))
            short = _shortest([in_p, sympy.simplify(derivative)])
        equations = [Equation(sympy.Symbol("f" + "'" * order), short)]
        if short.has(p):
            equations.append(Equation(p, 1 / (1 + sympy.exp(-X))))
        if power is not None and short.has(q):
            equations.append(Equation(q, 1 / (1 + 1 / power)))
        yield Section(title, "", equations)


def _curved_power(expression: sympy.Expr) -> sympy.Expr | None:
    """The only exponential of an expression, where its exponent is not linear; None elsewhere."""
    powers = [*expression.atoms(sympy.exp)]
    curved = len(powers) == 1 and sympy.diff(powers[0].args[0], X, 2) != 0
    return powers[0] if curved else None


def _slope(piecewise: sympy.Piecewise, order: int) -> sympy.Piecewise:
    """The derivative of a function with a break at 0, which it leaves out if it jumps there."""
    (right, _), (left, _) = piecewise.args
    right, left = (_shortest([sympy.diff(f, X, order)]) for f in (right, left))
    if sympy.limit(right, X, 0, "+") == sympy.limit(left, X, 0, "-"):
        return sympy.Piecewise((right, X >= 0), (left, True))
    return sympy.Piecewise((right, X > 0), (left, X < 0))


def _under_sum_one(
    expression: sympy.Expr, shares: Sequence[sympy.Symbol], weights: Sequence[sympy.Symbol]
) -> sympy.Expr:
    """The shortest way found to write an expression in shares p_k = w_k / S that add up to 1."""
    total = sum(shares)
    ways = [sympy.factor(expression).subs(total, 1)]
    ways += [expression.subs(p, 1 - (total - p)) for p in shares]
    if any(way.has(S) for way in ways):
        ways += [way.subs(S, w / p) for way in ways for p, w in zip(shares, weights, strict=True)]
    return _shortest(ways)


def _shortest(equals: Sequence[sympy.Expr]) -> sympy.Expr:
    """The shortest of several equal expressions, as a product or, if clearly shorter, as a sum."""
    factored = [sympy.factor(e) for e in equals]
    written = [*map(_with_positive_constants, factored), *map(sympy.expand, factored)]
    return min(written, key=lambda e: (len(str(e)) + 2 * e.is_Add, e.is_Add, str(e)))


def _with_positive_constants(factored: sympy.Expr) -> sympy.Expr:
    """A product whose factors read 1 - p rather than p - 1."""
    factors = []
    for factor in sympy.Mul.make_args(factored):
        base, exponent = factor.as_base_exp()
        # (Where the base has a pole at 0, its sign there is not known, and it stays as it is.)
        if base.is_Add and base.subs(dict.fromkeys(base.free_symbols, 0)).is_negative:
            factors += [(-base) ** exponent, (-1) ** exponent]
        else:
            factors.append(factor)
    return sympy.Mul(*factors)


# --- what is declared, and the radius ---


def settled(definition: Definition) -> list[tuple[str, str]]:
    """Every statement about a definition, with what became of it: proven, certified, refuted.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    list of tuple
        The text of each declared fact, and of the closed-form gradient, with its outcome in words.

    >>> settled(lookup("softplus"))[0]
    ("f' >= 0", 'proven')
    """
    if not definition.of_a_row:
        return settled_of_arguments(definition)
    proofs: dict[str, list[Proof]] = {}
    for proof in prove(definition):
        proofs.setdefault(proof.statement, []).append(proof)
    return [(statement, _outcome(found, definition)) for statement, found in proofs.items()]


def _declarations(definition: Definition) -> Iterator[Section]:
    facts = settled(definition)
    if facts:
        yield Section("Facts", items=facts)
    if definition.forms:
        yield Section("Other forms", items=[(form, "") for form in definition.forms])
    yield from parameters_of(definition)


def _outcome(proofs: Sequence[Proof], definition: Definition) -> str:
    """What became of a statement, in words; a size at which it says nothing is not counted."""

    def at(chosen: Sequence[Proof]) -> str:
        sizes = ", ".join(str(proof.size) for proof in chosen)
        return "" if definition.elementwise else f" for K = {sizes}"

    proven = [proof for proof in proofs if proof.proven]
    says_nothing = [proof for proof in proofs if proof.reason == CONSTANT]
    failed = [proof for proof in proofs if not proof.proven and proof not in says_nothing]
    if failed and all(proof.points for proof in failed):
        return f"certified at {failed[0].points} points (no proof was found{at(failed)})"
    if failed and failed[0].reason.startswith(REFUTED):
        return f"REFUTED{failed[0].reason.removeprefix(REFUTED)}"
    if failed:
        reasons = dict.fromkeys(p.reason for p in failed if p.reason not in ("", NO_PROOF))
        return f"NOT PROVEN{at(failed)}" + (f" ({'; '.join(reasons)})" if reasons else "")
    if not proven:
        return f"NOT PROVEN{at(says_nothing)} ({CONSTANT})"
    return f"proven{at(proven)}" + (f" (constant{at(says_nothing)})" if says_nothing else "")


def _radius(size: int) -> Iterator[Section]:
    rho, f_of_t = sympy.symbols("rho F(t)")
    a, z = partition.slopes(size), partition.logits(2)
    heat, in_cumulants = partition.at_temperature, partition.taylor_coefficients_in_cumulants
    yield Section(
        "Taylor radius along a step z + a t",
        "rho: modulus of the nearest complex zero of F; s_half: distance along the real line to "
        "the nearest t where no class holds more than half of the mass",
        [
            Equation(f_of_t, partition.partition_function(size)),
            Equation(partition.SPREAD, sympy.Max(*a) - sympy.Min(*a)),
            Equation(rho, partition.spread_bound(), ">="),
            Equation(rho, partition.half_mass_bound(), ">="),
        ],
    )
    yield Section(
        "A zero t = s + i y",
        "V: variance of the slopes under softmax(z + a s); rho is at least the minimum over all s "
        "with |s| >= s_half",
        [Equation(sympy.Symbol("|t|"), partition.variance_bound(), ">=")],
    )
    yield Section(
        "The same for K = 2, exactly",
        "a zero t_n for every integer n",
        [
            Equation(partition.DELTA, z[0] - z[1]),
            Equation(sympy.Symbol("t_n"), partition.binary_zeros()),
            Equation(rho, partition.binary_radius()),
        ],
    )
    yield Section(
        "At temperature T, with z / T and a / T",
        "for any K, and for K = 2",
        [
            Equation(rho, heat(partition.spread_bound()), ">="),
            Equation(rho, heat(partition.binary_radius())),
        ],
    )
    yield Section(
        "Taylor series along the step",
        "m_n: mean of a_k^n under softmax(z); log F(t) = log F(0) + sum_n kappa_n t^n / n!",
        equations_of([symbol("kappa", n) for n in range(4)], partition.cumulants(4)),
    )
    yield Section(
        "Taylor series of the cross-entropy along the step",
        "c_0 + c_1 t + c_2 t^2 + ..., y the right class; it converges for |t| < rho",
        equations_of([symbol("c", n - 1) for n in range(5)], in_cumulants(4)),
    )


def _singularities(found: SingularitySet) -> Section:
    if found.entire:
        return Section("Singularities", "none: the function is entire")
    return Section(
        "Singularities",
        f"{found.kind}, for every integer n; the Taylor radius of f(h + h't) in t is the distance "
        "of h to the nearest over the modulus of h'",
        [Equation(sympy.Symbol("s_n"), point) for point in found.points],
    )


def _kinks(definition: Definition, size: int) -> Iterator[Section]:
    (left, right), at_zero = stablemax_radius.one_sided_derivatives(2), "s''(0{})".format
    yield Section(
        "The kink",
        "s and s' agree from both sides of 0, s'' does not: once continuously differentiable, and "
        "not analytic at 0",
        [
            Equation(sympy.Symbol(at_zero("-")), left),
            Equation(sympy.Symbol(at_zero("+")), right),
        ],
    )
    z, a = (sympy.symbols(f"{letter}_1:{size + 1}", real=True) for letter in "za")
    kappa = sympy.Min(*(sympy.Abs(zk) / sympy.Abs(ak) for zk, ak in zip(z, a, strict=True)))
    bound = (
        "rho >= kappa, with equality where the second derivative jumps there"
        if definition.labelled
        else "rho = kappa, but where p is constant"
    )
    yield Section(
        "Taylor radius along a step z + a t",
        f"{bound}; kappa: the first kink, of the a_k that are not 0. Within it every s_k has a "
        "positive real part, so that S has no complex zero",
        [Equation(sympy.Symbol("kappa"), kappa)],
    )
