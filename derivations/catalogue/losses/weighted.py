"""Losses that weigh samples or classes, and those made from probabilities."""

import numpy as np

from ...definition import Parameter, define
from ...proofs.facts import (
    Convex,
    GradientSumsTo,
    PermutationEquivariant,
    PermutationInvariant,
    Range,
    ShiftEquivariant,
    ShiftInvariant,
)
from ...proofs.facts_of_arguments import At, Homogeneous, ReducesTo
from ...signature import Count, Label, Labels, Mask, Matrix, Real, Vector


@define(
    family="losses",
    source="AnyLoss: Transforming Classification Metrics into Loss Functions",
    arguments={"p": Vector("n", lower=0.0, upper=1.0), "positive": Mask("n")},
    parameters={
        "beta": Parameter(1.0, 2.0**-4, 2.0**4, values=(2.0,)),
        "sharpness": Parameter(73.0, 1.0, 2.0**7, values=(8.0,)),
    },
    facts=(Range(lower=0, upper=1), PermutationInvariant("n")),
    papers=(34,),
)
def f_beta_loss(p, positive, xp, beta=1.0, sharpness=73.0):
    """1 - F_beta of soft counts, where p counts as sigmoid(sharpness (p - 1/2)).

    >>> from softproof.derivations import value
    >>> value("f_beta_loss", p=[0.5, 0.5], positive=[True, False])
    0.5
    """
    a = 1 / (1 + xp.exp(-xp.number(sharpness) * (p - xp.number(0.5))))
    zero = xp.zeros(p.shape)
    hits = xp.sum(xp.where(positive, a, zero))
    misses = xp.sum(xp.where(positive, 1 - a, zero))
    alarms = xp.sum(xp.where(positive, zero, a))
    b = xp.number(beta) * xp.number(beta)
    return 1 - (1 + b) * hits / ((1 + b) * hits + b * misses + alarms)


@f_beta_loss.form("errors over all")
def _(p, positive, xp, beta=1.0, sharpness=73.0):
    """The part that is missing, which keeps its digits where the metric is nearly 1."""
    steep = xp.number(sharpness) * (p - xp.number(0.5))
    a, missing = xp.sigmoid(steep), xp.sigmoid(-steep)
    zero = xp.zeros(p.shape)
    hits = xp.sum(xp.where(positive, a, zero))
    b = xp.number(beta) * xp.number(beta)
    wrong = b * xp.sum(xp.where(positive, missing, zero)) + xp.sum(xp.where(positive, zero, a))
    return wrong / ((1 + b) * hits + wrong)


@define(
    family="losses",
    source=(
        "Transferable Parasitic Estimation via Graph Contrastive Learning and Label Rebalancing in "
        "AMS Circuits; Ren et al. 2020, Balanced Meta-Softmax, arXiv 2007.10740"
    ),
    arguments={"logits": Vector("K"), "counts": Vector("K", lower=2.0**-20), "label": Label("K")},
    facts=(
        Range(lower=0),
        ShiftInvariant("logits"),
        GradientSumsTo(0, "logits"),
        Convex("logits"),
        Homogeneous("counts", 0),
        At(
            ReducesTo(
                "cross_entropy",
                lambda xp, logits, counts, label: {"logits": logits, "label": label},
                "z, label",
            ),
            counts=1,
        ),
    ),
    papers=(44,),
)
def balanced_cross_entropy(logits, counts, label, xp):
    """Cross-entropy of the probabilities n_k e^z_k / sum_j n_j e^z_j, n_k the counts of classes.

    >>> from softproof.derivations import value
    >>> value("balanced_cross_entropy", logits=[0.0, 0.0], counts=[3.0, 1.0], label=1)
    1.3862943611198906
    """
    weighted = counts * xp.exp(logits)
    return -xp.log(weighted[label] / xp.sum(weighted))


@balanced_cross_entropy.form("logits shifted by log n")
def _(logits, counts, label, xp):
    z = logits + xp.log(counts)
    return xp.logsumexp(z) - z[label]


