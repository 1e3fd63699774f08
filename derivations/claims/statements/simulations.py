"""Statements on random networks and on-line learning, by simulation with seeds that are fixed.

A simulation shows what a statement says of a few sizes and draws, and proves nothing.  Thresholds
leave a factor to the spread of the draws, so that they do not depend on how a library adds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, sqrt

import numpy as np
from numpy.typing import NDArray

from ..register import SEARCH, Verdict, claim, refuted, require, simulated

MIRROR_DESCENT = (
    "Optimistic Online Mirror Descent for Bridging Stochastic and Adversarial Online Convex "
    "Optimization"
)
WITHOUT_LIMITS = (
    "Towards Training Without Depth Limits: Batch Normalization Without Gradient Explosion"
)
FIXUP = "Fixup Initialization: Residual Learning Without Normalization"
GOOD_INIT = "All you need is a good init"
GENERATIVE = "Revisiting Discriminative vs. Generative Classifiers: Theory and Implications"
PERI_LN = "Peri-LN: Revisiting Layer Normalization in the Transformer Architecture"
FEATURE_LEARNING = "Feature Learning in Infinite-Width Neural Networks"

Floats = NDArray[np.float64]


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def _layer_norm(x: Floats) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    found: Floats = centred / centred.std(-1, keepdims=True)
    return found


def _orthogonal(random: np.random.Generator, width: int) -> Floats:
    """A matrix from Haar's measure, by QR with the signs of the diagonal."""
    q, r = np.linalg.qr(random.standard_normal((width, width)))
    found: Floats = q * np.sign(np.diag(r))
    return found


@claim(
    "On stochastic plus slow losses optimistic mirror descent has regret O(sqrt(s^2) + sqrt(S^2)).",
    MIRROR_DESCENT,
    "the SEA model; s^2 sums squared noise, S^2 squared drift; entropy; the constant is ours",
    SEARCH,
    opposite={"noisy": 0},
    papers=(121,),
)
def optimistic_regret(noisy: int = 1) -> Verdict:
    """Linear losses of 8 actions with the last loss as hint; the rate is the best for the bound.

    regret <= log K / eta + eta/2 sum |g_t - g_(t-1)|^2, and that square is at most three times
    the squares of both noises and of the drift.
    """
    actions, rounds, cases = 8, 300, 0
    for seed in range(4):
        for noise, drift in ((0.0, 0.1), (1.0, 0.1), (0.3, 0.0), (1.0, 0.0)):
            random = np.random.default_rng(seed)
            means = np.cumsum(drift * random.uniform(-1, 1, (rounds, actions)), axis=0)
            noises = noise * random.uniform(-1, 1, (rounds, actions))
            losses = means + noises
            hints = np.vstack([np.zeros(actions), losses[:-1]])
            squares = [
                float((np.abs(v).max(axis=1) ** 2).sum())
                for v in (noises, np.diff(means, axis=0, prepend=0.0))
            ]
            rate = sqrt(2 * log(actions) / (6 * squares[0] + 3 * squares[1]))
            past = np.cumsum(losses, axis=0) - losses
            scores = -rate * (past + hints)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            regret = float((weights * losses).sum() - losses.sum(axis=0).min())
            bound = sqrt(2 * log(actions) * (6 * noisy * squares[0] + 3 * squares[1]))
            cases += 1
            if regret > bound:
                told = f"noise {noise:g}, drift {drift:g}: regret {regret:.3g}, bound {bound:.3g}"
                return refuted(told, cases)
    return simulated(cases, "300 rounds, 8 actions: regret <= sqrt(log K (12 s^2 + 6 S^2))")


def _backward_growth(depth: int, random: np.random.Generator, orthogonal: bool) -> float:
    """The log of how much a gradient grows from the last layer to the first; width 16, batch 16."""
    width = 16
    state, layers = random.standard_normal((width, width)), []
    for _ in range(depth):
        weights = (
            _orthogonal(random, width)
            if orthogonal
            else random.standard_normal((width, width)) / sqrt(width)
        )
        state = state @ weights.T
        scale = np.sqrt((state**2).mean(axis=0))
        state = state / scale
        layers.append((weights, state, scale))
    gradient = start = random.standard_normal(state.shape)
    for weights, output, scale in reversed(layers):
        gradient = (gradient - output * (gradient * output).mean(axis=0)) / scale @ weights
    return log(float(np.linalg.norm(gradient) / np.linalg.norm(start)))


@claim(
    "Orthogonal linear layers with BN keep gradients bounded at any depth; Gaussian ones do not.",
    WITHOUT_LIMITS,
    "the gradient bound (BN by the mean square)",
    SEARCH,
    opposite={"orthogonal": False},
    papers=(170,),
)
def orthogonal_batch_norm_keeps_gradients(orthogonal: bool = True) -> Verdict:
    """Growth of the gradient over 50 to 400 layers: at most e^2."""
    cases = 0
    for seed in range(3):
        for depth in (50, 200, 400):
            cases += 1
            growth = _backward_growth(depth, np.random.default_rng(seed), orthogonal)
            if growth > 2:
                return refuted(f"{depth} layers: the gradient grows by e^{growth:.3g}", cases)
    return simulated(cases, "width and batch 16, 50 to 400 layers: it grows by less than e^2")


