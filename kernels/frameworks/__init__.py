"""Radius clipping and perpGrad in the loops of PyTorch and JAX (each needs its framework)."""
