"""What gives arrays a common scale."""

from . import rows

__all__ = ["rows"]
