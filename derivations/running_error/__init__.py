"""Thresholds of any definition from its formula alone, by running error analysis.

``thresholds.threshold(formula, arguments, model)`` evaluates a formula in numbers that carry an
enclosure of the exact value and a bound on the error of every implementation in the class
``model.Model``; ``gradient_threshold`` does it for vector-Jacobian products.  ``adversary`` is an
implementation that errs as much as the class allows.
"""

from .arithmetic import RunningErrorArithmetic
from .model import Model
from .numbers import RunningNumber, UndecidedComparison
from .thresholds import Threshold, Verdict, gradient_threshold, threshold, verdict

__all__ = [
    "Model",
    "RunningErrorArithmetic",
    "RunningNumber",
    "Threshold",
    "UndecidedComparison",
    "Verdict",
    "gradient_threshold",
    "threshold",
    "verdict",
]
