"""Statements on losses: distillation, contrast, bags of labels, rewards, and surrogate regret."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import flint
import numpy as np
import sympy

from ..mao2023 import regret
from ..register import COMPUTATION, PROOF, Verdict, claim, proven, refuted, require
from .decide import exact, identity, inequalities

GENERATIVE = "Revisiting Discriminative vs. Generative Classifiers: Theory and Implications"
TEACHERS = "Mitigating the Accuracy-Robustness Trade-off via Multi-Teacher Adversarial Distillation"
DEPENDENCY = "Wasserstein Dependency Measure for Representation Learning"
REWARDS = "Free Process Rewards without Process Labels"
BAGS = "Learning from Aggregate responses: Instance Level versus Bag Level Loss Functions"
GUIDANCE = (
    "Even your Teacher Needs Guidance: Ground-Truth Targets Dampen Regularization Imposed by "
    "Self-Distillation"
)
DUALITY = "Utility-Probability Duality of Neural Networks"
DECODING = (
    "Local Normalization Distortion and the Thermodynamic Formalism of Decoding Strategies for "
    "Large Language Models"
)

U = sympy.symbols("u_1:4", positive=True)
Z = sympy.symbols("z_1:4", real=True)
HALF = sympy.Rational(1, 2)
POINT = dict(zip((*U, *Z), (1, 2, 4, 3, 5, 11), strict=True))


@claim(
    "The square of the 0-1 regret is at most twice the regret of the multiclass logistic loss.",
    GENERATIVE,
    "the H-consistency bound, for all scores (the linear class and sample sizes are not decided)",
    COMPUTATION,
    opposite={"factor": 1},
    papers=(28,),
)
def logistic_regret_bounds_zero_one(factor: int = 2) -> Verdict:
    """Conditional regrets of drawn distributions, and of those that nearly reach the bound."""

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        random = np.random.default_rng(28)
        pairs = [
            ([(1 + b) / 2, (1 - b) / 2], [Fraction(1, 2)] * 2)
            for b in (Fraction(1, 2**n) for n in range(1, 9))
        ]
        for n in range(60):
            drawn = random.integers(1, 40, (2, 2 + n % 5)).tolist()
            first, second = ([Fraction(c, sum(row)) for c in row] for row in drawn)
            pairs.append((first, second))
        for p, q in pairs:
            chosen = max(k for k in range(len(q)) if q[k] == max(q))  # ties to the last
            lost = max(p) - p[chosen]
            told = f"p = ({', '.join(map(str, p))}), q = ({', '.join(map(str, q))})"
            yield told, exact(lost**2), factor * regret(p, q, Fraction(1))

    return inequalities(cases(), "the squares of both sides; up to 6 classes")


@claim(
    "The entropy of softmax(z / t) grows with t: dH/dt = Var_p(z) / t^3.",
    TEACHERS,
    "the entropy-based balance of temperatures",
    PROOF,
    opposite={"power": 2},
    papers=(42,),
)
def entropy_grows_with_temperature(power: int = 3) -> Verdict:
    """u_i = e^(z_i / t), whose derivative in t is -z_i u_i / t^2; three classes."""
    t = sympy.Symbol("t", positive=True)
    total = sum(U)
    mean = sum(u * z for u, z in zip(U, Z, strict=True)) / total
    entropy = sympy.log(total) - mean / t
    slope = entropy.diff(t) + sum(
        entropy.diff(u) * -z * u / t**2 for u, z in zip(U, Z, strict=True)
    )
    variance = sum(u * (z - mean) ** 2 for u, z in zip(U, Z, strict=True)) / total
    return identity(slope - variance / t**power, {**POINT, t: 2}, "for three classes")


@claim(
    "Some temperature makes a teacher as uncertain as another one: their entropies cross.",
    TEACHERS,
    "the entropy-based balance of temperatures (existence)",
    COMPUTATION,
    opposite={"top": 1},
    papers=(42,),
)
def some_temperature_balances(top: int = 64) -> Verdict:
    """H(z / (1/64)) <= H(teacher) <= H(z / 64) on drawn pairs; H is continuous and monotone."""

    def entropy(z: list[Fraction], t: Fraction) -> flint.arb:
        weights = [exact((v - max(z)) / t).exp() for v in z]
        total = sum(weights, flint.arb(0))
        mean = sum((w * exact(v - max(z)) for w, v in zip(weights, z, strict=True)), flint.arb(0))
        return total.log() - mean / (total * exact(t))

    def cases() -> Iterator[tuple[str, flint.arb, flint.arb]]:
        random = np.random.default_rng(42)
        for n in range(20):
            first, second = random.permutation(80)[: 2 * (3 + n % 4)].reshape(2, -1).tolist()
            own, other = ([Fraction(v, 8) for v in row] for row in (first, second))
            goal = entropy(other, Fraction(1))
            yield f"pair {n}, cold", entropy(own, Fraction(1, 64)), goal
            yield f"pair {n}, warm", goal, entropy(own, Fraction(top))

    return inequalities(cases(), "20 pairs of teachers: opposite signs at t = 1/64 and t = 64")


@claim(
    "InfoNCE with N samples is at most log N, whatever the critic.",
    DEPENDENCY,
    "the limit of contrastive predictive coding",
    PROOF,
    opposite={"samples": 2},
    papers=(65,),
)
def infonce_is_at_most_log_n(samples: int = 3) -> Verdict:
    """N - e^f_1 / mean_j e^f_j has positive coefficients, for N = 3."""
    slack = sympy.numer(sympy.together(samples - U[0] / (sum(U) / 3)))
    if all(c > 0 for c in sympy.Poly(slack, *U).coeffs()):
        return proven("e^f_1 is a term of the sum; log 3 is the limit as f_1 grows")
    at = {U[0]: 100, U[1]: 1, U[2]: 1}
    return refuted(f"N = 3, e^f = (100, 1, 1): the quotient is {(U[0] / (sum(U) / 3)).subs(at)}")


@claim(
    "The Wasserstein dependency of two fair bits with correlation r is r / 2.",
    DEPENDENCY,
    "the dual over 1-Lipschitz critics (an instance of ours)",
    PROOF,
    opposite={"share": sympy.Rational(1, 4)},
    papers=(65,),
)
def wasserstein_dependency_of_bits(share: sympy.Expr = HALF) -> Verdict:
    """A transport plan and a critic of the same value: by weak duality both are optimal."""
    r = sympy.Symbol("r", positive=True)
    cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
    joint = {c: (1 + r) / 4 if c[0] == c[1] else (1 - r) / 4 for c in cells}
    plan = {((0, 0), (0, 1)): r / 4, ((1, 1), (1, 0)): r / 4}  # what moves, by Hamming distance 1
    left = dict(joint)
    for (start, end), mass in plan.items():
        left[start] -= mass
        left[end] += mass
    require(all(sympy.expand(mass - sympy.Rational(1, 4)) == 0 for mass in left.values()))
    critic = {c: int(c[0] == c[1]) for c in cells}  # changes by at most 1 when one bit changes
    value = sum((joint[c] - sympy.Rational(1, 4)) * critic[c] for c in cells)
    require(sympy.expand(value - sum(plan.values())) == 0)
    return identity(value - share * r, {r: 1}, "plan and critic both have the value r / 2")


@claim(
    "If r = beta log(pi / ref), beta log E_ref[e^(r / beta) | prefix] is r of the prefix.",
    REWARDS,
    "the implicit process reward",
    PROOF,
    opposite={"reference": False},
    papers=(76,),
)
def implicit_process_reward(reference: bool = True) -> Verdict:
    """Exponentials over beta, with two continuations after a prefix of probability u_1."""
    own, ref = U[0], U[1]  # of the prefix under pi and pi_ref
    a, b = sympy.symbols("a b", positive=True)  # of the first continuation under pi and pi_ref
    expected = sum(
        (w if reference else p) * own * p / (ref * w) for p, w in ((a, b), (1 - a, 1 - b))
    )
    point = {**POINT, a: HALF, b: HALF / 2}
    return identity(expected - own / ref, point, "pi sums to 1 over the continuations")


@claim(
    "The instance loss is mean_i (m - f_i)^2 = (m - mean f)^2 + Var(f), m the bag's mean label.",
    BAGS,
    "instance-level against bag-level loss",
    PROOF,
    opposite={"less": 1},
    papers=(117,),
)
def instance_loss_splits(less: int = 0) -> Verdict:
    """A bag of three; the variance is over n, not n - 1."""
    target = U[0]
    mean = sum(Z) / 3
    loss = sum((target - f) ** 2 for f in Z) / 3
    variance = sum((f - mean) ** 2 for f in Z) / (3 - less)
    return identity(loss - (target - mean) ** 2 - variance, POINT, "multiplied out, a bag of three")


@claim(
    "Repeated self-distillation with labels at share a tends to the ridge regression of lam / a.",
    GUIDANCE,
    "the limit in the eigenbasis of K",
    PROOF,
    opposite={"power": -1},
    papers=(224,),
)
def self_distillation_limit(power: int = 1) -> Verdict:
    """One eigenvalue d: y -> s (a + (1 - a) y), s = d / (d + lam), contracts by s (1 - a) < 1."""
    d, ridge, share = sympy.symbols("d lam a", positive=True)
    shrink = d / (d + ridge)
    require(sympy.cancel(1 - shrink - ridge / (d + ridge)) == 0)  # 0 < s < 1
    limit = d / (d + ridge / share**power)
    moved = shrink * (share + (1 - share) * limit)
    point = {d: 2, ridge: 3, share: 5}
    return identity(moved - limit, point, "the fixed point; the map contracts by s (1 - a)")


@claim(
    "After t rounds an eigenvalue's share is off its limit by (s (1 - a))^t times the first error.",
    GUIDANCE,
    "the recursion's closed form",
    PROOF,
    opposite={"extra": 1},
    papers=(224,),
)
def self_distillation_closed_form(extra: int = 0) -> Verdict:
    """Three rounds from any start, with s, a and the start as symbols."""
    s, share, start = U
    limit = s * share / (1 - s * (1 - share))
    value = start
    for _ in range(3):
        value = s * (share + (1 - share) * value)
    closed = limit + (s * (1 - share)) ** (3 + extra) * (start - limit)
    return identity(value - closed, POINT, "a linear recursion, for three rounds")


@claim(
    "Maximum likelihood moves the utilities z by y - p, and p keeps their order.",
    DUALITY,
    "our reading: of its equation only the abstract is known to us",
    PROOF,
    opposite={"sign": -1},
    papers=(94,),
)
def utilities_keep_their_order(sign: int = 1) -> Verdict:
    """The gradient of -log p_1 in the logits, and p_i - p_j = (u_i - u_j) / sum u."""
    total = sum(U)
    require(sympy.cancel(U[0] / total - U[1] / total - (U[0] - U[1]) / total) == 0)
    loss = sympy.log(total) - sympy.log(U[0])
    slope = U[0] * loss.diff(U[0])
    return identity(-slope - sign * (1 - U[0] / total), POINT, "u_i d/du_i of the loss")


@claim(
    "Top-k by step and over whole sequences give one law where all steps keep the same mass.",
    DECODING,
    "local against global normalisation",
    PROOF,
    opposite={"constant": False},
    papers=(143,),
)
def local_normalisation_agrees_at_equal_masses(constant: bool = True) -> Verdict:
    """Two first tokens, two kept continuations each; masses m_1, m_2 after them, here equal.

    Where they differ, the local law is the global one times a factor that depends on the path.
    """
    first = U[0], U[1]
    p = sympy.symbols("p_1:5", positive=True)  # of the kept continuations
    masses = [p[0] + p[1], p[2] + p[3]]
    joint = [first[n // 2] * p[n] for n in range(4)]
    local = joint[0] / masses[0] / (first[0] + first[1])
    globally = joint[0] / sum(joint)
    difference = local - globally
    if constant:
        difference = difference.subs(p[3], p[0] + p[1] - p[2])
    point = {**POINT, **dict(zip(p, (1, 2, 3, 5), strict=True))}
    return identity(difference, point, "equal masses cancel; both laws are then one")
