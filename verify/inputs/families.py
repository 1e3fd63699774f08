"""Input families: named hazards, drawn from a seed, exactly representable in the format.

Each family yields batches of logits (rows, classes) in the format's dtype.  Values are drawn
uniformly over bit patterns where range is the hazard (uniform reals would never meet a small
number), and structured where the hazard is a structure.

A family is a function of a generator of random numbers, the format and how many rows are wanted of
a length, a ladder one of the format and the rows: FAMILIES and LADDERS name them for `draw`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...derivations.arithmetic.formats import Format

STANDARD = 64  # rows of a family in the standard budget; the quick one asks for fewer

Rng = np.random.Generator
Logits = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Rows of one length, with labels where the definition takes them.

    ``period``: row i is row i - period once more, with its label; 0 where rows do not repeat.
    ``cross_checked``: the truth of the first row is asked of the second oracle, too.  What is not,
    is only tried, as in shrinking: its results are neither graded nor held beside others.
    """

    family: str
    logits: Logits
    labels: NDArray[np.int64] | None
    period: int = 0
    cross_checked: bool = True

    def row(self, i: int) -> Batch:
        """One row, as a batch of its own."""
        return self.rows(slice(i, i + 1))

    def rows(self, which: slice | NDArray[Any]) -> Batch:
        """Some rows, as a batch of their own."""
        labels = None if self.labels is None else self.labels[which]
        return Batch(self.family, self.logits[which], labels, cross_checked=self.cross_checked)


def plainness(logits: Logits) -> int:
    """Say how ordinary a row is, and so how much a failure at it tells.

    Parameters
    ----------
    logits
        The numbers of one row, of any format.

    Returns
    -------
    int
        2 with numbers and masks, 1 with NaN, +inf or masks alone, 0 without anything.

    Examples
    --------
    >>> [plainness(np.array(row)) for row in ([], [np.inf, 0.0], [0.0, -np.inf])]
    [0, 1, 2]
    """
    if not logits.size:
        return 0
    wide = logits.astype(np.float64)
    return 1 + int((wide < np.inf).all() and np.isfinite(wide).any())


def ordinals(rng: Rng, fmt: Format, low: float, high: float, shape: tuple[int, ...]) -> Logits:
    """Draw numbers with low <= |x| <= high, uniformly over bit patterns, with random signs.

    Parameters
    ----------
    rng
        What is drawn from.
    fmt
        The format of the numbers.
    low, high
        The least and the largest magnitude, both nonnegative; they are rounded to the format.
    shape
        The shape of the result.

    Returns
    -------
    numpy.ndarray
        The numbers, in the dtype of the format.
    """
    bits = np.dtype(f"uint{8 * fmt.dtype.itemsize}")
    ends = np.array([low, high]).astype(fmt.dtype).view(bits)
    drawn = rng.integers(int(ends[0]), int(ends[1]), shape, dtype=np.uint64, endpoint=True)
    values = drawn.astype(bits).view(fmt.dtype)
    return np.where(rng.random(shape) < 0.5, values, -values).astype(fmt.dtype)


def largest(fmt: Format) -> float:
    """Return the largest finite number of a format.

    Parameters
    ----------
    fmt
        The format.

    Returns
    -------
    float
        The number, exactly.
    """
    return fmt.largest


def log_smallest(fmt: Format) -> float:
    """Return the logarithm of the smallest normal number, where exponentials begin to underflow.

    Parameters
    ----------
    fmt
        The format.

    Returns
    -------
    float
        The natural logarithm, in binary64.
    """
    return float(fmt.emin * np.log(2))


def _gaussian(rng: Rng, fmt: Format, sigma: float, shape: tuple[int, ...]) -> Logits:
    return (sigma * rng.standard_normal(shape)).astype(fmt.dtype)


