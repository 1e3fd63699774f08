"""Losses that bear with wrong labels."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, ShiftInvariant
from ...signature import Label, Vector


def _margins(logits, label, xp, margin):
    """f_k - f_y + margin for each class k but the label y, and 0 there."""
    lifted = logits - logits[label] + xp.number(margin)
    return xp.put(lifted, label, xp.number(0))


@define(
    family="losses",
    source="Zhu, Ying, Yang 2023, arXiv 2112.14869; as in the authors' loss.py, LDRLoss_V1",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={
        "temperature": Parameter(1.0, 2.0**-10, 2.0**20, values=(0.125, 1024.0)),
        "margin": Parameter(0.0, 0.0, 2.0**10, values=(0.5,)),
    },
    facts=(ShiftInvariant(), GradientSumsTo(0), Convex()),
    papers=(32,),
)
def ldr_kl(logits, label, xp, temperature=1.0, margin=0.0):
    """LDR-KL loss T log(1/K sum_k e^(d_k / T)), d_k = f_k - f_y + margin, and d_y = 0.

    The largest of sum_k p_k d_k - T KL(p || u) over distributions p, u the uniform one: between the
    mean of the d_k (T large) and their largest (T small, the loss of Crammer and Singer).

    >>> from softproof.derivations import value
    >>> value("ldr_kl", logits=[1.0, 0.0], label=0)
    -0.3798854930417225
    """
    t = xp.number(temperature)
    d = _margins(logits, label, xp, margin)
    return t * xp.log(xp.mean(xp.exp(d / t)))


@ldr_kl.form("shifted by the largest")
def _(logits, label, xp, temperature=1.0, margin=0.0):
    t = xp.number(temperature)
    d = _margins(logits, label, xp, margin)
    top = xp.max(d)
    return top + t * xp.log(xp.mean(xp.exp((d - top) / t)))


@ldr_kl.form("log1p about the mean")
def _(logits, label, xp, temperature=1.0, margin=0.0):
    """Keeps the digits where T is large, and the exponentials are nearly 1."""
    t = xp.number(temperature)
    d = _margins(logits, label, xp, margin)
    mean = xp.mean(d)
    return mean + t * xp.log1p(xp.mean(xp.expm1((d - mean) / t)))
