"""The error bound of every kernel, in one place: `error_bound`.

A kernel of a definition declares its bound itself, by `kernel_of`; the bounds of gradients, and of
kernels without a definition, are gathered here. The numbers are the constants of the modules in
whose docstrings they are proven, or, where this says so, measured; nothing is stated twice.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .activations import elementwise
from .h_consistency import transform
from .losses import comp_sum, cross_entropy
from .runtime.declared import KERNELS
from .softmax_alternatives import stablemax


class Bound(NamedTuple):
    """What is known of the error of one kernel."""

    ulps: Mapping[str, float]
    """The largest error by format, in ulps of the exact result."""
    proof: str
    """The module, or function, whose docstring has the proof."""
    is_proven: bool = True
    """Whether it is proven for every input, or was measured by a search and rounded up."""


_FAMILY = "softproof.kernels.softmax_family"
_LOSSES = "softproof.kernels.losses"
_STABLEMAX = "softproof.kernels.softmax_alternatives.stablemax"
_ACTIVATIONS = "softproof.kernels.activations.elementwise"
_TRANSFORM = "softproof.kernels.h_consistency.transform"

_GRADIENT = Bound(
    cross_entropy.GRADIENT_ULP_BOUND, f"{_LOSSES}.cross_entropy.cross_entropy_with_gradient"
)
_COMP_SUM = Bound(comp_sum.ULP_BOUND, f"{_LOSSES}.comp_sum")

OTHERS: dict[str, Bound] = {
    "cross_entropy_gradient": _GRADIENT,
    "comp_sum": _COMP_SUM,
    "comp_sum_with_gradient": _COMP_SUM,
    **{
        name: Bound(elementwise.ULP_BOUND[name], _ACTIVATIONS, False)
        for name in ("gaussglu", "smoothed_rsqrt_derivative")
    },
    "consistency_transform": Bound({"float64": transform.TRANSFORM_ULP_BOUND}, _TRANSFORM, False),
    "consistency_gamma": Bound({"float64": transform.GAMMA_ULP_BOUND}, _TRANSFORM, False),
}
"""Of the kernels that compute no definition of the catalogue, or one for each parameter."""


def value_bounds() -> dict[str, Bound]:
    """Return the bound of the value that each kernel computes; of (loss, gradient), of the loss.

    >>> value_bounds()["softmax"].is_proven, value_bounds()["ria"].is_proven
    (True, False)
    """
    declared = {k.name: Bound(k.ulps, k.proof, k.is_proven) for k in KERNELS.values()}
    return declared | OTHERS


GRADIENT_BOUNDS: dict[str, Bound] = {
    "cross_entropy": _GRADIENT,
    "cross_entropy_with_gradient": _GRADIENT,
    "cross_entropy_gradient": _GRADIENT,
    "stablemax_cross_entropy": Bound(stablemax.GRADIENT_ULP_BOUND, _STABLEMAX),
    "stablemax_cross_entropy_with_gradient": Bound(stablemax.GRADIENT_ULP_BOUND, _STABLEMAX),
}
"""Of the entries of the gradient of a loss."""

_OF_CONDITION = (
    "its terms may cancel, so its error is bounded in units of its condition, not in ulps: see "
)

WITHOUT: dict[str, str] = {
    "naive": "it overflows, and its sum is off by up to n/2 ulps: it is here to be compared with",
    "softmax_vjp": f"{_OF_CONDITION}{_FAMILY}.softmax_gradient",
    "softmax_jvp": f"{_OF_CONDITION}{_FAMILY}.softmax_gradient",
    "log_softmax_vjp": f"{_OF_CONDITION}its docstring and {_FAMILY}.log_softmax.DERIVATIVE_BOUND",
    "log_softmax_jvp": f"{_OF_CONDITION}its docstring and {_FAMILY}.log_softmax.DERIVATIVE_BOUND",
    "stablemax_vjp": f"{_OF_CONDITION}its docstring and {_STABLEMAX}.VJP_ERROR",
    "ldr_kl": f"its absolute error is bounded: call {_LOSSES}.ldr_kl.error_bound_of",
    "ldr_kl_with_gradient": f"its absolute error is bounded: call {_LOSSES}.ldr_kl.error_bound_of",
    "radius": "the exact radius comes with an enclosure of its own, `Radius`",
    "safe_radius": "its result is at most the exact radius, and is not compared with it",
    "activation_radius": "its result is at most the exact radius, and is not compared with it",
    "perp_grad": "its error is bounded by the norm of the gradient: see its docstring",
    "clip_step": "its factor keeps the step within the radius: see its docstring",
}
"""The public kernels that have no bound in ulps, and why."""

WITHOUT_OF_GRADIENT: dict[str, str] = dict.fromkeys(
    ("comp_sum", "comp_sum_with_gradient"),
    f"it depends on tau: call {_LOSSES}.comp_sum.gradient_ulp_bound",
)
"""The losses whose gradients have no single bound, and why."""


def error_bound(kernel: str, dtype: Any, *, gradient: bool = False) -> float:
    """Return the largest error of a kernel, in ulps of the exact result.

    Parameters
    ----------
    kernel
        The name of a function of `softproof.kernels`, or of an algorithm of softmax.
    dtype
        The format of its arguments: "float16", "bfloat16", "float32" or "float64", or a NumPy
        dtype.
    gradient
        For a loss: whether to return the bound of the entries of its gradient.

    Returns
    -------
    float
        The bound, for scale 1 and without class weights, label smoothing or reduction. An ulp is
        the distance between neighbouring numbers of the format at the exact result; below the
        normal range it is the smallest subnormal number. For `logsumexp` it is that of the larger
        one of abs(result) and log1p(T), T the sum of all terms but the largest over that one.

    Raises
    ------
    ValueError
        If there is no such kernel, or it has no bound in ulps (then the message says why), or not
        for this format. The message names what there is.

    Notes
    -----
    The bounds of the softmax family, of the losses and of StableMax are proven for every finite row
    with any -inf masks. The proof stands in the docstring of the module or function that
    ``softproof.kernels.error_bounds.value_bounds()[kernel].proof`` names, and the tests try to
    break it.
    The bounds of the activations and of the H-consistency transforms are measured: what searches
    found, rounded up (``is_proven`` is False).

    Examples
    --------
    >>> error_bound("softmax", "float32")
    3.99
    >>> error_bound("cross_entropy", np.float64, gradient=True)
    13.0
    >>> error_bound("softmax_vjp", "float32")
    Traceback (most recent call last):
    ...
    ValueError: softmax_vjp has no bound in ulps: its terms may cancel, so its error is bounded ...
    """
    if gradient:
        table, reasons, what = GRADIENT_BOUNDS, WITHOUT_OF_GRADIENT, f"the gradient of {kernel}"
    else:
        table, reasons, what = value_bounds(), WITHOUT, str(kernel)
    if kernel in reasons:
        raise ValueError(f"{what} has no bound in ulps: {reasons[kernel]}")
    if kernel not in table:
        raise ValueError(
            f"there is no error bound of {what}; there is one of {', '.join(sorted(table))}"
        )
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    ulps = table[kernel].ulps
    if name not in ulps:
        raise ValueError(
            f"{what} has no error bound in {name}; it has one in {', '.join(sorted(ulps))}"
        )
    return ulps[name]
