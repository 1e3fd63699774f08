"""What the papers on attention and on ensembles say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.published_losses import sigmoid, softmax
from tests.derivations.catalogue.published_normalisation import SQUARE, dot, length, moments
from tests.derivations.catalogue.truths import MP, W


def mix(weights, v):
    return [sum(w * row[e] for w, row in zip(weights, v, strict=True)) for e in range(len(v[0]))]


def scores(q, k):
    return [dot(q, row) / MP.sqrt(len(q)) for row in k]


def cosine(a, b):
    return dot(a, b) / (length(a) * length(b))


def features(x):
    return [v + 1 if v >= 0 else MP.exp(v) for v in x]


def sigmoid_attention(q, k, v):
    return mix([sigmoid(s - MP.log(len(k))) for s in scores(q, k)], v)


def rectified_linear_attention(q, k, v, gain, eps=1e-6):
    y = mix([max(MP.mpf(0), s) for s in scores(q, k)], v)
    rms = MP.sqrt(dot(y, y) / len(y) + MP.mpf(eps))
    return [g * u / rms for g, u in zip(gain, y, strict=True)]


def magnitude_aware_linear_attention(q, k, v):
    p = [dot(features(q), features(row)) for row in k]
    beta, gamma = 1 + 1 / sum(p), sum(p) / len(p)
    return mix([beta * a - gamma for a in p], v)


def injective_linear_attention(q, k, v):
    p = [dot(features(q), features(row)) for row in k]
    return mix([a - sum(p) / len(p) + MP.mpf(1) / len(p) for a in p], v)


def agent_attention(q, agents, k, v):
    values = [mix(softmax(scores(agent, k)), v) for agent in agents]
    return mix(softmax(scores(q, agents)), values)


def kernelized_attention(q, k, v, bias, draws):
    def phi(x):
        unit = [a / length(x) for a in x]
        scale = MP.exp(-dot(unit, unit) / 2) / MP.sqrt(len(draws))
        return [scale * MP.exp(dot(w, unit)) for w in draws]

    weights = [MP.exp(b) * dot(phi(q), phi(row)) for b, row in zip(bias, k, strict=True)]
    return mix([w / sum(weights) for w in weights], v)


def galerkin_attention(q, k, v, eps=1e-5):
    def normalised(rows):
        found = []
        for row in rows:
            mean, variance = moments(row)
            found.append([(a - mean) / MP.sqrt(variance + MP.mpf(eps)) for a in row])
        return found

    return mix([dot(q, row) / len(k) for row in normalised(k)], normalised(v))


def gaussian_kernel_attention(k, v):
    def near(a, b):
        off = [x - y for x, y in zip(a, b, strict=True)]
        return MP.exp(-dot(off, off) / (2 * MP.sqrt(len(a))))

    s = [[near(a, b) for b in k] for a in k]
    degrees = [sum(row) for row in s]
    rows = [
        [x / MP.sqrt(d * e) for x, e in zip(row, degrees, strict=True)]
        for row, d in zip(s, degrees, strict=True)
    ]
    return [x for row in rows for x in mix(row, v)]


def norm_aware_linear_attention(q, k, v):
    p = 3 * (MP.mpf(1) / 2 + MP.tanh(length(q)))

    def split(x, power):
        zero = MP.mpf(0)
        return [max(zero, a) ** power for a in x] + [max(zero, -a) ** power for a in x]

    phi = split([a / length(q) for a in q], p)
    products = [dot(phi, split([a**3 for a in row], 1)) for row in k]
    z = 1 / (sum(products) / len(k) + MP.mpf(1) / 10**6)
    return [z * a / len(k) for a in mix(products, v)]


def query_key_norm_attention(q, k, v, gain=8.0):
    return mix(softmax([MP.mpf(gain) * cosine(q, row) for row in k]), v)


def affine_scaled_attention(q, k, v, gate, average):
    alpha = min(MP.mpf(1), max(MP.mpf(0), gate / 10 + MP.mpf(1) / 2))
    beta = (average - alpha) / len(k)
    return mix([alpha * p + beta for p in softmax(scores(q, k))], v)


def selective_attention(q, k, v, token, value_tokens, position, slope=0.5):
    level = 1 + MP.mpf(slope) * MP.log(position)
    weights = softmax([(MP.tanh(token) + level) * s for s in scores(q, k)])
    return mix([w * (MP.tanh(t) + level) for w, t in zip(weights, value_tokens, strict=True)], v)


def lucid_attention(q, k, v):
    n, d = len(k), len(k[0])
    kernel = MP.matrix(n, n)
    for i in range(n):
        for j in range(i + 1):
            kernel[i, j] = MP.exp(MP.sqrt(d) * cosine(k[i], k[j]) - MP.sqrt(d))
    solved = (kernel**-1 * MP.matrix([list(row) for row in v])).tolist()
    return [x for i in range(n) for x in mix(softmax(scores(q[i], k[: i + 1])), solved[: i + 1])]


def normalized_linear_mixing(weight, x):
    rows = [[MP.log(1 + MP.exp(w)) for w in row] for row in weight]
    return [dot(row, x) / sum(row) for row in rows]


def cross_max(logits):
    z = [[v - max(row) for v in row] for row in logits]
    tops = [max(row[c] for row in z) for c in range(len(z[0]))]
    columns = [sorted(row[c] - top for row in z) for c, top in enumerate(tops)]
    return [column[len(column) // 2] for column in columns]


def convex_fusion(semantic, lexical, alpha=0.5):
    def scaled(x):
        return [(v - min(x)) / (max(x) - min(x)) for v in x]

    a = MP.mpf(alpha)
    pairs = zip(scaled(semantic), scaled(lexical), strict=True)
    return [a * s + (1 - a) * t for s, t in pairs]


def closed_form_score(x, points, time=0.5, sigma=0.5):
    """The gradient of the log-density, by differences of the density itself."""
    t, s = MP.mpf(time), MP.mpf(sigma)

    def log_density(y):
        total = MP.mpf(0)
        for point in points:
            off = [a - t * b for a, b in zip(y, point, strict=True)]
            total += MP.exp(-dot(off, off) / (2 * s**2))
        return MP.log(total)

    def moved(k, h):
        return log_density([v + h * (j == k) for j, v in enumerate(x)])

    with MP.workdps(120):
        h = MP.mpf(10) ** -40
        return [(moved(k, h) - moved(k, -h)) / (2 * h) for k in range(len(x))]


Q, K, V = (
    (0.5, -1.25),
    ((2.0, 0.75), (-0.5, 1.5), (1.0, 0.25)),
    ((1.0, -2.0), (0.5, 3.0), (-1.5, 0.25)),
)
CASES = {
    "sigmoid_attention": [((Q, K, V), {}), ((V[1], K[:1], V[:1]), {})],
    "rectified_linear_attention": [((Q, K, V, (1.0, 2.0)), {}), ((Q, K, V, Q), {"eps": 0.5})],
    "magnitude_aware_linear_attention": [((Q, K, V), {}), ((V[1], K[:2], V[1:]), {})],
    "injective_linear_attention": [((Q, K, V), {}), ((V[1], K[:2], V[1:]), {})],
    "agent_attention": [((Q, K[:2], K, V), {}), ((V[2], V, K, V), {})],
    "kernelized_attention": [
        ((Q, K, V, (0.5, 0.0, -1.0), SQUARE), {}),
        ((Q, K[:2], V[:2], Q, (Q,)), {}),
    ],
    "galerkin_attention": [((Q, K, V), {}), ((Q, K[:1], V[1:2]), {"eps": 0.5})],
    "gaussian_kernel_attention": [((K, V), {}), ((V[:2], K[:2]), {})],
    "norm_aware_linear_attention": [((Q, K, V), {}), ((V[2], K[:2], V[:2]), {})],
    "query_key_norm_attention": [((Q, K, V), {}), ((V[1], K, V), {"gain": 1.0})],
    "affine_scaled_attention": [((Q, K, V, 1.5, 0.75), {}), ((Q, K, V, -8.0, 0.5), {})],
    "selective_attention": [
        ((Q, K, V, 0.5, (0.25, -1.0, 2.0), 3), {}),
        ((Q, K, V, -0.5, (0.25, -1.0, 2.0), 1), {"slope": 0.0}),
    ],
    "lucid_attention": [((V, K, V), {}), ((K[:2], V[:2], K[:2]), {})],
    "normalized_linear_mixing": [((K, Q), {}), (((W,), W), {})],
    "cross_max": [((K,), {}), (((W, (0.5, 2.0, -1.0, 0.25)),), {})],
    "convex_fusion": [((W, (0.5, 2.0, -1.0, 0.25)), {}), ((Q, V[0]), {"alpha": 0.25})],
    "closed_form_score": [((Q, K), {}), ((V[1], K[:2]), {"time": 1.0, "sigma": 2.0})],
}
TRUTHS = {name: globals()[name] for name in CASES}
NOT_IN_SYMBOLS = {"kernelized_attention", "lucid_attention"}
FEW_FACTS: dict[str, str] = {}
