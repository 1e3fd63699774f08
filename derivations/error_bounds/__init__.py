"""A-priori error bounds of the definitions, and the gaps at which results collapse, with proofs."""
