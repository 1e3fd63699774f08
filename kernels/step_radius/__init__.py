"""Radii: how far a step may go before a Taylor series of the loss stops converging."""
