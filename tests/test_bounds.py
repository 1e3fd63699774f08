"""The rounding-error bounds: no implementation of the documented class breaks them, wrong ones do.

The implementations below are the straightforward ones that each bound describes, in the format's
own arithmetic, with a recursive sum in the accumulator.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from softproof.derivations import lookup
from softproof.derivations.arithmetic import ieee
from softproof.derivations.bounds import ELEMENTARY, Model, bound
from softproof.derivations.formats import BFLOAT16, BINARY16, BINARY32, BINARY64, FORMATS
from softproof.verify.oracle import truth

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow is part of the test

ACCUMULATORS = ("input", "float32", "float64")


# --- the algorithms the bounds are stated for ---


def recursive_sum(terms, accumulator):
    wide = terms.dtype if accumulator == "input" else np.dtype(accumulator)
    if wide.itemsize < terms.dtype.itemsize:
        wide = terms.dtype
    total = wide.type(0)
    for term in terms.astype(wide):
        total += term
    return total.astype(terms.dtype)


def softmax(z, accumulator):
    e = np.exp(z - np.max(z))
    return e / recursive_sum(e, accumulator)


def losers(z, accumulator):
    others = np.delete(z, np.argmax(z))
    return recursive_sum(np.exp(others - np.max(z)), accumulator)


def log_softmax(z, accumulator):
    return -((np.max(z) - z) + np.log1p(losers(z, accumulator)))


def logsumexp(z, accumulator):
    return np.max(z) + np.log1p(losers(z, accumulator))


def targets(z, label, smoothing):
    exact = np.full(len(z), smoothing / len(z))
    exact[label] += 1 - smoothing
    return exact.astype(z.dtype)


def cross_entropy(z, accumulator, label=0, smoothing=0.0):
    d = np.max(z) - z
    if smoothing:
        first = recursive_sum(targets(z, label, smoothing) * d, accumulator)
    else:
        first = d[label]
    return first + np.log1p(losers(z, accumulator))


def cross_entropy_gradient(z, accumulator, label=0, smoothing=0.0):
    return softmax(z, accumulator) - targets(z, label, smoothing)


def stand_in(z):
    one = z.dtype.type(1)
    return np.where(z >= 0, z + one, one / (one - np.minimum(z, 0 * z)))


def stablemax(z, accumulator):
    s = stand_in(z)
    return s / recursive_sum(s, accumulator)


def stablemax_cross_entropy(z, accumulator, label=0):
    s = stand_in(z)
    return np.log1p(recursive_sum(np.delete(s, label), accumulator) / s[label])


OF_LOGITS = {
    "softmax": softmax,
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "cross_entropy": cross_entropy,
    "stablemax": stablemax,
    "stablemax_cross_entropy": stablemax_cross_entropy,
}
