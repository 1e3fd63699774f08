"""Verify implementations of softmax and its kin against arbitrary-precision oracles."""
