"""What an implementation gives where the exact result is beyond the largest number of the format.

By IEEE 754-2019, section 7.4, an infinity.  In formats of eight bits also NaN, where there are no
infinities, or the largest number: the specification of the Open Compute Project (2023, section 5.3)
has both, as what conversions do with and without saturation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format

Array = NDArray[np.float64]

WAYS = ("inf", "nan", "saturate")


def admitted(fmt: Format, declared: str | None) -> tuple[str, ...]:
    """The ways that results beyond the range of a format may go.

    Parameters
    ----------
    fmt
        The format of the results.
    declared
        What a contract says about overflow; None where it says nothing.

    Returns
    -------
    tuple of str
        The one that is declared; else all in formats of eight bits, and infinity in others.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import BINARY32, FLOAT8_E5M2
    >>> admitted(BINARY32, None), admitted(FLOAT8_E5M2, None)
    (('inf',), ('inf', 'nan', 'saturate'))
    """
    if declared is not None:
        return (declared,)
    return WAYS if fmt.dtype.itemsize == 1 else WAYS[:1]


def way_of(computed: NDArray[Any], fmt: Format) -> dict[str, NDArray[np.bool_]]:
    """Which results look like an overflow, for each way.

    Parameters
    ----------
    computed
        Results, of any sign.
    fmt
        Their format.

    Returns
    -------
    dict of array
        For each of WAYS where a result is an infinity, NaN, or the largest number.
    """
    values = computed.astype(np.float64)
    return {
        "inf": np.isinf(values),
        "nan": np.isnan(values),
        "saturate": np.abs(values) == fmt.largest,
    }


def read(computed: NDArray[Any], exact: Array, fmt: Format, declared: str | None) -> Array:
    """Results in binary64, with the infinity of the exact result for what stands for it.

    Parameters
    ----------
    computed
        Results of the format.
    exact
        The correctly rounded ones in binary64, infinite where the exact ones overflow.
    fmt
        The format.
    declared
        What a contract says about overflow, or None.

    Returns
    -------
    array of float64
        Where the exact result overflows, what goes an admitted way is that infinity, and an
        infinity that is not admitted is NaN; elsewhere results are as they are.  A number of the
        wrong sign stands for no overflow.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import FLOAT8_E4M3FN
    >>> exact = np.array([np.inf, -np.inf, 448.0])
    >>> read(np.array([448.0, 448.0, 448.0]), exact, FLOAT8_E4M3FN, "saturate").tolist()
    [inf, 448.0, 448.0]
    """
    values = np.asarray(computed).astype(np.float64)
    ways = admitted(fmt, declared)
    overflows = np.isinf(exact)
    if ways == WAYS[:1] or not overflows.any():
        return values
    with np.errstate(invalid="ignore"):
        agrees = np.isnan(values) | (np.signbit(values) == np.signbit(exact))
    looks = way_of(values, fmt)
    stands = overflows & agrees & np.logical_or.reduce([looks[way] for way in ways])
    refused = overflows & looks["inf"] & ("inf" not in ways)
    return np.where(stands, exact, np.where(refused, np.nan, values))


def observed(computed: NDArray[Any], exact: Array, fmt: Format, declared: str | None) -> str | None:
    """The way that most overflowing results go, of a subject that declares none.

    Parameters
    ----------
    computed, exact, fmt, declared
        As for ``read``.

    Returns
    -------
    str or None
        None where the way is declared or no choice, and where nothing overflows.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import FLOAT8_E4M3FN
    >>> observed(np.array([448.0, 1.0]), np.array([np.inf, 1.0]), FLOAT8_E4M3FN, None)
    'saturate'
    """
    overflows = np.isinf(exact)
    if len(admitted(fmt, declared)) == 1 or not overflows.any():
        return None
    looks = way_of(computed, fmt)
    counts = {way: int(np.sum(overflows & looks[way])) for way in WAYS}
    return max(WAYS, key=counts.__getitem__) if any(counts.values()) else None


def stored(value: float, fmt: Format, declared: str | None) -> float:
    """What a correctly rounded result is in a format, for a report: infinities as they are kept.

    Parameters
    ----------
    value
        The result, infinite where it overflows.
    fmt
        The format.
    declared
        What a contract says about overflow, or None.

    Returns
    -------
    float
        The number, or by ``declared`` the largest one or NaN.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import FLOAT8_E4M3FN
    >>> stored(-np.inf, FLOAT8_E4M3FN, "saturate"), stored(np.inf, FLOAT8_E4M3FN, None)
    (-448.0, nan)
    """
    if not np.isinf(value):
        return value
    if declared == "saturate":
        return float(np.copysign(fmt.largest, value))
    has = fmt.has_infinities and declared != "nan"
    return value if has else float("nan")
