"""The LDR-KL kernel with its gradient, at the temperature and the margin that are the defaults.

In float64 its error is bounded beside the largest difference of logits (see its module), not beside
a result that cancels, as the suites demand; it is asked in the formats that hide this.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ....kernels import ldr_kl_with_gradient
from ..contract import IN_FORMAT
from ..registration import subject

Array = NDArray[Any]


@subject(
    "ldr_kl",
    "softproof.kernels.ldr_kl_with_gradient(x, labels)",
    contract=IN_FORMAT,
    dtypes=("float16", "bfloat16", "float32"),
)
def ldr_kl(
    x: Array, labels: Array, *, axis: int = -1, out: Array | None = None
) -> tuple[Array, Array]:
    """The loss and its gradient, computed in float64 in every format."""
    return ldr_kl_with_gradient(x, labels, axis=axis, out=out)
