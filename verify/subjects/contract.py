"""Where implementations differ legitimately, a subject declares which way it goes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .standards import STANDARDS

BETWEEN = ("input", "bfloat16", "float16", "tfloat32", "float32", "float64")

CHOICES = {
    "all_masked": ("nan", "zero", "uniform"),
    "pos_inf": ("nan_all", "nan_at", "mass"),
    "nan": ("row", "at"),
    "masked_nan": ("ignored", "spreads"),
    "accumulator": BETWEEN,
    "summation": ("blocked", "pairwise", "any"),
    "addition": ("nearest", "truncating"),
    "arithmetic": BETWEEN,
    "products": ("input", "tfloat32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"),
    "normaliser": ("sum", "online", "lse"),
    "scores": ("unrounded", "rounded"),
    "probabilities": ("unrounded", "rounded"),
    "saved": ("unrounded", "rounded"),
    "overflow": ("inf", "nan", "saturate"),
    "flush_to_zero": ("no", "yes"),
    "empty": ("empty", "error"),
    "bitwise_batch": ("no", "yes"),
    "collapse_free": ("no", "yes"),
    "layouts": ("any", "writable", "contiguous"),
    "standard": ("none", *STANDARDS),
}

# What is observed of a subject that does not declare it; anything else has a default.
OBSERVED = (
    "all_masked",
    "pos_inf",
    "nan",
    "masked_nan",
    "overflow",
    "flush_to_zero",
    "empty",
    "bitwise_batch",
    "layouts",
)

# What most implementations do; named only where it is declared otherwise.
USUAL = {
    "addition": "nearest",
    "products": "input",
    "normaliser": "sum",
    "scores": "unrounded",
    "probabilities": "unrounded",
    "saved": "unrounded",
    "standard": "none",
}

ONLINE_BLOCK = 16  # scores that an online softmax reads at once, at least
SMALLEST_PROMISE = 2.0**-20  # the oracle tells smaller errors from none only where it must


@dataclass(frozen=True)
class Contract:
    """What a subject promises where the definition leaves a choice.

    The axes of ``OBSERVED`` are None where the subject declares nothing about them: which of the
    choices it makes is then found out by asking it, and only making none of them, or two at once,
    is a failure.  What is declared is held.

    * ``all_masked``: a row of -inf gives NaN, zeros, or the uniform distribution.
    * ``pos_inf``: +inf gives NaN in the whole row, NaN at its place (0 elsewhere), or takes the
      whole mass (shared equally by several).
    * ``nan``: NaN spreads to the whole row, or stays at its place.
    * ``masked_nan``: NaN, infinities, and what overflows to them, in entries that a mask argument
      drops change no bit of the result, or may make results NaN, as 0 times NaN is.  No other
      number comes of them.
    * ``accumulator``: sums are kept in the input format, or in one of at least as many bits.
    * ``summation``: in which order terms are added: in blocks of at most 128 one by one, and the
      sums of blocks pairwise; pairwise throughout; or in any order, one by one included.
    * ``addition``: whether additions are rounded to nearest, or may cut off the last bits, as
      tensor cores do.
    * ``arithmetic``: the format of what is between the operations: the input format, or one of at
      least as many bits, where results are rounded to the input format once, at the end.
    * ``products``: the format that the factors of matrix products are rounded to, where it has
      fewer bits than the arithmetic.
    * ``normaliser``: probabilities are exponentials over their sum; may be computed online, by
      blocks of ONLINE_BLOCK scores or more; or may be e^(z - L), L the stored log-sum-exp.
    * ``scores``, ``probabilities``: whether those of a softmax inside of a function, as of
      attention, are rounded to the input format before they are used.
    * ``saved``: whether what a backward pass reads of the forward pass (the output of attention,
      probabilities, means and roots of a norm) has been rounded to the input format.
    * ``overflow``: what is beyond the largest number becomes an infinity, NaN, or that number.
      Where nothing is declared, it is an infinity, but any of these in formats of eight bits.
    * ``flush_to_zero``: whether results below the normal range may be 0.
    * ``empty``: an empty axis gives an empty result, or raises.
    * ``bitwise_batch``: whether a row has the same bits alone and in any batch, at any place.
    * ``collapse_free``: whether no result is 0, and no probability 1, unless the exact one rounds
      to that: losses and gradients keep their relative accuracy until they underflow.
    * ``layouts``: which arrays it takes: any; any that it may write; or those in C order, aligned,
      that it may write.  None where nothing is declared: refusing others by an exception is then
      observed, and no failure.
    * ``standard``: the published table of errors that values are held to, in place of a proven
      bound: see ``standards``.
    * ``ulps``: for each dtype, a promised maximum error, stricter than the a-priori bound.

    The bounds of functions with named arguments depend on ``addition``, ``products``,
    ``normaliser``, ``scores``, ``probabilities`` and ``saved``; those of functions of a row do not.
    """

    all_masked: str | None = None
    pos_inf: str | None = None
    nan: str | None = None
    masked_nan: str | None = None
    accumulator: str = "float32"
    summation: str = "blocked"
    addition: str = "nearest"
    arithmetic: str = "float32"
    products: str = "input"
    normaliser: str = "sum"
    scores: str = "unrounded"
    probabilities: str = "unrounded"
    saved: str = "unrounded"
    overflow: str | None = None
    flush_to_zero: str | None = None
    empty: str | None = None
    bitwise_batch: str | None = None
    collapse_free: str = "no"
    layouts: str | None = None
    standard: str = "none"
    ulps: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError for a value that is none of the choices."""
        for name, choices in CHOICES.items():
            undeclared = name in OBSERVED and getattr(self, name) is None
            if not undeclared and getattr(self, name) not in choices:
                raise ValueError(
                    f"contract {name}={getattr(self, name)!r} is none of {', '.join(choices)}"
                )

        for name, ulps in self.ulps.items():
            if not ulps >= SMALLEST_PROMISE:
                raise ValueError(
                    f"contract ulps[{name!r}]={ulps!r}; promise at least {SMALLEST_PROMISE} ulp "
                    "(correct rounding is off by up to 0.5)"
                )

    def with_settings(self, settings: list[str]) -> Contract:
        """A contract with ``name=value`` settings changed; ValueError names a bad one.

        >>> Contract().with_settings(["all_masked=zero"]).all_masked
        'zero'
        """
        changes = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            if name not in CHOICES:
                raise ValueError(f"contract setting {setting!r}: name one of {', '.join(CHOICES)}")
            changes[name] = value
        return replace(self, **changes)  # type: ignore[arg-type]

    def settings_from(self, other: Contract) -> list[str]:
        """The ``name=value`` settings that make this contract out of another.

        >>> Contract(nan="at").settings_from(Contract())
        ['nan=at']
        """
        return [
            f"{name}={getattr(self, name)}"
            for name in CHOICES
            if getattr(self, name) not in (None, getattr(other, name))
        ]

    @property
    def undeclared(self) -> tuple[str, ...]:
        """The axes about which nothing is declared.

        >>> Contract(all_masked="zero", pos_inf="mass", nan="at").undeclared
        ('masked_nan', 'overflow', 'flush_to_zero', 'empty', 'bitwise_batch', 'layouts')
        """
        return tuple(name for name in OBSERVED if getattr(self, name) is None)

    def __str__(self) -> str:
        """The declared choices on one line, but for those of USUAL."""
        return " ".join(
            f"{name}={getattr(self, name)}"
            for name in CHOICES
            if getattr(self, name) not in (None, USUAL.get(name))
        )


