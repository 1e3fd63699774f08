"""A definition with some of its arguments and parameters fixed, as a task has it.

A task's RMSNorm has no gain and an eps of its own; its attention has no mask, and values as wide as
its keys.  What is then asked is the same formula, of fewer arguments: its forms, oracles and
running errors are those of the definition; its facts and a-priori bounds, which speak of all
arguments, are left out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...derivations import REGISTRY, Definition
from ...derivations.definition import Formula
from ...derivations.signature import Kind, Label, Mask, Matrix, Signature, Vector


@dataclass(frozen=True)
class Restriction:
    """What of a definition is fixed.

    Attributes
    ----------
    definition
        The definition.
    arguments
        The number that all entries of an argument are, by its name; 1 keeps all of a mask.
    parameters
        The values of parameters.
    same
        Axes that are as long as another one, by name.
    """

    definition: Definition
    arguments: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, float] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of what remains: that of the definition where nothing is fixed."""
        fixed = {**self.arguments, **self.parameters, **self.same}
        words = [f"{n}={v if isinstance(v, str) else format(v, 'g')}" for n, v in fixed.items()]
        return f"{self.definition.name}({','.join(words)})" if words else self.definition.name

    def made(self) -> Definition:
        """The definition that remains.

        >>> from softproof.derivations import lookup
        >>> made = Restriction(lookup("rms_norm"), {"gain": 1}, {"eps": 1e-5}).made()
        >>> made.name, [*made.signature.arguments], dict(made.parameters)
        ('rms_norm(gain=1,eps=1e-05)', ['x'], {})
        """
        whole = self.definition
        if self.name == whole.name:
            return whole
        kinds = {
            name: self._renamed(kind)
            for name, kind in whole.signature.arguments.items()
            if name not in self.arguments
        }
        outputs = {
            name: tuple(self.same.get(axis, axis) for axis in axes)
            for name, axes in whole.signature.outputs.items()
        }
        return Definition(
            name=self.name,
            family=whole.family,
            source=whole.source,
            signature=Signature(kinds, outputs),
            formula=self._fixed(whole.formula),
            parameters={n: p for n, p in whole.parameters.items() if n not in self.parameters},
            forms={name: self._fixed(form) for name, form in whole.forms.items()},
            second=None if whole.second is None else self._fixed(whole.second),
            least_sizes=whole.least_sizes,
            even_axes=whole.even_axes,
        )

    def _renamed(self, kind: Kind) -> Kind:
        """A kind of argument along axes that have the names that remain."""
        same = self.same
        if isinstance(kind, Vector):
            return replace(kind, axis=same.get(kind.axis, kind.axis))
        if isinstance(kind, Matrix):
            rows, columns = (same.get(axis, axis) for axis in kind.axes)
            return replace(kind, rows=rows, columns=columns)
        if isinstance(kind, Label):
            return replace(kind, into=same.get(kind.into, kind.into))
        return kind

    def _fixed(self, formula: Formula) -> Formula:
        """A formula of the arguments that remain."""
        kinds = self.definition.signature.arguments

        def fixed(*arguments: Any, **parameters: Any) -> Any:
            *given, xp = (*arguments, parameters.pop("xp")) if "xp" in parameters else arguments
            values = iter(given)
            present = {name: next(values) for name in kinds if name not in self.arguments}
            sizes: dict[str, int] = {}
            for name, value in present.items():
                sizes |= dict(zip(kinds[name].axes, np.shape(value), strict=False))
            filled = [
                present[name] if name in present else self._filled(name, kind, sizes, xp)
                for name, kind in kinds.items()
            ]
            return formula(*filled, xp, **parameters, **self.parameters)

        fixed.__doc__ = formula.__doc__
        return fixed

    def _filled(self, name: str, kind: Kind, sizes: Mapping[str, int], xp: Any) -> Any:
        shape = tuple(sizes[axis] for axis in kind.axes)
        if isinstance(kind, Mask):
            return np.full(shape, True)
        return xp.array(np.full(shape, float(self.arguments[name])))

    @contextlib.contextmanager
    def registered(self) -> Iterator[str]:
        """Have the definition that remains in the registry for a while; yields its name."""
        made = self.made()
        known = made.name in REGISTRY
        if not known:
            REGISTRY[made.name] = made
        try:
            yield made.name
        finally:
            if not known:
                del REGISTRY[made.name]
