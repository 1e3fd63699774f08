"""Divergences between the distributions of two vectors of logits."""

from ..definition import Parameter, define
from ..proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ..proofs.facts_of_arguments import ZeroWhereEqual
from ..signature import Vector


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
