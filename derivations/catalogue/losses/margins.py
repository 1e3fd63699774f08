"""Losses of scores: margins, ranks of pairs, and ordered classes."""

import numpy as np

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import GradientOrthogonalTo, Homogeneous
from ...signature import Integer, Label, Mask, Matrix, Real, Vector


@define(
    family="losses",
    source="The Z-loss: a shift and scale invariant classification loss of the Spherical Family",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={
        "sharpness": Parameter(1.0, 2.0**-10, 2.0**10, values=(0.125,)),
        "offset": Parameter(1.0, -(2.0**10), 2.0**10, values=(28.0,)),
    },
    least_sizes=lambda sharpness, offset: {"K": 2},
    facts=(
        ShiftInvariant(),
        GradientSumsTo(0),
        PermutationInvariant(),
        Range(lower=0),
        Homogeneous("logits", 0),
        GradientOrthogonalTo("logits"),
    ),
    papers=(2,),
)
def spherical_z_loss(logits, label, xp, sharpness=1.0, offset=1.0):
    """Z-loss log(1 + e^(a (b - z))) / a of the standardised logit z at the label.

    z is the logit less the mean of all, over their standard deviation (of K, not K - 1); a is the
    sharpness and b the offset.  Where all logits are equal it has no value.

    >>> from softproof.derivations import value
    >>> value("spherical_z_loss", logits=[1.0, -1.0], label=0)
    0.6931471805599453
    """
    centred = logits - xp.mean(logits)
    z = centred[label] / xp.sqrt(xp.mean(centred * centred))
    a = xp.number(sharpness)
    return xp.log(1 + xp.exp(a * (xp.number(offset) - z))) / a


@spherical_z_loss.form("softplus")
def _(logits, label, xp, sharpness=1.0, offset=1.0):
    centred = logits - xp.mean(logits)
    z = centred[label] / xp.sqrt(xp.mean(centred * centred))
    a = xp.number(sharpness)
    return xp.softplus(a * (xp.number(offset) - z)) / a


@define(
    family="losses",
    source="Optimizing What Matters: AUC-Driven Learning for Robust Neural Retrieval",
    arguments={"relevant": Vector("P"), "irrelevant": Vector("N")},
    facts=(
        Range(lower=0),
        Convex("relevant"),
        PermutationInvariant("P"),
        PermutationInvariant("N"),
    ),
    papers=(22,),
)
def mann_whitney_loss(relevant, irrelevant, xp):
    """Mean of log(1 + e^-(s - t)) over all pairs of a relevant score s and an irrelevant one t.

    Over log 2 it bounds 1 - AUC, the share of pairs in the wrong order, from above.

    >>> from softproof.derivations import value
    >>> value("mann_whitney_loss", relevant=[0.0], irrelevant=[0.0, 0.0])
    0.6931471805599453
    """
    differences = relevant[:, None] - irrelevant[None, :]
    return xp.mean(xp.log(1 + xp.exp(-differences)))


@mann_whitney_loss.form("softplus")
def _(relevant, irrelevant, xp):
    return xp.mean(xp.softplus(irrelevant[None, :] - relevant[:, None]))


@define(
    family="losses",
    source=(
        "An Architecture Combining Convolutional Neural Network (CNN) and Support Vector Machine "
        "(SVM) for Image Classification; Tang 2013, Deep learning using linear support vector "
        "machines, arXiv 1306.0239"
    ),
    arguments={
        "weight": Vector("d", shared=True),
        "bias": Real(shared=True),
        "x": Matrix("n", "d"),
        "positive": Mask("n"),
    },
    parameters={"penalty": Parameter(1.0, 0.0, 2.0**20, values=(4.0,))},
    facts=(Range(lower=0), Convex("weight"), Convex("bias"), PermutationInvariant("n")),
    papers=(23, 47),
)
def l2_svm_loss(weight, bias, x, positive, xp, penalty=1.0):
    """Squared hinge loss |w|^2 / 2 + C sum_i max(0, 1 - y_i (w x_i + b))^2, y_i = 1 or -1.

    C is the penalty, and y_i is 1 where ``positive`` is true.

    >>> from softproof.derivations import value
    >>> value("l2_svm_loss", weight=[1.0], bias=0.0, x=[[2.0], [0.5]], positive=[True, True])
    0.75
    """
    scores = xp.dot(x, weight) + bias
    missed = xp.positive_part(1 - xp.where(positive, scores, -scores))
    return xp.sum(weight * weight) / 2 + xp.number(penalty) * xp.sum(missed * missed)


@define(
    family="losses",
    source=(
        "Constructing interval variables via faceted Rasch measurement and multitask deep "
        "learning; Cao, Mirjalili, Raschka 2020, arXiv 1901.07884, weights 1"
    ),
    arguments={"logits": Vector("K"), "label": Integer(0, "K")},
    facts=(Range(lower=0), Convex("logits")),
    papers=(46,),
)
def coral_loss(logits, label, xp):
    """Loss of K + 1 ordered classes: binary cross-entropies of "the label is above k", summed.

    sigmoid(l_k) is the probability that the label, a number from 0 to K, is above k = 0 ... K - 1.

    >>> from softproof.derivations import value
    >>> value("coral_loss", logits=[0.0, 0.0], label=1)
    1.3862943611198906
    """
    above = np.arange(len(logits)) < label
    log_p = xp.log(xp.sigmoid(logits))
    return -xp.sum(xp.where(above, log_p, log_p - logits))


@coral_loss.form("softplus")
def _(logits, label, xp):
    above = np.arange(len(logits)) < label
    return xp.sum(xp.softplus(xp.where(above, -logits, logits)))


@define(
    family="losses",
    source="LegendreTron: Uprising Proper Multiclass Loss Learning, the part without learning",
    arguments={"logits": Vector("K"), "label": Integer(0, "K")},
    facts=(Range(lower=0), Convex("logits")),
    papers=(173,),
)
def reduced_cross_entropy(logits, label, xp):
    """Cross-entropy of K + 1 classes, the last of which has the logit 0.

    It is log(1 + sum_k e^z_k) - z_y: the proper canonical loss whose inverse link, the gradient of
    the first term, is the reduced softmax.

    >>> from softproof.derivations import value
    >>> value("reduced_cross_entropy", logits=[0.0], label=1)
    0.6931471805599453
    """
    z = xp.concatenate([logits, xp.vector([0])])
    return xp.log(1 + xp.sum(xp.exp(logits))) - z[label]


@reduced_cross_entropy.form("log-sum-exp")
def _(logits, label, xp):
    z = xp.concatenate([logits, xp.vector([0])])
    return xp.logsumexp(z) - z[label]


@define(
    family="losses",
    source="Agarap 2018, Deep Learning using Rectified Linear Units (ReLU), arXiv 1803.08375",
    arguments={"logits": Vector("K", lower=2.0**-24), "label": Label("K")},
    facts=(PermutationInvariant("K"), Convex("logits")),
    papers=(184,),
)
def relu_cross_entropy(logits, label, xp):
    """Cross-entropy -log max(0, z_y) of rectified scores, where the score at the label is positive.

    Where it is not, the published loss is infinite.

    >>> from softproof.derivations import value
    >>> value("relu_cross_entropy", logits=[1.0, 2.0], label=0)
    0.0
    """
    return -xp.log(xp.positive_part(logits)[label])
