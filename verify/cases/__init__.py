"""Cases of definitions: drawn, written, read, made small; their truth."""
