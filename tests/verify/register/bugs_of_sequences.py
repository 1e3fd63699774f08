"""The reported bugs of the CTC loss, one implementation for each, and a right one.

Written from the reports, not from the code that they are about.  The right one computes in
binary64, by loops over steps and states.
"""

import functools

import numpy as np


def log_softmax(logits):
    d = logits - np.max(logits, axis=-1, keepdims=True)
    return d - np.log(np.sum(np.exp(d), axis=-1, keepdims=True))


def states_of(labels):
    """The labels with blanks around them."""
    states = [0]
    for label in labels.tolist():
        states += [label, 0]
    return states


def forward(log_p, labels):
    """The logarithm of the sum over all paths up to a step that end in a state."""
    states = states_of(labels)
    alpha = np.full((len(log_p), len(states)), -np.inf, dtype=log_p.dtype)
    alpha[0, :2] = log_p[0, states[:2]]
    for t in range(1, len(log_p)):
        for s, label in enumerate(states):
            before = [alpha[t - 1, s]]
            if s > 0:
                before.append(alpha[t - 1, s - 1])
            if s > 1 and label and label != states[s - 2]:
                before.append(alpha[t - 1, s - 2])
            alpha[t, s] = functools.reduce(np.logaddexp, before) + log_p[t, label]
    return alpha


def of_log_probabilities(log_p, labels):
    """The loss of one sequence."""
    return -functools.reduce(np.logaddexp, forward(log_p, labels)[-1, -2:])


def losses(logits, labels):
    """Computed in the format of the logits."""
    return of_each(log_softmax(logits), labels)


def of_each(log_p, labels):
    found = [of_log_probabilities(*case) for case in zip(log_p, labels, strict=True)]
    return np.array(found, dtype=log_p.dtype)


# --- right ---


def ctc_loss(logits, labels):
    return np.maximum(losses(logits.astype(np.float64), labels), 0).astype(logits.dtype)


def gradient(logits, labels, beyond=-np.inf):
    """softmax(logits) less the share of the paths that have the class at the step.

    ``beyond``: what stands behind the last state in the sums from the other end.
    """
    log_p = log_softmax(logits)
    alpha, states = forward(log_p, labels), states_of(labels)
    beta = forward(log_p[::-1], labels[::-1])[::-1, ::-1]
    if beyond > -np.inf:
        beta = beta.copy()
        beta[:-1, -1] = np.logaddexp(beta[:-1, -1], beyond + log_p[:-1, 0])
    total = functools.reduce(np.logaddexp, alpha[-1, -2:])
    found = np.exp(log_p)
    for t in range(len(log_p)):
        for s, label in enumerate(states):
            found[t, label] -= np.exp(alpha[t, s] + beta[t, s] - log_p[t, label] - total)
    return found


def products(logits, labels, cotangent, beyond=-np.inf):
    wide = logits.astype(np.float64)
    each = [gradient(*case, beyond) for case in zip(wide, labels, strict=True)]
    return (np.array(each) * cotangent[:, None, None]).astype(logits.dtype)


ctc_loss.vjp = products


# --- broken ---


def below_zero(logits, labels):
    """1 and a small exponential sum to 1: log-probabilities of 0, and of the small one."""
    return losses(logits, labels)


def zero_without_a_path(logits, labels):
    found = ctc_loss(logits, labels)
    return np.where(np.isinf(found), 0, found).astype(logits.dtype)


def reads_beyond_the_last_state(logits, labels, cotangent):
    return products(logits, labels, cotangent, beyond=0.0)


def of_raw_logits(logits, labels):
    return of_each(logits, labels)
