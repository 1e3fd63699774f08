"""The vector-Jacobian products of a definition, as a definition: its truth, threshold and cases.

For y = f(x) and a cotangent g of the shape of y, the product is sum_i g_i dy_i / dx in the shape of
x.  A case of the products is a case of f with one argument more for each output, its cotangent:
``cotangent``, or ``cotangent_NAME`` where there are several outputs.  The products in a shared
argument are summed over the cases of a batch; such a sum is a definition, too, of all arguments of
all cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...derivations.arithmetic.reverse_mode import vector_jacobian_product
from ...derivations.choices import of_numbers
from ...derivations.definition import Definition, Formula
from ...derivations.signature import Kind, Matrix, Numbers, Real, Signature, Vector
from .case import Case

_known: dict[Any, tuple[Definition, Definition]] = {}


def cotangents(definition: Definition) -> dict[str, Numbers]:
    """The cotangent of each output, by name, as a further argument.

    Parameters
    ----------
    definition
        The definition.

    Returns
    -------
    dict
        The kind of each cotangent by its name, in the order of the outputs.

    Raises
    ------
    ValueError
        The definition has an argument of such a name.

    >>> from softproof.derivations import lookup
    >>> {name: kind.axes for name, kind in cotangents(lookup("rms_norm")).items()}
    {'cotangent': ('K',)}
    """
    outputs = definition.signature.real_outputs
    named = {
        "cotangent" if len(outputs) == 1 else f"cotangent_{name}": _numbers(axes)
        for name, axes in outputs.items()
    }
    if taken := named.keys() & definition.signature.arguments.keys():
        raise ValueError(
            f"definition {definition.name!r}: the argument {min(taken)!r} has the name of a "
            "cotangent; rename it"
        )
    return named


def _numbers(axes: Sequence[str]) -> Numbers:
    """The kind of an argument along axes, of which an output has two at most."""
    return Real() if not axes else Vector(*axes) if len(axes) == 1 else Matrix(*axes)


def products(
    definition: Definition, wrt: Sequence[str] | None = None, count: int = 1
) -> Definition:
    """The vector-Jacobian products of a definition, summed over so many cases.

    Parameters
    ----------
    definition
        The function that is differentiated; of one that chooses, with the choice that is exact.
    wrt
        The arguments to differentiate in, which are the outputs; all real numbers when None.
    count
        The number of cases.  Of several, the arguments that are not shared are those of each case,
        as ``joined`` has them.

    Returns
    -------
    Definition
        Of the same name, the same for the same question; not registered.

    >>> from softproof.derivations import lookup
    >>> found = products(lookup("rms_norm"))
    >>> list(found.signature.arguments), found.signature.outputs
    (['x', 'gain', 'cotangent'], {'x': ('K',), 'gain': ('K',)})
    """
    definition = of_numbers(definition)
    names = definition.signature.numbers if wrt is None else tuple(wrt)
    key = (id(definition), names, count)
    if key not in _known:  # with the definition, so that its id is not given to another one
        _known[key] = (definition, _products(definition, names, count))
    return _known[key][1]


def _products(definition: Definition, wrt: tuple[str, ...], count: int) -> Definition:
    arguments = {**definition.signature.arguments, **cotangents(definition)}
    kinds: dict[str, Kind] = {}
    for i in range(count):
        kinds |= {_name(n, kind, i, count): kind for n, kind in arguments.items()}
    return Definition(
        name=definition.name,
        family=definition.family,
        source=definition.source,
        signature=Signature(
            kinds,
            {name: definition.signature.arguments[name].axes for name in wrt},
            definition.signature.counts,
        ),
        formula=_summed(definition, definition.formula, wrt, count),
        parameters=definition.parameters,
        forms={n: _summed(definition, f, wrt, count) for n, f in definition.forms.items()},
        product_bound=definition.product_bound if count == 1 else None,
        least_sizes=definition.least_sizes,
        even_axes=definition.even_axes,
        declared_in=definition.declared_in,
    )


def _name(name: str, kind: Kind, i: int, count: int) -> str:
    """What an argument of case number i is called among those of all cases."""
    return name if count == 1 or kind.shared else f"{name} of case {i}"


def joined(definition: Definition, cases: Sequence[Case]) -> Case:
    """Cases with cotangents as one case of the sum of their products.

    Parameters
    ----------
    definition
        The function that is differentiated.
    cases
        Cases of one size, each with its cotangents.

    Returns
    -------
    Case
        Of ``products`` with so many cases.
    """
    arguments = {**definition.signature.arguments, **cotangents(definition)}
    values = {
        _name(name, kind, i, len(cases)): case.values[name]
        for i, case in enumerate(cases)
        for name, kind in arguments.items()
    }
    return Case(values, cases[0].parameters)


def asked_at(definition: Definition, case: Case) -> Definition:
    """What a case is a case of: the products where it has cotangents, else the definition.

    Parameters
    ----------
    definition
        The function.
    case
        A case of it, or of its products.

    Returns
    -------
    Definition
        The function itself, or ``products`` of it.
    """
    has = not case.values.keys() <= definition.signature.arguments.keys()
    return products(definition) if has else definition


def _summed(definition: Definition, form: Formula, wrt: tuple[str, ...], count: int) -> Formula:
    """The formula of the products, from a form of the function."""
    kinds = definition.signature.arguments
    further = cotangents(definition)

    def summed(*given: Any, xp: Any = None, **parameters: Any) -> Any:
        if xp is None:  # it stands behind the arguments
            *given, xp = given  # type: ignore[assignment]
        values = dict(zip(products(definition, wrt, count).signature.arguments, given, strict=True))
        each = []
        for i in range(count):
            arguments = {n: values[_name(n, kind, i, count)] for n, kind in kinds.items()}
            cotangent = tuple(values[_name(n, kind, i, count)] for n, kind in further.items())
            _, found = vector_jacobian_product(
                form,
                arguments,
                cotangent if len(cotangent) > 1 else cotangent[0],
                xp,
                wrt=wrt,
                **parameters,
            )
            each.append(found)
        results = tuple(
            each[0][n] if count == 1 else xp.sum(xp.stack([found[n] for found in each]), axis=0)
            for n in wrt
        )
        return results if len(results) > 1 else results[0]

    return summed
