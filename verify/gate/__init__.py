"""The gate: one verdict, in seconds, for a kernel that someone, or something, has just written."""

from .check_output import checker
from .judgement import IMPRECISE, REFUSED, RIGHT, WRONG, Judgement
from .judging import judge

__all__ = ["IMPRECISE", "REFUSED", "RIGHT", "WRONG", "Judgement", "checker", "judge"]