def unusual(contract: Contract) -> str:
    """Say what a contract declares otherwise than is usual, for the source of a threshold.

    Parameters
    ----------
    contract
        The contract.

    Returns
    -------
    str
        The declared choices, each after a comma; "" where there are none.

    Examples
    --------
    >>> unusual(Contract(products="tfloat32", saved="rounded")), unusual(Contract())
    (', products tfloat32, saved rounded', '')
    """
    declared = ((name, getattr(contract, name)) for name in USUAL)
    return "".join(f", {name} {way}" for name, way in declared if way != USUAL[name])


def last_of(observed: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Join what was observed in several places, by axis of the contract.

    Where they differ, what ``CHOICES`` names last is taken: what spreads in one place is said to
    spread.

    Parameters
    ----------
    observed
        What was observed in each place: the way of each axis.

    Returns
    -------
    dict
        The way of each axis that was observed anywhere.

    Examples
    --------
    >>> last_of([{"masked_nan": "spreads"}, {"masked_nan": "ignored"}, {}])
    {'masked_nan': 'spreads'}
    """
    found: dict[str, str] = {}
    for ways in observed:
        for axis, way in ways.items():
            found[axis] = max(way, found.get(axis, way), key=CHOICES[axis].index)
    return found


# What a bound depends on, each from the choice that admits least to the one that admits most.
WIDENING = {
    "summation": ("pairwise", "blocked", "any"),
    "arithmetic": ("float64", "float32", "input"),
    "accumulator": ("float64", "float32", "input"),
}

COARSER_PRODUCTS = ("tfloat32", "bfloat16")  # what matrix units make of float32


def wider_contracts(contract: Contract) -> Iterator[list[str]]:
    """Yield settings that make an accuracy contract admit more, the fewest changes first.

    Parameters
    ----------
    contract
        The contract that is too narrow.

    Yields
    ------
    list of str
        Settings ``name=value``, as ``Contract.with_settings`` takes them.

    Examples
    --------
    >>> next(wider_contracts(Contract()))
    ['summation=any']
    """
    single = []
    for name, order in WIDENING.items():
        declared = getattr(contract, name)
        wider = order[order.index(declared) + 1 :] if declared in order else order[-1:]
        single.append([f"{name}={choice}" for choice in wider])
    for count in range(1, len(WIDENING) + 1):
        for axes in itertools.combinations(single, count):
            yield from map(list, itertools.product(*axes))
        if count == 1 and contract.products == "input":
            yield from ([f"products={choice}"] for choice in COARSER_PRODUCTS)


def widest_contract(contract: Contract) -> list[str]:
    """Return the settings that leave each operation most: all of ``wider_contracts`` at once.

    Parameters
    ----------
    contract
        The contract that is too narrow.

    Returns
    -------
    list of str
        Settings ``name=value``, as ``Contract.with_settings`` takes them.

    Examples
    --------
    >>> widest_contract(Contract())[0]
    'summation=any'
    """
    settings = [f"{name}={order[-1]}" for name, order in WIDENING.items()]
    coarser = [f"products={COARSER_PRODUCTS[-1]}"] if contract.products == "input" else []
    return settings + coarser


# What IEEE arithmetic makes of the shifted form, without a special case: NaN wherever there is no
# value.  Nothing of it is left to be observed (a function of a row has no argument that masks).
CONVENTIONAL = Contract(
    all_masked="nan",
    pos_inf="nan_all",
    nan="row",
    flush_to_zero="no",
    empty="empty",
    bitwise_batch="no",
)
# NumPy sums in blocks of 128, but what is between operations is in the format of the input.
IN_FORMAT = replace(CONVENTIONAL, accumulator="input", arithmetic="input")
# Without a shift: inf / inf is NaN, x / inf is 0.
UNSHIFTED = replace(IN_FORMAT, pos_inf="nan_at")
# With one: NumPy's max of nothing raises.
SHIFTED = replace(IN_FORMAT, empty="error")
# As many sums as a vector has lanes, each one by one: of many classes that a leader absorbs, a
# sixteenth was lost (PyTorch 2.13, ONNX Runtime 1.32, AVX-512, 2^10 to 2^17 classes).
IN_LANES = replace(CONVENTIONAL, summation="any")
# XLA's CPU code takes subnormals for 0, and rounds the result of each operation to its format.
FLUSHING = replace(CONVENTIONAL, flush_to_zero="yes", arithmetic="input")


def promising(ulps: Mapping[str, float]) -> Contract:
    """Make the contract of our kernels: a bound, the same bits in any batch, no collapse.

    ``ulps``: for each dtype the bound; empty for one that is not in ulps of the result.

    Parameters
    ----------
    ulps
        For each dtype the largest error in ulps; empty for a bound that is not in ulps of the
        result.

    Returns
    -------
    Contract
        The contract.
    """
    return replace(CONVENTIONAL, ulps=ulps, bitwise_batch="yes", collapse_free="yes")
