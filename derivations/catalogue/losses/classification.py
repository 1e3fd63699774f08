"""Losses of logits and a label."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import At, ReducesTo
from ...signature import Label, Vector
from ..distributions.softmax import exp_of_log_softmax, log1p_of_other_classes, logsumexp, softmax

SMOOTHING = Parameter(default=0.0, lower=0.0, upper=1.0)


@define(
    family="losses",
    source=(
        "Mao, Mohri, Zhong 2023, arXiv 2304.07288, section 2 (logistic loss); label smoothing: "
        "Szegedy et al. 2016, arXiv 1512.00567, section 7"
    ),
    arguments={"logits": Vector("K"), "label": Label("K")},
    facts=(
        ShiftInvariant(),
        PermutationInvariant(),
        GradientSumsTo(0),
        Convex(),
        Range(lower=0),
    ),
    parameters={"label_smoothing": SMOOTHING},
    partition_function=True,
)
def cross_entropy(logits, label, xp, label_smoothing=0.0):
    """Cross-entropy log sum_k e^z_k - sum_k t_k z_k with t = (1 - s) onehot(label) + s / K."""
    if label_smoothing == 0:  # the plain loss: 0 * z_k would be NaN where a class is masked by -inf
        return logsumexp(logits, xp) - logits[label]
    s = xp.number(label_smoothing)
    return logsumexp(logits, xp) - ((1 - s) * logits[label] + s * (xp.sum(logits) / len(logits)))


@cross_entropy.derivative
def _(logits, label, xp, label_smoothing=0.0):
    s = xp.number(label_smoothing)
    gradient = softmax(logits, xp) - s / len(logits)
    gradient[label] -= 1 - s
    return gradient


@cross_entropy.form("shifted")
def _(logits, label, xp, label_smoothing=0.0):
    return cross_entropy(logits - xp.max(logits), label, xp, label_smoothing)


@cross_entropy.second_formula
@cross_entropy.form("log1p")
def _(logits, label, xp, label_smoothing=0.0):
    d, tail = log1p_of_other_classes(logits, xp)
    if label_smoothing == 0:  # 0 times a masked class is NaN
        return tail - d[label]
    s = xp.number(label_smoothing)
    return tail - ((1 - s) * d[label] + s * (xp.sum(d) / len(logits)))


@cross_entropy.gradient_form("exp of log-softmax")
def _(logits, label, xp, label_smoothing=0.0):
    s = xp.number(label_smoothing)
    gradient = exp_of_log_softmax(logits, xp) - s / len(logits)
    gradient[label] -= 1 - s
    return gradient


@cross_entropy.relation("-log_softmax_y", to="log_softmax")
def _(log_p, logits, label, xp):
    return -log_p[label]


@cross_entropy.label_loss
def _(loss, logits, label, xp):
    return loss


@define(
    family="losses",
    source="Lin, Goyal, Girshick, He, Dollar 2017, arXiv 1708.02002, eq. (4), p the softmax",
    arguments={"logits": Vector("K"), "label": Label("K")},
    parameters={"gamma": Parameter(2.0, 0.0, 8.0, values=(0.0, 0.5))},
    facts=(
        ShiftInvariant(),
        PermutationInvariant(),
        GradientSumsTo(0),
        Range(lower=0),
        At(
            ReducesTo(
                "cross_entropy",
                lambda xp, logits, label: {"logits": logits, "label": label},
                "z, label",
            ),
            gamma=0,
        ),
    ),
)
def focal_loss(logits, label, xp, gamma=2.0):
    """Focal loss -(1 - p)^gamma log p, p the softmax of the logits at the label.

    1 - p is the sum of the other probabilities, which keeps it where p rounds to 1.
    """
    d = xp.shifted(logits)
    e = xp.exp(d)
    total = xp.sum(e)
    others = xp.sum(xp.put(e, label, xp.number(0))) / total
    return xp.pow(others, xp.number(gamma)) * (xp.log(total) - d[label])


@focal_loss.derivative
def _(logits, label, xp, gamma=2.0):
    """(m^gamma + gamma m^(gamma - 1) p_y c) (p - e_y), m = 1 - p_y and c = -log p_y."""
    p, exponent = xp.softmax(logits), xp.number(gamma)
    missed = xp.sum(xp.put(p, label, xp.number(0)))
    slope = exponent * xp.pow(missed, exponent - 1) * (p[label] * -xp.log(p[label]))
    return xp.put(p, label, -missed) * (xp.pow(missed, exponent) + slope)


@focal_loss.form("1 - p")
def _(logits, label, xp, gamma=2.0):
    """With the cross-entropy c and p = e^-c; where p is computed as above 1, 1 - p counts as 0."""
    d = xp.shifted(logits)
    log_p = d[label] - xp.log(xp.sum(xp.exp(d)))
    return xp.pow(xp.positive_part(1 - xp.exp(log_p)), xp.number(gamma)) * -log_p
