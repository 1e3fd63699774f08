"""Divergences between the distributions of two vectors of logits."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import ZeroWhereEqual
from ...signature import Vector


def _shifted_log_softmax(z, xp):
    d = xp.shifted(z)
    return d - xp.log(xp.sum(xp.exp(d)))


def _log_probabilities(student, teacher, temperature, xp):
    """T, log softmax(student / T) and log softmax(teacher / T)."""
    t = xp.number(temperature)
    return t, _shifted_log_softmax(student / t, xp), _shifted_log_softmax(teacher / t, xp)


@define(
    family="divergences",
    source=(
        "Hinton, Vinyals, Dean 2015, arXiv 1503.02531, eq. (1) and section 2 (the factor T^2); "
        "Kullback, Leibler 1951, eq. (2.4)"
    ),
    arguments={"student": Vector("K"), "teacher": Vector("K")},
    parameters={"temperature": Parameter(1.0, 2.0**-4, 2.0**6, values=(0.5, 4.0))},
    facts=(
        Range(lower=0),
        ZeroWhereEqual("student", "teacher"),
        ShiftInvariant("student"),
        ShiftInvariant("teacher"),
        Convex("student"),
        GradientSumsTo(0, "student"),
        PermutationInvariant("K"),
    ),
    papers=(125,),
)
def kl_divergence(student, teacher, xp, temperature=1.0):
    """Distillation loss T^2 KL(softmax(teacher / T) || softmax(student / T)), T the temperature."""
    t, log_q, log_p = _log_probabilities(student, teacher, temperature, xp)
    return t * t * xp.sum(xp.exp(log_p) * (log_p - log_q))


@kl_divergence.form("softmax")
def _(student, teacher, xp, temperature=1.0):
    t, log_q, log_p = _log_probabilities(student, teacher, temperature, xp)
    return t * t * xp.sum(xp.softmax(teacher / t) * (log_p - log_q))


@kl_divergence.form("entropy and cross-entropy")
def _(student, teacher, xp, temperature=1.0):
    """p log p - p log q, class by class."""
    t, log_q, log_p = _log_probabilities(student, teacher, temperature, xp)
    p = xp.softmax(teacher / t)
    return t * t * xp.sum(p * log_p - p * log_q)


def _log_mixture(log_p, log_q, xp):
    """The logarithm of (p + q) / 2."""
    return xp.logsumexp(xp.stack([log_p, log_q]).T) - xp.log(xp.number(2))


@define(
    family="divergences",
    source="Lin 1991, Divergence measures based on the Shannon entropy, eq. (4.1), weights 1/2",
    arguments={"student": Vector("K"), "teacher": Vector("K")},
    facts=(
        Range(lower=0, upper=1),
        ZeroWhereEqual("student", "teacher"),
        ShiftInvariant("student"),
        ShiftInvariant("teacher"),
        PermutationInvariant("K"),
    ),
)
def js_divergence(student, teacher, xp):
    """Jensen-Shannon divergence (KL(p || m) + KL(q || m)) / 2, p and q softmax, m = (p + q) / 2.

    In nats, so at most log 2.
    """
    _, log_q, log_p = _log_probabilities(student, teacher, 1, xp)
    log_m = _log_mixture(log_p, log_q, xp)
    of_teacher = xp.sum(xp.exp(log_p) * (log_p - log_m))
    return (of_teacher + xp.sum(xp.exp(log_q) * (log_q - log_m))) / 2


@js_divergence.form("softmax")
def _(student, teacher, xp):
    _, log_q, log_p = _log_probabilities(student, teacher, 1, xp)
    log_m = _log_mixture(log_p, log_q, xp)
    of_teacher = xp.sum(xp.softmax(teacher) * (log_p - log_m))
    return (of_teacher + xp.sum(xp.softmax(student) * (log_q - log_m))) / 2


@js_divergence.form("entropies")
def _(student, teacher, xp):
    """The entropy of the mixture less the mean of both, class by class."""
    _, log_q, log_p = _log_probabilities(student, teacher, 1, xp)
    log_m = _log_mixture(log_p, log_q, xp)
    p, q = xp.softmax(teacher), xp.softmax(student)
    return xp.sum((p * log_p + q * log_q) / 2 - (p + q) / 2 * log_m)


@js_divergence.form("softplus of the log-ratio")
def _(student, teacher, xp):
    """log (p / m) = log 2 - log (1 + q / p)."""
    _, log_q, log_p = _log_probabilities(student, teacher, 1, xp)
    ratio, two = log_q - log_p, xp.log(xp.number(2))
    of_teacher = xp.sum(xp.exp(log_p) * (two - xp.softplus(ratio)))
    return (of_teacher + xp.sum(xp.exp(log_q) * (two - xp.softplus(-ratio)))) / 2
