"""The text that the docstrings of the public functions share, filled in from one place."""

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

SHARED = {
    "logits": """
logits : array_like of shape (..., K, ...)
    Float32, float64, float16 or bfloat16 (of the package ml_dtypes) in native byte order, with at
    least one axis and any strides; nested lists of floats too. Pure numbers, K classes.
""",
    "labels": """
labels : array_like of int
    The class of each sample, in [0, K), of the shape of `logits` without `axis`.
""",
    "axis": """
axis : int
    The axis that runs over the classes.
""",
    "scale": """
scale : float
    The s, a pure number from 2^-100 to 2^100: 1 / temperature.
""",
    "out": """
out : ndarray, optional
    Receives the result. It has the shape and dtype of the result, any strides, and may be `logits`
    itself, but not overlap it in another way.
""",
    "out_of_vector": """
out : ndarray, optional
    Receives the result. It has the shape and dtype of the result, any strides, and may be one of
    the two arguments itself, but not overlap one in another way.
""",
    "out_of_row": """
out : ndarray, optional
    Receives the result. It has the shape and dtype of the result, any strides, and shares no memory
    with `logits`.
""",
    "out_of_gradient": """
out : ndarray, optional
    Receives the gradient. It has the shape and dtype of `logits`, any strides, and may be `logits`
    itself, but not overlap it in another way.
""",
    "threads": """
threads : int
    The most threads to use, at least 1. The rows are shared out to them; the result is the same to
    the last bit.
""",
    "threads_long": """
threads : int
    The most threads to use, at least 1. The rows are shared out to them, and single rows if they
    are few and long; the result is the same to the last bit.
""",
    "type_error": """
TypeError
    If `logits` or `out` has another dtype, or `axis` is no integer.
""",
    "type_error_of_labels": """
TypeError
    If `logits` or `out` has another dtype, `axis` is no integer, or `labels` are no integers.
""",
    "type_error_of_vector": """
TypeError
    If an argument or `out` has another dtype, the two have not the same one, or `axis` is no
    integer.
""",
    "value_error": """
ValueError
    If `logits` are a scalar, `axis` is not there, a number is out of its range, or `out` has the
    wrong shape, is read-only, or overlaps itself or `logits` in part.
""",
    "value_error_of_labels": """
ValueError
    If `logits` are a scalar or samples without classes, `axis` is not there, `labels` have the
    wrong shape or one is out of range (the first is named), another number is out of its range, or
    `out` has the wrong shape, is read-only, or overlaps itself or `logits` in part. Nothing is
    computed before all of this is checked.
""",
    "value_error_of_vector": """
ValueError
    If the two have not the same shape or are scalars, `axis` is not there, a number is out of its
    range, or `out` has the wrong shape, is read-only, or overlaps itself or an argument in part.
""",
    "x": """
x : array_like
    Float32 or float64, of any shape and strides, or a scalar. A pure number.
""",
    "beta": """
beta : float
    The factor of the argument of Phi, a pure number from 2^-64 to 2^64.
""",
    "width": """
width : float
    The standard deviation of the Gaussian, in the units of `v`, from 2^-64 to 2^64.
""",
    "out_elementwise": """
out : ndarray, optional
    Receives the result. It has the shape and dtype of the first argument, any strides, and may be
    this itself, but not overlap it in another way.
""",
    "type_error_elementwise": """
TypeError
    If an argument or `out` has another dtype.
""",
    "value_error_elementwise": """
ValueError
    If a number is out of its range, arrays have not the same shape, or `out` has the wrong shape,
    is read-only, or overlaps itself or the first argument in part.
""",
    "class_weights": """
class_weights : array_like of shape (K,), optional
    The w, finite numbers >= 0, all 1 unless given. They are rounded to the format that is
    computed in, float64 or float32.
""",
    "ignore_index": """
ignore_index : int, optional
    Samples with this label, an int64, have loss 0 and gradient 0, whatever their logits are,
    and do not count in the mean.
""",
    "label_smoothing": """
label_smoothing : float
    The e, a pure number in [0, 1].
""",
    "reduction": """
reduction : str
    "none": one loss for each sample; "sum": their sum; "mean": that, divided by the sum of w_y
    over the samples that are not ignored.
""",
    "type_error_of_cross_entropy": """
TypeError
    If `logits` or `out` has another dtype; if `labels`, `axis` or `ignore_index` are no
    integers; if weights or cotangents are no real numbers.
""",
    "edges_of_cross_entropy": """
A row with NaN or +inf, or of -inf alone, gives NaN. In any other row a logit of -inf gives +inf
if its target is positive and counts for nothing if it is zero. Where the loss is NaN the row of
the gradient is NaN; where it is +inf the gradient is finite, with p = 0 for the masked classes.
The mean of nothing, or where all weights are 0, is NaN, as PyTorch has it.
""",
    "edges_of_softmax": """
-inf is a masked class, its probability 0. A row that holds NaN or +inf, or nothing but -inf, is
NaN throughout. A finite row of one class is 1. No classes or no rows give an empty result.
Subnormal results are not flushed.
""",
    "error_of_algorithm": """
The error is at most 3.99 ulp in float32, 4.31 in float64 and 0.501 in 16 bits; the proof stands
in the docstring of the module `softproof.kernels.softmax_family.softmax`.
""",
    "edges_of_stablemax": """
A row with NaN or +inf, or of -inf alone, gives NaN throughout. A class of -inf beside others
has probability 0 and gradient 0; if it is the right one the loss is +inf. Without classes there
are no probabilities; a loss needs one class at least. Every finite logit is right, the largest
and the lowest too.
""",
    "edges_of_comp_sum": """
A row with NaN or +inf, or of -inf alone, gives NaN throughout. A logit of -inf counts for
nothing; if it is the label's, the loss is the limit, +inf for tau <= 1 and 1/(tau - 1) above,
and so are the entries of the gradient: infinite for tau < 1, p_k and -1 for tau = 1, 0 above.
""",
    "threads_elementwise": """
threads : int
    The most threads to use, at least 1, to the same bits.
""",
}
"""Entries of docstrings by the name that stands for them, in braces on a line of its own."""


def documented(function: _Function) -> _Function:
    """Put the shared text where the docstring of `function` names it.

    >>> @documented
    ... def f(axis):
    ...     '''Nothing.
    ...
    ...     {axis}
    ...     '''
    >>> print(inspect.getdoc(f))
    Nothing.
    <BLANKLINE>
    axis : int
        The axis that runs over the classes.
    """
    if function.__doc__ is not None:  # as it is under python -OO
        text = inspect.cleandoc(function.__doc__)
        function.__doc__ = re.sub(r"^( *)\{(\w+)\}$", _entry, text, flags=re.MULTILINE)
    return function


def _entry(found: re.Match[str]) -> str:
    lines = SHARED[found[2]].strip("\n").split("\n")
    return "\n".join(found[1] + line if line else "" for line in lines)
