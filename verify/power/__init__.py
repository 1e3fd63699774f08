"""The power of the suites: planted mistakes, and the share of them that each suite sees.

``broken*`` hold implementations with one mistake each, as people make them; ``of_formulas`` makes
mistakes of any definition from its formula; ``sized`` makes mistakes of a given size in rows of a
given length; ``measure`` asks the suites about them.
"""
