"""What the papers claim, entry by entry, each with the check that settles it.

Claims about kernels and about speed are in ``softproof.verify.claims``.
"""

from . import (
    dai2025 as ensloss,
)
from . import (
    dukhan2020 as two_pass,
)
from . import (
    mao2023 as comp_sum,
)
from . import (
    other_papers as beside,
)
from . import (
    prieto2025 as collapse,
)
from . import (
    register,
    statements,
)
from . import (
    sao2026_activations as ghosts_activations,
)
from . import (
    sao2026_bounds as ghosts_bounds,
)
from . import (
    sao2026_curvature as ghosts_curvature,
)
from . import (
    sao2026_divergence as ghosts_divergence,
)
from . import (
    sao2026_radius as ghosts_radius,
)
from . import (
    wijmans2025 as cut_cross_entropy,
)
from . import (
    zhu2023 as ldr,
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
    "cut_cross_entropy",
    "ensloss",
    "ghosts_activations",
    "ghosts_bounds",
    "ghosts_curvature",
    "ghosts_divergence",
    "ghosts_radius",
    "ldr",
    "register",
    "statements",
    "two_pass",
]