@claim(
    "With orthogonal weights and BN the Gram matrix of a batch converges to I with depth.",
    WITHOUT_LIMITS,
    "the orthogonality of representations (linear layers, BN by the mean square)",
    SEARCH,
    opposite={"orthogonal": False},
    papers=(170,),
)
def orthogonal_batch_norm_decorrelates(orthogonal: bool = True) -> Verdict:
    """The distance of X X^T / width from I after 300 layers, of batch and width 12."""
    width, cases, worst = 12, 3, 0.0
    for seed in range(cases):
        random = np.random.default_rng(seed)
        state = random.standard_normal((width, width))
        for _ in range(300):
            weights = (
                _orthogonal(random, width)
                if orthogonal
                else random.standard_normal((width, width)) / sqrt(width)
            )
            state = state @ weights.T
            state = state / np.sqrt((state**2).mean(axis=0))
        gap = float(np.linalg.norm(state @ state.T / width - np.eye(width)))
        worst = max(worst, gap)
    told = f"after 300 layers the Gram matrix is off by {worst:.1g} at most"
    return simulated(cases, told) if worst < 0.01 else refuted(told, cases)


def _first_change(blocks: int, layers: int, scaled: bool, random: np.random.Generator) -> float:
    """The change of a logit over the rate, by one step at Fixup's initialisation; width 24."""
    width, rate = 24, 1e-3
    x = random.standard_normal(width)
    x *= sqrt(width) / float(np.linalg.norm(x))
    readout = random.standard_normal(width) / sqrt(width)
    factor = blocks ** (-1 / (2 * layers - 2)) if scaled else 1.0
    state = x
    for _ in range(blocks):
        inner = [
            random.standard_normal((width, width)) * sqrt(2 / width) * factor
            for _ in range(layers - 1)
        ]
        before, now = x, state  # all branches were 0, so that each had the input x
        for weights in inner:
            before, now = _relu(weights @ before), _relu(weights @ now)
        state = state - rate * readout * (before @ now)  # the last layer, which was 0, has moved
    return abs(float(readout @ (state - x))) / rate


@claim(
    "Zero last layers, others scaled by L^(-1/(2m-2)): a step moves logits by Theta(eta) at any L.",
    FIXUP,
    "the scaling rule, m layers in each of L branches",
    SEARCH,
    opposite={"scaled": False},
    papers=(175,),
)
def fixup_updates_do_not_grow_with_depth(scaled: bool = True) -> Verdict:
    """The mean change of 4 draws for L = 4 ... 64, within a factor of 2 of one another."""
    changes, cases = [], 0
    for layers in (2, 3):
        found = []
        for blocks in (4, 16, 64):
            draws = [
                _first_change(blocks, layers, scaled, np.random.default_rng((seed, blocks)))
                for seed in range(4)
            ]
            cases += len(draws)
            found.append(float(np.mean(draws)))
        changes.append(max(found) / min(found))
    told = f"L = 4 to 64, m = 2 and 3: the changes differ by a factor of {max(changes):.3g}"
    return simulated(cases, told) if max(changes) < 2 else refuted(told, cases)


@claim(
    "Orthonormal layers divided by the deviation of their output keep its variance 1 at any depth.",
    GOOD_INIT,
    "LSUV",
    SEARCH,
    opposite={"divided": False},
    papers=(259,),
)
def layer_sequential_unit_variance(divided: bool = True) -> Verdict:
    """30 layers with three activations, on new data of the same law; the outputs before them."""
    activations: dict[str, Callable[[Floats], Floats]] = {
        "identity": lambda x: x,
        "ReLU": _relu,
        "tanh": np.tanh,
    }
    width, cases = 48, 0
    for name, activation in activations.items():
        random = np.random.default_rng(259)
        state, fresh = random.standard_normal((2, 256, width))
        for layer in range(30):
            weights = _orthogonal(random, width)
            output = state @ weights.T
            if divided:
                weights = weights / output.std()
            outputs = [v @ weights.T for v in (state, fresh)]
            state, fresh = map(activation, outputs)
            found = outputs[1].var()
            cases += 1
            if not 0.5 < found < 2:
                return refuted(f"{name}, layer {layer + 1}: the variance is {found:.3g}", cases)
    return simulated(cases, "30 layers, 3 activations: the variance of new data is within 1/2, 2")