def normal(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Gaussian logits of standard deviation 3, from 2 to 1000 classes."""
    for classes in (2, 3, 10, 64):
        yield _gaussian(rng, fmt, 3, (rows, classes))
    yield _gaussian(rng, fmt, 3, (2, 1000))


def lengths(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Every length around and between vector widths, and a long one."""
    for classes in (*range(1, 20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257):
        yield _gaussian(rng, fmt, 2, (max(2, rows // 8), classes))
    yield rng.choice(_gaussian(rng, fmt, 2, (16,)), (1, 5003))


def every_length(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Every length up to 130 and those around powers of two: to 2^12, given more rows to 2^20.

    Few numbers make up a row, so that its truth, which counts them, costs little.  (To a library
    that compiles for each shape the family costs minutes.)
    """
    numbers = _gaussian(rng, fmt, 2, (16,))
    for classes in range(1, 131):
        yield rng.choice(numbers, (max(1, rows // 16), classes))
    for power in range(8, 13 if rows < STANDARD else 21):
        for classes in (2**power - 1, 2**power, 2**power + 1):
            yield rng.choice(numbers, (1, classes))


RESIDUES = 64  # of a row's length by the widest block of a loop that is unrolled


def drawn_lengths(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Lengths drawn from 131 to 4127, one with each remainder by 32; the last logit leads.

    In two rows just so that it has half of the mass, in the third by 40.  The lengths are uniform
    in the logarithm: a fault of an octave, of odd lengths or of every second row is met.
    """
    for residue in np.tile(rng.permutation(32), max(1, rows // 16)):
        classes = int(np.exp(rng.uniform(np.log(131), np.log(LONG))))
        classes += (int(residue) - classes) % 32
        x = rng.choice(rng.standard_normal(3), (3, classes))
        x[:, -1] = (np.log(classes), np.log(classes), 40)
        x[2] -= 45  # (padding with 0 would lead)
        yield x.astype(fmt.dtype)


def tails(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Lengths above 4096, one with each remainder by 64: the last logit leads, far below 0.

    It leads by more than an exponential holds, so that it is seen where the maximum, the sum or the
    result leaves out the last class, or takes 0 for one.  Up to 40 classes before it are masked.
    (Few numbers make up a row, so that its truth costs little.)
    """
    limit = float(fmt.emax * np.log(2))
    for residue in np.tile(rng.permutation(RESIDUES), max(1, rows // 16)):
        classes = LONG + RESIDUES * int(rng.integers(4)) + (int(residue) or RESIDUES)
        row = rng.choice(rng.standard_normal(3), classes) - 3.5 * limit
        row[classes - 1 - int(rng.integers(41)) :] = -np.inf
        row[-1] = -1.75 * limit
        yield row.astype(fmt.dtype)[None]


PERIOD = 7  # rows that differ; no power of two is a multiple, so no lost bit of an index hides


def tall(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Many short rows: around powers of two up to 2^17, where an index of few bits runs over."""
    few = rows < STANDARD
    for power in (int(rng.integers(7, 16)), 16) if few else range(7, 18):
        for count in (2**power + 1,) if few else (2**power - 1, 2**power + 1):
            classes = int(rng.integers(2, 4))
            yield np.resize(_gaussian(rng, fmt, 3, (PERIOD, classes)), (count, classes))


def large(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Rows enough, and long enough, for the threads that share a batch to work at one time.

    The rows differ in their spread, so that one in the place of another is seen.
    """
    classes = 3000 + int(rng.integers(RESIDUES))
    spreads = np.arange(1, PERIOD + 1)[:, None] / 4
    drawn = rng.choice(_gaussian(rng, fmt, 1, (16,)), (PERIOD, classes)).astype(np.float64)
    count = 128 if rows < STANDARD else 400
    yield np.resize((spreads * drawn).astype(fmt.dtype), (count, classes))


VECTORS = (4, 8, 16, 32, 64)
TILES = (256, 1024, 4096)
REACH = 17  # classes on each side of a boundary: the widest vector of binary32, and one more


def _places(rows: int) -> Iterator[tuple[int, list[int]]]:
    """Row lengths around vectors and tiles, with the places of a hazard in them.

    All places of rows around vectors.  Of rows around tiles the ends and those next to the tile;
    given more rows, all places around each quarter of the tile.
    """
    few = rows < STANDARD
    for width in VECTORS[1:3] if few else VECTORS:
        for classes in (width - 1, width, width + 1):
            yield classes, [*range(classes)]
    for tile in TILES:
        for classes in (tile + 1,) if few else (tile - 1, tile, tile + 1):
            boundaries = range(0, tile + 1, tile if few else tile // 4)
            reach = 1 if few else REACH
            near = {b + step for b in boundaries for step in range(-reach, reach)} | {classes - 1}
            yield classes, sorted(near & {*range(classes)})


def _at_places(
    rng: Rng, fmt: Format, rows: int, hazards: Sequence[tuple[float, int]]
) -> Iterator[Logits]:
    """A hazard (a number, so many classes wide) in each row, at one place after the other."""
    numbers = np.unique(_gaussian(rng, fmt, 1, (16,)))
    for classes, places in _places(rows):
        x = rng.choice(numbers, (len(places), classes))
        for i, place in enumerate(places):
            value, width = hazards[(place + classes) % len(hazards)]
            x[i, place : place + width] = value
            if place == 0 and width >= classes:
                x[i, -1] = numbers[0]  # a mask leaves a class
        yield x


def positions(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """One far larger logit at every place of rows that end around vectors and tiles."""
    yield from _at_places(rng, fmt, rows, [(40.0, 1)])


def mask_positions(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Masks at every place of such rows: the lowest finite number, one -inf, four -inf in turn."""
    yield from _at_places(rng, fmt, rows, [(-largest(fmt), 1), (-np.inf, 1), (-np.inf, 4)])


def wide(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Spreads of tens to hundreds: what rounds x - max away."""
    for sigma in (10, 30, 100):
        yield _gaussian(rng, fmt, sigma, (rows, 16))


def bit_patterns(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Uniform over bit patterns between the smallest subnormal and 64."""
    for classes in (2, 3, 7, 33):
        yield ordinals(rng, fmt, 2.0**fmt.tiny_exponent, 64.0, (rows, classes))


def dominant(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """One class leads by a gap from 0 to beyond underflow: where 1 absorbs e^-gap."""
    for classes in (2, 3, 50):
        gap = np.linspace(0, -1.2 * log_smallest(fmt), 4 * rows)[:, None]
        row = -gap * np.ones(classes) + 0.1 * rng.standard_normal((4 * rows, classes))
        lead = rng.integers(classes, size=4 * rows)
        row[np.arange(4 * rows), lead] = 0
        yield row.astype(fmt.dtype)


def ties(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Equal logits, all or in two groups; also more of them than a narrow sum can count."""
    for classes in (2, 3, 16):
        level = _gaussian(rng, fmt, 5, (rows, 1))
        yield np.broadcast_to(level, (rows, classes)).copy()
        chosen = rng.random((rows, classes)) < 0.5
        yield np.where(chosen, level, _gaussian(rng, fmt, 5, (rows, 1))).astype(fmt.dtype)
    yield np.zeros((1, 4096), dtype=fmt.dtype)


def ordered(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Ascending, by steps and by single ulps, and descending: what moves a running maximum."""
    climb = np.sort(_gaussian(rng, fmt, 20, (rows, 65)).astype(np.float64), axis=1)
    yield climb.astype(fmt.dtype)
    yield climb[:, ::-1].astype(fmt.dtype)
    ulp = 2.0 ** (1 - fmt.precision)
    yield (1 + ulp * np.arange(100))[None, :].astype(fmt.dtype)


def spike(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """One far larger logit, at each place of a vector and at the end."""
    for classes in (9, 33):
        x = _gaussian(rng, fmt, 1, (rows, classes)).astype(np.float64)
        x[np.arange(rows), np.arange(rows) % classes] += 40
        x[-1, -1] += 40
        yield x.astype(fmt.dtype)


def subnormal_results(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Probabilities around and below the smallest normal number."""
    edge = log_smallest(fmt)
    depth = fmt.precision * np.log(2)
    for classes in (2, 5):
        x = edge + 4 - (depth + 8) * rng.random((rows, classes))
        x[:, 0] = 0
        yield x.astype(fmt.dtype)


def offset(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """A huge common offset, up to where neighbours of the format are 1/2 apart, and beyond."""
    for power in (6, fmt.precision - 6, fmt.precision - 2, fmt.precision + 2):
        if power < fmt.emax:
            sign = np.where(rng.random((rows, 1)) < 0.5, 1.0, -1.0)
            x = 3 * rng.standard_normal((rows, 8)) + sign * 2.0**power
            yield np.clip(x, -largest(fmt), largest(fmt)).astype(fmt.dtype)


def beyond_exp(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Logits whose exponentials overflow, or all underflow, without a shift."""
    limit = float(fmt.emax * np.log(2))
    for scale in (1.0, 1.5, 10.0):
        level = limit * scale * np.where(rng.random((rows, 1)) < 0.5, 1.0, -1.0)
        x = level + rng.standard_normal((rows, 6))
        yield np.clip(x, -largest(fmt), largest(fmt)).astype(fmt.dtype)


def extremes(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """The largest finite numbers, their halves, and ordinary ones, mixed."""
    top = largest(fmt)
    pool = np.array([top, -top, top / 2, -top / 2, 0.0, 1.0, -3.5])
    for classes in (2, 3, 9):
        yield rng.choice(pool, (rows, classes)).astype(fmt.dtype)


def masks(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Masked classes as people write them: -1e4, -1e9, -1e30, the lowest finite number, -inf."""
    for value in (-1e4, -1e9, -1e30, -largest(fmt), -np.inf):
        if value == -np.inf or value >= -largest(fmt):
            x = 3 * rng.standard_normal((rows, 18))
            masked = rng.random((rows, 18)) < 0.5
            masked[:, int(rng.integers(18))] = False
            masked[0, :16] = True  # left padding
            masked[0, 17] = False
            yield np.where(masked, value, x).astype(fmt.dtype)


def all_patterns(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """Uniform over the bit patterns of all finite numbers."""
    for classes in (2, 4):
        yield ordinals(rng, fmt, 0.0, largest(fmt), (rows, classes))


def patterns(fmt: Format) -> Logits:
    """List every number of a format of 8 or 16 bits in the order of its bits, and what is none.

    Parameters
    ----------
    fmt
        A format of 8 or 16 bits.

    Returns
    -------
    numpy.ndarray
        (256,) or (65536,) numbers; reading their bits as integers gives 0, 1, 2, ...
    """
    bits = 8 * fmt.dtype.itemsize
    return np.arange(2**bits, dtype=f"uint{bits}").view(fmt.dtype)


def every_value(fmt: Format) -> Iterator[Logits]:
    """Yield every number of a format of 8 or 16 bits in each place, next to fixed partners.

    Infinities and NaN are among the numbers. The places are those of 2 and 3 classes and the end of
    17; partners 0, 1, -1, both ends of the range and the smallest subnormal.

    Parameters
    ----------
    fmt
        The format; one of more bits yields nothing.

    Yields
    ------
    numpy.ndarray
        (65536, classes) logits, or (256, classes), for each place and partner.
    """
    if fmt.dtype.itemsize <= 2:
        top = largest(fmt)
        for classes, place in ((2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (17, 16)):
            for partner in (0.0, 1.0, -1.0, top, -top, 2.0**fmt.tiny_exponent):
                numbers = patterns(fmt)
                x = np.full((len(numbers), classes), partner).astype(fmt.dtype)
                x[:, place] = numbers
                yield x


def every_real(fmt: Format) -> Iterator[Logits]:
    """Yield every number but NaN of 8 or 16 bits, 256 to a row, for functions of one real.

    Parameters
    ----------
    fmt
        The format; one of more bits yields nothing.

    Yields
    ------
    numpy.ndarray
        (rows, 256) numbers, filled up from the start.
    """
    if fmt.dtype.itemsize <= 2:
        numbers = patterns(fmt)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            numbers = numbers[~np.isnan(numbers)]
        yield np.resize(numbers, (-(-len(numbers) // 256), 256))  # filled up from the start


PAIRS_BLOCK = 16
# Families of all pairs of two classes, so many first logits in each.
PAIRS = tuple(f"pairs:{first:#06x}" for first in range(0, 2**16, PAIRS_BLOCK))


def _pairs(family: str, fmt: Format, labelled: bool) -> Iterator[Batch]:
    """8 and 16 bits: the next first logits, each with every second one (and with both labels)."""
    if fmt.dtype.itemsize > 2:
        return
    numbers = patterns(fmt)
    first = int(family.removeprefix("pairs:"), 16)
    for number in numbers[first : first + PAIRS_BLOCK]:
        logits = np.stack([np.full_like(numbers, number), numbers], axis=1)
        for label in (0, 1) if labelled else (None,):
            labels = None if label is None else np.full(len(logits), label)
            yield Batch(family, logits, labels)


def reals(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """For functions of one real: bit patterns of moderate numbers, and steps up to +-40."""
    yield ordinals(rng, fmt, 2.0**fmt.tiny_exponent, 64.0, (rows, 32))
    yield np.linspace(-40, 40, 32 * rows).reshape(rows, 32).astype(fmt.dtype)


def far_reals(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """For functions of one real: around the ends of the exponential's range, and all patterns."""
    edge = -log_smallest(fmt) + fmt.precision * np.log(2)
    yield np.linspace(-1.1 * edge, 1.1 * edge, 32 * rows).reshape(rows, 32).astype(fmt.dtype)
    yield ordinals(rng, fmt, 0.0, largest(fmt), (rows, 32))


LONG = 4096  # classes of a row from which fewer gaps are tried


def gaps(fmt: Format, rows: int) -> Iterator[Logits]:
    """A leader at 0 and all others at -gap, from no gap to beyond underflow, a row for each.

    The leader stands first or last, given more rows also in the middle, of 2 to 1000 or to 200 000.
    """
    few = rows < STANDARD
    for classes in (2, 50, 1000) if few else (2, 3, 10, 50, 1000, 4097, 50_000, 200_000):
        row_gaps = _gaps(fmt, classes, 8 if classes > LONG or (few and classes > 2) else 64)
        for place in sorted({0, classes - 1} if few else {0, classes // 2, classes - 1}):
            x = np.repeat(-row_gaps[:, None], classes, axis=1)
            x[:, place] = 0
            yield x


def gaps_below_zero(fmt: Format, rows: int) -> Iterator[Logits]:
    """For functions of one real: numbers from 0 to beyond underflow, one in each row."""
    yield -_gaps(fmt, 2, 24 if rows < STANDARD else 64)[:, None]


def _gaps(fmt: Format, classes: int, count: int) -> Logits:
    """Evenly spaced until so many classes underflow together, and where a sum may absorb them.

    With them as many in even ratios, for functions that fall faster than an exponential, and far
    ones, for those that fall slower.
    """
    end = -fmt.tiny_exponent * np.log(2) + np.log(classes)
    even, ratios = np.linspace(0, end, count), np.geomspace(0.5, end, count)
    far = np.geomspace(2 * end, largest(fmt), 4)
    together = np.log(classes) * np.linspace(0, 1, 5)[1:] + 2.0**-6
    absorbing = [p * np.log(2) + together for p in {fmt.precision, 24, 53} if p >= fmt.precision]
    found = np.concatenate([even, *absorbing, *([ratios, far] if classes <= LONG else [])])
    found = found.astype(fmt.dtype)
    return np.unique(found[(found <= end) | (classes <= LONG)])


FAMILIES: dict[str, Callable[[Rng, Format, int], Iterator[Logits]]] = {
    f.__name__: f
    for f in (
        normal,
        lengths,
        every_length,
        drawn_lengths,
        tails,
        tall,
        large,
        positions,
        mask_positions,
        wide,
        bit_patterns,
        dominant,
        ties,
        ordered,
        spike,
        subnormal_results,
        offset,
        beyond_exp,
        extremes,
        masks,
        all_patterns,
        reals,
        far_reals,
    )
}

REPEATING = ("tall", "large")  # the same rows over and over


# Families without chance.
LADDERS: dict[str, Callable[[Format, int], Iterator[Logits]]] = {
    "gaps": gaps,
    "gaps_below_zero": gaps_below_zero,
}


# Families without chance, that formats of 8 and 16 bits alone have.
EXHAUSTIVE: dict[str, Callable[[Format], Iterator[Logits]]] = {
    "every_value": every_value,
    "every_real": every_real,
}


def draw(family: str, fmt: Format, rows: int, seed: int, labelled: bool) -> Iterator[Batch]:
    """Yield the batches of a family, a pure function of the arguments, the same on every machine.

    What a format without infinities does not hold is its largest number there, of that sign, so
    that masks are the lowest number.

    Parameters
    ----------
    family
        The name of a family: a key of FAMILIES, LADDERS or EXHAUSTIVE, or one of PAIRS.
    fmt
        The format of the logits.
    rows
        How much is drawn: about so many rows of each length (quick runs ask for fewer than
        STANDARD).
    seed
        What the draw depends on, along with the names of the family and the format.
    labelled
        Whether the batches carry labels.

    Yields
    ------
    Batch
        Logits (rows, classes) with their labels.

    Examples
    --------
    >>> from softproof.derivations.arithmetic.formats import BINARY32
    >>> [batch.logits.shape for batch in draw("wide", BINARY32, 4, 0, labelled=False)]
    [(4, 16), (4, 16), (4, 16)]
    """
    if family in PAIRS:
        yield from _pairs(family, fmt, labelled)
        return
    rng = np.random.default_rng([seed, zlib.crc32(f"{family}/{fmt.name}".encode())])
    if family in LADDERS:
        drawn = LADDERS[family](fmt, rows)
    else:
        exhaustive = family in EXHAUSTIVE
        drawn = EXHAUSTIVE[family](fmt) if exhaustive else FAMILIES[family](rng, fmt, rows)
    while True:
        with np.errstate(over="ignore"):  # (not around the yield: the caller would inherit it)
            logits = next(drawn, None)
        if logits is None:
            return
        if not fmt.has_infinities and family not in EXHAUSTIVE:
            wide = logits.astype(np.float64)
            logits = np.where(np.isnan(wide), np.copysign(largest(fmt), wide), wide)
            logits = logits.astype(fmt.dtype)
        labels = _labels(family, rng, logits) if labelled else None
        if family in REPEATING:
            labels = None if labels is None else np.resize(labels[:PERIOD], len(labels))
        yield Batch(family, logits, labels, PERIOD if family in REPEATING else 0)


def _labels(family: str, rng: Rng, logits: Logits) -> NDArray[np.int64]:
    """The leading class, the last and random ones in turn; the leading one alone, of gaps."""
    rows, classes = logits.shape
    if family == "gaps":  # the rows differ in nothing but the gap
        return np.full(rows, np.argmax(logits[-1].astype(np.float64)), dtype=np.int64)
    labels: NDArray[np.int64] = np.asarray(rng.integers(classes, size=rows), dtype=np.int64)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        labels[::3] = np.argmax(logits.astype(np.float64), axis=1)[::3]
    labels[1::3] = classes - 1
    if family in ("drawn_lengths", "tails"):  # of a masked class there is no gradient
        lead = np.argmax(logits.astype(np.float64), axis=1)
        labels = np.where(np.isneginf(logits[np.arange(rows), labels]), lead, labels)
    return labels
