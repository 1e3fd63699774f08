"""What the papers on embeddings and on distillation say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.published_losses import FEW, PROBABILITIES, sigmoid, softmax
from tests.derivations.catalogue.published_normalisation import dot, length
from tests.derivations.catalogue.truths import MP, W, X


def cosine(a, b):
    return dot(a, b) / (length(a) * length(b))


def cross_entropy(z, label):
    return -MP.log(softmax(z)[label])


def cosine_cross_entropy(feature, prototypes, label, scale=10.0):
    return [cross_entropy([MP.mpf(scale) * cosine(feature, p) for p in prototypes], label)]


def elastic_arcface_loss(cosines, label, draw, scale=64.0):
    moved = list(cosines)
    moved[label] = MP.cos(MP.acos(cosines[label]) + draw)
    return [cross_entropy([MP.mpf(scale) * c for c in moved], label)]


def elastic_cosface_loss(cosines, label, draw, scale=64.0):
    moved = [c - draw * (k == label) for k, c in enumerate(cosines)]
    return [cross_entropy([MP.mpf(scale) * c for c in moved], label)]


def adaptive_scale_and_margin(median, others, share=0.02):
    a = MP.mpf(share)
    scale = max(MP.mpf(32), MP.log(9999999 * (1 - a) / a) / (1 - median))
    return [scale, max(MP.mpf(0), median - MP.log(others * a / (1 - a)) / scale)]


def unified_negative_loss(positive, classes, pairs, scale=64.0):
    s = MP.mpf(scale)
    return [MP.log(1 + sum(MP.exp(s * (c - positive)) for c in (*classes, *pairs)))]


def mean_field_contrastive_loss(x, fields, label, near=0.125, far=0.75):
    total = MP.mpf(0)
    for c, field in enumerate(fields):
        distance = 1 - cosine(x, field)
        total += max(MP.mpf(0), distance - near if c == label else far - distance)
    return [total]


def inner_product_loss(feature, directions, label):
    products = [max(MP.mpf(0), dot(c, feature)) for c in directions]
    return [sum(products) - products[label]]


def orthogonal_projection_loss(features, labels, _, gamma=0.5):
    same, other = [], []
    for i in range(len(labels)):
        for j in range(i):
            pairs = same if labels[i] == labels[j] else other
            pairs.append(cosine(features[i], features[j]))
    means = [sum(pairs) / len(pairs) if pairs else MP.mpf(0) for pairs in (same, other)]
    return [1 - means[0] + MP.mpf(gamma) * abs(means[1])]


def soft_info_nce(scores, raw, label, alpha=1.0, temperature=1.0):
    n, a = len(scores), MP.mpf(alpha)
    e = [MP.exp(r / MP.mpf(temperature)) * (k != label) for k, r in enumerate(raw)]
    total = MP.exp(scores[label])
    for k, score in enumerate(scores):
        if k != label:
            weight = max(MP.mpf(1) / 10, (1 - a * e[k] / sum(e)) / (1 - a / (n - 1)))
            total += weight * MP.exp(score)
    return [-MP.log(MP.exp(scores[label]) / total)]


def multi_similarity_loss(similarities, positive, alpha=2.0, beta=50.0, level=1.0):
    a, b, lam = MP.mpf(alpha), MP.mpf(beta), MP.mpf(level)
    near = far = MP.mpf(1)
    for s, is_positive in zip(similarities, positive, strict=True):
        if is_positive:
            near += MP.exp(-a * (s - lam))
        else:
            far += MP.exp(b * (s - lam))
    return [MP.log(near) / a + MP.log(far) / b]


def decoupled_cross_entropy(scores, positive, temperature=0.05):
    e = [MP.exp(s / MP.mpf(temperature)) for s in scores]
    negative = sum(v for v, own in zip(e, positive, strict=True) if not own)
    losses = [-MP.log(v / (v + negative)) for v, own in zip(e, positive, strict=True) if own]
    return [sum(losses) / max(len(losses), 1)]


def soft_top_k(scores, count=2.0, slope=2.0):
    a = MP.mpf(slope)

    def excess(t):
        return sum(sigmoid(a * (s + t)) for s in scores) - MP.mpf(count)

    low, high = -max(scores) - 40 / a, -min(scores) + 40 / a
    t = MP.findroot(excess, (low, high), solver="anderson", tol=MP.mpf(10) ** -80)
    return [sigmoid(a * (s + t)) for s in scores]


def rank_one_loss(views, temperature=1.0):
    """The singular values as roots of the eigenvalues of the Gram matrix."""
    units = [[v / length(row) for v in row] for row in views]
    if len(units) > len(units[0]):
        units = list(zip(*units, strict=True))
    gram = MP.matrix([[dot(a, b) for b in units] for a in units])
    values = sorted(MP.eigsy(gram, eigvals_only=True), reverse=True)
    return [cross_entropy([MP.sqrt(v) / MP.mpf(temperature) for v in values], 0)]


def nt_xent(embeddings, temperature=1.0):
    n, losses = len(embeddings), []
    for i, z in enumerate(embeddings):
        partner = i + 1 if i % 2 == 0 else i - 1
        e = [
            MP.exp(cosine(z, other) / MP.mpf(temperature)) * (k != i)
            for k, other in enumerate(embeddings)
        ]
        losses.append(-MP.log(e[partner] / sum(e)))
    return [sum(losses) / n]


def attraction_repulsion_loss(anchor, positives, negatives, attraction=1.0, repulsion=2.0):
    def distance(other):
        return sum((a - b) ** 2 for a, b in zip(anchor, other, strict=True))

    near, far = [distance(p) for p in positives], [distance(n) for n in negatives]
    pulled = softmax([MP.mpf(attraction) * d for d in near])
    pushed = softmax([-MP.mpf(repulsion) * d for d in far])
    return [dot(pulled, near) - dot(pushed, far)]


def gaussian_similarity(query_mean, query_variance, mean, variance):
    total = MP.mpf(0)
    for m, s, n, t in zip(query_mean, query_variance, mean, variance, strict=True):
        total += MP.log(MP.sqrt(t / s)) + (s + (m - n) ** 2) / (2 * t) - MP.mpf(1) / 2
    return [-total]


def byol_loss(prediction, target, other_prediction, other_target):
    first = 2 - 2 * cosine(prediction, target)
    return [first + 2 - 2 * cosine(other_prediction, other_target)]


def calibrated_uniformity_loss(users, items, similarities, gamma=0.5):
    """With |u - v|^2 = 2 - 2 cos(u, v) of unit vectors."""
    n = len(users)
    pairs = [(a, b) for b in range(n) for a in range(b)]
    aligned = sum(2 - 2 * cosine(u, i) for u, i in zip(users, items, strict=True)) / n
    apart = [MP.exp(-4 + 4 * cosine(users[a], users[b])) for a, b in pairs]
    calibrated = [MP.exp(-4 * (similarities[a][b] - cosine(items[a], items[b]))) for a, b in pairs]
    logs = MP.log(sum(apart) / len(pairs)) + MP.log(sum(calibrated) / len(pairs))
    return [aligned + MP.mpf(gamma) / 2 * logs]


def slerp_fusion(text, image, share=0.5):
    t, v = [a / length(text) for a in text], [a / length(image) for a in image]
    angle, p = MP.acos(dot(t, v)), MP.mpf(share)
    return [
        MP.sin(p * angle) / MP.sin(angle) * a + MP.sin((1 - p) * angle) / MP.sin(angle) * b
        for a, b in zip(t, v, strict=True)
    ]


def normalized_distillation_loss(student, teacher, label, gamma=1.5, temperature=1.0):
    t = MP.mpf(temperature)
    p, q = softmax([v / t for v in teacher]), softmax([v / t for v in student])
    others = [
        p[i] / (1 - p[label]) * MP.log(q[i] / (1 - q[label])) for i in range(len(p)) if i != label
    ]
    first = -softmax(teacher)[label] * MP.log(softmax(student)[label])
    return [first - MP.mpf(gamma) * t**2 * sum(others)]


def plackett_luce_distillation_loss(student, teacher, order):
    q, total = softmax(teacher), MP.mpf(0)
    for k, item in enumerate(order):
        rest = sum(MP.exp(student[other]) for other in order[k:])
        total += q[item] * (-student[item] + MP.log(rest))
    return [total]


def partial_ranking_loss(similarities, valid, temperature=1.0):
    e = [MP.exp(s / MP.mpf(temperature)) for s in similarities]
    return [-sum((MP.log(e[j] / sum(e[j:])) for j in range(valid)), MP.mpf(0))]


def binary_kl_loss(student, teacher, temperature=2.0):
    t = MP.mpf(temperature)
    return [
        t**2
        * sum(MP.log(MP.cosh((s - v) / (2 * t))) for s, v in zip(student, teacher, strict=True))
    ]


A, B = (0.5, -1.25), (2.0, 0.75)
M = (A, B, (-0.5, 1.5))
COSINES = (0.5, -0.25, 0.75)
CASES = {
    "cosine_cross_entropy": [((A, M, 1), {}), ((B, M, 0), {"scale": 2.0})],
    "elastic_arcface_loss": [
        ((COSINES, 0, 0.25), {"scale": 2.0}),
        ((COSINES, 1, -0.125), {"scale": 4.0}),
    ],
    "elastic_cosface_loss": [
        ((COSINES, 0, 0.25), {"scale": 2.0}),
        ((COSINES, 1, -0.125), {"scale": 4.0}),
    ],
    "adaptive_scale_and_margin": [((0.75, 2.0), {}), ((-0.5, 64.0), {"share": 0.25})],
    "unified_negative_loss": [
        ((0.5, COSINES, (0.25,)), {"scale": 2.0}),
        ((-0.25, COSINES, COSINES), {"scale": 4.0}),
    ],
    "mean_field_contrastive_loss": [((A, M, 1), {}), ((B, M, 1), {"near": 0.5, "far": 1.0})],
    "inner_product_loss": [((A, M, 1), {}), ((B, M, 2), {})],
    "orthogonal_projection_loss": [
        ((M, (0, 1, 0), (0.0, 0.0)), {}),
        ((M, (0, 0, 0), (0.0,)), {"gamma": 2.0}),
    ],
    "soft_info_nce": [((COSINES, (2.0, 0.5, -1.0), 0), {}), ((W, X, 2), {"alpha": 0.5})],
    "multi_similarity_loss": [
        ((COSINES, (True, False, True)), {"beta": 4.0}),
        ((COSINES, (False, False, False)), {"alpha": 1.0, "beta": 2.0, "level": 0.5}),
    ],
    "decoupled_cross_entropy": [
        ((W, (True, False, True, False)), {"temperature": 1.0}),
        ((W, (False, True, False, False)), {"temperature": 0.5}),
    ],
    "soft_top_k": [((W,), {}), ((W,), {"count": 1.0, "slope": 1.0})],
    "rank_one_loss": [((M,), {}), ((M[:2],), {"temperature": 0.5})],
    "nt_xent": [(((*M, (1.0, 0.25)),), {}), ((M[:2],), {"temperature": 0.5})],
    "attraction_repulsion_loss": [
        ((A, M[1:], M), {}),
        ((A, M, M[:2]), {"attraction": 0.5, "repulsion": 0.25}),
    ],
    "gaussian_similarity": [
        ((A, (1.0, 0.5), B, (2.0, 0.75)), {}),
        ((B, (1.0, 2.0), B, (1.0, 2.0)), {}),
    ],
    "byol_loss": [((A, B, B, A), {}), ((A, B, M[2], A), {})],
    "calibrated_uniformity_loss": [
        ((M[:2], M[1:], ((1.0, 0.5), (0.5, 1.0))), {}),
        ((M, M[::-1], ((1.0, 0.5, 0.0), (0.5, 1.0, 0.25), (0.0, 0.25, 1.0))), {"gamma": 2.0}),
    ],
    "slerp_fusion": [((A, B), {}), ((B, M[2]), {"share": 0.25})],
    "normalized_distillation_loss": [((W, FEW, 1), {}), ((FEW, W, 0), {"temperature": 2.0})],
    "plackett_luce_distillation_loss": [((W, FEW, (2, 0, 3, 1)), {}), ((FEW, W, (0, 1, 2, 3)), {})],
    "partial_ranking_loss": [((W, 2), {}), ((W, 0), {}), ((W, 4), {"temperature": 0.5})],
    "binary_kl_loss": [((W, FEW), {}), ((W, PROBABILITIES), {"temperature": 0.5})],
}
TRUTHS = {name: globals()[name] for name in CASES}
NOT_IN_SYMBOLS = {"rank_one_loss", "nt_xent"}
FEW_FACTS = {"adaptive_scale_and_margin": "two settings of a batch, which have no symmetry"}
