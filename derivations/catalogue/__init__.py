"""Definitions, one family per module."""
