"""Definitions that choose, such as the k largest of some logits: what is exact of them is a set.

A formula says ``xp.largest(scores, k)``, and returns these indices before all else.  Where scores
are tied, every choice among them is right, and the numbers that go with it are those of the
indices that were chosen: the truth is the set {(i, f(x, i)) : i an admissible choice}.  So from a
definition that chooses two ordinary ones are made:

* ``given_choice``: the function f(x, i) of one argument more, the indices.  It is continuous where
  f is, and has a truth and thresholds as any definition has.
* ``of_numbers``: the choice that the arithmetic takes, in their order among exact ties, and no
  indices in the result: what facts, plots and derivatives are about.

A definition may give indices alone, as argmax does.  Then all that is exact of it are the scores
that it chooses by: ``given_choice`` is the function of these, and there are no numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .definition import Definition, Formula
from .signature import Index, Indices, Label, Labels, Signature

SCORES = "scores"  # the name of the output that they are

_known: dict[Any, tuple[Definition, Definition]] = {}


class GivenChoice:
    """An arithmetic in which the choice has been taken: all else is as in the one below.

    ``asked`` has the scores that ``largest`` was asked of, in the arithmetic below.

    >>> from .arithmetic.systems import balls
    >>> xp = GivenChoice(balls(), 1)
    >>> xp.largest(xp.vector([5, 4]), 1), len(xp.asked)
    (array([1]), 1)
    """

    def __init__(self, below: Any, chosen: Any) -> None:
        self.below = below
        self.chosen = np.atleast_1d(chosen)  # of an ``Index`` it is a number
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def largest(self, scores: Any, count: int) -> Any:
        """The indices that were given, whatever the scores are."""
        self.asked.append(scores)
        return self.chosen


def chooses(definition: Definition) -> bool:
    """Whether an output is a choice, so that several results may be right.

    >>> from .catalogue import lookup
    >>> chooses(lookup("top_k_gate")), chooses(lookup("softmax"))
    (True, False)
    """
    return bool(definition.signature.indices)


def choice_of(definition: Definition) -> tuple[str, Index | Indices]:
    """The name of the output that chooses, and what it is.

    >>> from .catalogue import lookup
    >>> choice_of(lookup("top_k_gate"))
    ('indices', Indices(axis='k', into='K'))
    """
    ((name, into),) = definition.signature.indices.items()
    axes = definition.signature.outputs[name]
    return name, Indices(axes[0], into) if axes else Index(into)


def choice_in(definition: Definition, results: Any) -> Any:
    """The choice among the results of a formula, of which it is the first or the only one.

    >>> from .catalogue import lookup
    >>> choice_in(lookup("top_k_gate"), ([2, 1], [0.75, 0.25]))
    [2, 1]
    """
    return results[0] if definition.signature.real_outputs else results


def given_choice(definition: Definition) -> Definition:
    """The function of the numbers where the choice is an argument; others are as they are.

    Parameters
    ----------
    definition
        A definition.

    Returns
    -------
    Definition
        Of the same name, with the indices as its last argument; not registered.  The same for the
        same definition.  Its formulas raise ValueError unless they ask ``xp.largest`` once.  Of one
        that gives indices alone: the scores, whatever the indices are.

    >>> from .catalogue import lookup
    >>> list(given_choice(lookup("top_k_gate")).signature.arguments)
    ['logits', 'indices']
    """
    if not chooses(definition):
        return definition
    name, choice = choice_of(definition)
    kind = Labels(choice.axes[0], choice.into) if choice.axes else Label(choice.into)
    arguments = {**definition.signature.arguments, name: kind}
    numbers = definition.signature.real_outputs

    def given(form: Formula) -> Formula:
        def formula(*values: Any, xp: Any = None, **parameters: Any) -> Any:
            if xp is None:  # it stands behind the arguments
                *values, xp = values  # type: ignore[assignment]
            *others, chosen = values
            below = GivenChoice(xp, chosen)
            results = form(*others, below, **parameters)
            if len(below.asked) != 1:
                raise ValueError(
                    f"the formula of {definition.name} asks xp.largest {len(below.asked)} times; "
                    f"its {name} are what it gives, so ask it once"
                )
            return _numbers(results) if numbers else below.asked[0]

        return formula

    outputs = numbers or {SCORES: (choice.into,)}
    return _made(definition, "given", Signature(arguments, outputs), given)


def of_numbers(definition: Definition) -> Definition:
    """The function without the indices, with the choice that an arithmetic takes.

    Parameters
    ----------
    definition
        A definition; one that does not choose is returned as it is.

    Returns
    -------
    Definition
        Of the same name and arguments; not registered.  The same for the same definition.

    Raises
    ------
    ValueError
        The definition gives indices alone.

    >>> from .catalogue import lookup
    >>> of_numbers(lookup("top_k_gate")).signature.outputs
    {'weights': ('k',)}
    """
    if not chooses(definition):
        return definition
    signature = definition.signature
    if not signature.real_outputs:
        raise ValueError(
            f"{definition.name} gives indices alone, and no numbers that could have a slope or an "
            "error; ask for those of another definition"
        )

    def numbers(form: Formula) -> Formula:
        return lambda *values, **named: _numbers(form(*values, **named))

    return _made(
        definition,
        "numbers",
        Signature(signature.arguments, signature.real_outputs, signature.counts),
        numbers,
    )


def _made(definition: Definition, what: str, signature: Signature, of: Any) -> Definition:
    key = (id(definition), what)
    if key not in _known:  # with the definition, so that its id is not given to another one
        forms = {name: of(form) for name, form in definition.forms.items()}
        made = replace(definition, signature=signature, formula=of(definition.formula), forms=forms)
        _known[key] = (definition, made)
    return _known[key][1]


def _numbers(results: Sequence[Any]) -> Any:
    """The results of a formula but for the indices, which stand first."""
    _, *numbers = results
    return tuple(numbers) if len(numbers) > 1 else numbers[0]
