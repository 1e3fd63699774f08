"""Definitions of softmax and its kin, in many arithmetics, with proofs."""
