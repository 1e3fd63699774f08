"""Input families: named hazards, drawn from a seed, exactly representable in the format.

Each family yields batches of logits (rows, classes) in the format's dtype.  Values are drawn
uniformly over bit patterns where range is the hazard (uniform reals would never meet a small
number), and structured where the hazard is a structure.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..derivations.formats import Format

Rng = np.random.Generator
Logits = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Rows of one length, with labels where the definition takes them."""

    family: str
    logits: Logits
    labels: NDArray[np.int64] | None

    def row(self, i: int) -> Batch:
        """One row, as a batch of its own."""
        labels = None if self.labels is None else self.labels[i : i + 1]
        return Batch(self.family, self.logits[i : i + 1], labels)


def ordinals(rng: Rng, fmt: Format, low: float, high: float, shape: tuple[int, ...]) -> Logits:
    """Numbers of the format with low <= |x| <= high, uniform over bit patterns, random signs."""
    bits = np.dtype(f"uint{8 * fmt.dtype.itemsize}")
    ends = np.array([low, high]).astype(fmt.dtype).view(bits)
    drawn = rng.integers(int(ends[0]), int(ends[1]), shape, dtype=np.uint64, endpoint=True)
    values = drawn.astype(bits).view(fmt.dtype)
    return np.where(rng.random(shape) < 0.5, values, -values).astype(fmt.dtype)


def largest(fmt: Format) -> float:
    """The largest finite number of the format."""
    return float(2 - 2.0 ** (1 - fmt.precision)) * 2.0**fmt.emax


def log_smallest(fmt: Format) -> float:
    """log of the smallest normal number: where exponentials begin to underflow."""
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
        yield _gaussian(rng, fmt, 2, (max(1, rows // 8), classes))
    yield _gaussian(rng, fmt, 2, (1, 5003))


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


def reals(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """For functions of one real: bit patterns of moderate numbers, and steps up to +-40."""
    yield ordinals(rng, fmt, 2.0**fmt.tiny_exponent, 64.0, (rows, 32))
    yield np.linspace(-40, 40, 32 * rows).reshape(rows, 32).astype(fmt.dtype)


def far_reals(rng: Rng, fmt: Format, rows: int) -> Iterator[Logits]:
    """For functions of one real: around the ends of the exponential's range, and all patterns."""
    edge = -log_smallest(fmt) + fmt.precision * np.log(2)
    yield np.linspace(-1.1 * edge, 1.1 * edge, 32 * rows).reshape(rows, 32).astype(fmt.dtype)
    yield ordinals(rng, fmt, 0.0, largest(fmt), (rows, 32))


FAMILIES: dict[str, Callable[[Rng, Format, int], Iterator[Logits]]] = {
    f.__name__: f
    for f in (
        normal,
        lengths,
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


def draw(family: str, fmt: Format, rows: int, seed: int, labelled: bool) -> Iterator[Batch]:
    """The batches of a family: a pure function of its arguments, the same on every machine."""
    rng = np.random.default_rng([seed, zlib.crc32(f"{family}/{fmt.name}".encode())])
    drawn = FAMILIES[family](rng, fmt, rows)
    while True:
        with np.errstate(over="ignore"):  # (not around the yield: the caller would inherit it)
            logits = next(drawn, None)
        if logits is None:
            return
        yield Batch(family, logits, _labels(rng, logits) if labelled else None)


def _labels(rng: Rng, logits: Logits) -> NDArray[np.int64]:
    """The leading class, the last and random ones in turn."""
    rows, classes = logits.shape
    labels: NDArray[np.int64] = np.asarray(rng.integers(classes, size=rows), dtype=np.int64)
    labels[::3] = np.argmax(logits.astype(np.float64), axis=1)[::3]
    labels[1::3] = classes - 1
    return labels
