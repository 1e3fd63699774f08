"""A case as text, one argument a line, and back.

The first line names the definition, and the parameters that have not their defaults.  A line of an
argument has its name, the sizes of its axes, and its values: numbers in C99 hexadecimal, labels and
integers in decimal, masks as 1 and 0; of a matrix row after row:

    attention softcap=0x1p+1
    q[d=1] -0x1p+0
    k[n=2, d=1] 0x0p+0 -0x1p+0
    v[n=2, e=1] 0x0p+0 -0x1p+0
    mask[n=2] 1 0

A case of vector-Jacobian products has a line more for the cotangent of each output.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations import lookup
from ...derivations.arithmetic.formats import Format
from ...derivations.definition import Definition
from ...derivations.signature import Kind, Label, Labels, Mask, Numbers, Parameter, Signature
from ..oracle.metrics import hexadecimal
from .case import Case, dtype_of
from .products import asked_at, cotangents, products

LINE = re.compile(r"(\w+)(?:\[([^\]]*)\])?(?:\s+(.*))?")
SIZE = re.compile(r"\s*(\w+)\s*=\s*([0-9]{1,9})\s*")
HEX = re.compile(r"[+-]?0x[0-9a-f]+\.?[0-9a-f]*(p[+-]?[0-9]{1,5})?|[+-]?(inf|nan)", re.IGNORECASE)
SHOWN = 40  # characters of a wrong word that an error has


def to_text(definition: Definition, case: Case) -> str:
    """The case as text that ``parse`` reads back exactly.

    Parameters
    ----------
    definition
        The definition.
    case
        One of its cases, or of its products.

    Returns
    -------
    str
        Lines without an end of line behind the last.

    >>> case = Case({"logits": np.float32([1, 0.5]), "label": np.array(1)})
    >>> print(to_text(lookup("cross_entropy"), case))
    cross_entropy
    logits[K=2] 0x1p+0 0x1p-1
    label 1
    """
    parameters = (f"{name}={hexadecimal(float(value))}" for name, value in case.parameters.items())
    lines = [" ".join([definition.name, *parameters])]
    for name, kind in asked_at(definition, case).signature.arguments.items():
        value = case.values[name]
        sizes = ", ".join(f"{a}={n}" for a, n in zip(kind.axes, value.shape, strict=True))
        words = [_word(kind, entry) for entry in value.reshape(-1).tolist()]
        lines.append(" ".join([f"{name}[{sizes}]" if sizes else name, *words]))
    return "\n".join(lines)


def _word(kind: Kind, entry: Any) -> str:
    return hexadecimal(float(entry)) if isinstance(kind, Numbers) else str(int(entry))


def parse(text: str, fmt: Format) -> tuple[Definition, Case]:
    """The definition that a text names, and the case, its numbers in a format.

    Parameters
    ----------
    text
        What ``to_text`` gives, or what a user wrote so.
    fmt
        The format of numbers, which must hold each of them.

    Returns
    -------
    tuple
        The definition and the case.

    Raises
    ------
    ValueError
        The text is none of a case: the message names the line and what is wrong in it.

    >>> definition, case = parse("sigmoid\\nx 0x1p+0", __import__("softproof").derivations
    ...                          .arithmetic.formats.BINARY32)
    >>> definition.name, case.values["x"]
    ('sigmoid', array(1., dtype=float32))
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("the text of a case is empty; its first line names a definition")
    name, *words = lines[0].split()
    try:
        definition = lookup(name)
    except KeyError as error:
        raise ValueError(f"line 1: {error.args[0]}") from None
    parameters = dict(_parameter(definition.parameters, word) for word in words)
    values: dict[str, NDArray[Any]] = {}
    signature = definition.signature
    if {re.split(r"\W", line)[0] for line in lines[1:]} & cotangents(definition).keys():
        signature = products(definition).signature
    for number, line in enumerate(lines[1:], 2):
        try:
            argument, value = _argument(signature, line, fmt)
            if argument in values:
                raise ValueError(f"{argument} stands there twice; keep one")
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        values[argument] = value
    case = Case({n: values[n] for n in signature.arguments if n in values}, parameters)
    sizes = case.sizes(signature)
    _demand_indices(signature, case, sizes)
    if reason := definition.misfit(sizes, parameters):
        raise ValueError(reason)
    return definition, case


