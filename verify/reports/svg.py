"""Small drawings of a report, as inline SVG that takes its colours from the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from .text import number, short_count

WIDTH, HEIGHT = 360, 150  # small enough for a phone to show the text at its size
TOP, BOTTOM, SIDE = 24, 40, 14
BASE = HEIGHT - BOTTOM
MOST_BARS = 128


def distribution(errors: Sequence[Sequence[float]], threshold: float | None) -> str:
    """A histogram of ulp errors over powers of two, with the threshold of the worst case.

    Heights are logarithmic: one wrong result among a million must be seen.

    Parameters
    ----------
    errors
        Pairs (upper edge in ulp, count): the edge 0.5 has all up to it, 2^k those in (2^(k-1),
        2^k], infinity NaN and the infinite ones.
    threshold
        The threshold in ulp; None where there is none.

    Returns
    -------
    str
        An SVG element.
    """
    counts = {_exponent(edge): int(count) for edge, count in errors if math.isfinite(edge)}
    infinite = sum(int(count) for edge, count in errors if math.isinf(edge))
    marked = threshold if threshold and math.isfinite(threshold) else None
    last = max([0, *counts, *([math.ceil(math.log2(marked))] if marked else [])])
    first = -1
    slots = last - first + 1 + (2 if infinite else 0)
    step = min(44.0, (WIDTH - 2 * SIDE) / slots)

    def right_end(exponent: float) -> float:
        return SIDE + (exponent - first + 1) * step

    highest = math.log2(1 + max([infinite, *counts.values()], default=0)) or 1.0
    drawn = [_line(SIDE, BASE, SIDE + slots * step, BASE, "axis")]
    labelled = 0.0  # where the last count ends

    def bar(x: float, count: int, title: str) -> None:
        nonlocal labelled
        height = (BASE - TOP) * math.log2(1 + count) / highest
        kind = "bar" if marked is None or x < right_end(math.log2(marked)) else "bar beyond"
        drawn.append(
            f'<rect class="{kind}" x="{x + 0.5:.1f}" y="{BASE - height:.1f}" '
            f'width="{max(step - 1, 1):.1f}" height="{height:.1f}"><title>{title}</title></rect>'
        )
        middle, half = x + step / 2, 3.6 * len(short_count(count))
        if middle - half > labelled:
            drawn.append(_text(middle, BASE - height - 3, short_count(count), "middle"))
            labelled = middle + half

    for exponent, count in sorted(counts.items()):
        upper = _power(exponent)
        title = f"at most {upper} ulp" if exponent == first else f"up to {upper} ulp"
        bar(right_end(exponent - 1), count, f"{title}: {count}")
    if infinite:
        bar(SIDE + (slots - 1) * step, infinite, f"NaN or infinite: {infinite}")
        drawn.append(_text(SIDE + slots * step, BASE + 12, "NaN, inf", "end"))
    every = math.ceil(36 / step)
    for exponent in range(first, last + 1, every):
        x = right_end(exponent)
        if not infinite or x < SIDE + slots * step - 64:
            drawn.append(_line(x, BASE, x, BASE + 3, "axis"))
            drawn.append(_text(x, BASE + 12, _power(exponent), "middle"))
    if marked is not None:
        x = right_end(math.log2(marked)) if marked > 0.5 else right_end(first)
        drawn.append(_line(x, TOP - 10, x, BASE, "limit"))
        drawn.append(
            _beside(x, TOP - 15, f"threshold {number(marked)}, of the worst case", "limit-text")
        )
    drawn.append(_text(SIDE, HEIGHT - 6, "error in ulp; heights are logarithmic", "start"))
    correct, total = counts.get(-1, 0), infinite + sum(counts.values())
    return _svg(drawn, f"Error distribution: {correct} of {total} errors are at most 0.5 ulp")


def row_of_logits(failure: dict[str, Any]) -> str:
    """The logits of a case as bars, with the label and the index of the wrong result marked.

    Parameters
    ----------
    failure
        The case as plain data.

    Returns
    -------
    str
        An SVG element.
    """
    start, logits = window(failure, MOST_BARS)
    values = [float.fromhex(text) for text in logits]
    finite = [v for v in values if math.isfinite(v)]
    # Halved: the range of the largest finite numbers overflows.
    low, high = min([0.0, *finite]) / 2, max([0.0, *finite]) / 2
    if low == high:
        low, high = -0.5, 0.5  # nothing but zeros, infinities and NaN
    extent = high - low
    step = min(32.0, (WIDTH - 2 * SIDE) / max(len(values), 1))

    def y(value: float) -> float:
        return TOP + (BASE - TOP) * (high - value / 2) / extent

    zero, marked = y(0.0), 0.0  # where the last mark of a NaN ends
    above = zero - 3 if zero > TOP + 12 else zero + 11  # not in the title
    drawn = [_line(SIDE, zero, SIDE + step * len(values), zero, "axis")]
    for i, value in enumerate(values):
        x, here = SIDE + i * step, start + i
        kind = "bar beyond" if here == failure["index"] else "bar"
        end = y(value) if math.isfinite(value) else (TOP if value > 0 else BASE)
        title = f"<title>{here}: {logits[i]}</title>"
        if math.isnan(value):
            if x >= marked:
                drawn.append(_text(x + step / 2, above, "NaN" if step > 24 else "?", "middle"))
                marked = x + max(step, 7)
        else:
            kind += "" if math.isfinite(value) else " infinite"
            # Half a pixel at least: a logit of 0 has its place, too.
            top, height = min(zero, end) - 0.5, abs(zero - end) + 1
            drawn.append(
                f'<rect class="{kind}" x="{x + 0.1 * step:.1f}" y="{top:.1f}" '
                f'width="{0.8 * step:.1f}" height="{height:.1f}">{title}</rect>'
            )
    texts = []  # over all lines: where index and label are one place, a line goes through
    for place, name in ((failure["index"], "index"), (failure["label"], "label")):
        if place is not None and start <= place < start + len(values):
            x = SIDE + (place - start + 0.5) * step
            lower = BASE + (12 if name == "index" else 24)
            drawn.append(_line(x, BASE, x, lower - 8, "limit" if name == "index" else "axis"))
            texts.append(_beside(x, lower, f"{name} {place}", f"{name}-text"))
    drawn += texts
    total = len(failure["logits"])
    shown = f", {start} ... {start + len(values) - 1} of {total}" if len(values) < total else ""
    ends = f"{number(min(finite))} to {number(max(finite))}" if finite else "none is finite"
    infinite = "; dashed: infinite" if any(map(math.isinf, values)) else ""
    drawn.append(_text(SIDE, 12, f"logits{shown}: {ends}{infinite}", "start"))
    return _svg(drawn, f"The {total} logits of the case as bars")


def distance(failure: dict[str, Any]) -> str:
    """How far the error is beyond the threshold, on a logarithmic scale.

    Parameters
    ----------
    failure
        The case as plain data.

    Returns
    -------
    str
        An SVG element.
    """
    error, threshold = failure["error"], failure["threshold"]
    unit = " ulp" if failure["observed"] is not None else " x admissible"
    beyond = error if error is not None and math.isfinite(error) else math.inf
    high = max(1.0, *(math.log2(v) for v in (beyond, threshold) if v > 0 and math.isfinite(v)))
    low, length, height, line = -2.0, WIDTH - 2 * SIDE, 62, 32

    def x(value: float) -> float:
        at = math.log2(value) if value > 0 else low
        return SIDE + 0.9 * length * (min(max(at, low), high) - low) / (high - low)

    mark = x(beyond) if math.isfinite(beyond) else float(WIDTH - SIDE)
    drawn = [
        _line(SIDE, line, WIDTH - SIDE, line, "axis"),
        f'<rect class="admissible" x="{SIDE}" y="{line - 6}" '
        f'width="{max(x(threshold) - SIDE, 2):.1f}" height="12"/>',
        _line(x(threshold), line - 10, x(threshold), line + 10, "limit"),
        _beside(x(threshold), line + 22, f"threshold {number(threshold)}{unit}", "limit-text"),
        f'<circle class="beyond" cx="{mark:.1f}" cy="{line}" r="4"/>',
        _beside(mark, line - 14, f"error {number(error)}{unit}", "index-text"),
    ]
    return _svg(drawn, f"error {number(error)}, threshold {number(threshold)}{unit}", height)


def window(failure: dict[str, Any], size: int) -> tuple[int, list[str]]:
    """The neighbouring logits around the wrong result of a case, and the place of the first.

    Parameters
    ----------
    failure
        The case as plain data.
    size
        The most logits.

    Returns
    -------
    tuple
        The index of the first logit, and the logits in hex.
    """
    logits = failure["logits"]
    start = max(0, min((failure["index"] or 0) - size // 2, len(logits) - size))
    return start, logits[start : start + size]


def _power(exponent: int) -> str:
    return f"{2.0**exponent:g}" if exponent < 10 else f"2^{exponent}"


def _exponent(edge: float) -> int:
    return round(math.log2(edge))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    placed = f'class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {placed}>{escape(text)}</text>"


def _beside(x: float, y: float, text: str, kind: str) -> str:
    """Text centred at a place, but inside the drawing."""
    half = 3.3 * len(text)  # half of its width, by an average letter
    if x < half:
        return _text(2, y, text, "start", kind)
    if x > WIDTH - half:
        return _text(WIDTH - 2, y, text, "end", kind)
    return _text(x, y, text, "middle", kind)


def _svg(parts: list[str], label: str, height: int = HEIGHT) -> str:
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}"'
    return f"<svg {box}>{''.join(parts)}</svg>"