@define(
    family="losses",
    source="Li et al. 2020, Dice Loss for Data-imbalanced NLP Tasks, arXiv 1911.02855",
    arguments={"p": Vector("n", lower=0.0, upper=1.0), "positive": Mask("n")},
    parameters={
        "alpha": Parameter(1.0, 0.0, 8.0, values=(0.5,)),
        "smoothing": Parameter(1.0, 2.0**-20, 2.0**10, values=(0.125,)),
    },
    facts=(Range(lower=0, upper=1), PermutationInvariant("n")),
    papers=(56,),
)
def self_adjusting_dice_loss(p, positive, xp, alpha=1.0, smoothing=1.0):
    """Mean of 1 - (2 w p y + g) / (w p + y + g), w = (1 - p)^alpha, y = 1 where positive, else 0.

    g is the smoothing.

    >>> from softproof.derivations import value
    >>> value("self_adjusting_dice_loss", p=[0.5], positive=[True])
    0.3333333333333333
    """
    g = xp.number(smoothing)
    weighted = xp.pow(1 - p, xp.number(alpha)) * p
    y = xp.where(positive, xp.number(1), xp.number(0))
    return xp.mean(1 - (2 * weighted * y + g) / (weighted + y + g))


@define(
    family="losses",
    source=(
        "Rethinking Fine-Tuning when Scaling Test-Time Compute: Limiting Confidence Improves "
        "Mathematical Reasoning, the loss called direct coverage optimization"
    ),
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={"samples": Parameter(4.0, 1.0, 2.0**16, values=(1.0, 256.0))},
    facts=(
        ShiftInvariant(),
        PermutationInvariant(),
        Range(lower=0),
        At(
            ReducesTo(
                "cross_entropy",
                lambda xp, logits, label: {"logits": logits, "label": label},
                "z, label",
            ),
            samples=1,
        ),
    ),
    least_sizes=lambda samples: {"K": 2},
    papers=(58,),
)
def coverage_loss(logits, label, xp, samples=4.0):
    """-log(1 - (1 - p)^N): the label is missed by all of N samples with probability (1 - p)^N.

    >>> from softproof.derivations import value
    >>> value("coverage_loss", logits=[0.0, 0.0], label=0, samples=2.0)
    0.2876820724517809
    """
    p = xp.softmax(logits)[label]
    return -xp.log(1 - xp.pow(1 - p, xp.number(samples)))


@coverage_loss.form("expm1 of log(1 - p)")
def _(logits, label, xp, samples=4.0):
    """log(1 - p) from the other classes, so that neither end loses its digits."""
    e = xp.exp(xp.shifted(logits))
    log_missed = xp.log(xp.sum(xp.put(e, label, xp.number(0))) / xp.sum(e))
    return -xp.log(-xp.expm1(xp.number(samples) * log_missed))


@define(
    family="losses",
    source="Abrahamyan et al. 2021, Bias Loss for Mobile Neural Networks, arXiv 2107.11170",
    arguments={"losses": Vector("n", lower=0.0), "variances": Vector("n", lower=0.0)},
    parameters={
        "alpha": Parameter(0.3, 0.0, 8.0, values=(2.0,)),
        "beta": Parameter(0.3, 0.0, 1.0, values=(1.0,)),
    },
    facts=(
        Range(lower=0),
        Homogeneous("losses", 1),
        Homogeneous("variances", 0),
        PermutationInvariant("n"),
    ),
    least_sizes=lambda alpha, beta: {"n": 2},
    papers=(70,),
)
def bias_loss(losses, variances, xp, alpha=0.3, beta=0.3):
    """Mean of losses weighted by e^(alpha v) - beta, v the variance of features scaled to [0, 1].

    Where all variances are equal it has no value.

    >>> from softproof.derivations import value
    >>> value("bias_loss", losses=[1.0, 0.0], variances=[0.0, 2.0], beta=0.5)
    0.25
    """
    low, high = xp.min(variances), xp.max(variances)
    v = (variances - low) / (high - low)
    return xp.mean((xp.exp(xp.number(alpha) * v) - xp.number(beta)) * losses)


