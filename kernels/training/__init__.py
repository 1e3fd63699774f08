"""Hooks for training loops, over NumPy arrays: radius clipping and perpendicular gradients."""
