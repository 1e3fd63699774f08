"""The grade of a check: which planted mistakes it lets pass, and what would stop them.

A check is a test of somebody's: inputs and a comparison.  It is given implementations that are
wrong, and right ones, and is held to reject the first and to accept the others.
"""
