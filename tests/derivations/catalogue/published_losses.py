"""What the papers on losses say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.truths import MP, W, X


def softmax(z):
    total = sum(MP.exp(v) for v in z)
    return [MP.exp(v) / total for v in z]


def sigmoid(x):
    return 1 / (1 + MP.exp(-x))


def spherical_z_loss(logits, label, sharpness=1.0, offset=1.0):
    n = len(logits)
    mean = sum(logits) / n
    deviation = MP.sqrt(sum((o - mean) ** 2 for o in logits) / n)
    z = (logits[label] - mean) / deviation
    return [MP.log(1 + MP.exp(MP.mpf(sharpness) * (MP.mpf(offset) - z))) / MP.mpf(sharpness)]


def mann_whitney_loss(relevant, irrelevant):
    pairs = [MP.log(1 + MP.exp(-(s - t))) for s in relevant for t in irrelevant]
    return [sum(pairs) / len(pairs)]


def l2_svm_loss(weight, bias, x, positive, penalty=1.0):
    loss = sum(w * w for w in weight) / 2
    for row, is_positive in zip(x, positive, strict=True):
        y = 1 if is_positive else -1
        score = sum(w * v for w, v in zip(weight, row, strict=True)) + bias
        loss += MP.mpf(penalty) * max(MP.mpf(0), 1 - y * score) ** 2
    return [loss]


def coral_loss(logits, label):
    loss = MP.mpf(0)
    for k, logit in enumerate(logits):
        above = sigmoid(logit)
        loss -= MP.log(above) if label > k else MP.log(1 - above)
    return [loss]


def reduced_cross_entropy(logits, label):
    return [-MP.log(softmax([*logits, MP.mpf(0)])[label])]


def relu_cross_entropy(logits, label):
    return [-MP.log(max(MP.mpf(0), logits[label]))]


def f_beta_loss(p, positive, beta=1.0, sharpness=73.0):
    hits = misses = alarms = MP.mpf(0)
    for v, is_positive in zip(p, positive, strict=True):
        a = sigmoid(MP.mpf(sharpness) * (v - MP.mpf(1) / 2))
        if is_positive:
            hits, misses = hits + a, misses + 1 - a
        else:
            alarms += a
    b = MP.mpf(beta) ** 2
    return [1 - (1 + b) * hits / ((1 + b) * hits + b * misses + alarms)]


def balanced_cross_entropy(logits, counts, label):
    weighted = [n * MP.exp(z) for n, z in zip(counts, logits, strict=True)]
    return [-MP.log(weighted[label] / sum(weighted))]


def self_adjusting_dice_loss(p, positive, alpha=1.0, smoothing=1.0):
    g, losses = MP.mpf(smoothing), []
    for v, is_positive in zip(p, positive, strict=True):
        y = 1 if is_positive else 0
        weighted = (1 - v) ** MP.mpf(alpha) * v
        losses.append(1 - (2 * weighted * y + g) / (weighted + y + g))
    return [sum(losses) / len(losses)]


def coverage_loss(logits, label, samples=4.0):
    return [-MP.log(1 - (1 - softmax(logits)[label]) ** MP.mpf(samples))]


def bias_loss(losses, variances, alpha=0.3, beta=0.3):
    low, high = min(variances), max(variances)
    total = MP.mpf(0)
    for loss, variance in zip(losses, variances, strict=True):
        v = (variance - low) / (high - low)
        total += (MP.exp(MP.mpf(alpha) * v) - MP.mpf(beta)) * loss
    return [total / len(losses)]


def kl_robust_mean(losses, temperature=1.0):
    """The value of the maximum: w = softmax(l / T) in sum w l - T KL(w || 1/n)."""
    t = MP.mpf(temperature)
    w = softmax([loss / t for loss in losses])
    divergence = sum(v * MP.log(v * len(losses)) for v in w)
    return [sum(v * loss for v, loss in zip(w, losses, strict=True)) - t * divergence]


def equity_weighted_loss(loss, likelihood, eta=1.0, gamma=5.0):
    return [loss * (MP.mpf(eta) + (1 - likelihood) ** MP.mpf(gamma)) / (MP.mpf(eta) + 1)]


def normalized_cross_entropy(logits, label):
    log_p = [MP.log(v) for v in softmax(logits)]
    return [log_p[label] / sum(log_p)]


def symmetric_cross_entropy(student, teacher):
    p, q = softmax(student), softmax(teacher)
    return [-sum(b * MP.log(a) + a * MP.log(b) for a, b in zip(p, q, strict=True))]


def depict_target(p):
    columns = [sum(row[k] for row in p) for k in range(len(p[0]))]
    weighted = [[v / MP.sqrt(c) for v, c in zip(row, columns, strict=True)] for row in p]
    return [v / sum(row) for row in weighted for v in row]


def edit_invariant_loss(log_p, target, noise, n=2):
    count = len(target) - n + 1
    total = MP.mpf(0)
    for j in range(count):
        t = [
            sum(max(log_p[i + k][target[j + k]], MP.mpf(-20)) for k in range(n)) / n
            for i in range(count)
        ]
        weights = softmax([t[i] + noise[i][j] for i in range(count)])
        total += sum(w * v for w, v in zip(weights, t, strict=True))
    return [-total / count]


def transductive_loss(support, labels, query, prior, entropy_weight=1.0, prior_weight=1.0):
    known = [-MP.log(softmax(row)[label]) for row, label in zip(support, labels, strict=True)]
    rows = [softmax(row) for row in query]
    entropy = -sum(v * MP.log(v) for row in rows for v in row) / len(rows)
    mean = [sum(row[k] for row in rows) / len(rows) for k in range(len(prior))]
    divergence = sum(m * MP.log(m / q) for m, q in zip(mean, softmax(prior), strict=True))
    return [
        sum(known) / len(known)
        + MP.mpf(entropy_weight) * entropy
        + MP.mpf(prior_weight) * divergence
    ]


def hl_gauss_loss(logits, target, lowest=-4.0, width=1.0, sigma=0.75):
    def below(x):
        return MP.ncdf((x - target) / MP.mpf(sigma))

    ends = [MP.mpf(lowest) + k * MP.mpf(width) for k in range(len(logits) + 1)]
    whole = below(ends[-1]) - below(ends[0])
    p = softmax(logits)
    return [
        -sum((below(ends[k + 1]) - below(ends[k])) / whole * MP.log(p[k]) for k in range(len(p)))
    ]


def demo_loss(logits, target, embeddings):
    q, total = softmax(logits), MP.mpf(0)
    for i, e in enumerate(embeddings):
        for j, f in enumerate(embeddings):
            dot = sum(a * b for a, b in zip(e, f, strict=True))
            cos = dot / MP.sqrt(sum(a * a for a in e)) / MP.sqrt(sum(b * b for b in f))
            total += q[i] * target[j] * (1 - cos)
    return [total]


def cauchy_schwarz_divergence(x, y, width=1.0):
    def mean(a, b):
        kernel = [MP.exp(-(((s - t) / MP.mpf(width)) ** 2) / 2) for s in a for t in b]
        return sum(kernel) / len(kernel)

    return [-MP.log(mean(x, y) ** 2 / (mean(x, x) * mean(y, y)))]


def meco_loss(data, noise):
    return [-sum(data) / len(data) + MP.log(sum(MP.exp(v) for v in noise) / len(noise))]


def mean_absolute_directional_loss(returns, predicted):
    gains = [MP.sign(r * s) * abs(r) for r, s in zip(returns, predicted, strict=True)]
    return [-sum(gains) / len(gains)]


def logarithmic_mse(x, reconstruction):
    squares = [(a - b) ** 2 for a, b in zip(x, reconstruction, strict=True)]
    return [-MP.log(1 - sum(squares) / len(squares))]


def balanced_vae_loss(x, reconstruction, mean, log_variance):
    n = len(x)
    mse = sum((a - b) ** 2 for a, b in zip(x, reconstruction, strict=True)) / n
    # The negative log-likelihood of a Gaussian whose variance is the error, without log(2 pi).
    fit = n * (mse / (2 * mse) + MP.log(MP.sqrt(mse)))
    kl = sum((MP.exp(v) + m * m - 1 - v) / 2 for m, v in zip(mean, log_variance, strict=True))
    return [fit + kl]


def natural_gaussian_nll(y, eta1, eta2):
    variance = -1 / (2 * eta2)
    return [-MP.log(MP.npdf(y, eta1 * variance, MP.sqrt(variance)))]


def soft_bellman_loss(values, returns, log_ratios, beta=0.03):
    squares = [
        (values[t] - returns[t] + MP.mpf(beta) * sum(log_ratios[t:])) ** 2
        for t in range(len(values))
    ]
    return [sum(squares) / len(squares)]


def soft_preference_loss(
    chosen, rejected, reference_chosen, reference_rejected, preference, beta=0.1
):
    d = MP.mpf(beta) * (chosen - reference_chosen - rejected + reference_rejected)
    p = sigmoid(d)
    return [-(preference * MP.log(p) + (1 - preference) * MP.log(1 - p))]


def dmpo_loss(chosen, rejected, beta=0.1, discount=0.5):
    g = MP.mpf(discount)

    def reward(ratios):
        length = len(ratios)
        return sum((1 - g ** (length - t)) / (1 - g**length) * r for t, r in enumerate(ratios))

    return [-MP.log(sigmoid(MP.mpf(beta) * (reward(chosen) - reward(rejected))))]


def f_dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta=0.1, alpha=0.5):
    def slope(u):
        a = MP.mpf(alpha)
        return MP.log(u) + 1 if alpha == 0 else (1 - u ** (-a)) / a

    better = slope(MP.exp(chosen) / MP.exp(reference_chosen))
    worse = slope(MP.exp(rejected) / MP.exp(reference_rejected))
    return [-MP.log(sigmoid(MP.mpf(beta) * better - MP.mpf(beta) * worse))]


def neural_ndcg(scores, relevance, temperature=1.0, iterations=3):
    n, t = len(scores), MP.mpf(temperature)
    spread = [sum(abs(a - b) for b in scores) for a in scores]
    rows = [
        softmax([((n + 1 - 2 * i) * s - a) / t for s, a in zip(scores, spread, strict=True)])
        for i in range(1, n + 1)
    ]
    for _ in range(int(iterations)):
        columns = [sum(row[k] for row in rows) for k in range(n)]
        rows = [[v / c for v, c in zip(row, columns, strict=True)] for row in rows]
        rows = [[v / sum(row) for v in row] for row in rows]
    gains = [MP.mpf(2) ** g - 1 for g in relevance]
    soft = [sum(v * g for v, g in zip(row, gains, strict=True)) for row in rows]
    best = sorted(gains, reverse=True)

    def discounted(values):
        return sum(v / MP.log(k + 2, 2) for k, v in enumerate(values))

    return [discounted(soft) / discounted(best)]


def within_class_scatter(features, labels, centres):
    total = MP.mpf(0)
    for c, centre in enumerate(centres):
        own = [f for f, label in zip(features, labels, strict=True) if label == c]
        for f in own:
            total += sum((a - b) ** 2 for a, b in zip(f, centre, strict=True)) / len(own)
    return [total / len(centres)]


def centre_separation_loss(centres):
    n, d = len(centres), len(centres[0])
    middle = [sum(c[k] for c in centres) / n for k in range(d)]
    off = [[c[k] - middle[k] for k in range(d)] for c in centres]

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / MP.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    most = MP.mpf(99999) / 100000
    angles = []
    for i in range(n):
        nearest = max(cosine(off[i], off[j]) for j in range(n) if j != i)
        angles.append(MP.acos(min(max(nearest, -most), most)))
    return [-sum(angles) / n]


M = ((0.5, -1.25), (2.0, 0.75), (-0.5, 1.5))
ROWS = ((0.5, -1.0, 0.25), (2.0, 0.75, -1.5))
PROBABILITIES = (0.25, 0.75, 0.5, 0.125)
FEW = (0.5, 1.75, 0.25, 2.0)
MASK = (True, False, True, True)
CASES = {
    "spherical_z_loss": [((X, 1), {}), ((W, 0), {"sharpness": 2.0, "offset": -0.5})],
    "mann_whitney_loss": [((X, W[:3]), {}), (((3.0,), X), {})],
    "l2_svm_loss": [
        (((0.5, -0.25), 0.125, M, (True, False, True)), {}),
        (((2.0, 1.0), 0.0, M, (False, False, False)), {"penalty": 0.5}),
    ],
    "coral_loss": [((X, 0), {}), ((X, 2), {}), ((X, len(X)), {})],
    "reduced_cross_entropy": [((X, 0), {}), ((W, 2), {}), ((X, len(X)), {})],
    "relu_cross_entropy": [((FEW, 0), {}), ((FEW, 3), {})],
    "f_beta_loss": [
        ((PROBABILITIES, MASK), {"sharpness": 4.0}),
        ((PROBABILITIES, (False, True, False, False)), {"beta": 2.0, "sharpness": 8.0}),
    ],
    "balanced_cross_entropy": [((W, FEW, 0), {}), ((W, (1.0, 1.0, 1.0, 1.0), 3), {})],
    "self_adjusting_dice_loss": [
        ((PROBABILITIES, MASK), {}),
        ((PROBABILITIES, MASK), {"alpha": 0.5, "smoothing": 0.25}),
    ],
    "coverage_loss": [((X, 1), {}), ((W, 0), {"samples": 1.0}), ((W, 2), {"samples": 16.0})],
    "bias_loss": [((FEW, PROBABILITIES), {}), ((FEW, FEW), {"alpha": 2.0, "beta": 1.0})],
    "kl_robust_mean": [((W,), {}), ((X,), {"temperature": 0.5}), ((X,), {"temperature": 8.0})],
    "equity_weighted_loss": [((1.5, 0.25), {}), ((-2.0, 0.75), {"eta": 0.5, "gamma": 0.5})],
    "normalized_cross_entropy": [((X, 0), {}), ((W, 3), {})],
    "symmetric_cross_entropy": [((W, FEW), {}), ((FEW, FEW), {})],
    "depict_target": [
        ((((0.25, 0.75), (0.5, 0.5), (0.125, 0.875)),), {}),
        (((PROBABILITIES,),), {}),
    ],
    "edit_invariant_loss": [
        (
            (
                ((-1.0, -2.0), (-0.5, -30.0), (-3.0, -0.25)),
                (0, 1, 1),
                ((0.5, 0.0, 1.0), (0.25, -1.0, 0.0), (0.0, 0.0, 2.0)),
            ),
            parameters,
        )
        for parameters in ({}, {"n": 1}, {"n": 3})
    ],
    "transductive_loss": [
        ((ROWS, (2, 0), ROWS, (0.5, 0.0, -1.0)), {}),
        ((ROWS, (1, 1), ROWS[:1], (0.5, 0.0, -1.0)), {"entropy_weight": 0.5, "prior_weight": 2.0}),
    ],
    "hl_gauss_loss": [
        ((X, -1.5), {}),
        ((W, 0.25), {"lowest": -2.0, "width": 0.5, "sigma": 1.0}),
    ],
    "demo_loss": [
        (((0.5, -1.0, 2.0), (0.25, 0.5, 0.25), M), {}),
        (((0.5, 0.0), (0.0, 1.0), M[:2]), {}),
    ],
    "cauchy_schwarz_divergence": [((W, FEW), {}), ((W, FEW), {"width": 4.0})],
    "meco_loss": [((W, X), {}), ((X, (0.5,)), {})],
    "mean_absolute_directional_loss": [((W, FEW), {}), ((W, (3.0, -1.0, 2.0, 0.5)), {})],
    "logarithmic_mse": [((PROBABILITIES, (0.5, 0.25, 0.75, 0.0)), {}), (((0.75,), (0.0,)), {})],
    "balanced_vae_loss": [((W, FEW, (0.5, -1.0), (0.25, -2.0)), {}), (((1.0,), (0.5,), X, X), {})],
    "natural_gaussian_nll": [((0.5, 1.25, -0.75), {}), ((-2.0, 0.0, -2.0), {})],
    "soft_bellman_loss": [((W, FEW, FEW), {}), ((W, FEW, W), {"beta": 1.0})],
    "soft_preference_loss": [
        ((-1.0, -2.5, -1.25, -2.0, 0.75), {}),
        ((-1.0, -0.5, -3.0, -0.25, 0.25), {"beta": 1.0}),
    ],
    "dmpo_loss": [((W, (0.5, -1.0)), {}), ((FEW, W), {"beta": 1.0, "discount": 0.875})],
    "f_dpo_loss": [
        ((-1.0, -2.5, -1.25, -2.0), parameters)
        for parameters in ({}, {"alpha": 0.0}, {"alpha": 1.0, "beta": 2.0})
    ],
    "neural_ndcg": [
        ((W, (2.0, 0.0, 1.0, 3.0)), {}),
        (((0.5, 0.25), (1.0, 2.0)), {"temperature": 0.5, "iterations": 0}),
    ],
    "within_class_scatter": [((M, (0, 2, 0), M), {}), ((M, (1, 1, 1), M[:2]), {})],
    "centre_separation_loss": [
        ((((2.0, 0.25), (-1.0, 1.5), (-1.0, -1.75)),), {}),
        ((((1.0, 0.0, 0.0), (0.0, 1.0, 0.5), (0.0, 0.25, 1.0), (0.5, -1.0, 0.0)),), {}),
    ],
}
TRUTHS = {name: globals()[name] for name in CASES}
FEW_FACTS: dict[str, str] = {}
NOT_IN_SYMBOLS: set[str] = {"neural_ndcg"}
