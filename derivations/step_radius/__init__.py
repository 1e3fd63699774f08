"""The Taylor radius of softmax losses: zeros of the partition function, certificates, series.

Importing this package declares the singularities and the kinks of definitions with them.
"""

from . import activation_singularities, stablemax

__all__ = ["activation_singularities", "stablemax"]
