"""One statement or more of each listed paper whose subject is a statement, module by subject."""

from . import activations, attention, losses, networks, normalisation, simulations

__all__ = ["activations", "attention", "losses", "networks", "normalisation", "simulations"]
