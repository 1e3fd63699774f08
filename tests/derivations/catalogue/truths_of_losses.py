"""What the sources of losses of several arguments say, in plain loops over mpmath numbers."""

import itertools

import mpmath

MP = mpmath.MPContext()
MP.dps = 50


def softmax(z):
    total = sum(MP.exp(v) for v in z)
    return [MP.exp(v) / total for v in z]


def js_divergence(student, teacher):
    """The entropy of the mixture, less the mean of both entropies."""

    def entropy(p):
        return -sum(v * MP.log(v) for v in p)

    q, p = softmax(student), softmax(teacher)
    mixture = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return [entropy(mixture) - (entropy(p) + entropy(q)) / 2]


def focal_loss(logits, label, gamma=2.0):
    p = softmax(logits)[label]
    return [-((1 - p) ** MP.mpf(gamma)) * MP.log(p)]


def dpo(chosen, rejected, reference_chosen, reference_rejected, beta=0.1):
    """The preference of the implied rewards beta log(pi / pi_ref), as probabilities."""
    better = (MP.exp(chosen) / MP.exp(reference_chosen)) ** MP.mpf(beta)
    worse = (MP.exp(rejected) / MP.exp(reference_rejected)) ** MP.mpf(beta)
    return [-MP.log(better / (better + worse))]


def clipped(ratio, advantage, clip):
    kept = min(max(ratio, 1 - MP.mpf(clip)), 1 + MP.mpf(clip))
    return -min(ratio * advantage, kept * advantage)


def ppo_loss(logp, old_logp, advantage, clip=0.2):
    return [clipped(MP.exp(logp) / MP.exp(old_logp), advantage, clip)]


def grpo_loss(logp, old_logp, advantage, reference_logp, clip=0.2, beta=0.04):
    odds = MP.exp(reference_logp) / MP.exp(logp)
    (surrogate,) = ppo_loss(logp, old_logp, advantage, clip)
    return [surrogate + MP.mpf(beta) * (odds - MP.log(odds) - 1)]


def gspo_loss(logp, old_logp, advantage, mask, clip=0.2):
    """The geometric mean of the ratios of the tokens that count."""
    ratios = [
        MP.exp(new) / MP.exp(old)
        for new, old, keep in zip(logp, old_logp, mask, strict=True)
        if keep
    ]
    return [clipped(MP.fprod(ratios) ** (MP.mpf(1) / len(ratios)), advantage, clip)]


def sinkhorn(cost, epsilon=0.1, iterations=10.0):
    """Products: each iteration scales the rows to equal sums, and then the columns."""
    plan = [[MP.exp(-c / MP.mpf(epsilon)) for c in row] for row in cost]
    n, m = len(plan), len(plan[0])
    for _ in range(int(iterations)):
        plan = [[v / sum(row) / n for v in row] for row in plan]
        sums = [sum(row[j] for row in plan) for j in range(m)]
        plan = [[v / total / m for v, total in zip(row, sums, strict=True)] for row in plan]
    return [v for row in plan for v in row]


def entmax(z, alpha=1.5):
    """By bisection: the total of the powers of positive parts falls as the threshold grows."""
    a = MP.mpf(alpha) - 1
    low, high = a * max(z) - 1, a * max(z)

    def powers(t):
        return [(a * v - t) ** (1 / a) if a * v > t else MP.mpf(0) for v in z]

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(powers(middle)) > 1 else (low, middle)
    return powers(low)


def ctc_loss(logits, labels):
    """The sum over all paths whose classes, without repetitions and blanks, are the labels."""
    p = [softmax(row) for row in logits]
    total = MP.mpf(0)
    for path in itertools.product(range(len(p[0])), repeat=len(p)):
        kept = [k for k, _ in itertools.groupby(path) if k != 0]
        if kept == list(labels):
            total += MP.fprod(row[k] for row, k in zip(p, path, strict=True))
    return [-MP.log(total)]


X, Y, W = (0.5, -1.25, 2.0, -0.375), (1.0, 0.25, -0.5, 3.0), (-1.5, 0.75, 0.125, 1.0)
COST = ((0.5, 1.0, 0.25), (0.0, 0.75, 0.375))
STEPS = ((0.5, 1.0, -0.5), (0.0, -1.0, 0.375), (1.0, 0.25, 0.75), (-0.25, 0.5, 1.5))
LOGP, OLD = (-0.5, -2.0, -1.25), (-1.0, -1.75, -1.5)
CASES = {
    "js_divergence": [((X, Y), {}), ((W, X), {}), ((Y, Y), {})],
    "dpo": [
        ((-3.0, -2.5, -2.0, -4.0), {}),
        ((-3.0, -2.5, -2.0, -4.0), {"beta": 8.0}),
        ((-1.0, -4.5, -2.0, -3.0), {"beta": 0.5}),
    ],
    "ppo_loss": [
        ((-1.0, -1.125, 0.5), {}),
        ((-1.0, -1.5, 2.0), {}),
        ((-1.0, -1.5, -2.0), {}),
        ((-2.0, -1.5, -1.0), {"clip": 0.0}),
    ],
    "grpo_loss": [
        ((-1.0, -1.125, 0.5, -2.0), {}),
        ((-1.0, -1.5, 2.0, -0.5), {"beta": 1.0}),
        ((-2.0, -1.5, -1.0, -1.75), {"clip": 0.0, "beta": 0.0}),
    ],
    "gspo_loss": [
        ((LOGP, OLD, 1.5, (True, True, True)), {}),
        ((LOGP, OLD, 1.5, (True, False, False)), {}),
        ((LOGP, OLD, -1.0, (False, True, True)), {"clip": 0.0009765625}),
    ],
    "sinkhorn": [
        ((COST,), {"epsilon": 1.0, "iterations": 2.0}),
        ((COST,), {"iterations": 1.0}),
        ((((0.5,),),), {"iterations": 2.0}),
    ],
    "ctc_loss": [
        ((STEPS, (1, 2)), {}),
        ((STEPS, (2, 2)), {}),
        ((STEPS, (1, 2, 1, 2)), {}),
        ((STEPS[:1], (2,)), {}),
        ((((0.0, 4.0), (0.0, 4.0)), (1,)), {}),
    ],
    "entmax": [
        ((X,), {}),
        ((W,), {"alpha": 2.0}),
        ((W,), {"alpha": 1.25}),
        (((0.5, 0.5, -3.0, 0.25),), {}),
        (((7.0,),), {}),
    ],
}
TRUTHS = {
    f.__name__: f
    for f in (js_divergence, dpo, ppo_loss, grpo_loss, gspo_loss, sinkhorn, entmax, ctc_loss)
}
