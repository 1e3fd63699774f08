"""What is printed of a function of several arguments: its formula and its gradient, in symbols.

Every axis has LENGTH entries, and masks keep all.  Of a definition that chooses the first entries
are chosen, beside which there is one more.  The gradient is by reverse mode over symbols,
the same code that gives it in balls and in floating point.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sympy

from ..arithmetic.reverse_mode import vector_jacobian_product
from ..arithmetic.symbols import symbols
from ..choices import choice_of, chooses, given_choice
from ..definition import Definition
from ..proofs.prove import REFUTED, Proof, prove
from ..proofs.time_limit import OutOfTime, time_limit
from ..signature import Count, Integer, Kind, Label, Labels, Mask, Numbers
from .sections import Equation, Section, parameters_of

LENGTH = 2  # of every axis in a printed formula
TIME_LIMIT = 20.0  # seconds for a gradient; each of the catalogue takes less than one


def of_arguments(definition: Definition) -> Iterator[Section]:
    """The sections on a function of several arguments.

    Parameters
    ----------
    definition
        The definition.

    Yields
    ------
    Section
        The formula, the gradient or vector-Jacobian product, the arguments, facts, other forms,
        and parameters.
    """
    asked = given_choice(definition)
    signature = asked.signature
    sizes = _sizes(definition)
    values = {name: _symbolic(name, kind, sizes) for name, kind in signature.arguments.items()}
    # A parameter that is 0 or depends on sizes may take another way through the formula.
    parameters = {
        name: sympy.Symbol(name, positive=True)
        if parameter.default and not isinstance(parameter, Count)
        else parameter.default
        for name, parameter in definition.parameters.items()
    }
    described = ", ".join(f"{axis} = {sizes[axis]}" for axis in signature.axes)
    title = f"Definition for {described}" if described else "Definition"
    if not definition.signature.real_outputs:
        title = f"Scores for {described}"
    elif chooses(definition):
        title += " where the first are the largest"
    try:
        result = asked.formula(*values.values(), symbols(), **parameters)
    except (TypeError, ValueError) as reason:  # the formula takes a decision on a symbol
        yield Section(title, f"none in symbols: {reason}")
    else:
        outputs = result if len(signature.outputs) > 1 else (result,)
        equations: list[Equation] = []
        for name, output in zip(signature.outputs, outputs, strict=True):
            equations += _entries(name if len(signature.outputs) > 1 else "f", output)
        zeros = [name for name, value in parameters.items() if value == 0]
        notes = [f"{' = '.join(zeros)} = 0"] if zeros else []
        if not definition.signature.real_outputs:
            notes.append(f"{choice_of(definition)[0]}: where the largest stand; of equals any")
        yield Section(title, "; ".join(notes), equations)
        if definition.signature.real_outputs:
            yield _gradient(asked, values, parameters, outputs)
    yield Section("Arguments", items=arguments_told(definition))
    if definition.facts:
        yield Section("Facts", items=settled_of_arguments(definition))
    if definition.forms:
        yield Section("Other forms", items=[(form, "") for form in definition.forms])
    yield from parameters_of(definition)


def _sizes(definition: Definition) -> dict[str, int]:
    """The size of each axis; an axis that is chosen from has an entry that is not chosen."""
    counted = definition.counted({})
    sizes = definition.fitting(dict.fromkeys(definition.signature.axes, LENGTH), {})
    if chooses(definition):
        _, choice = choice_of(definition)
        chosen = sum(counted.get(axis, 0) for axis in choice.axes)
        sizes[choice.into] = max(sizes[choice.into], chosen + 1)
    return {**sizes, **counted}


def settled_of_arguments(definition: Definition) -> list[tuple[str, str]]:
    """What became of each declared fact: proven, certified at points, refuted, or says nothing.

    Parameters
    ----------
    definition
        A definition with named arguments.

    Returns
    -------
    list of tuple
        The text of each fact with its outcome in words.
    """
    proofs: dict[str, list[Proof]] = {}
    for proof in prove(definition):
        proofs.setdefault(proof.statement, []).append(proof)
    return [(text, _outcome(found)) for text, found in proofs.items()]


def _outcome(proofs: Sequence[Proof]) -> str:
    """What became of a statement at all sizes, in words.

    >>> _outcome([Proof("softmax", "f = 1", 2, False, "no proof was found", 8)])
    'certified at 8 points (no proof was found)'
    """
    failed = [proof for proof in proofs if not proof.proven]
    if not failed:
        sizes = ", ".join(str(proof.size) for proof in proofs)
        return f"proven for axes of {sizes}"
    reason = failed[0].reason
    if failed[0].points:
        return f"certified at {failed[0].points} points ({reason})"
    if reason.startswith(REFUTED):
        return f"REFUTED{reason.removeprefix(REFUTED)}"
    return f"NOT PROVEN ({reason})"


def _gradient(
    definition: Definition,
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    outputs: tuple[Any, ...],
) -> Section:
    """The derivatives of one real result, or of the sum of all results times their cotangents."""
    signature = definition.signature
    taken = {*signature.arguments, *definition.parameters}
    several = len(outputs) > 1
    if several or np.shape(outputs[0]):
        letter = next(name for name in ("g", "cotangent", "cotangent_of_f") if name not in taken)
        names = [f"{letter}_{name}" if several else letter for name in signature.outputs]
        cotangents = tuple(
            _array_of_symbols(name, np.shape(output))
            for name, output in zip(names, outputs, strict=True)
        )
        title, left = "Vector-Jacobian product", "dL"
        note = f"L: the sum of all results, each times its cotangent {letter}; by reverse mode"
    else:
        cotangents, title, left, note = (sympy.Integer(1),), "Gradient", "df", "by reverse mode"
    wrt = [name for name, kind in signature.arguments.items() if isinstance(kind, Numbers)]
    equations: list[Equation] = []
    try:
        with time_limit(TIME_LIMIT):
            _, products = vector_jacobian_product(
                definition.formula,
                values,
                cotangents if several else cotangents[0],
                symbols(),
                wrt=wrt,
                **parameters,
            )
            for name in wrt:
                equations += _entries(f"{left}/d{name}", products[name], simplified=True)
    except OutOfTime:
        return Section(title, f"none found in symbols within {TIME_LIMIT:g} s")
    except (TypeError, ValueError) as reason:  # its derivative takes a decision on a symbol
        return Section(title, f"none in symbols: {reason}")
    return Section(title, note, equations)


def _entries(name: str, values: Any, *, simplified: bool = False) -> Iterator[Equation]:
    """An equation for each entry of an array, or for a number."""
    entries = np.asarray(values, dtype=object)
    for index in itertools.product(*(range(n) for n in entries.shape)):
        place = "".join(f"_{i + 1}" for i in index)
        entry = sympy.sympify(entries[index])
        yield Equation(sympy.Symbol(name + place), _short(entry) if simplified else entry)


def _short(expression: sympy.Expr) -> sympy.Expr:
    """The shortest of an expression, its factors, and these with exponentials joined."""
    factored = sympy.factor(expression)
    return min(
        (expression, factored, sympy.powsimp(factored, deep=True)), key=lambda e: len(str(e))
    )


def _symbolic(name: str, kind: Kind, sizes: Mapping[str, int]) -> Any:
    """An argument as symbols; a label 0, several labels the first, and masks that keep all."""
    shape = tuple(sizes[axis] for axis in kind.axes)
    if isinstance(kind, Mask):
        return np.ones(shape, dtype=np.bool_)
    if isinstance(kind, Labels):
        return kind.lower + np.arange(*shape) % (sizes[kind.into] - kind.lower)
    if isinstance(kind, Integer) and not isinstance(kind.upper, str):
        return sympy.Symbol(name, real=True)
    if not isinstance(kind, Numbers):
        return np.zeros(shape, dtype=np.int64) if shape else 0
    return _array_of_symbols(name, shape)


def _array_of_symbols(name: str, shape: tuple[int, ...]) -> Any:
    """Real symbols with the numbers of their entries; one symbol where there is no axis."""
    array = np.empty(shape, dtype=object)
    for index in itertools.product(*(range(n) for n in shape)):
        array[index] = sympy.Symbol(name + "".join(f"_{i + 1}" for i in index), real=True)
    return array if shape else array[()]


def arguments_told(definition: Definition) -> list[tuple[str, str]]:
    """The arguments of a definition, each with its kind in words.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    list of tuple
        Name and kind.
    """
    return [(name, _kind_told(kind)) for name, kind in definition.signature.arguments.items()]


def _kind_told(kind: Kind) -> str:
    """A kind of argument in words.

    >>> from softproof.derivations.signature import Vector
    >>> _kind_told(Vector("K", lower=0.0, shared=True))
    'vector along K, from 0, one for a whole batch'
    """
    if isinstance(kind, Integer):
        words = f"whole number from {kind.lower} to {kind.upper}"
    else:
        words = type(kind).__name__.lower()
        words += f" along {', '.join(kind.axes)}" if kind.axes else ""
    if isinstance(kind, Label | Labels):
        words += f", an index into {kind.into}" if not kind.axes else f", indices into {kind.into}"
        words += f" from {kind.lower}" if kind.lower else ""
    if isinstance(kind, Numbers) and math.isfinite(kind.lower):
        words += f", from {kind.lower:g}"
    if isinstance(kind, Numbers) and math.isfinite(kind.upper):
        words += f", up to {kind.upper:g}"
    return words + (", one for a whole batch" if kind.shared else "")
