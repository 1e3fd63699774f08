"""What a definition is, and the registry that holds them all.

A function is written down once, as plain Python over an arithmetic, and declares the facts that
hold of it.  Adding one is a few lines in one file of ``catalogue/``:

    @define(
        family="activations",
        source="...",
        arguments={"x": Real()},
        facts=(Increasing(),),
    )
    def sigmoid(x, xp):
        "Logistic function 1 / (1 + e^-x)."
        return 1 / (1 + xp.exp(-x))

    @sigmoid.derivative
    def _(x, xp):
        return sigmoid(x, xp) * (1 - sigmoid(x, xp))

Arguments have names, and so have the axes that some of them have in common; a formula takes the
arguments in their order, then the arithmetic, then the parameters:

    @define(
        family="normalisation",
        source="...",
        arguments={"x": Vector("K"), "gain": Vector("K", shared=True)},
        output=("K",),
        parameters={"eps": Parameter(1e-6, 0.0, 1.0)},
    )
    def rms_norm_with_gain(x, gain, xp, eps=1e-6):
        "RMSNorm x gain / sqrt(mean x^2 + eps)."
        return x / xp.sqrt(xp.mean(x * x) + xp.number(eps)) * gain
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .signature import VALUE, Axes, Count, Index, Indices, Kind, Label, Signature
from .signature import Parameter as Parameter

Formula = Callable[..., Any]
AS_PUBLISHED = "as published"  # the name of the form that is the formula itself


class Fact(Protocol):
    """A declared property of a definition; the kinds of them stand in ``facts``."""

    @property
    def text(self) -> str:
        """The property in a line, as a mathematician would say it."""
        ...

    def claims(self, case: Any) -> Iterator[Any]:
        """What must be proven on a chart (``symbolic``) for the fact to hold there."""
        ...


class Output(enum.Enum):
    """What a definition returns."""

    VECTOR = "vector"  # one number per class, or for each entry of another axis
    REAL = "real"  # one number
    MATRIX = "matrix"
    TUPLE = "tuple"  # several of these, by name


@dataclass(frozen=True)
class Relation:
    """How results of a definition follow from the values of another.

    ``formula(values, *arguments, xp)`` is the value of the definition, or its gradient where
    ``of_gradient``, at the arguments; ``values`` are those of the definition called ``other``, at
    the same arguments as far as it takes them.  ``text`` says it in a few words.
    """

    text: str
    other: str
    formula: Formula
    of_gradient: bool = False


class Place(enum.Enum):
    """Which outputs of a row, by its largest logit."""

    LEADER = "leader"
    OTHERS = "others"


@dataclass(frozen=True)
class CollapsePart:
    """Outputs that softmax collapse takes together: where they are, and what they become.

    ``lost_at``: the value that they have where the small terms are lost, 0 or 1.
    """

    name: str
    place: Place
    lost_at: float = 0.0


@dataclass(frozen=True)
class Further:
    """A result that implementations may return behind those of a definition, where it is asked for.

    ``axes``: of the result; ``forms``: its formulas, each by the name of the form of the definition
    that it belongs to.
    """

    axes: Axes
    forms: dict[str, Formula] = field(default_factory=dict)


@dataclass
class Definition:
    """A function, written once, with what is declared of it.

    ``signature`` has its arguments and outputs by name.  A *definition of a row* takes one vector
    called ``logits``, with a label or without, or one real, element by element.

    ``formula`` is the function as published; ``forms`` are other ways to compute the same values
    (for floating point they differ: that is what error plots compare).  ``second`` is a formula of
    the same function that shares nothing with the published one, for the second oracle, where one
    is declared; it gives limits at masks as well.  All have the signature
    ``(*arguments, xp, **parameters)`` for an arithmetic xp.  ``gradient`` is the derivative with
    respect to the first argument in closed form: a vector for a real output, a Jacobian matrix
    [i, j] = d output_i / d input_j for a vector output, a number for one real.

    What is proven of its rounding errors is declared in ``error_bounds``, in the module of the
    family: ``error_bound`` of the values, for the form ``proven_form``; ``gradient_bound``;
    ``shared_error``, the part of the errors that the outputs of a row have in common;
    ``right_class_bound`` of the gradient at the label, where it is minus the sum of the other
    probabilities; ``product_bound`` of vector-Jacobian products.  Where its Taylor series end is
    declared in ``step_radius``: ``singularities`` of a function of one real, and ``kink_radius``.

    ``relations``: its values by those of other definitions.  ``gradient_forms``: other ways to
    compute the gradient.  ``loss(values, *arguments, xp)``: the cross-entropy of a label, from the
    values at the logits.  ``charts(size)`` yields, for a piecewise function, arguments in positive
    symbols by name that together cover its domain, with so many entries along each axis; on each,
    every comparison of the formula is decided by proof.  ``two_class_case_of``: at x the function
    is an output of that definition at the logits (x, 0).  ``collapse_parts``: what is lost in
    softmax collapse, where no other fact tells.  ``even_axes``: those that must have an even number
    of entries.  ``drawn_sizes(sizes)``: where not every case has a value, sizes of some axes at
    which each has one, in place of others.  ``further``: results by name that implementations may
    return behind the others, as attention its log-sum-exp.  ``papers``: those of the list of papers
    (``softproof catalogue``) whose function it is, by number.  ``reconstructed``: where a paper's
    formula could not be settled and this is the nearest published one, what is uncertain.
    ``declared_in``: the file of a user's own definition.
    """

    name: str
    family: str
    source: str
    signature: Signature
    formula: Formula
    facts: tuple[Fact, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    breakpoint_at_zero: bool = False
    partition_function: bool = False
    two_class_case_of: str | None = None
    collapse_parts: tuple[CollapsePart, ...] = ()
    forms: dict[str, Formula] = field(default_factory=dict)
    second: Formula | None = None
    gradient: Formula | None = None
    error_bound: Formula | None = None
    proven_form: str | None = None
    gradient_bound: Formula | None = None
    shared_error: Formula | None = None
    right_class_bound: Formula | None = None
    product_bound: Formula | None = None
    singularities: Formula | None = None
    kink_radius: Formula | None = None
    gradient_forms: dict[str, Formula] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)
    loss: Formula | None = None
    charts: Formula | None = None
    least_sizes: Callable[..., Mapping[str, int]] | None = None
    even_axes: tuple[str, ...] = ()
    drawn_sizes: Callable[[Mapping[str, int]], Mapping[str, int]] | None = None
    further: dict[str, Further] = field(default_factory=dict)
    papers: tuple[int, ...] = ()
    reconstructed: str = ""
    declared_in: str = ""

    def __call__(self, *arguments: Any, **parameters: Any) -> Any:
        """Evaluate the published formula: ``definition(*arguments, xp, **parameters)``."""
        return self.formula(*arguments, **parameters)

    @property
    def summary(self) -> str:
        """The first line of the formula's docstring."""
        return (inspect.getdoc(self.formula) or "").split("\n")[0]

    @property
    def elementwise(self) -> bool:
        """Whether the function maps each real on its own."""
        return self.signature.is_one_real

    @property
    def of_a_row(self) -> bool:
        """Whether the function takes logits (and a label), or one real, and nothing else."""
        return self.signature.is_a_row

    @property
    def labelled(self) -> bool:
        """Whether the function takes the index of the right class."""
        return any(isinstance(kind, Label) for kind in self.signature.arguments.values())

    def settings(self, changed: Mapping[str, float]) -> dict[str, float | None]:
        """The value of each parameter, as a formula takes it: its default where none is given."""
        given = {name: p.default for name, p in self.parameters.items()} | dict(changed)
        return {n: v if v is None else self.parameters[n].exact(v) for n, v in given.items()}

    def counted(self, changed: Mapping[str, float]) -> dict[str, int]:
        """The sizes of the axes that parameters count, where some have not their defaults."""
        settings = self.settings(changed)
        return {name: int(settings[name] or 0) for name in self.signature.counts}

    def at_least(self, changed: Mapping[str, float]) -> dict[str, int]:
        """The least size of each axis that has one, where some parameters have not their defaults.

        An axis may have no entry where it has none.
        """
        return dict(self.least_sizes(**self.settings(changed))) if self.least_sizes else {}

    def fitting(self, sizes: Mapping[str, int], changed: Mapping[str, float]) -> dict[str, int]:
        """Sizes of axes that every case has a value at: the given ones, as far as they are such.

        Each is raised to the least that it has to be, to an even number where it has to be one, and
        changed where ``drawn_sizes`` says so.
        """
        least = self.at_least(changed)
        raised = {axis: max(size, least.get(axis, size)) for axis, size in sizes.items()}
        even = {a: size + (size % 2 if a in self.even_axes else 0) for a, size in raised.items()}
        return even | dict(self.drawn_sizes(even)) if self.drawn_sizes else even

    def misfit(self, sizes: Mapping[str, int], changed: Mapping[str, float]) -> str:
        """Why axes cannot have such sizes where parameters have such values; "" if they can."""
        for axis, least in self.at_least(changed).items():
            if sizes[axis] < least:
                return f"{axis} has {sizes[axis]} entries; there have to be {least} or more"
        for axis in self.even_axes:
            if sizes[axis] % 2:
                return f"{axis} has {sizes[axis]} entries; their number has to be even"
        for axis, count in self.counted(changed).items():
            if sizes.get(axis, count) != count:
                return f"{axis} has {sizes[axis]} entries, and the parameter {axis} is {count}"
        return ""

    @property
    def output(self) -> Output:
        """What the function returns."""
        if len(self.signature.outputs) > 1:
            return Output.TUPLE
        return (Output.REAL, Output.VECTOR, Output.MATRIX)[self.signature.rank]

    def derivative(self, formula: Formula) -> Formula:
        """Decorate the closed-form derivative with respect to the first argument."""
        self.gradient = formula
        return formula

    def second_formula(self, formula: Formula) -> Formula:
        """Decorate the formula (it may be a form) that the second oracle is to evaluate."""
        self.second = formula
        return formula

    def further_output(
        self, name: str, *, axes: Axes = (), form: str = AS_PUBLISHED
    ) -> Callable[[Formula], Formula]:
        """Decorate a formula of a result that may be returned behind the others: with a form."""

        def register(formula: Formula) -> Formula:
            _demand_parameters(formula, self.signature, self.parameters, self.name)
            self.further.setdefault(name, Further(axes)).forms[form] = formula
            return formula

        return register

    @functools.cached_property
    def with_further(self) -> Definition:
        """The function with all its further results behind the others; not registered."""
        axes = {name: further.axes for name, further in self.further.items()}
        outputs = {**self.signature.outputs, **axes}

        def joined(form: str, formula: Formula) -> Formula:
            behind = [further.forms[form] for further in self.further.values()]

            def results(*arguments: Any, **parameters: Any) -> tuple[Any, ...]:
                found = formula(*arguments, **parameters)
                before = found if len(self.signature.outputs) > 1 else (found,)
                return (*before, *(f(*arguments, **parameters) for f in behind))

            return results

        return replace(
            self,
            signature=Signature(self.signature.arguments, outputs, self.signature.counts),
            formula=joined(AS_PUBLISHED, self.formula),
            forms={name: joined(name, formula) for name, formula in self.forms.items()},
            facts=(),
            further={},
        )

    def form(self, name: str) -> Callable[[Formula], Formula]:
        """Decorate another form of the same function, named as the field names it.

        ValueError where the form takes other arguments than the definition has.
        """

        def register(formula: Formula) -> Formula:
            _demand_parameters(formula, self.signature, self.parameters, self.name)
            self.forms[name] = formula
            return formula

        return register

    def gradient_form(self, name: str) -> Callable[[Formula], Formula]:
        """Decorate another form of the gradient, named as the field names it."""

        def register(formula: Formula) -> Formula:
            self.gradient_forms[name] = formula
            return formula

        return register

    def relation(
        self, text: str, *, to: str, of_gradient: bool = False
    ) -> Callable[[Formula], Formula]:
        """Decorate how this definition's values, or its gradient, follow from those of another."""

        def register(formula: Formula) -> Formula:
            self.relations.append(Relation(text, to, formula, of_gradient))
            return formula

        return register

    def chart(self, formula: Formula) -> Formula:
        """Decorate what gives the charts of a piecewise function, for a size of all axes."""
        self.charts = formula
        return formula

    def label_loss(self, formula: Formula) -> Formula:
        """Decorate how the cross-entropy of a label follows from the values at the logits."""
        self.loss = formula
        return formula


