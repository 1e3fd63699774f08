"""The step radii of samples, certified one by one and verified by the separate checker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...derivations.check_certificate import CertificateError, check
from ...derivations.step_radius.certify import Certified, certify


class Checked(NamedTuple):
    """An enclosure, and what the separate checker says of its certificate."""

    claim: Certified
    rejection: str | None = None
    """Why the certificate does not prove the claim; None if it does."""


def certify_samples(
    logits: NDArray[Any], slopes: NDArray[Any], curvatures: NDArray[Any] | None = None
) -> Iterator[Checked | None]:
    """Certify samples one by one, and check each certificate.

    The arrays are checked at once. `softproof.derivations.step_radius.certify.certify` makes the
    claim and `softproof.derivations.check_certificate.check`, which shares no code with it,
    verifies it.

    Parameters
    ----------
    logits
        Samples as rows, as `softproof.kernels.radius` takes them.
    slopes
        The derivatives of the logits along the step, likewise.
    curvatures
        Half the second derivatives, finite, of the shape of the logits; None: all zero.

    Yields
    ------
    Checked or None
        None for a sample of which nothing can be proven.

    Raises
    ------
    ValueError
        If the arrays are not such.

    Examples
    --------
    >>> import math
    >>> (one,) = certify_samples(np.zeros((1, 2)), np.array([[1.0, -1.0]]))
    >>> one.claim.lower <= math.pi / 2 <= one.claim.upper, one.rejection
    (True, None)
    """
    z, a = np.atleast_2d(logits), np.atleast_2d(slopes)
    if curvatures is None:
        return (_certified(*sample, None) for sample in zip(z, a, strict=True))
    b = np.atleast_2d(curvatures)
    if b.shape != z.shape:
        raise ValueError(
            f"curvatures must have the shape of logits, {z.shape}, got {b.shape}: "
            "pass one curvature per logit"
        )
    if not np.isfinite(b).all():
        raise ValueError("curvatures hold NaN or inf: pass finite curvatures")
    return (_certified(*sample) for sample in zip(z, a, b, strict=True))


def _certified(z: NDArray[Any], a: NDArray[Any], b: NDArray[Any] | None) -> Checked | None:
    """The claim about one sample with the checker's verdict; None where nothing can be proven."""
    try:
        claim = certify(z, a, b)
    except ArithmeticError:
        return None
    try:
        check(z.tolist(), a.tolist(), claim, None if b is None else b.tolist())
    except CertificateError as error:
        return Checked(claim, str(error))
    return Checked(claim)
