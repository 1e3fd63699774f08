"""Claims about kernels and experiments, and the command that settles all of them."""

from ...derivations.claims import CLAIMS
from . import experiments, kernels
from .settle import Settled, chosen, settle

__all__ = ["CLAIMS", "Settled", "chosen", "experiments", "kernels", "settle"]
