"""Claims about kernels and experiments, and the command that settles all of them."""

from ...derivations.claims import CLAIMS
from . import comp_sum, experiments, our_kernels, settled, standards
from .settled import Settled, chosen, settle

__all__ = [
    "CLAIMS",
    "Settled",
    "chosen",
    "comp_sum",
    "experiments",
    "our_kernels",
    "settle",
    "settled",
    "standards",
]
