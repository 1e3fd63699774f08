"""Losses of a student beside a teacher."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import ZeroWhereEqual
from ...signature import Integer, Label, Labels, Vector


def _log_softmax(z, xp):
    d = xp.shifted(z)
    return d - xp.log(xp.sum(xp.exp(d)))


def _without(z, label, xp):
    """The entries of a vector but one."""
    return xp.concatenate([z[:label], z[label + 1 :]])


@define(
    family="distillation losses",
    source="Yang et al. 2023, From Knowledge Distillation to Self-Knowledge Distillation",
    arguments={"student": Vector("K"), "teacher": Vector("K"), "label": Label("K")},
    parameters={
        "gamma": Parameter(1.5, 0.0, 2.0**10, values=(0.5,)),
        "temperature": Parameter(1.0, 2.0**-4, 2.0**6, values=(2.0,)),
    },
    least_sizes=lambda gamma, temperature: {"K": 2},
    facts=(
        Range(lower=0),
        ShiftInvariant("student"),
        ShiftInvariant("teacher"),
        GradientSumsTo(0, "student"),
        PermutationInvariant("K"),
    ),
    papers=(39,),
)
def normalized_distillation_loss(student, teacher, label, xp, gamma=1.5, temperature=1.0):
    """-T_y log S_y - gamma t^2 sum_(i /= y) N(T)_i log N(S)_i, N normalised without the label y.

    T and S are the softmax of teacher and student; in the second term of logits over t.

    >>> from softproof.derivations import value
    >>> value("normalized_distillation_loss", student=[0.0, 0.0], teacher=[0.0, 0.0], label=0)
    0.34657359027997264
    """
    t = xp.number(temperature)
    p, q = xp.softmax(teacher / t), xp.softmax(student / t)
    others, own = _without(p, label, xp) / (1 - p[label]), _without(q, label, xp) / (1 - q[label])
    first = -xp.softmax(teacher)[label] * xp.log(xp.softmax(student)[label])
    return first - xp.number(gamma) * (t * t) * xp.sum(others * xp.log(own))


@normalized_distillation_loss.form("softmax of the others")
def _(student, teacher, label, xp, gamma=1.5, temperature=1.0):
    t = xp.number(temperature)
    others = xp.softmax(_without(teacher, label, xp) / t)
    own = _log_softmax(_without(student, label, xp) / t, xp)
    first = -xp.softmax(teacher)[label] * _log_softmax(student, xp)[label]
    return first - xp.number(gamma) * (t * t) * xp.sum(others * own)


@define(
    family="distillation losses",
    source="PLD: A Choice-Theoretic List-Wise Knowledge Distillation, for a given order",
    arguments={"student": Vector("K"), "teacher": Vector("K"), "order": Labels("K", "K")},
    facts=(
        Range(lower=0),
        ShiftInvariant("student"),
        ShiftInvariant("teacher"),
        Convex("student"),
    ),
    papers=(57,),
)
def plackett_luce_distillation_loss(student, teacher, order, xp):
    """sum_k q_(o_k) (log sum_(l >= k) e^s_(o_l) - s_(o_k)), q the teacher's softmax, o the order.

    The order is the label first, then the others by falling logits of the teacher.

    >>> from softproof.derivations import value
    >>> equal = [0.0, 0.0]
    >>> value("plackett_luce_distillation_loss", student=equal, teacher=equal, order=[1, 0])
    0.34657359027997264
    """
    q, s = xp.softmax(teacher)[order], student[order]
    terms = [q[k] * (xp.logsumexp(s[k:]) - s[k]) for k in range(len(order))]
    return xp.sum(terms)


@define(
    family="distillation losses",
    source="How to Make Cross Encoder a Good Teacher for Efficient Image-Text Retrieval?",
    arguments={"similarities": Vector("K"), "valid": Integer(0, "K")},
    parameters={"temperature": Parameter(1.0, 2.0**-6, 2.0**10, values=(0.125,))},
    facts=(Range(lower=0), ShiftInvariant("similarities"), Convex("similarities")),
    papers=(61,),
    reconstructed=(
        "which negatives are valid, the temperature, the weight and the easy negatives were not "
        "found in the paper's text"
    ),
)
def partial_ranking_loss(similarities, valid, xp, temperature=1.0):
    """-log likelihood of the first places of a ranking, by Plackett and Luce.

    The similarities stand in the teacher's order; the first ``valid`` of them are to be so.

    >>> from softproof.derivations import value
    >>> value("partial_ranking_loss", similarities=[0.0, 0.0, 0.0], valid=2)
    1.791759469228055
    """
    s = similarities / xp.number(temperature)
    terms = [xp.logsumexp(s[j:]) - s[j] for j in range(min(valid, len(s)))]
    return xp.sum([xp.number(0), *terms])


@define(
    family="distillation losses",
    source="Dual-Head Knowledge Distillation (the authors' code), the loss of the auxiliary head",
    arguments={"student": Vector("K"), "teacher": Vector("K")},
    parameters={"temperature": Parameter(2.0, 2.0**-6, 2.0**10, values=(1.0,))},
    facts=(
        Range(lower=0),
        ZeroWhereEqual("student", "teacher"),
        Convex("student"),
        PermutationInvariant("K"),
    ),
    papers=(120,),
)
def binary_kl_loss(student, teacher, xp, temperature=2.0):
    """T^2 sum_k KL(Bernoulli(1/2) || Bernoulli(sigmoid((s_k - t_k) / T))).

    >>> from softproof.derivations import value
    >>> value("binary_kl_loss", student=[1.0, 2.0], teacher=[1.0, 2.0])
    0.0
    """
    t = xp.number(temperature)
    p = xp.sigmoid((student - teacher) / t)
    level = xp.log(xp.number(2))
    return -(t * t) * xp.sum((xp.log(p) + xp.log(1 - p)) / 2 + level)


@binary_kl_loss.form("log cosh")
def _(student, teacher, xp, temperature=2.0):
    """log cosh x = |x| + log((1 + e^(-2 |x|)) / 2)."""
    t = xp.number(temperature)
    x = xp.abs(student - teacher) / (2 * t)
    return (t * t) * xp.sum(x + xp.log((1 + xp.exp(-2 * x)) / 2))