REGISTRY: dict[str, Definition] = {}


def define(
    *,
    family: str,
    source: str,
    arguments: Mapping[str, Kind],
    output: Axes | Index | Indices | Mapping[str, Axes | Index | Indices] = (),
    facts: tuple[Fact, ...] = (),
    parameters: Mapping[str, Parameter] | None = None,
    breakpoint_at_zero: bool = False,
    partition_function: bool = False,
    two_class_case_of: str | None = None,
    collapse_parts: tuple[CollapsePart, ...] = (),
    least_sizes: Callable[..., Mapping[str, int]] | None = None,
    even_axes: tuple[str, ...] = (),
    drawn_sizes: Callable[[Mapping[str, int]], Mapping[str, int]] | None = None,
    papers: tuple[int, ...] = (),
    reconstructed: str = "",
) -> Callable[[Formula], Definition]:
    """Register a formula as a definition under its function's name.

    Parameters
    ----------
    family
        What kind of function it is; those of one family stand in one folder of the catalogue.
    source
        Where the formula is published: paper and equation.
    arguments
        By name, in the order of the formula, each of a kind of ``signature``.
    output
        The axes of the result, such as () or ("n", "d"), or those of each result by name, where the
        formula gives a tuple; ``Index`` or ``Indices`` of a result that chooses, which stands
        before all real ones, or alone.
    facts
        What holds of the function; proven, certified at points or refuted when it is asked for.
    parameters
        By name, each with its default, its range and the values at which suites run it.
    breakpoint_at_zero
        Whether the formula is piecewise with a break where an argument is 0, so that proofs go
        orthant by orthant.
    partition_function
        Whether the function is made from log-sum-exp of the logits, so that its Taylor radius along
        a line is that of the partition function.
    two_class_case_of, collapse_parts, least_sizes, even_axes, drawn_sizes, papers, reconstructed
        As in ``Definition``.

    Returns
    -------
    function
        A decorator that turns a formula into its registered ``Definition``.

    Raises
    ------
    ValueError
        The name is taken, the formula has no docstring, its parameters are not the arguments,
        ``xp`` and the parameters in this order, the signature makes no sense, or facts are declared
        of what gives no numbers.

    >>> from softproof.derivations import Real, lookup
    >>> from softproof.derivations.definition import REGISTRY
    >>> @define(family="examples", source="none", arguments={"x": Real()})
    ... def square(x, xp):
    ...     "The square of a number."
    ...     return x * x
    >>> lookup("square") is square, square.signature.outputs
    (True, {'value': ()})
    >>> del REGISTRY["square"]
    """

    def register(formula: Formula) -> Definition:
        name = formula.__name__
        if name in REGISTRY:
            raise ValueError(f"definition {name!r} exists already; choose another name")
        if not inspect.getdoc(formula):
            raise ValueError(f"definition {name!r} has no docstring; say in one line what it is")
        try:
            counts = tuple(n for n, p in (parameters or {}).items() if isinstance(p, Count))
            signature = Signature(_arguments(arguments), _outputs(output), counts)
        except ValueError as error:
            raise ValueError(f"definition {name!r}: {error}") from None
        if facts and not signature.real_outputs:
            raise ValueError(
                f"definition {name!r} gives indices alone and declares {facts[0].text!r}; facts "
                "are about numbers, so give it none"
            )
        _demand_parameters(formula, signature, parameters or {}, name)
        REGISTRY[name] = Definition(
            name=name,
            family=family,
            source=source,
            signature=signature,
            formula=formula,
            facts=facts,
            parameters=dict(parameters or {}),
            breakpoint_at_zero=breakpoint_at_zero,
            partition_function=partition_function,
            two_class_case_of=two_class_case_of,
            collapse_parts=collapse_parts,
            least_sizes=least_sizes,
            even_axes=even_axes,
            drawn_sizes=drawn_sizes,
            papers=papers,
            reconstructed=reconstructed,
        )
        return REGISTRY[name]

    return register


