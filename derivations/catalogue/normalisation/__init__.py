"""What gives arrays a common scale."""

from . import aggregation, batches, rescaled, rows, weights

__all__ = ["aggregation", "batches", "rescaled", "rows", "weights"]
