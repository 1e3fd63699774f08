"""Losses of embeddings beside each other: pairs, views and sets."""

from ...definition import Parameter, define
from ...proofs.facts import GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import Homogeneous
from ...signature import Mask, Matrix, Vector
from .classes import unit, unit_rows

TEMPERATURE = Parameter(1.0, 2.0**-6, 2.0**10, values=(0.125,))


@define(
    family="metric losses",
    source="Wang et al. 2019, Multi-Similarity Loss, arXiv 1904.06627, one anchor",
    arguments={"similarities": Vector("n", lower=-1.0, upper=1.0), "positive": Mask("n")},
    parameters={
        "alpha": Parameter(2.0, 2.0**-4, 2.0**7, values=(16.0,)),
        "beta": Parameter(50.0, 2.0**-4, 2.0**7, values=(8.0,)),
        "level": Parameter(1.0, -1.0, 1.0, values=(0.5,)),
    },
    facts=(Range(lower=0), PermutationInvariant("n")),
    papers=(116,),
)
def multi_similarity_loss(similarities, positive, xp, alpha=2.0, beta=50.0, level=1.0):
    """log(1 + sum_P e^(-a (s - l))) / a + log(1 + sum_N e^(b (s - l))) / b, P the positive ones.

    >>> from softproof.derivations import value
    >>> value("multi_similarity_loss", similarities=[1.0], positive=[True], alpha=1.0)
    0.6931471805599453
    """
    a, b = xp.number(alpha), xp.number(beta)
    off, zero = similarities - xp.number(level), xp.zeros(similarities.shape)
    near = xp.log(1 + xp.sum(xp.where(positive, xp.exp(-a * off), zero))) / a
    return near + xp.log(1 + xp.sum(xp.where(positive, zero, xp.exp(b * off)))) / b


@multi_similarity_loss.form("log1p")
def _(similarities, positive, xp, alpha=2.0, beta=50.0, level=1.0):
    a, b = xp.number(alpha), xp.number(beta)
    off, zero = similarities - xp.number(level), xp.zeros(similarities.shape)
    near = xp.log1p(xp.sum(xp.where(positive, xp.exp(-a * off), zero))) / a
    return near + xp.log1p(xp.sum(xp.where(positive, zero, xp.exp(b * off)))) / b


@define(
    family="contrastive losses",
    source="Gupta et al. 2024, Dual-Encoders for Extreme Multi-Label Classification (code)",
    arguments={"scores": Vector("K"), "positive": Mask("K")},
    parameters={"temperature": Parameter(0.05, 2.0**-6, 2.0**10, values=(1.0,))},
    facts=(
        Range(lower=0),
        ShiftInvariant("scores"),
        GradientSumsTo(0, "scores"),
        PermutationInvariant("K"),
    ),
    papers=(9,),
)
def decoupled_cross_entropy(scores, positive, xp, temperature=0.05):
    """Mean over positive classes l of -log(e^s_l / (e^s_l + sum of e^s over negative ones)).

    s are the scores over the temperature.  Without positive classes it is 0.

    >>> from softproof.derivations import value
    >>> value("decoupled_cross_entropy", scores=[1.0, 1.0, 1.0], positive=[True, True, False])
    0.6931471805599453
    """
    s = scores / xp.number(temperature)
    losses = []
    for label, own in enumerate(positive):
        if own:
            kept = ~positive
            kept[label] = True
            losses.append(xp.logsumexp(s[kept]) - s[label])
    return xp.sum(losses) / max(len(losses), 1)


@define(
    family="contrastive losses",
    source="Gupta et al. 2024, Dual-Encoders for Extreme Multi-Label Classification (code)",
    arguments={"scores": Vector("K", lower=-(2.0**10), upper=2.0**10)},
    output=("K",),
    parameters={
        "count": Parameter(2.0, 2.0**-4, 2.0**10, values=(1.0,)),
        "slope": Parameter(2.0, 2.0**-4, 2.0**7, values=(8.0,)),
    },
    least_sizes=lambda count, slope: {"K": int(count) + 1},
    facts=(ShiftInvariant("scores"), Range(lower=0, upper=1)),
    papers=(9,),
)
def soft_top_k(scores, xp, count=2.0, slope=2.0):
    """sigmoid(a (s_i + t)) with the t for which they sum to k, the count; a is the slope.

    >>> from softproof.derivations import value
    >>> value("soft_top_k", scores=[0.0, 0.0, 0.0, 0.0])
    [0.5, 0.5, 0.5, 0.5]
    """
    a, k = xp.number(slope), xp.number(count)
    low, high = -xp.max(scores) - 40 / a, -xp.min(scores) + 40 / a
    t = xp.root(lambda t: xp.sum(xp.sigmoid(a * (scores + t))) - k, low, high)
    return xp.sigmoid(a * (scores + t))


