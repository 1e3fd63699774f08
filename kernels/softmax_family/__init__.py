"""Softmax, log-softmax and log-sum-exp, with their vector-Jacobian products."""
