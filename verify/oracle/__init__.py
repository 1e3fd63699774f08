"""The truth, by balls and big floats, and how errors are counted against it."""
