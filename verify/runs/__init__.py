"""A run of `softproof verify`: its plan, processes, results, their store and comparison."""
