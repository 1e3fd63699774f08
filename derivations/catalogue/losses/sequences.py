"""Losses of sequences."""

import numpy as np

from ...arithmetic.arithmetic import NoValue
from ...definition import define
from ...proofs.facts import GradientSumsTo, Range, ShiftInvariant
from ...signature import Labels, Matrix

BLANK = 0
MOST_STEPS = 8  # of cases that are drawn: each more is the same again, and takes as long


def _states(labels):
    """The states of a path: the labels, with a blank before, between and behind them.

    And for each state whether a path may come to it from the last but one before: it may skip the
    blank between two labels, unless they are equal.
    """
    states = np.full(2 * len(labels) + 1, BLANK)
    states[1::2] = labels
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return states, skips


def _reached(steps, skips):
    """The first and the last state, at each step, of paths that begin and end as they have to.

    They begin in one of the first two states and end in one of the last two.
    """
    count = len(skips)
    last = [min(1, count - 1)]
    first = [max(count - 2, 0)]
    for _ in range(steps - 1):
        end, start = last[-1], first[-1]
        last.append(min(end + 1 + (end + 2 < count and skips[end + 2]), count - 1))
        first.append(max(start - 1 - skips[start], 0))
    return list(zip(first[::-1], last, strict=True))


def _sizes_with_paths(sizes):
    """So few labels, and steps, that a path stands for any labels."""
    steps = min(sizes["T"], MOST_STEPS)
    return {"T": steps, "L": min(sizes["L"], (steps + 1) // 2)}


def _log_sum_over_paths(scores, labels, xp):
    """The logarithm of the sum of e^score over the paths that stand for the labels.

    At each step a path has a state, and the score of that label or of the blank; then it stays,
    goes on by one state, or skips a blank.  The sums over the paths up to a state are taken from
    step to step, as logarithms, of those states alone that are on a path from beginning to end.
    """
    if (labels == BLANK).any():
        raise ValueError(
            f"the labels {labels.tolist()} have {BLANK} among them, which is the blank"
        )
    states, skips = _states(labels)
    reached = _reached(scores.shape[0], skips)
    if any(first > last for first, last in reached):
        raise NoValue(
            f"no path of {scores.shape[0]} steps stands for the labels {labels.tolist()}: its "
            "probability is 0, and the loss is infinite"
        )
    before, end = reached[0]
    alpha = scores[0][states[before : end + 1]]
    for t in range(1, len(reached)):
        first, last = reached[t]
        # States that are come to from as many states are taken together.
        alike: dict[tuple[int, ...], list[int]] = {}
        for s in range(first, last + 1):
            steps = tuple(k for k in range(2 + skips[s]) if before <= s - k <= end)
            alike.setdefault(steps, []).append(s)
        sums = []
        for steps, chosen in alike.items():
            found = [alpha[np.array(chosen) - k - before] for k in steps]
            sums.append(xp.logsumexp(xp.stack(found).T) if len(steps) > 1 else found[0])
        order = np.argsort(np.concatenate(list(alike.values())))
        alpha = xp.concatenate(sums)[order] + scores[t][states[first : last + 1]]
        before, end = first, last
    return xp.logsumexp(alpha[max(0, len(states) - 2 - before) :])


@define(
    family="losses",
    source=(
        "Graves, Fernandez, Gomez, Schmidhuber 2006, Connectionist Temporal Classification, ICML, "
        "eq. (3), (6)-(8), of one sequence, class 0 the blank"
    ),
    arguments={"logits": Matrix("T", "K"), "labels": Labels("L", "K", lower=BLANK + 1)},
    least_sizes=lambda: {"T": 1, "K": 2},
    drawn_sizes=_sizes_with_paths,
    facts=(Range(lower=0), ShiftInvariant("logits", along="K"), GradientSumsTo(0, "logits")),
)
def ctc_loss(logits, labels, xp):
    """CTC loss: minus the logarithm of the probability of all paths that stand for the labels.

    A path chooses a class at each of T steps, with the probabilities softmax(logits); it stands for
    what it is without repetitions and, after that, without the blank, class 0.  It takes a step for
    each label, and one more between equal neighbours: of fewer steps no path stands for the labels,
    and the loss is +inf.  That is no number: the formula raises NoValue.
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
