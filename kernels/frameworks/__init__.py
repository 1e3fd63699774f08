"""Radius clipping in the loops of PyTorch and JAX (optional: each needs its framework)."""
