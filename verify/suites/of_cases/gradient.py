"""Every vector-Jacobian product at every case within its threshold of the exact one.

A subject is asked for the products of a drawn cotangent with respect to every argument of real
numbers: by autograd where it takes arrays of PyTorch, by ``jax.vjp`` where it takes those of JAX,
and else, or where it has that attribute, as ``f.vjp(*arguments, *cotangents, **parameters)``, which
gives an array for each such argument.  The product in a shared argument is summed over the batch.

The truth is reverse mode over balls, and the threshold is that of reverse mode over numbers with
running errors, the largest over the forms of the definition.  At a kink the truth is the hull of
the one-sided derivatives, and all in it is admissible.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....derivations.arithmetic.formats import Format
from ....derivations.choices import chooses, given_choice
from ....derivations.definition import Definition, Output
from ....derivations.signature import Numbers
from ...cases.case import Case, CaseBatch
from ...cases.choices import exact_choice, with_choice
from ...cases.draw import draw as draw_cases
from ...cases.draw import families as hazard_families
from ...cases.hazards import Rng, hazards
from ...cases.products import cotangents, joined, products
from ...inputs.families import STANDARD
from ...oracle.rounding import OracleError
from ...subjects.contract import Contract
from ...subjects.isolation.in_process import LiveSubject
from ...subjects.subject import NotApplicable
from ..verdicts import Undecided, Verdict, Violation
from . import accuracy, choices
from .thresholds import model_of

# Hazards that values are asked at, and products are not: of huge numbers most bounds are infinite.
LEFT_OUT = ("huge",)
# Of what is tied there are several choices, and each has derivatives of its own.
TIES = ("constant", "zero", "ties")
# Of these a quick run draws three batches, one with each kind of cotangent.
THINNED = ("constant", "ordered", "tiny", "subnormal")
FEW = (1, 5, 9)
OF_A_ROW = ("normal", "ties", "spike")  # hazards that rows are asked at
TIED = "several choices are admissible there, each of which has its own derivatives"
REALS, NEAR = 64, 8.0  # how many numbers a function of one real is asked at, and up to where
COTANGENTS = ("signs", "one-hot", "wide")  # of one batch after the other


def families(definition: Definition) -> tuple[str, ...]:
    """The families of cases that products are asked at: those of the values but for LEFT_OUT.

    Of definitions that choose those of TIES are left out, too, and all where indices are the only
    results.

    Of definitions of a row those that give vectors are asked at few, and functions of one real at a
    family of their own: the gradients that come with a loss are judged on rows.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    tuple of str
        Their names.

    Examples
    --------
    >>> from softproof.derivations import lookup
    >>> [name for name in families(lookup("sparsemax")) if "wide" in name or "huge" in name]
    ['z: wide']
    """
    named = hazard_families(definition)
    if not definition.signature.real_outputs:
        return ()
    if definition.elementwise:
        return (_reals(definition),)
    if definition.of_a_row:
        vector = definition.output is Output.VECTOR
        return tuple(n for n in named if n.rpartition(": ")[2] in OF_A_ROW) if vector else ()
    left_out = (*LEFT_OUT, *(TIES if chooses(definition) else ()))
    return tuple(name for name in named if name.rpartition(": ")[2] not in left_out)


def draw(
    definition: Definition, family: str, fmt: Format, rows: int, seed: int
) -> Iterator[CaseBatch]:
    """The batches of a family, with cotangents: signs, one 1 among zeros, or of many magnitudes.

    Parameters
    ----------
    definition, family, fmt, rows, seed
        As for the cases of values.

    Yields
    ------
    CaseBatch
        Cases with a cotangent for each output.

    Raises
    ------
    ValueError
        The definition has no such family.
    """
    if definition.elementwise and family == _reals(definition):
        yield _at_reals(definition, family, fmt, seed)
        return
    thinned = rows < STANDARD and family.rpartition(": ")[2] in THINNED
    for i, batch in enumerate(draw_cases(definition, family, fmt, rows, seed)):
        if thinned and i not in FEW:
            continue
        rng = np.random.default_rng(
            [seed, zlib.crc32(f"{definition.name} {family}".encode()), i, 1]
        )
        sizes = batch.cases[0].sizes(definition.signature)
        sizes |= definition.counted(batch.parameters)
        cases = []
        for case in batch.cases:
            drawn = {
                name: _cotangent(COTANGENTS[i % len(COTANGENTS)], kind, fmt, sizes, rng)
                for name, kind in cotangents(definition).items()
            }
            cases.append(case.with_values(**drawn))
        yield replace(batch, cases=tuple(cases))


def _reals(definition: Definition) -> str:
    """The family of a function of one real."""
    (name,) = definition.signature.arguments
    return f"{name}: reals"


def _at_reals(definition: Definition, family: str, fmt: Format, seed: int) -> CaseBatch:
    """Numbers up to NEAR, one in each of REALS equal parts, and half as many of all magnitudes."""
    (name,) = definition.signature.arguments
    rng = np.random.default_rng([seed, zlib.crc32(f"{definition.name} {family}".encode()), 2])
    ends = np.linspace(-NEAR, NEAR, REALS + 1)
    signs = rng.choice([-1.0, 1.0], REALS // 2)
    drawn = [rng.uniform(ends[:-1], ends[1:]), signs * 2.0 ** rng.uniform(-24, 6, REALS // 2)]
    numbers = np.concatenate(drawn).astype(fmt.dtype)
    cotangents = rng.choice([-1.0, 1.0], numbers.shape).astype(fmt.dtype)
    cases = (
        Case({name: np.asarray(x), "cotangent": np.asarray(g)})
        for x, g in zip(numbers, cotangents, strict=True)
    )
    return CaseBatch(family, tuple(cases))


def _cotangent(
    which: str, kind: Numbers, fmt: Format, sizes: dict[str, int], rng: Rng
) -> NDArray[Any]:
    shape = tuple(sizes[axis] for axis in kind.axes)
    if which == "wide":
        return hazards(kind)["wide"](rng, fmt, shape)
    if which == "signs":
        return rng.choice([-1.0, 1.0], shape).astype(fmt.dtype)
    one = np.zeros(shape)
    one.reshape(-1)[rng.integers(one.size)] = 1
    return one.astype(fmt.dtype)


def call(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch
) -> dict[str, NDArray[Any]]:
    """The vector-Jacobian products that a subject gives for a batch.

    It raises what a call of the subject does.

    Parameters
    ----------
    subject
        The implementation that is asked.
    definition
        The definition that it implements.
    fmt
        The format of the numbers.
    batch
        Cases with cotangents, for one call.

    Returns
    -------
    dict
        By argument: of shape (cases, ...), or in the shape of a shared argument.
    """
    asked = products(definition)
    kinds = asked.signature.arguments
    shapes = {}
    for name in asked.signature.outputs:
        shape = batch.cases[0].values[name].shape
        shapes[name] = shape if kinds[name].shared else (len(batch.cases), *shape)
    arguments = batch.stacked(asked.signature)
    if definition.of_a_row:
        with contextlib.suppress(NotApplicable):  # few take a cotangent by this name
            *given, cotangent = arguments
            found = subject(*given, options={"cotangent": cotangent, **batch.parameters}).gradient
            if found is not None:
                return {next(iter(shapes)): found}
    results = subject.of_arguments(
        arguments,
        {f"the gradient in {name}": shape for name, shape in shapes.items()},
        fmt.dtype,
        parameters=batch.parameters,
        cotangents=len(cotangents(definition)),
    )
    return dict(zip(shapes, results, strict=True))


def check(subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch) -> Verdict:
    """Hold the products of a batch against the truth; those in shared arguments as a sum."""
    found = call(subject, definition, fmt, batch)
    kinds = definition.signature.arguments
    # What a contract promises in ulp is the accuracy of values.
    contract = replace(subject.contract, ulps={})
    fast = not subject.subject.is_our_kernel
    if chooses(definition):
        return _of_one_choice(definition, contract, fmt, batch, found, fast)
    count = len(batch.cases)
    verdicts = []
    if own := [name for name in found if not kinds[name].shared]:
        rows = np.concatenate([found[name].reshape(count, -1) for name in own], axis=1)
        verdicts.append(_judged(products(definition, own), contract, fmt, batch, rows, fast))
    if shared := [name for name in found if kinds[name].shared]:
        row = np.concatenate([found[name].reshape(-1) for name in shared])[None]
        whole = replace(batch, cases=(joined(definition, batch.cases),))
        summed = products(definition, shared, count)
        verdicts.append(_judged(summed, contract, fmt, whole, row, fast))
        if count > 1 and verdicts[-1].violations:
            verdicts[-1] = _of_one_case(subject, definition, fmt, batch, verdicts[-1])
    return Verdict.merge(verdicts)


def _of_one_choice(
    definition: Definition,
    contract: Contract,
    fmt: Format,
    batch: CaseBatch,
    found: dict[str, NDArray[Any]],
    fast: bool,
) -> Verdict:
    """The verdict on products where only one choice is admissible: else they are not decided.

    (Of shared arguments nothing is asked: a subject tells only the choice of its values.)
    """
    model = model_of(contract, fmt)
    own = [n for n in found if not definition.signature.arguments[n].shared]
    asked = products(given_choice(definition), own)
    verdicts = []
    for row, case in enumerate(batch.cases):
        try:
            indices = exact_choice(definition, case)
        except OracleError as reason:
            verdicts.append(Verdict(0, 0.0, [], undecided=(Undecided(row, str(reason)),)))
            continue
        if not choices.is_unique(definition, case, indices, model):
            verdicts.append(Verdict(0, 0.0, [], undecided=(Undecided(row, TIED),)))
            continue
        _, at = with_choice(definition, case, indices)
        numbers = np.concatenate([found[name][row].reshape(-1) for name in own])[None]
        one = _judged(asked, contract, fmt, replace(batch, cases=(at,)), numbers, fast)
        violations = [replace(violation, row=row) for violation in one.violations]
        undecided = tuple(replace(seen, row=row) for seen in one.undecided)
        verdicts.append(replace(one, violations=violations, undecided=undecided))
    return Verdict.merge(verdicts)


def _judged(
    asked: Definition,
    contract: Contract,
    fmt: Format,
    batch: CaseBatch,
    rows: NDArray[Any],
    fast: bool,
) -> Verdict:
    """A verdict on products as on values, that says it is about gradients, and where."""
    verdict = accuracy.judge(asked, contract, fmt, batch, rows, fast=fast)

    def told(violation: Violation) -> Violation:
        at = f"At {accuracy.place(asked, batch.cases[violation.row], violation.index or 0)}."
        return replace(
            violation,
            message="gradient beyond its error bound",
            detail=f"{at} {violation.detail.removeprefix(at).lstrip()}".rstrip(),
            source=f"{violation.source}, through reverse mode",
        )

    return replace(verdict, violations=[told(violation) for violation in verdict.violations])


def _of_one_case(
    subject: LiveSubject, definition: Definition, fmt: Format, batch: CaseBatch, verdict: Verdict
) -> Verdict:
    """The verdict on a sum over a batch, its violation that of one case where such a one fails."""
    for i in range(len(batch.cases)):
        for violation in check(subject, definition, fmt, batch.case(i)).violations:
            return replace(verdict, violations=[replace(violation, row=i)])
    violations = [replace(violation, only_in_batch=True) for violation in verdict.violations]
    return replace(verdict, violations=violations)
