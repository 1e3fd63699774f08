"""The bug register: bugs that were reported, as data, each with inputs that show it."""
