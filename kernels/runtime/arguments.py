"""Checks of arguments that are single numbers."""

from typing import Any


def as_number(name: str, value: Any) -> float:
    """Return `value` as a float; TypeError unless it is one real number, of whatever type.

    >>> as_number("scale", None)
    Traceback (most recent call last):
    ...
    TypeError: scale must be a number, got None
    """
    if type(value) is float:
        return value
    try:
        if isinstance(value, str | bytes) or getattr(value, "ndim", False):
            raise TypeError
        return float(value)
    except OverflowError:  # an integer beyond the largest float
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