@define(
    family="losses",
    source="Doubly Robust Instance-Reweighted Adversarial Training",
    arguments={"losses": Vector("n")},
    parameters={"temperature": Parameter(1.0, 2.0**-10, 2.0**10, values=(0.125, 64.0))},
    facts=(
        ShiftEquivariant("losses"),
        Convex("losses"),
        GradientSumsTo(1, "losses"),
        PermutationInvariant("n"),
    ),
    papers=(113,),
)
def kl_robust_mean(losses, xp, temperature=1.0):
    """T log mean e^(l_i / T), the largest of sum_i w_i l_i - T KL(w || 1/n) over weights w.

    The weights are the gradient, softmax(l / T).

    >>> from softproof.derivations import value
    >>> value("kl_robust_mean", losses=[1.0, 1.0])
    1.0
    """
    t = xp.number(temperature)
    return t * xp.log(xp.mean(xp.exp(losses / t)))


@kl_robust_mean.form("log-sum-exp")
def _(losses, xp, temperature=1.0):
    t = xp.number(temperature)
    return t * (xp.logsumexp(losses / t) - xp.log(xp.number(len(losses))))


@define(
    family="losses",
    source="DatasetEquity: Are All Samples Created Equal? (the authors' code)",
    arguments={"loss": Real(), "likelihood": Real(lower=0.0, upper=1.0)},
    parameters={
        "eta": Parameter(1.0, 0.0, 2.0**10, values=(0.25,)),
        "gamma": Parameter(5.0, 0.0, 16.0, values=(0.5,)),
    },
    facts=(Homogeneous("loss", 1), At(Range(lower=0, upper=1), loss=1)),
    papers=(115,),
)
def equity_weighted_loss(loss, likelihood, xp, eta=1.0, gamma=5.0):
    """A loss times (eta + (1 - p)^gamma) / (eta + 1), p how likely such samples are.

    >>> from softproof.derivations import value
    >>> value("equity_weighted_loss", loss=2.0, likelihood=1.0)
    1.0
    """
    e = xp.number(eta)
    return loss * ((e + xp.pow(1 - likelihood, xp.number(gamma))) / (e + 1))


@define(
    family="losses",
    source="Ma et al. 2020, Normalized Loss Functions for Deep Learning with Noisy Labels",
    arguments={"logits": Vector("K"), "label": Label("K")},
    facts=(ShiftInvariant(), PermutationInvariant(), GradientSumsTo(0), Range(lower=0, upper=1)),
    least_sizes=lambda: {"K": 2},
    papers=(141,),
)
def normalized_cross_entropy(logits, label, xp):
    """Cross-entropy log p_y over that of all labels, sum_k log p_k.

    >>> from softproof.derivations import value
    >>> value("normalized_cross_entropy", logits=[0.0, 0.0, 0.0, 0.0], label=0)
    0.25
    """
    log_p = xp.log(xp.softmax(logits))
    return log_p[label] / xp.sum(log_p)


@normalized_cross_entropy.form("log-softmax")
def _(logits, label, xp):
    d = xp.shifted(logits)
    log_p = d - xp.log(xp.sum(xp.exp(d)))
    return log_p[label] / xp.sum(log_p)


@define(
    family="losses",
    source="Doebler et al. 2023, Robust Mean Teacher, arXiv 2211.13081 (symmetric cross-entropy)",
    arguments={"student": Vector("K"), "teacher": Vector("K")},
    facts=(
        Range(lower=0),
        ShiftInvariant("student"),
        ShiftInvariant("teacher"),
        PermutationInvariant("K"),
    ),
    papers=(68,),
)
def symmetric_cross_entropy(student, teacher, xp):
    """-sum_k q_k log p_k - sum_k p_k log q_k, p and q the softmax of the two logits.

    >>> from softproof.derivations import value
    >>> value("symmetric_cross_entropy", student=[0.0, 0.0], teacher=[1.0, 1.0])
    1.3862943611198906
    """
    p, q = xp.softmax(student), xp.softmax(teacher)
    return -xp.sum(q * xp.log(p)) - xp.sum(p * xp.log(q))


@symmetric_cross_entropy.form("log-softmax")
def _(student, teacher, xp):
    d, e = xp.shifted(student), xp.shifted(teacher)
    log_p, log_q = d - xp.log(xp.sum(xp.exp(d))), e - xp.log(xp.sum(xp.exp(e)))
    return -xp.sum(xp.softmax(teacher) * log_p) - xp.sum(xp.softmax(student) * log_q)


