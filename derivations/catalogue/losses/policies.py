"""Losses of a policy: of log-probabilities of what it did, beside those of another policy."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, PermutationInvariant, Range
from ...proofs.facts_of_arguments import At, Homogeneous, ReducesTo
from ...signature import Mask, Real, Vector

CLIP = Parameter(0.2, 0.0, 1.0, values=(0.0, 0.0009765625))


@define(
    family="losses",
    source="Rafailov et al. 2023, Direct Preference Optimization, arXiv 2305.18290, eq. (7)",
    arguments={
        "chosen": Real(),
        "rejected": Real(),
        "reference_chosen": Real(),
        "reference_rejected": Real(),
    },
    parameters={"beta": Parameter(0.1, 2.0**-20, 2.0**20, values=(0.5, 8.0))},
    facts=(
        Range(lower=0),
        Convex("chosen"),
        At(
            ReducesTo(
                "softplus",
                lambda xp, chosen, rejected, reference_chosen, reference_rejected: {
                    "x": (rejected - reference_rejected) - (chosen - reference_chosen)
                },
                "(rejected - reference_rejected) - (chosen - reference_chosen)",
            ),
            beta=1,
        ),
    ),
)
def dpo(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1):
    """DPO loss -log sigmoid(beta ((c - c_ref) - (r - r_ref))) of log-probabilities of two answers.

    c is that of the chosen answer by the policy, c_ref by the reference, r and r_ref those of the
    rejected one.
    """
    b = xp.number(beta)
    gain = b * (chosen - reference_chosen) - b * (rejected - reference_rejected)
    return xp.softplus(-gain)


@dpo.form("difference of rewards")
def _(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1):
    gain = (chosen - reference_chosen) - (rejected - reference_rejected)
    return xp.softplus(-(xp.number(beta) * gain))


@dpo.form("difference of log-odds")
def _(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1):
    """What the policy prefers, less what the reference prefers."""
    gain = (chosen - rejected) - (reference_chosen - reference_rejected)
    return xp.softplus(-(xp.number(beta) * gain))


def _clipped(ratio, advantage, clip, xp):
    """-min(r A, clip(r, 1 - c, 1 + c) A), r the ratio, A the advantage.

    For A >= 0 that is -A min(r, 1 + c), as the smaller of r and the clipped r is min(r, 1 + c), and
    for A < 0 it is -A max(r, 1 - c).  Written so it has a kink where the clip begins to act, and
    not wherever it does not act and both products are equal.
    """
    c = xp.number(clip)
    return xp.by_sign(
        advantage,
        lambda a: -(a * xp.minimum(ratio, 1 + c)),
        lambda a: -(a * xp.maximum(ratio, 1 - c)),
    )


def _beyond_an_end(ratio, advantage, clip, xp):
    """The smaller of r A and that at the end which can be reached, 1 + c of a gain."""
    c = xp.number(clip)
    end = xp.by_sign(advantage, lambda a: (1 + c) * a, lambda a: (1 - c) * a)
    return -xp.minimum(ratio * advantage, end)


@define(
    family="losses",
    source=(
        "Schulman, Wolski, Dhariwal, Radford, Klimov 2017, arXiv 1707.06347, eq. (7), of one "
        "action, negated"
    ),
    arguments={"logp": Real(), "old_logp": Real(), "advantage": Real()},
    parameters={"clip": CLIP},
    facts=(Homogeneous("advantage", 1),),
)
def ppo_loss(logp, old_logp, advantage, xp, clip=0.2):
    """Clipped surrogate loss -min(r A, clip(r, 1 - c, 1 + c) A), r = e^(logp - old_logp)."""
    return _clipped(xp.exp(logp - old_logp), advantage, clip, xp)


@ppo_loss.form("end by the sign of the advantage")
def _(logp, old_logp, advantage, xp, clip=0.2):
    return _beyond_an_end(xp.exp(logp - old_logp), advantage, clip, xp)


@define(
    family="losses",
    source=(
        "Shao et al. 2024, DeepSeekMath, arXiv 2402.03300, eq. (3) and (4), of one token, negated"
    ),
    arguments={
        "logp": Real(),
        "old_logp": Real(),
        "advantage": Real(),
        "reference_logp": Real(),
    },
    parameters={"clip": CLIP, "beta": Parameter(0.04, 0.0, 2.0**10, values=(0.0, 1.0))},
    facts=(
        At(
            ReducesTo(
                "ppo_loss",
                lambda xp, logp, old_logp, advantage, reference_logp: {
                    "logp": logp,
                    "old_logp": old_logp,
                    "advantage": advantage,
                },
                "logp, old_logp, advantage",
            ),
            beta=0,
        ),
        At(Range(lower=0), advantage=0),
    ),
)
def grpo_loss(logp, old_logp, advantage, reference_logp, xp, clip=0.2, beta=0.04):
    """GRPO loss: the clipped surrogate loss + beta (e^d - d - 1), d = reference_logp - logp.

    The mean of e^d - d - 1 over tokens of the policy is its divergence from the reference.
    """
    surrogate = _clipped(xp.exp(logp - old_logp), advantage, clip, xp)
    d = reference_logp - logp
    return surrogate + xp.number(beta) * (xp.exp(d) - d - 1)


@grpo_loss.form("expm1")
def _(logp, old_logp, advantage, reference_logp, xp, clip=0.2, beta=0.04):
    surrogate = _beyond_an_end(xp.exp(logp - old_logp), advantage, clip, xp)
    d = reference_logp - logp
    return surrogate + xp.number(beta) * (xp.expm1(d) - d)


@define(
    family="losses",
    source=(
        "Zheng et al. 2025, Group Sequence Policy Optimization, arXiv 2507.18071, eq. (5) and (7), "
        "of one sequence, negated"
    ),
    arguments={
        "logp": Vector("T"),
        "old_logp": Vector("T"),
        "advantage": Real(),
        "mask": Mask("T"),
    },
    parameters={"clip": CLIP},
    facts=(Homogeneous("advantage", 1), PermutationInvariant("T")),
)
def gspo_loss(logp, old_logp, advantage, mask, xp, clip=0.2):
    """GSPO loss: the clipped surrogate loss of a sequence, r = e^(mean of logp - old_logp).

    The mean is over the tokens that the mask keeps.
    """
    ratio = xp.exp(xp.mean(logp[mask] - old_logp[mask]))
    return _clipped(ratio, advantage, clip, xp)


@gspo_loss.form("difference of means")
def _(logp, old_logp, advantage, mask, xp, clip=0.2):
    ratio = xp.exp(xp.mean(logp[mask]) - xp.mean(old_logp[mask]))
    return _beyond_an_end(ratio, advantage, clip, xp)


@define(
    family="losses",
    source="Online Self-Preferring Language Models",
    arguments={
        "chosen": Real(),
        "rejected": Real(),
        "reference_chosen": Real(),
        "reference_rejected": Real(),
        "preference": Real(lower=0.0, upper=1.0),
    },
    parameters={"beta": Parameter(0.1, 2.0**-10, 8.0, values=(1.0,))},
    facts=(
        Range(lower=0),
        Convex("chosen"),
        At(
            ReducesTo(
                "dpo",
                lambda xp, chosen, rejected, reference_chosen, reference_rejected, preference: {
                    "chosen": chosen,
                    "rejected": rejected,
                    "reference_chosen": reference_chosen,
                    "reference_rejected": reference_rejected,
                },
                "the four log-probabilities",
            ),
            preference=1,
        ),
    ),
    papers=(81,),
)
def soft_preference_loss(
    chosen, rejected, reference_chosen, reference_rejected, preference, xp, beta=0.1
):
    """-[p log sigmoid(d) + (1 - p) log sigmoid(-d)], p the preference, d as in DPO.

    d is beta times the log-ratio of the chosen answer less that of the rejected one.

    >>> from softproof.derivations import value
    >>> value("soft_preference_loss", chosen=-1.0, rejected=-1.0, reference_chosen=0.0,
    ...       reference_rejected=0.0, preference=0.75)
    0.6931471805599453
    """
    d = xp.number(beta) * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return -(preference * xp.log(xp.sigmoid(d)) + (1 - preference) * xp.log(xp.sigmoid(-d)))


@soft_preference_loss.form("softplus")
def _(chosen, rejected, reference_chosen, reference_rejected, preference, xp, beta=0.1):
    d = xp.number(beta) * ((chosen - reference_chosen) - (rejected - reference_rejected))
    return preference * xp.softplus(-d) + (1 - preference) * xp.softplus(d)


def _discounts(length, discount, xp):
    """(1 - g^(T - t)) / (1 - g^T) for t = 0 ... T - 1."""
    g = xp.number(discount)
    powers = [xp.number(1)]
    for _ in range(length):
        powers.append(powers[-1] * g)
    return xp.vector([(1 - powers[length - t]) / (1 - powers[length]) for t in range(length)])


@define(
    family="losses",
    source="Shi et al. 2024, Direct Multi-Turn Preference Optimization for Language Agents",
    arguments={"chosen": Vector("T"), "rejected": Vector("S")},
    parameters={
        "beta": Parameter(0.1, 2.0**-10, 8.0, values=(1.0,)),
        "discount": Parameter(0.5, 2.0**-10, 0.875, values=(0.875,)),
    },
    facts=(Range(lower=0), Convex("chosen"), Convex("rejected")),
    papers=(156,),
)
def dmpo_loss(chosen, rejected, xp, beta=0.1, discount=0.5):
    """-log sigmoid of beta times the discounted log-ratios of one dialogue less those of another.

    ``chosen`` and ``rejected`` have log(pi / pi_ref) turn by turn, weighted by (1 - g^(T - t)) /
    (1 - g^T), g the discount, T the number of turns.

    >>> from softproof.derivations import value
    >>> value("dmpo_loss", chosen=[1.0, -1.5], rejected=[0.0])
    0.6931471805599453
    """
    better = xp.sum(_discounts(len(chosen), discount, xp) * chosen)
    worse = xp.sum(_discounts(len(rejected), discount, xp) * rejected)
    return -xp.log(xp.sigmoid(xp.number(beta) * (better - worse)))


@dmpo_loss.form("softplus")
def _(chosen, rejected, xp, beta=0.1, discount=0.5):
    better = xp.sum(_discounts(len(chosen), discount, xp) * chosen)
    worse = xp.sum(_discounts(len(rejected), discount, xp) * rejected)
    return xp.softplus(xp.number(beta) * (worse - better))


@define(
    family="losses",
    source="Wang et al. 2023, Beyond Reverse KL, arXiv 2309.16240 (alpha-divergences)",
    arguments={
        "chosen": Real(),
        "rejected": Real(),
        "reference_chosen": Real(),
        "reference_rejected": Real(),
    },
    parameters={
        "beta": Parameter(0.1, 2.0**-10, 8.0, values=(1.0,)),
        "alpha": Parameter(0.5, 0.0, 1.0, values=(0.0, 1.0)),
    },
    facts=(
        Range(lower=0),
        At(
            ReducesTo(
                "dpo",
                lambda xp, chosen, rejected, reference_chosen, reference_rejected: {
                    "chosen": chosen,
                    "rejected": rejected,
                    "reference_chosen": reference_chosen,
                    "reference_rejected": reference_rejected,
                },
                "the four log-probabilities",
            ),
            alpha=0,
        ),
    ),
    papers=(319,),
)
def f_dpo_loss(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1, alpha=0.5):
    """-log sigmoid(beta f'(u) - beta f'(v)), f'(u) = (1 - u^-alpha) / alpha, u = pi / pi_ref.

    u is of the chosen answer and v of the rejected one; with alpha = 0, f' is the logarithm (DPO).

    >>> from softproof.derivations import value
    >>> value("f_dpo_loss", chosen=-1.0, rejected=-1.0, reference_chosen=0.0,
    ...       reference_rejected=0.0)
    0.6931471805599453
    """
    r, s = chosen - reference_chosen, rejected - reference_rejected
    if alpha != 0:
        a = xp.number(alpha)
        r, s = (1 - xp.exp(-a * r)) / a, (1 - xp.exp(-a * s)) / a
    return -xp.log(xp.sigmoid(xp.number(beta) * (r - s)))


@f_dpo_loss.form("softplus of expm1")
def _(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1, alpha=0.5):
    r, s = chosen - reference_chosen, rejected - reference_rejected
    if alpha != 0:
        a = xp.number(alpha)
        r, s = -xp.expm1(-a * r) / a, -xp.expm1(-a * s) / a
    return xp.softplus(xp.number(beta) * (s - r))


@define(
    family="losses",
    source="Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications, arXiv 1812.05905",
    arguments={
        "u": Vector("d"),
        "mean": Vector("d"),
        "log_deviation": Vector("d", lower=-20.0, upper=2.0),
    },
    facts=(PermutationInvariant("d"),),
    papers=(93,),
)
def squashed_gaussian_log_prob(u, mean, log_deviation, xp):
    """Log-density of the action tanh(u), u Gaussian: log N(u) - sum log(1 - tanh(u)^2).

    >>> from softproof.derivations import value
    >>> value("squashed_gaussian_log_prob", u=[0.0], mean=[0.0], log_deviation=[0.0])
    -0.9189385332046728
    """
    t = xp.tanh(u)
    return _gaussian_log_prob(u, mean, log_deviation, xp) - xp.sum(xp.log(1 - t * t))


def _gaussian_log_prob(u, mean, log_deviation, xp):
    z = (u - mean) * xp.exp(-log_deviation)
    level = xp.number(len(u)) * xp.log(2 * xp.pi)
    return -(xp.sum(z * z) + level) / 2 - xp.sum(log_deviation)


@squashed_gaussian_log_prob.form("softplus")
def _(u, mean, log_deviation, xp):
    """log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), which keeps its digits for large u."""
    slopes = 2 * (xp.log(xp.number(2)) - u - xp.softplus(-2 * u))
    return _gaussian_log_prob(u, mean, log_deviation, xp) - xp.sum(slopes)
