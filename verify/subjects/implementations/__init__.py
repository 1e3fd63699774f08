"""Implementations that softproof wraps or writes down to verify them."""
