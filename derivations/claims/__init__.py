"""What the papers claim, entry by entry, each with the check that settles it.

Claims about kernels and about speed are in ``softproof.verify.claims``.
"""

from . import (
    beside,
    collapse,
    comp_sum,
    ghosts_activations,
    ghosts_curvature,
    ghosts_divergence,
    ghosts_radius,
    register,
    two_pass,
)
from .register import CLAIMS, METHODS, OUTCOMES, Claim, Verdict, claim

__all__ = [
    "CLAIMS",
    "METHODS",
    "OUTCOMES",
    "Claim",
    "Verdict",
    "beside",
    "claim",
    "collapse",
    "comp_sum",
    "ghosts_activations",
    "ghosts_curvature",
    "ghosts_divergence",
    "ghosts_radius",
    "register",
    "two_pass",
]
