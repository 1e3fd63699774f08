"""Arithmetic inside kernels: vectors, exponentials, logarithms, directed rounding."""
