"""Losses over classes, with their gradients."""
