"""Losses of embeddings: beside class weights, and beside each other."""

from . import classes, pairs

__all__ = ["classes", "pairs"]
