"""How kernels are compiled and called: the decorator, axes, threads, labels, 16-bit formats."""
