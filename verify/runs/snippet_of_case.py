"""A minimal script that shows one number of a function of several arguments without softproof."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import format_of
from ..cases.case import Case, CaseBatch
from ..cases.products import asked_at, cotangents
from ..cases.truth import output_shapes
from ..oracle.metrics import hexadecimal
from ..subjects.subject import Subject
from ..suites.verdicts import Violation
from .snippet import MOST_CHARACTERS, Code, names_in

Place = tuple[str, tuple[int, ...]]  # of a number: an output or an argument, and an index in it
WITH_SCRIPTS = ("accuracy", "liveness", "gradient")  # suites that judge numbers of one call


def script_of(
    subject: Subject, suite: str, definition: Definition, case: Case, violation: Violation
) -> str | None:
    """Return the script for the number that a violation at a case is about.

    Parameters
    ----------
    subject
        The subject.
    suite
        The suite that found the violation.
    definition, case
        What the subject was asked for, and where.
    violation
        What was found.

    Returns
    -------
    str or None
        The script; None where the violation is not about a number of one call, the definition is of
        a row (its calls have other names), or the subject does not state its call.
    """
    if suite not in WITH_SCRIPTS or definition.of_a_row:
        return None
    if violation.index is None or violation.observed is None or violation.expected is None:
        return None
    if suite == "gradient":
        place = _told_place(violation.detail)
    else:
        place = _place(definition, case, violation.index)
    return place and case_snippet(subject, definition, case, place, violation.expected)


def _told_place(detail: str) -> Place | None:
    """The place that a violation of the gradient tells: which products it counts, depends."""
    match = re.match(r"At (\w+)(?:\[([^\]]*)\])?\.", detail)
    if match is None:
        return None
    parts = match[2].split(", ") if match[2] else []
    return match[1], tuple(int(part.partition("=")[2]) for part in parts)


def _place(definition: Definition, case: Case, index: int) -> Place:
    """The output that result number ``index`` belongs to, and its index there."""
    for name, shape in output_shapes(definition, case).items():
        count = math.prod(shape)
        if index < count:
            return name, tuple(int(i) for i in np.unravel_index(index, shape)) if shape else ()
        index -= count
    raise IndexError(f"{definition.name} has no result number {index} there")


def case_snippet(
    subject: Subject,
    definition: Definition,
    case: Case,
    place: Place,
    expected: float,
) -> str | None:
    """The script for one number of a function of several arguments: observed, expected, error.

    ``Subject.snippet`` is then an expression over the names of the arguments and the parameters.
    A function of the user's, which states no call, is imported from its module.  Numbers are
    written in hex.  A case with a cotangent is one of vector-Jacobian products: ``place`` is then
    the argument that is differentiated in, and the index in it, and else an output and an index.

    Parameters
    ----------
    subject
        The subject.
    definition, case
        What it was asked for, and where.
    place
        The number that is shown.
    expected
        Its exact value, rounded to the format.

    Returns
    -------
    str or None
        None where the subject does not tell its call, or the script would not be minimal.

    Examples
    --------
    >>> import numpy as np
    >>> from softproof.derivations import lookup
    >>> case = Case({"z": np.float32([1, 2])})
    >>> mine = Subject("mine:project", "sparsemax")
    >>> script = case_snippet(mine, lookup("sparsemax"), case, ("value", (1,)), 1.0)
    >>> print(script[script.index("z = ") :])
    z = np.array(numbers("0x1p+0 0x1p+1"), dtype=np.float32).reshape(1, 2)
    y = mine.project(z)
    observed = float(y[0, 1])
    expected = float.fromhex("0x1p+0")
    print("observed", observed.hex())
    print("expected", expected.hex())
    print("error", abs(observed - expected) / 2.0**-23, "ulp from the rounded exact value")
    """
    asked = asked_at(definition, case)
    kinds, outputs = asked.signature.arguments, [*definition.signature.outputs]
    of_the_user = not subject.snippet and _is_in_a_module(subject)
    if not (subject.snippet or of_the_user) or (asked is not definition and len(outputs) > 1):
        return None
    fmt = format_of(case.values[definition.signature.numbers[0]].dtype)
    code = Code(subject, fmt.name)
    arrays = zip(kinds, CaseBatch("", (case,)).stacked(asked.signature), strict=True)
    lines = [f"{name} = {code.exact_array(array)}" for name, array in arrays]
    own: list[str] = []  # how a function of the user's gives products itself
    if of_the_user:
        before, expression, own = [], *_calls_of_the_user(subject, definition, case, lines)
    else:
        *before, expression = subject.snippet.splitlines()
        defaults = {name: parameter.default for name, parameter in definition.parameters.items()}
        used = names_in(subject.snippet)
        settings = {**defaults, **case.parameters}
        lines += [f"{name} = {value!r}" for name, value in settings.items() if name in used]
    if max(map(len, lines)) > MOST_CHARACTERS:
        return None
    name, index = place
    if asked is definition:
        lines += [*before, f"y = {expression}"]
        number = f"y[{outputs.index(name)}]" if len(outputs) > 1 else "y"
    else:
        lines += _product(subject, name, before, expression, own)
        number = f"g[{definition.signature.numbers.index(name)}]"
    if asked is definition or not kinds[name].shared:
        index = (0, *index)
    lines += [
        f"observed = float({number}[{', '.join(map(str, index)) or '()'}])",
        f'expected = float.fromhex("{hexadecimal(expected)}")',
        'print("observed", observed.hex())',
        'print("expected", expected.hex())',
    ]
    if math.isfinite(expected) and name not in definition.signature.indices:
        ulp = f"2.0**{fmt.ulp_exponent(Fraction(expected))}"
        told = "ulp from the rounded exact value"
        lines.append(f'print("error", abs(observed - expected) / {ulp}, "{told}")')
    called = [*before, expression]
    if any(line.startswith("def taken") for line in lines):
        called.append("inspect.signature")
    names = {*kinds, *definition.parameters}
    return "\n".join([*code.prelude("\n".join(called), lines, names), *lines])


def _product(
    subject: Subject, name: str, before: list[str], expression: str, own: list[str]
) -> list[str]:
    """The lines that compute g, the products in all numbers, by its library or as its own vjp."""
    numbers = ", ".join(lookup(subject.definition).signature.numbers)
    if subject.arrays == "torch":
        lines = [f"inputs = [n.requires_grad_() for n in ({numbers},)]", *before]
        lines += [f"y = {expression}", "g = torch.autograd.grad(y, inputs, cotangent)"]
    elif subject.arrays == "jax":
        inner = [*before, f"return {expression}"]
        lines = [f"def f({numbers}):", *(f"    {line}" for line in inner)]
        lines += [f"y, pull_back = jax.vjp(f, {numbers})", "g = pull_back(cotangent)"]
    else:
        return own
    if not own:
        return lines
    function = subject.id.replace(":", ".")
    return [*lines, f'if hasattr({function}, "vjp"):', *(f"    {line}" for line in own)]


def _is_in_a_module(subject: Subject) -> bool:
    """Whether it is a function that a script can import, and none of softproof's own."""
    module, _, attribute = subject.id.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    ours = parts[0] == __name__.partition(".")[0]
    return not subject.command and not ours and all(part.isidentifier() for part in parts)


def _calls_of_the_user(
    subject: Subject, definition: Definition, case: Case, lines: list[str]
) -> tuple[str, list[str]]:
    """The call of a function as ``verify`` makes it, and the lines that make g by its own vjp.

    Each is given those parameters that have their defaults if it takes them: ``lines`` get what
    says so.
    """
    function = subject.id.replace(":", ".")
    settings = [f"{name}={value!r}" for name, value in case.parameters.items()]
    others = {
        name: parameter.default
        for name, parameter in definition.parameters.items()
        if parameter.default is not None and name not in case.parameters
    }
    if others:
        lines += [
            "def taken(f):",
            "    names = inspect.signature(f).parameters",
            f"    return {{n: v for n, v in {others!r}.items() if n in names}}",
        ]

    def call(f: str, arguments: Iterable[str]) -> str:
        passed = [*arguments, *settings, *([f"**taken({f})"] if others else [])]
        return f"{f}({', '.join(passed)})"

    arguments = [*definition.signature.arguments]
    vjp = call(f"{function}.vjp", [*arguments, *cotangents(definition)])
    own = [f"g = {vjp}", "g = g if isinstance(g, tuple) else (g,)"]
    return call(function, arguments), own