@define(
    family="losses",
    source=(
        "Deep Clustering via Joint Convolutional Autoencoder Embedding and Relative Entropy "
        "Minimization, Dizaji et al. 2017, arXiv 1704.06327"
    ),
    arguments={"p": Matrix("n", "K", lower=2.0**-20, upper=1.0)},
    output=("n", "K"),
    facts=(
        Range(lower=0, upper=1),
        PermutationEquivariant("n"),
        PermutationEquivariant("K"),
        Homogeneous("p", 0),
    ),
    papers=(279,),
)
def depict_target(p, xp):
    """Targets q_ik proportional to p_ik / sqrt(sum_i p_ik), over classes k summing to 1.

    >>> from softproof.derivations import value
    >>> value("depict_target", p=[[0.25, 0.75], [0.25, 0.75]])[0][0] * (1 + 3**0.5)
    1.0
    """
    weighted = p / xp.sqrt(xp.sum(p, axis=0))[None, :]
    return weighted / xp.sum(weighted, axis=1)[:, None]


@define(
    family="losses",
    source="Don't Take It Literally: An Edit-Invariant Sequence Loss (the authors' code), one n",
    arguments={
        "log_p": Matrix("T", "K", upper=0.0),
        "target": Labels("T", "K"),
        "noise": Matrix("T", "T"),
    },
    parameters={"n": Count(2, 1, 64, values=(1,))},
    least_sizes=lambda n: {"T": n},
    facts=(Range(lower=0, upper=20), ShiftInvariant("noise")),
    papers=(82,),
)
def edit_invariant_loss(log_p, target, noise, xp, n=2):
    """Mean over n-grams of the target of their log-likelihood -t, averaged over where they may be.

    t_ij is the mean log-probability, at least -20, of the n-gram at j of the target where the
    output has position i; of each j, positions are weighted by the softmax over i of t and noise.

    >>> from softproof.derivations import value
    >>> value("edit_invariant_loss", log_p=[[-1.0], [-1.0]], target=[0, 0], noise=[[0.0] * 2] * 2)
    1.0
    """
    count = len(target) - n + 1
    chosen = xp.maximum(log_p[:, target], xp.number(-20))
    total = chosen[:count, :count]
    for k in range(1, n):
        total = total + chosen[k : k + count, k : k + count]
    t = total / n
    weights = xp.softmax((t + noise[:count, :count]).T)
    return -xp.mean(xp.sum(weights * t.T, axis=1))


@define(
    family="losses",
    source=(
        "Boudiaf et al. 2021, Few-Shot Segmentation Without Meta-Learning: A Good Transductive "
        "Inference Is All You Need?, arXiv 2012.06166"
    ),
    arguments={
        "support": Matrix("m", "K"),
        "labels": Labels("m", "K"),
        "query": Matrix("n", "K"),
        "prior": Vector("K"),
    },
    parameters={
        "entropy_weight": Parameter(1.0, 0.0, 2.0**10, values=(0.25,)),
        "prior_weight": Parameter(1.0, 0.0, 2.0**10, values=(0.25,)),
    },
    facts=(
        Range(lower=0),
        ShiftInvariant("prior"),
        PermutationInvariant("n"),
        PermutationInvariant("m"),
    ),
    papers=(83,),
)
def transductive_loss(support, labels, query, prior, xp, entropy_weight=1.0, prior_weight=1.0):
    """Cross-entropy of labelled pixels, plus entropy of unlabelled ones, plus KL of their mean.

    The last is KL(mean of softmax(query) || softmax(prior)).

    >>> from softproof.derivations import value
    >>> value("transductive_loss", support=[[0.0, 0.0]], labels=[0], query=[[0.0, 0.0]],
    ...       prior=[1.0, 1.0])
    1.3862943611198906
    """
    p = xp.softmax(query)
    known = -xp.mean(xp.log(xp.softmax(support)[np.arange(len(labels)), labels]))
    entropy = -xp.mean(xp.sum(p * xp.log(p), axis=1))
    mean = xp.mean(p, axis=0)
    divergence = xp.sum(mean * (xp.log(mean) - xp.log(xp.softmax(prior))))
    return known + xp.number(entropy_weight) * entropy + xp.number(prior_weight) * divergence