@claim(
    "Output LN (Peri-LN) lets the variance grow linearly with depth, whatever the weights' size.",
    PERI_LN,
    "variance growth (that Pre-LN's is exponential in training is not decided)",
    SEARCH,
    opposite={"output": False},
    papers=(294,),
)
def output_norm_bounds_growth(output: bool = True) -> Verdict:
    """64 branches with ReLU, weights up to 8 times their usual size."""
    cases, width, depth = 0, 32, 64
    for scale in (0.5, 1.0, 2.0, 8.0):
        random = np.random.default_rng(294)
        state = random.standard_normal((16, width))
        for layer in range(1, depth + 1):
            first = scale * random.standard_normal((width, 2 * width)) / sqrt(width)
            second = scale * random.standard_normal((2 * width, width)) / sqrt(width)
            branch = _relu(_layer_norm(state) @ first) @ second
            state = state + (_layer_norm(branch) if output else branch)
            cases += 1
            if state.var() > 1 + 3 * layer:
                told = f"weights times {scale:g}, layer {layer}: variance {state.var():.3g}"
                return refuted(told, cases)
    return simulated(cases, "64 layers, weights times 1/2 to 8: at most 1 + 3 l at layer l")


def _accuracies(random: np.random.Generator, count: int, size: int) -> tuple[float, float]:
    """How often naive Bayes and logistic regression are right, trained on `count` points."""
    shift = np.full(size, 1 / sqrt(size))  # of the means, so that the best rule is right at 84 %

    def draw(n: int) -> tuple[Floats, Floats]:
        labels = np.where(np.arange(n) % 2, 1.0, -1.0)
        return labels[:, None] * shift + random.standard_normal((n, size)), labels

    x, y = draw(count)
    means = [x[y == side].mean(axis=0) for side in (-1, 1)]
    spread = sum(x[y == side].var(axis=0) for side in (-1, 1)) / 2
    bayes = (means[1] - means[0]) / spread
    inputs = np.hstack([x, np.ones((count, 1))])
    weights = np.zeros(size + 1)
    for _ in range(12):  # Newton's method; the small ridge is there for data that a plane separates
        residual = 1 / (1 + np.exp(y * (inputs @ weights)))
        slope = inputs.T @ (y * residual) - 1e-3 * weights
        curvature = (inputs.T * (residual * (1 - residual))) @ inputs + 1e-3 * np.eye(size + 1)
        weights = weights + np.linalg.solve(curvature, slope)
    fresh, truth = draw(4000)
    middle = bayes @ (means[0] + means[1]) / 2
    votes = (fresh @ bayes - middle, fresh @ weights[:-1] + weights[-1])
    right = [float((vote * truth > 0).mean()) for vote in votes]
    return right[0], right[1]


@claim(
    "Naive Bayes comes near its best accuracy with fewer samples than logistic regression.",
    GENERATIVE,
    "O(log n) against O(n) samples for n features (Gaussian mixtures; the rates are not decided)",
    SEARCH,
    opposite={"count": 3000},
    papers=(28,),
)
def naive_bayes_needs_fewer_samples(count: int = 60) -> Verdict:
    """Independent normal features, 40 of them: by 3 % or more on 60 samples; not on 3000."""
    gaps = []
    for seed in range(6):
        bayes, logistic = _accuracies(np.random.default_rng((28, seed)), count, 40)
        gaps.append(bayes - logistic)
    told = f"{count} samples of 40 features: {float(np.mean(gaps)):+.1%} for naive Bayes"
    return simulated(6, told) if float(np.mean(gaps)) > 0.03 else refuted(told, 6)


def _feature_change(width: int, rate: float, random: np.random.Generator) -> float:
    """How far one step moves the last hidden layer of a linear net, root mean square."""
    x = random.standard_normal(8) / sqrt(8)
    first = random.standard_normal((width, 8))
    second = random.standard_normal((width, width)) / sqrt(width)
    readout = random.standard_normal(width)
    inner = first @ x
    moved_second = second - rate * np.outer(readout, inner) / width
    moved_first = first - rate * np.outer(second.T @ readout, x)
    change = moved_second @ (moved_first @ x) - second @ inner
    return float(np.sqrt((change**2).mean()))


@claim(
    "In muP a step changes features by Theta(1) at any width n, in the kernel regime by n^(-1/2).",
    FEATURE_LEARNING,
    "the dichotomy (linear net of two hidden layers, first step)",
    SEARCH,
    opposite={"feature_learning": False},
    papers=(323,),
)
def feature_learning_at_large_width(feature_learning: bool = True) -> Verdict:
    """Output times 1/n and rate n, or n^(-1/2) and rate 1: their product is what counts."""
    widths, cases, means = (64, 192, 576), 0, []
    for width in widths:
        rate = 1.0 if feature_learning else 1 / sqrt(width)
        draws = [
            _feature_change(width, rate, np.random.default_rng((seed, width))) for seed in range(6)
        ]
        cases += len(draws)
        means.append(float(np.mean(draws)))
    slope = log(means[-1] / means[0]) / log(widths[-1] / widths[0])
    require(all(m > 0 for m in means))
    told = f"n = 64 to 576: the change goes like n^{slope:.2f}"
    return simulated(cases, told) if abs(slope) < 0.2 else refuted(told, cases)
