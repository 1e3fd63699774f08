"""Losses of sequences."""

import numpy as np

from ..arithmetic.arithmetic import NoValue
from ..definition import define
from ..proofs.facts import Range, ShiftInvariant
from ..signature import Labels, Matrix


def _extended(labels):
    """The labels with blanks between them and at both ends, and where a blank may be skipped.

    From state s - 2 a path may go to s where s is a label, and another one than that of s - 2.
    """
    states = np.zeros(2 * len(labels) + 1, dtype=np.int64)
    states[1::2] = labels
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return states, skips


def _windows(steps, skips):
    """The first and the last state, at each step, on a path from the beginning to the end."""
    count = len(skips)
    last = [min(1, count - 1)]
    first = [max(count - 2, 0)]
    for _ in range(steps - 1):
        end, start = last[-1], first[-1]
        last.append(min(end + 1 + (end + 2 < count and skips[end + 2]), count - 1))
        first.append(max(start - 1 - skips[start], 0))
    return list(zip(first[::-1], last, strict=True))


def _log_sum_over_paths(scores, labels, xp):
    """The logarithm of the sum of e^score over the paths that stand for the labels: forward.

    A path takes, at each step, a state of ``_extended``, and stays, goes on by one, or skips a
    blank; its score is the sum of those of its states.  NoValue where there is none.
    """
    states, skips = _extended(labels)
    windows = _windows(scores.shape[0], skips)
    if (labels == 0).any() or any(first > last for first, last in windows):
        raise NoValue("no path stands for the labels: they are too many, or one is the blank")
    before, end = windows[0]
    alpha = scores[0][states[before : end + 1]]
    for t in range(1, len(windows)):
        first, last = windows[t]
        # States with as many ways to come from are taken together.
        kinds = {}
        for s in range(first, last + 1):
            ways = tuple(k for k in range(2 + skips[s]) if before <= s - k <= end)
            kinds.setdefault(ways, []).append(s)
        parts = []
        for ways, chosen in kinds.items():
            found = [alpha[np.array(chosen) - k - before] for k in ways]
            parts.append(xp.logsumexp(xp.stack(found).T) if len(ways) > 1 else found[0])
        order = np.argsort(np.concatenate(list(kinds.values())))
        alpha = xp.concatenate(parts)[order] + scores[t][states[first : last + 1]]
        before, end = first, last
    return xp.logsumexp(alpha[max(0, len(states) - 2 - before) :])


@define(
    family="losses",
    source=(
        "Graves, Fernandez, Gomez, Schmidhuber 2006, Connectionist Temporal Classification, ICML, "
        "eq. (3), (6)-(8), of one sequence, class 0 the blank"
    ),
    arguments={"logits": Matrix("T", "K"), "labels": Labels("L", "K", 1)},
    least_sizes=lambda: {"K": 2},
    facts=(Range(lower=0), ShiftInvariant("logits", along="K")),
)
def ctc_loss(logits, labels, xp):
    """CTC loss: minus the logarithm of the probability of all paths that stand for the labels.

    A path chooses a class at each of T steps; without repetitions, and then without blanks, it
    stands for labels.  There has to be a step for each label, and one more between equal ones.
    """
    log_p = logits - xp.expand_dims(xp.logsumexp(logits), 1)
    return -_log_sum_over_paths(log_p, labels, xp)


@ctc_loss.form("backward")
def _(logits, labels, xp):
    """From the last step to the first."""
    log_p = logits - xp.expand_dims(xp.logsumexp(logits), 1)
    return -_log_sum_over_paths(log_p[::-1], labels[::-1], xp)


@ctc_loss.form("logits, normalised at the end")
def _(logits, labels, xp):
    return xp.sum(xp.logsumexp(logits)) - _log_sum_over_paths(logits, labels, xp)