def definitions_of_a_row() -> list[Definition]:
    """All registered definitions that take logits (and a label), or one real, and nothing else."""
    return [definition for definition in REGISTRY.values() if definition.of_a_row]


def _arguments(arguments: Any) -> Mapping[str, Kind]:
    if not isinstance(arguments, Mapping):
        raise ValueError(
            f"the arguments are {arguments!r}; name them, as in "
            "{'logits': Vector('K'), 'label': Label('K')} or {'x': Real()}"
        )
    return arguments


def _outputs(output: Any) -> dict[str, Axes | Index | Indices]:
    """The axes of the outputs, by name."""
    if isinstance(output, Index | Indices):
        return {VALUE: output}
    if isinstance(output, str):
        raise ValueError(f"the output is {output!r}; give a tuple of axes, as ({output!r},)")
    if not isinstance(output, Mapping | tuple | list):
        raise ValueError(f"the output is {output!r}; give the axes of the result, as () or ('K',)")
    return dict(output) if isinstance(output, Mapping) else {VALUE: tuple(output)}


def _demand_parameters(
    formula: Formula, signature: Signature, parameters: Mapping[str, Parameter], name: str
) -> None:
    """ValueError unless a formula takes the arguments, then xp, then the parameters."""
    if twice := signature.arguments.keys() & {"xp", *parameters}:
        raise ValueError(
            f"definition {name!r}: {min(twice)!r} is an argument and something else; rename it"
        )
    wanted = [*signature.arguments, "xp", *parameters]
    found = inspect.signature(formula).parameters
    if [*found] != wanted:
        raise ValueError(
            f"definition {name!r}: the formula takes ({', '.join(found)}); it has to take "
            f"({', '.join(wanted)})"
        )
    for parameter, declared in parameters.items():
        default = found[parameter].default
        if default != declared.default:
            raise ValueError(
                f"definition {name!r}: the default of {parameter} is {default} in the formula and "
                f"{declared.default} in its declaration; make them equal"
            )
