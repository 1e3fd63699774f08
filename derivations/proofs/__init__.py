"""Declared facts and their symbolic proofs."""
