"""Losses, and divergences of distributions."""

from . import classification, comp_sum, divergences, linear, policies, robust, sequences

__all__ = ["classification", "comp_sum", "divergences", "linear", "policies", "robust", "sequences"]
