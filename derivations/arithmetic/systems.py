"""The arithmetics that a definition is evaluated in: symbols, balls, big floats, formats."""

from .arithmetic import OBJECT, Arithmetic
from .balls import balls
from .big_floats import big_floats
from .ieee import ieee
from .symbols import symbols

__all__ = ["OBJECT", "Arithmetic", "balls", "big_floats", "ieee", "symbols"]
