"""What the papers on calibration and on other functions than softmax say, in mpmath numbers."""

from tests.derivations.catalogue.published_embeddings import COSINES, A, B, M, cross_entropy
from tests.derivations.catalogue.published_losses import FEW, PROBABILITIES, softmax
from tests.derivations.catalogue.published_normalisation import SQUARE, dot, length
from tests.derivations.catalogue.truths import MP, W, X


def temperature_scaled_cross_entropy(logits, label, temperature=1.0):
    return [cross_entropy([z / MP.mpf(temperature) for z in logits], label)]


def correctness_loss(logits, correct, temperature=1.0):
    confidence = max(softmax([z / MP.mpf(temperature) for z in logits]))
    return [(confidence - correct) ** 2]


def adaptive_smoothing(standard, robust, alpha=0.5):
    a = MP.mpf(alpha)
    pairs = zip(softmax(standard), softmax(robust), strict=True)
    return [MP.log((1 - a) * p + a * q) for p, q in pairs]


def mahalanobis_score(feature, means, factor):
    lower = MP.matrix(factor)
    inverse = (lower * lower.T) ** -1
    scores = []
    for mean in means:
        off = MP.matrix([a - b for a, b in zip(feature, mean, strict=True)])
        scores.append(-(off.T * inverse * off)[0])
    return [max(scores)]


def norm_bregman_divergence(z, mean, power=2.5):
    """The gradient of |.|_p^2 / 2 by the chain rule, entry by entry."""
    p = MP.mpf(power)

    def norm(x):
        return sum(abs(v) ** p for v in x) ** (1 / p)

    slope = [norm(mean) ** (2 - p) * MP.sign(m) * abs(m) ** (p - 1) for m in mean]
    off = [a - b for a, b in zip(z, mean, strict=True)]
    return [norm(z) ** 2 / 2 - norm(mean) ** 2 / 2 - dot(slope, off)]


def acls_loss(logits, label, strength=0.1, others=0.1, margin=10.0):
    top, zero = max(logits), MP.mpf(0)
    widest = max(zero, top - min(logits) - margin) ** 2
    gaps = sum(max(zero, top - z - margin) ** 2 for z in logits)
    more = MP.mpf(others) * gaps / (len(logits) - 1)
    return [cross_entropy(logits, label) + MP.mpf(strength) * (widest + more)]


def robust_temperature_loss(logits, label, temperature, rho=8.5, least=0.01):
    e = [MP.exp((z - logits[label]) / temperature) for z in logits]
    level = (temperature - MP.mpf(least)) * MP.mpf(rho)
    return [temperature * MP.log(sum(e) / len(e)) + level]


def matrix_norm_score(logits, power=4.0):
    p = MP.mpf(power)
    powers = [q**p for row in logits for q in softmax(row)]
    return [(sum(powers) / len(powers)) ** (1 / p)]


def taylor_softmax(z):
    weights = [1 + v + v**2 / 2 for v in z]
    return [w / sum(weights) for w in weights]


def length_scaled_softplus_weights(query, keys):
    scale = MP.log(len(query)) * MP.log(len(keys))
    weights = [
        MP.log(1 + MP.exp(scale * dot(query, k) / (length(query) * length(k)))) for k in keys
    ]
    return [w / sum(weights) for w in weights]


def sharpened_weights(weights, power=15.0):
    n = len(weights)
    kept = [max(MP.mpf(0), n * w - 1) ** MP.mpf(power) for w in weights]
    return [k / (sum(kept) + MP.mpf(1e-8)) for k in kept]


def sdm_activation(logits, similarity, distance):
    weights = [(2 + similarity) ** (distance * z) for z in logits]
    return [w / sum(weights) for w in weights]


def fourier_head(real, imaginary, bins=8):
    """The density as |sum_l a_l e^(-i pi l x)|^2, which the autocorrelation comes from."""
    a = [MP.mpc(r, i) for r, i in zip(real, imaginary, strict=True)]
    middles = [-1 + MP.mpf(2 * b + 1) / bins for b in range(int(bins))]
    density = [abs(sum(c * MP.expjpi(-k * x) for k, c in enumerate(a))) ** 2 for x in middles]
    return [d / sum(density) for d in density]


def sparse_softmax_cross_entropy(logits, label, k=2):
    kept = sorted(logits, reverse=True)[: int(k)]
    return [MP.log(sum(MP.exp(z) for z in kept)) - logits[label]]


def self_adjust_softmax(z):
    low, high = min(*z, MP.mpf(0)), max(*z, MP.mpf(0))
    return [(v - low) / (high - low) * p for v, p in zip(z, softmax(z), strict=True)]


def power_softmax(z, power=4):
    weights = [v ** int(power) for v in z]
    return [w / sum(weights) for w in weights]


def gaussian_soft_nms(scores, overlaps, sigma=0.5):
    pairs = zip(scores, overlaps, strict=True)
    return [s * MP.exp(-(o**2) / MP.mpf(sigma)) for s, o in pairs]


CASES = {
    "temperature_scaled_cross_entropy": [((W, 1), {}), ((X, 0), {"temperature": 0.5})],
    "correctness_loss": [((W, 1), {}), ((X, 0), {"temperature": 4.0})],
    "adaptive_smoothing": [((W, FEW), {}), ((FEW, W), {"alpha": 0.25})],
    "mahalanobis_score": [((A, M, SQUARE), {}), (((2.0,), ((0.5,), (-1.0,)), ((0.5,),)), {})],
    "norm_bregman_divergence": [((A, B), {}), ((B, M[2]), {"power": 4.0})],
    "acls_loss": [
        ((W, 1), {}),
        ((W, 0), {"strength": 1.0, "others": 0.5, "margin": 0.5}),
    ],
    "robust_temperature_loss": [((W, 1, 2.0), {}), ((X, 0, 0.5), {"rho": 0.5})],
    "matrix_norm_score": [((M,), {}), (((W, FEW),), {"power": 2.0})],
    "taylor_softmax": [((W,), {}), ((X,), {})],
    "length_scaled_softplus_weights": [((A, M), {}), ((B, M[:2]), {})],
    "sharpened_weights": [
        ((PROBABILITIES,), {"power": 3.0}),
        (((0.5, 0.25, 0.25),), {"power": 1.0}),
    ],
    "sdm_activation": [((W, 3.0, 0.5), {}), ((X, 0.0, 1.0), {})],
    "fourier_head": [((W, FEW), {"bins": 3}), ((COSINES, COSINES[::-1]), {"bins": 4})],
    "sparse_softmax_cross_entropy": [((W, 1), {}), ((W, 0), {"k": 1}), ((W, 2), {"k": 3})],
    "self_adjust_softmax": [((W,), {}), ((FEW,), {})],
    "power_softmax": [((W,), {}), ((X,), {"power": 2})],
    "gaussian_soft_nms": [
        ((PROBABILITIES, PROBABILITIES[::-1]), {}),
        ((FEW[:1], (1.0,)), {"sigma": 2.0}),
    ],
}
TRUTHS = {name: globals()[name] for name in CASES}
NOT_IN_SYMBOLS: set[str] = set()
FEW_FACTS: dict[str, str] = {}
