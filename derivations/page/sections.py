"""The parts of a printed derivation, and the two styles that they are printed in."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sympy
from sympy.printing.str import StrPrinter

from ..definition import Definition
from ..signature import Parameter


@dataclass(frozen=True)
class Equation:
    """``left relation right``, to be printed in text or in LaTeX."""

    left: sympy.Symbol
    right: sympy.Basic
    relation: str = "="


@dataclass(frozen=True)
class Section:
    """A titled part of the page: a note in words, equations, and items in words."""

    title: str
    note: str = ""
    equations: Sequence[Equation] = ()
    items: Sequence[tuple[str, str]] = ()


def symbol(name: str, k: int) -> sympy.Symbol:
    """The symbol of an entry of a vector.

    Parameters
    ----------
    name
        The name of the vector.
    k
        The number of the entry, from 0.

    Returns
    -------
    Symbol
        Its name with the number from 1, as formulas are printed.

    Examples
    --------
    >>> symbol("z", 0)
    z_1
    """
    return sympy.Symbol(f"{name}_{k + 1}")


def equations_of(names: Iterable[sympy.Symbol], values: Iterable[sympy.Expr]) -> list[Equation]:
    """Equations of names and values, as many of one as of the other.

    Parameters
    ----------
    names
        What stands on the left.
    values
        What stands on the right.

    Returns
    -------
    list of Equation
        One for each pair.

    Raises
    ------
    ValueError
        There are not as many names as values.
    """
    return [Equation(name, value) for name, value in zip(names, values, strict=True)]


def parameters_of(definition: Definition) -> Iterator[Section]:
    """The section on the parameters of a definition; none where it has none.

    Parameters
    ----------
    definition
        The definition.

    Yields
    ------
    Section
        Their names, defaults and ranges.
    """
    if definition.parameters:
        ranges = [
            (name, f"default {_default(p)}, from {p.lower:g} to {p.upper:g}")
            for name, p in definition.parameters.items()
        ]
        yield Section("Parameters", items=ranges)


def _default(parameter: Parameter) -> str:
    return parameter.depends if parameter.default is None else f"{parameter.default:g}"


def text(definition: Definition, sections: Iterable[Section]) -> str:
    """Print a definition and sections about it as text of 100 columns.

    Parameters
    ----------
    definition
        The definition.
    sections
        What is told of it.

    Returns
    -------
    str
        The page.
    """
    lines = [f"{definition.name}: {definition.summary}", ""]
    lines += _wrapped("  family  ", definition.family) + _wrapped("  source  ", definition.source)
    for section in sections:
        note = f" ({section.note})" if section.note else ""
        lines += ["", *_wrapped("", section.title + note)]
        for equation in section.equations:
            head = f"  {equation.left} {equation.relation} "
            body = _text_lines(equation.right)
            if len(body) == 1:
                lines += _wrapped(head, body[0])
            else:
                lines += [(head if i == 0 else " " * len(head)) + b for i, b in enumerate(body)]
        width = max((len(item) for item, _ in section.items), default=0)
        lines += [f"  {item:{width}}  {value}".rstrip() for item, value in section.items]
    return "\n".join(lines)


def _wrapped(head: str, body: str) -> list[str]:
    return textwrap.wrap(
        body,
        width=100,
        initial_indent=head,
        subsequent_indent=" " * (len(head) or 4),
        break_long_words=False,
    )


def _text_lines(expression: sympy.Basic) -> list[str]:
    if isinstance(expression, sympy.MatrixBase):
        return matrix_lines(expression)
    if isinstance(expression, sympy.Piecewise):
        return [
            f"{_words(value)}  " + ("otherwise" if condition is sympy.true else f"for {condition}")
            for value, condition in expression.args
        ]
    return [_words(expression)]


class _Printer(StrPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's plain style, with 1/x**2 where it has x**(-2)."""

    def _print_Pow(self, expr: sympy.Pow, rational: bool = False) -> str:
        if expr.exp.is_Integer and expr.exp < -1:
            return "1/" + str(super()._print_Pow(1 / expr, rational))
        return str(super()._print_Pow(expr, rational))


def _words(expression: sympy.Basic) -> str:
    return str(_Printer().doprint(expression))


def matrix_lines(matrix: sympy.MatrixBase) -> list[str]:
    """A matrix as text, a row to a line, however wide.

    Parameters
    ----------
    matrix
        The matrix.

    Returns
    -------
    list of str
        The lines.

    Examples
    --------
    >>> matrix_lines(sympy.Matrix([[1, 20], [3, 4]]))
    ['[1   20]', '[3    4]']
    """
    entries = [[_words(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)]
    widths = [max(map(len, column)) for column in zip(*entries, strict=True)]
    return [
        "[" + "   ".join(e.rjust(w) for e, w in zip(row, widths, strict=True)) + "]"
        for row in entries
    ]


def latex(definition: Definition, sections: Iterable[Section]) -> str:
    """Print a definition and sections about it in LaTeX, which needs amsmath.

    Parameters
    ----------
    definition
        The definition.
    sections
        What is told of it.

    Returns
    -------
    str
        A fragment for the body of a document.
    """
    lines = [
        "% needs \\usepackage{amsmath}",
        f"\\section*{{{_escaped(definition.name)}}}",
        _escaped(definition.summary),
        "",
        f"Family: {_escaped(definition.family)}. Source: {_escaped(definition.source)}.",
    ]
    for section in sections:
        lines += ["", f"\\paragraph{{{_escaped(section.title)}}}"]
        if section.note:
            lines.append(f"({_escaped(section.note)})")
        if section.equations:
            relations = {"=": "=", ">=": r"\ge"}
            rows = [
                f"  {_math(e.left)} &{relations[e.relation]} {_math(e.right)}"
                for e in section.equations
            ]
            lines += [r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]
        if section.items:
            rows = [
                f"  \\item {_escaped(item)}" + (f": {_escaped(value)}" if value else "")
                for item, value in section.items
            ]
            lines += [r"\begin{itemize}", *rows, r"\end{itemize}"]
    return "\n".join(lines)


def _math(expression: sympy.Basic) -> str:
    """LaTeX of an expression; a symbol with a prime is braced, for its powers are superscripts."""
    primed = {s: f"{{{sympy.latex(s)}}}" for s in expression.free_symbols if "'" in s.name}
    return str(sympy.latex(expression, symbol_names=primed))


def _escaped(words: str) -> str:
    """Words with the characters that LaTeX would take for commands, or print as others."""
    special = {"^": r"\^{}", ">=": r"$\ge$", "<=": r"$\le$", ">": "$>$", "<": "$<$"}
    return re.sub(r"[<>]=|[<>^_&%#]", lambda m: special.get(m[0], "\\" + m[0]), words)
