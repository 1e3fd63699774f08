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
