"""The command line: one module for the commands about one thing."""