@define(
    family="contrastive losses",
    source="Principled Multimodal Representation Learning, the loss on singular values",
    arguments={"views": Matrix("m", "d")},
    parameters={"temperature": TEMPERATURE},
    facts=(
        Range(lower=0),
        Homogeneous("views", 0),
        PermutationInvariant("m"),
        PermutationInvariant("d"),
    ),
    papers=(8,),
)
def rank_one_loss(views, xp, temperature=1.0):
    """-log of the first share of softmax(sigma / T), sigma the singular values of unit rows.

    The rows are views of one instance; the contrast between instances is not part of it.

    >>> from softproof.derivations import value
    >>> round(value("rank_one_loss", views=[[1.0, 0.0], [0.0, 1.0]]), 12)
    0.69314718056
    """
    z = xp.singular_values(unit_rows(views, xp)) / xp.number(temperature)
    return xp.logsumexp(z) - z[0]


@define(
    family="contrastive losses",
    source="Chen et al. 2020, SimCLR, arXiv 2002.05709 (used in G-SimCLR)",
    arguments={"embeddings": Matrix("n", "d")},
    parameters={"temperature": TEMPERATURE},
    even_axes=("n",),
    least_sizes=lambda temperature: {"n": 2},
    facts=(Range(lower=0), Homogeneous("embeddings", 0), PermutationInvariant("d")),
    papers=(40,),
)
def nt_xent(embeddings, xp, temperature=1.0):
    """Mean over i of the cross-entropy of cos(z_i, z_j) / T, j /= i, with its partner as label.

    Rows 0 and 1 are partners, 2 and 3, and so on.

    >>> from softproof.derivations import value
    >>> value("nt_xent", embeddings=[[1.0], [2.0]])
    0.0
    """
    z = unit_rows(embeddings, xp)
    logits = xp.dot(z, z.T) / xp.number(temperature)
    losses = []
    for i in range(len(embeddings)):
        others = xp.concatenate([logits[i, :i], logits[i, i + 1 :]])
        losses.append(xp.logsumexp(others) - logits[i, i ^ 1])
    return xp.mean(xp.stack(losses))


@define(
    family="contrastive losses",
    source="Zheng et al. 2021, Contrastive Attraction and Contrastive Repulsion, arXiv 2105.03746",
    arguments={"anchor": Vector("d"), "positives": Matrix("P", "d"), "negatives": Matrix("N", "d")},
    parameters={
        "attraction": Parameter(1.0, 0.0, 2.0**4, values=(0.0,)),
        "repulsion": Parameter(2.0, 0.0, 2.0**4, values=(0.5,)),
    },
    facts=(PermutationInvariant("d"), PermutationInvariant("P"), PermutationInvariant("N")),
    papers=(45,),
)
def attraction_repulsion_loss(anchor, positives, negatives, xp, attraction=1.0, repulsion=2.0):
    """Mean squared distance to positives, far ones first, less that to negatives, near ones first.

    The weights are softmax(t d) over positives and softmax(-u d) over negatives, d the distances.

    >>> from softproof.derivations import value
    >>> value("attraction_repulsion_loss", anchor=[0.0], positives=[[1.0]], negatives=[[2.0]])
    -3.0
    """

    def distances(others):
        off = others - anchor[None, :]
        return xp.sum(off * off, axis=1)

    near, far = distances(positives), distances(negatives)
    pulled = xp.weighted_mean(xp.number(attraction) * near, near)
    return pulled - xp.weighted_mean(-xp.number(repulsion) * far, far)


@define(
    family="metric losses",
    source="Zamani, Bendersky 2023, Multivariate Representation Learning, arXiv 2304.14522",
    arguments={
        "query_mean": Vector("d"),
        "query_variance": Vector("d", lower=2.0**-20),
        "mean": Vector("d"),
        "variance": Vector("d", lower=2.0**-20),
    },
    facts=(Range(upper=0), PermutationInvariant("d")),
    papers=(228,),
)
def gaussian_similarity(query_mean, query_variance, mean, variance, xp):
    """-KL(N(query) || N(document)) of two Gaussians with diagonal covariances.

    >>> from softproof.derivations import value
    >>> value("gaussian_similarity", query_mean=[1.0], query_variance=[1.0], mean=[0.0],
    ...       variance=[1.0])
    -0.5
    """
    off = query_mean - mean
    ratio = query_variance / variance
    return -xp.sum(xp.log(variance / query_variance) + ratio + off * off / variance - 1) / 2


