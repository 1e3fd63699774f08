"""Error in bits over all inputs, in the order of their bit patterns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ...derivations import Definition, lookup
from ...derivations.arithmetic.formats import ARRAY_FORMATS, Format
from ..inputs.families import Batch
from ..oracle import overflow
from ..oracle.metrics import ulp_error
from ..oracle.truth import truth
from ..subjects.built_in import BUILT_IN
from ..subjects.isolation.in_process import LiveSubject
from ..subjects.subject import NotApplicable, SubjectError, SubjectFault, short_id
from ..suites.exhaustive import has_enclosure, ulp_errors
from . import style
from .line_of_cases import Line, largest_ulp_errors, line, results
from .plot import Cell, Plot, Progress, ignore
from .subject_values import connected

FORMAT = "float16"
SAMPLED = 8192  # inputs, where the oracle is asked of each
MOST_SHOWN = 3  # subjects, where none is named
BLOCKS = 200  # of equally many inputs, each with its median and its maximum
SEED = 0
LABEL = 0
PARTNER = 0.0  # the other logit
ROW = 256  # reals in one call

RAW: dict[str, Any] = {
    "linestyle": "",
    "marker": ".",
    "markersize": 1.2,
    "markeredgewidth": 0,
    "alpha": 0.25,
    "color": style.BLUE,
    "rasterized": True,  # tens of thousands of them
}
MEDIAN: dict[str, Any] = {"color": style.VERMILION, "linestyle": "-", "linewidth": 1.4}
MAXIMUM: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 0.6}
NOT_FINITE: dict[str, Any] = {
    "linestyle": "",
    "marker": "|",
    "markersize": 4.0,
    "markeredgewidth": 0.5,
    "color": style.PURPLE,
    "rasterized": True,
}

Reals = NDArray[np.float64]


class _Errors(NamedTuple):
    """The errors of one subject."""

    subject: LiveSubject
    bits: Reals
    """log2(1 + ulp error) at each input; infinite where the result is not finite and must be."""
    blocks: Reals
    """Columns: the middle ordinal of each block, the median and the maximum of its bits."""


def plot(
    name: str = "softmax",
    subjects: Sequence[str] = (),
    *,
    dtype: str = FORMAT,
    inputs: int | None = None,
    vary: str | None = None,
    case: Path | None = None,
    parameters: Mapping[str, float] | None = None,
    progress: Progress = ignore,
) -> Plot:
    """Error of implementations at all numbers x of a format, or at some of each stretch of them.

    A function of one real is called at x, one of a row of logits at [x, 0], with label 0; the error
    is the largest of the outputs, in bits, log2(1 + ulp error), against the exact value. Points are
    inputs; lines are the median and the maximum of blocks of equally many inputs.

    A function of several arguments is called at a case of which one number is x: a plain small
    case, or one from a file.  Numbers x outside of the domain of the argument, or where the
    definition has no exact value, are left out.  In eight bits any way of a contract in which a
    result may overflow is right.

    Parameters
    ----------
    name
        The definition.
    subjects
        Patterns as of ``verify --subject``; none for our kernel and the textbook's forms, or
        else for what is known.
    dtype
        The name of the format.
    inputs
        How many inputs, at least 1: one is drawn at random from each of as many equal stretches of
        the bit patterns. None for all numbers of an 8-bit format, and of a 16-bit one where that
        is quick; SAMPLED elsewhere.
    vary
        Which number of a case is x: an argument, or an entry as ``x[0]``; the first one when None.
    case
        A file with the case; a plain one with axes of two entries when None.
    parameters
        Values of parameters of the definition at the plain case.
    progress
        ``progress(done, total)`` counts inputs and subjects.

    Returns
    -------
    Plot
        The figure and its table.

    Raises
    ------
    KeyError
        If no definition has the name.
    ValueError
        For another dtype, fewer inputs, what is no number of a case, and where no number in the
        domain has an exact value.
    OSError
        If the file of the case cannot be read.
    SubjectError
        For a subject that there is not, or that gives no result in this format.
    """
    definition = lookup(name)
    if dtype not in ARRAY_FORMATS:
        raise ValueError(f"dtype is {dtype!r}; use one of {', '.join(ARRAY_FORMATS)}")
    if inputs is not None and inputs < 1:
        raise ValueError(f"inputs is {inputs}; it must be at least 1")
    fmt = ARRAY_FORMATS[dtype]
    if definition.of_a_row and (vary or case or parameters):
        raise ValueError(
            f"{name} takes one row [x, {PARTNER:g}] here; leave out what varies of a case"
        )
    if case is not None and parameters:
        raise ValueError(f"{case} has the parameters of its case; give a case or parameters")
    along = None if definition.of_a_row else line(definition, fmt, vary, case, parameters)
    ordinals = _ordinals(definition, fmt, inputs)
    x = _numbers(ordinals, fmt)
    if along is not None:
        lower, upper = along.domain
        inside = (x.astype(np.float64) >= lower) & (x.astype(np.float64) <= upper)
        ordinals, x = ordinals[inside], x[inside]
        if not len(x):
            raise ValueError(f"no number x of these lies in the domain [{lower}, {upper}]")
    with connected([definition], subjects or _default(definition, fmt)) as live:
        outputs = [_called(subject, along, x, fmt) for subject in live]
    if along is not None:
        ulps = largest_ulp_errors(along, fmt, x, outputs, progress)
        known = ~np.isnan(ulps[0])
        if not known.any():
            raise ValueError(f"{name} has no exact value at any of these numbers of {fmt.name}")
        ordinals, x, ulps = ordinals[known], x[known], [each[known] for each in ulps]
    else:
        ulps = _ulp_errors(definition, fmt, x, outputs, progress)
    found = []
    for subject, each in zip(live, ulps, strict=True):
        bits = np.log2(1 + each)
        found.append(_Errors(subject, bits, _blocks(ordinals, bits)))

    figure = style.new_figure(1.3 + 1.45 * len(found))
    panels = figure.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, errors in zip(panels, found, strict=True):
        _draw(axes, ordinals, errors, fmt)
    # One scale for all, so that what is larger looks larger.
    panels[-1].set_ylim(0, max(1.0, panels[-1].get_ylim()[1]) * 1.15)
    panels[-1].set_xlabel(f"x ({fmt.name}, spaced by bit pattern)", fontsize=style.TEXT)
    _tick(panels[-1], fmt)
    style.legend(figure, _legend(found, fmt))
    command = style.command(
        "ordinals",
        name,
        subject=subjects,
        dtype=dtype if dtype != FORMAT else None,
        inputs=inputs,
        vary=vary,
        **style.definition_options(definition, parameters, case),
    )
    style.caption(figure, _described(definition, along, fmt, len(x)), command)
    rows = list(_rows(x, ordinals, found))
    return Plot(figure, command, ("series", "subject", "x", "ordinal", "bits"), rows)


def _default(definition: Definition, fmt: Format) -> list[str]:
    """Our kernel and the textbook's forms; where there are none, what else is known.

    SubjectError where nothing is.
    """
    known = [s for s in BUILT_IN if s.definition == definition.name and fmt.name in s.dtypes]
    kernels = [s.id for s in known if s.id.startswith("softproof.kernels:")][:1]
    textbook = [s.id for s in known if s.id.startswith("softproof.verify.textbook:")]
    others = [s.id for s in known if s.missing() is None and not s.slow]
    if not known:
        raise SubjectError(
            f"no implementation of {definition.name} in {fmt.name} is known; name one"
        )
    return ([*kernels, *textbook] or others)[:MOST_SHOWN]


def _ordinals(definition: Definition, fmt: Format, inputs: int | None) -> NDArray[np.int64]:
    """Signed ordinals of finite numbers, ascending: n > 0 is the n-th number above 0."""
    most = _most(fmt)
    quick = definition.elementwise or has_enclosure(definition)
    if inputs is None and fmt.dtype.itemsize == 2 and quick:
        return np.arange(-most, most + 1)
    count = min(inputs or SAMPLED, 2 * most + 1)
    edges = [-most + (2 * most + 1) * i // count for i in range(count + 1)]
    rng = np.random.default_rng(SEED)
    return np.array([rng.integers(a, b) for a, b in itertools.pairwise(edges)])


def _most(fmt: Format) -> int:
    """The ordinal of the largest number."""
    return int(np.array(fmt.largest).astype(fmt.dtype).view(f"u{fmt.dtype.itemsize}"))


def _numbers(ordinals: NDArray[np.int64], fmt: Format) -> NDArray[Any]:
    unsigned = np.dtype(f"u{fmt.dtype.itemsize}")
    magnitude = np.abs(ordinals).astype(unsigned).view(fmt.dtype)
    return np.where(ordinals < 0, -magnitude, magnitude).astype(fmt.dtype)


def _called(subject: LiveSubject, along: Line | None, x: NDArray[Any], fmt: Format) -> NDArray[Any]:
    """Results at the inputs, (inputs, outputs)."""
    try:
        if along is not None:
            return results(subject, along, x, fmt)
        if subject.definition.elementwise:
            padded = np.resize(x, (-(-len(x) // ROW), ROW))
            return subject(padded).value.reshape(-1)[: len(x), None]
        labels = np.full(len(x), LABEL) if subject.definition.labelled else None
        return subject(_pairs(x, fmt), labels).value.reshape(len(x), -1)
    except (SubjectFault, NotApplicable) as fault:
        raise SubjectError(f"{subject.subject.id} in {fmt.name}: {fault}") from fault


def _pairs(x: NDArray[Any], fmt: Format) -> NDArray[Any]:
    return np.stack([x, np.full_like(x, PARTNER)], axis=1).astype(fmt.dtype)


def _ulp_errors(
    definition: Definition,
    fmt: Format,
    x: NDArray[Any],
    outputs: Sequence[NDArray[Any]],
    progress: Progress,
) -> list[Reals]:
    """The largest error of the outputs at each input, subject by subject."""
    if fmt.dtype.itemsize == 2 and has_enclosure(definition):
        labels = np.full(len(x), LABEL) if definition.labelled else None
        batch = Batch("ordinals", _pairs(x, fmt), labels)
        return [ulp_errors(definition, fmt, batch, each).max(axis=1) for each in outputs]
    errors = [np.empty(len(x)) for _ in outputs]
    size = ROW if definition.elementwise else 1
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        row = x[part] if definition.elementwise else _pairs(x[part], fmt)[0]
        exact = truth(definition, row, fmt, label=LABEL if definition.labelled else None)
        for each, into in zip(outputs, errors, strict=True):
            numbers = each[part, 0] if definition.elementwise else each[start]
            numbers = overflow.read(numbers.reshape(exact.rounded.shape), exact.wide, fmt, None)
            error = ulp_error(numbers, exact)
            into[part] = error if definition.elementwise else np.max(error)
        progress(min(start + size, len(x)), len(x))
    return errors


def _blocks(ordinals: NDArray[np.int64], bits: Reals) -> Reals:
    edges = np.linspace(0, len(bits), min(BLOCKS, len(bits)) + 1).astype(int)
    parts = [slice(a, b) for a, b in itertools.pairwise(edges)]
    middles = [np.median(ordinals[part]) for part in parts]
    with np.errstate(invalid="ignore"):  # the mean of two infinite middle ones
        medians = [np.quantile(bits[part], 0.5, method="lower") for part in parts]
    return np.array([middles, medians, [np.max(bits[part]) for part in parts]]).T


def _draw(axes: Axes, ordinals: NDArray[np.int64], errors: _Errors, fmt: Format) -> None:
    finite = np.isfinite(errors.bits)
    axes.plot(ordinals[finite], errors.bits[finite], **RAW)
    if not finite.all():
        top = axes.get_xaxis_transform()
        rest = ordinals[~finite]
        axes.plot(rest, np.full(len(rest), 0.95), transform=top, **NOT_FINITE)
    middles, medians, maxima = np.where(np.isfinite(errors.blocks), errors.blocks, np.nan).T
    axes.plot(middles, maxima, **MAXIMUM)
    axes.plot(middles, medians, **MEDIAN)
    promised = errors.subject.contract.ulps.get(fmt.name)
    if promised is not None:
        axes.axhline(np.log2(1 + promised), **style.BOUND)
    axes.axhline(np.log2(1.5), **style.GUIDE)
    axes.set_xlim(-_most(fmt), _most(fmt))
    style.finish(axes, y="error (bits)")
    title = short_id(errors.subject.subject.id)
    axes.set_title(title, fontsize=style.TEXT, loc="left", pad=3)


def _tick(axes: Axes, fmt: Format) -> None:
    """Powers of two along the ordinals."""
    exponents = (fmt.emin // 2, 0, (fmt.emax + 1) // 2, fmt.emax)
    places = [((e - fmt.emin + 1) << (fmt.precision - 1)) for e in exponents]
    names = ["1" if e == 0 else f"2^{{{e}}}" for e in exponents]
    axes.set_xticks(
        [*(-p for p in reversed(places)), 0, *places],
        [*(f"$-{n}$" for n in reversed(names)), "0", *(f"${n}$" for n in names)],
    )


def _legend(found: Sequence[_Errors], fmt: Format) -> Iterator[Line2D]:
    yield Line2D([], [], label="one input", **{**RAW, "markersize": 6, "alpha": 0.6})
    yield Line2D([], [], label="median of a block", **MEDIAN)
    yield Line2D([], [], label="maximum of a block", **MAXIMUM)
    yield Line2D([], [], label="correct rounding: at most", **style.GUIDE)
    if any(fmt.name in errors.subject.contract.ulps for errors in found):
        yield Line2D([], [], label="promised: at most", **style.BOUND)
    if any(np.isinf(errors.bits).any() for errors in found):
        yield Line2D([], [], label="result not finite", **{**NOT_FINITE, "markersize": 7})


def _described(definition: Definition, along: Line | None, fmt: Format, count: int) -> str:
    most = 2 * _most(fmt) + 1
    which = f"all {count} finite numbers" if count == most else f"{count} of {most} finite numbers"
    at = "x" if definition.elementwise else f"[x, {PARTNER:g}]"
    label = f", label {LABEL}" if definition.labelled else ""
    measured = (
        f"for {which} x of {fmt.name}. Error in bits: log2(1 + ulp error), the largest of the "
        "outputs, against the exact value."
    )
    if along is None:
        return f"{definition.name} at {at}{label}, {measured}"
    return f"The case {along.described}, but {along.place} = x, {measured}"


def _rows(
    x: NDArray[Any], ordinals: NDArray[np.int64], found: Sequence[_Errors]
) -> Iterator[tuple[Cell, ...]]:
    values = x.astype(np.float64).tolist()
    for errors in found:
        name = errors.subject.subject.id
        for value, ordinal, bits in zip(
            values, ordinals.tolist(), errors.bits.tolist(), strict=True
        ):
            yield "input", name, value, ordinal, bits
        for middle, median, maximum in errors.blocks.tolist():
            yield "median", name, None, middle, median
            yield "maximum", name, None, middle, maximum
