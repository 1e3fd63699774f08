"""Cases of definitions with named arguments: drawn, written, read, made small; their truth."""
