"""Functions of several arguments made of those of ``scipy.special``; the batch axis stands first.

SciPy has no functions of float16 and bfloat16.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contract import IN_FORMAT
from ..registration import subject

Array = NDArray[Any]

of_scipy = functools.partial(
    subject,
    contract=replace(IN_FORMAT, summation="any"),
    dtypes=("float32", "float64"),
    requires=("scipy",),
)


@of_scipy(
    "kl_divergence",
    """\
q = scipy.special.softmax(student / temperature, axis=-1)
p = scipy.special.softmax(teacher / temperature, axis=-1)
scipy.special.rel_entr(p, q).sum(-1) * temperature**2""",
)
def kl_divergence(student: Array, teacher: Array, temperature: float = 1.0) -> Array:
    """T^2 times the sum of ``scipy.special.rel_entr`` of two ``softmax``."""
    from scipy import special

    t = student.dtype.type(temperature)
    q, p = special.softmax(student / t, axis=-1), special.softmax(teacher / t, axis=-1)
    return np.sum(special.rel_entr(p, q), axis=-1) * t * t


@of_scipy("gumbel_softmax", "scipy.special.softmax((logits + noise) / temperature, axis=-1)")
def gumbel_softmax(logits: Array, noise: Array, temperature: float = 1.0) -> Array:
    """``scipy.special.softmax`` of (logits + noise) / T."""
    from scipy import special

    return special.softmax((logits + noise) / logits.dtype.type(temperature), axis=-1)


@of_scipy("swiglu", "a * scipy.special.expit(a) * b")
def swiglu(a: Array, b: Array) -> Array:
    """One vector times its ``scipy.special.expit``, times the other."""
    from scipy import special

    return a * special.expit(a) * b


@of_scipy("info_nce")
def info_nce(
    query: Array, keys: Array, label: NDArray[np.int64], temperature: float = 1.0
) -> Array:
    """Minus ``scipy.special.log_softmax`` of the similarities, at the label."""
    from scipy import special

    similarities = np.einsum("bnd,bd->bn", keys, query) / query.dtype.type(temperature)
    return -special.log_softmax(similarities, axis=-1)[np.arange(len(label)), label]
