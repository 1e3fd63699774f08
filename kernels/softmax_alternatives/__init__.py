"""Normalisers that take the place of softmax."""