@gaussian_similarity.form("augmented inner product")
def _(query_mean, query_variance, mean, variance, xp):
    """The square multiplied out, as an index of inner products has it."""
    own = xp.log(query_variance)
    of_query = query_variance + query_mean * query_mean
    of_document = -xp.log(variance) - mean * mean / variance
    products = 2 * query_mean * (mean / variance) - of_query / variance
    return xp.sum(products + of_document + own + 1) / 2


@define(
    family="contrastive losses",
    source="Self-Labeling Refinement for Robust Representation Learning with BYOL",
    arguments={
        "prediction": Vector("d"),
        "target": Vector("d"),
        "other_prediction": Vector("d"),
        "other_target": Vector("d"),
    },
    facts=(
        Range(lower=0, upper=8),
        Homogeneous("prediction", 0),
        Homogeneous("target", 0),
        PermutationInvariant("d"),
    ),
    papers=(232,),
    reconstructed=(
        "the paper adds pairs of the batch that are similar (above 0.8), whose weights are unknown"
    ),
)
def byol_loss(prediction, target, other_prediction, other_target, xp):
    """2 - 2 cos(q, z') of two views, both ways round: the loss of BYOL.

    >>> from softproof.derivations import value
    >>> value("byol_loss", prediction=[1.0], target=[2.0], other_prediction=[1.0],
    ...       other_target=[-1.0])
    4.0
    """
    one = xp.sum(unit(prediction, xp) * unit(target, xp))
    other = xp.sum(unit(other_prediction, xp) * unit(other_target, xp))
    return 4 - 2 * one - 2 * other


@define(
    family="contrastive losses",
    source="CM^3: Calibrating Multimodal Recommendation (the authors' code)",
    arguments={
        "users": Matrix("n", "d"),
        "items": Matrix("n", "d"),
        "similarities": Matrix("n", "n", lower=0.0, upper=1.0),
    },
    parameters={"gamma": Parameter(0.5, 0.0, 2.0**10, values=(2.0,))},
    least_sizes=lambda gamma: {"n": 2},
    facts=(
        Homogeneous("users", 0),
        Homogeneous("items", 0),
        PermutationInvariant("d"),
    ),
    papers=(246,),
)
def calibrated_uniformity_loss(users, items, similarities, xp, gamma=0.5):
    """Mean |u - i|^2, plus gamma / 2 times log-mean-exps over pairs of users, and of items.

    The exponents are -2 |u - u'|^2, and -2 (|i - i'|^2 - 2 + 2 s) with the similarity s of two
    items, so that similar ones need not be apart.  Rows are brought to length 1.

    >>> from softproof.derivations import value
    >>> value("calibrated_uniformity_loss", users=[[1.0], [1.0]], items=[[2.0], [2.0]],
    ...       similarities=[[1.0, 1.0], [1.0, 1.0]])
    0.0
    """
    u, i = unit_rows(users, xp), unit_rows(items, xp)
    off = u - i
    pairs = [(a, b) for b in range(len(users)) for a in range(b)]

    def spread(rows, added):
        exponents = []
        for a, b in pairs:
            apart = rows[a] - rows[b]
            exponents.append(-2 * (xp.sum(apart * apart) + added(a, b)))
        return xp.logsumexp(xp.stack(exponents)) - xp.log(xp.number(len(pairs)))

    users_apart = spread(u, lambda a, b: xp.number(0))
    items_apart = spread(i, lambda a, b: 2 * similarities[a, b] - 2)
    aligned = xp.mean(xp.sum(off * off, axis=1))
    return aligned + xp.number(gamma) / 2 * (users_apart + items_apart)


@define(
    family="contrastive losses",
    source="CM^3: Calibrating Multimodal Recommendation, its fusion of two modalities",
    arguments={"text": Vector("d"), "image": Vector("d")},
    output=("d",),
    parameters={"share": Parameter(0.5, 0.0, 1.0, values=(0.25,))},
    least_sizes=lambda share: {"d": 2},
    facts=(Range(lower=-1, upper=1), Homogeneous("text", 0), Homogeneous("image", 0)),
    papers=(246,),
)
def slerp_fusion(text, image, xp, share=0.5):
    """Spherical interpolation (sin(p a) t + sin((1 - p) a) v) / sin a of unit vectors, a apart.

    Where they are parallel it has no value.

    >>> from softproof.derivations import value
    >>> value("slerp_fusion", text=[2.0, 0.0], image=[0.0, 3.0], share=1.0)
    [1.0, 0.0]
    """
    t, v = unit(text, xp), unit(image, xp)
    angle, p = xp.acos(xp.sum(t * v)), xp.number(share)
    return (xp.sin(p * angle) * t + xp.sin((1 - p) * angle) * v) / xp.sin(angle)