def parse_direction(text: str, definition: Definition, case: Case) -> dict[str, NDArray[Any]]:
    """The direction in which the numbers of a case move, from a text like that of the case.

    Parameters
    ----------
    text
        A line for each argument that moves, as ``x[K=2] 0x1p+0 -0x1p+0``, of the same shape as in
        the case; a first line with the definition's name may stand above.
    definition, case
        What moves, from where.

    Returns
    -------
    dict
        Arrays of binary64 by the names of arguments; those that are not named do not move.

    Raises
    ------
    ValueError
        The text is none of a direction: the message names the line and what is wrong in it.

    >>> from softproof.derivations import lookup
    >>> case = Case({"logits": np.float64([1, 0.5]), "label": np.array(1)})
    >>> parse_direction("logits[K=2] 0x1p+0 -0x1p+1", lookup("cross_entropy"), case)
    {'logits': array([ 1., -2.])}
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0] == definition.name:
        lines[0] = ""
    found: dict[str, NDArray[Any]] = {}
    for place, line in enumerate(lines, 1):
        if not line:
            continue
        match = LINE.fullmatch(line)
        name = match[1] if match else ""
        if match is None or name not in definition.signature.numbers or name in found:
            names = ", ".join(definition.signature.numbers)
            raise ValueError(
                f"line {place}: {_short(line)} is the direction of no argument, or of one for the "
                f"second time; those that can move are {names}"
            )
        try:
            shape = _shape(name, definition.signature.arguments[name], match[2])
            numbers = [_number(word) for word in (match[3] or "").split()]
        except ValueError as error:
            raise ValueError(f"line {place}: {error}") from None
        if shape != case.values[name].shape or len(numbers) != math.prod(shape):
            raise ValueError(
                f"line {place}: {name} has {len(numbers)} numbers of shape {shape}; in the case "
                f"its shape is {case.values[name].shape}"
            )
        found[name] = np.array(numbers).reshape(shape)
    if not found:
        raise ValueError("the direction is empty; give a line for each argument that moves")
    return found


def _parameter(declared: Any, word: str) -> tuple[str, float]:
    name, _, text = word.partition("=")
    if name not in declared:
        known = ", ".join(declared) or "none"
        raise ValueError(f"line 1: there is no parameter {name!r}; the parameters are {known}")
    parameter: Parameter = declared[name]
    value = _number(text)
    if not parameter.lower <= value <= parameter.upper:
        ends = f"[{parameter.lower}, {parameter.upper}]"
        raise ValueError(f"line 1: {word} is outside the range {ends} of {name}")
    try:
        return name, parameter.exact(value)
    except ValueError as error:
        raise ValueError(f"line 1: {word}: {error}") from None


def _argument(signature: Signature, line: str, fmt: Format) -> tuple[str, NDArray[Any]]:
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"{_short(line)} is no argument; write it as x[K=2] 0x1p+0 0x1p-1")
    name, dimensions, body = match.groups()
    if name not in signature.arguments:
        names = ", ".join(signature.arguments)
        raise ValueError(f"there is no argument {_short(name)}; the arguments are {names}")
    kind = signature.arguments[name]
    shape = _shape(name, kind, dimensions)
    words = (body or "").split()
    if len(words) != math.prod(shape):
        raise ValueError(f"{name} has {len(words)} values; its shape {shape} has not as many")
    entries = [_entry(name, kind, word, fmt) for word in words]
    return name, np.array(entries, dtype=dtype_of(kind, fmt.dtype)).reshape(shape)


def _shape(name: str, kind: Kind, dimensions: str | None) -> tuple[int, ...]:
    found = [SIZE.fullmatch(part) for part in dimensions.split(",")] if dimensions else []
    axes = tuple(match[1] if match else "" for match in found)
    if axes != kind.axes:
        wanted = ", ".join(f"{axis}=SIZE" for axis in kind.axes)
        raise ValueError(
            f"the axes of {name} are [{dimensions or ''}]; write {name}"
            + (f"[{wanted}]" if wanted else "")
        )
    return tuple(int(match[2]) for match in found if match)


def _entry(name: str, kind: Kind, word: str, fmt: Format) -> Any:
    if not isinstance(kind, Numbers):
        most = "1" if isinstance(kind, Mask) else "9" * 18
        if not re.fullmatch(r"-?[0-9]{1,18}", word) or (most == "1" and word not in ("0", "1")):
            what = "0 or 1" if isinstance(kind, Mask) else "a whole number"
            raise ValueError(f"{name} has {_short(word)}, which is not {what}")
        return int(word)
    value = _number(word)
    with np.errstate(over="ignore"):
        rounded = fmt.dtype.type(value)
    if not math.isnan(value) and float(rounded) != value:
        raise ValueError(f"{name} has {_short(word)}, which is no number of {fmt.name}")
    if not math.isnan(value) and not kind.lower <= value <= kind.upper:
        ends = f"[{kind.lower}, {kind.upper}]"
        raise ValueError(f"{name} has {_short(word)}, which is outside its domain {ends}")
    return rounded


def _number(word: str) -> float:
    if not HEX.fullmatch(word):
        raise ValueError(f"{_short(word)} is no number in hex, as 0x1.8p+1")
    try:
        return float.fromhex(word)
    except OverflowError:
        raise ValueError(f"{_short(word)} is beyond the largest number, 0x1.fp+1023") from None


def _demand_indices(signature: Signature, case: Case, sizes: dict[str, int]) -> None:
    """ValueError for an index that is none of its axis."""
    for name, kind in signature.arguments.items():
        if isinstance(kind, Label | Labels):
            axis, least = kind.into, f" and the least is {kind.lower}" if kind.lower else ""
            for index in case.values[name].reshape(-1).tolist():
                if not kind.lower <= index < sizes[axis]:
                    raise ValueError(f"{name} has {index}; {axis} has {sizes[axis]} entries{least}")


def _short(word: str) -> str:
    return repr(word if len(word) <= SHOWN else f"{word[:SHOWN]}...")
