"""What the sources of definitions say, in plain loops over mpmath numbers.

Those of several arguments, and those of one real.

``TRUTHS`` by name; ``CASES`` are arguments and parameters at which forms are held against them.
"""

from tests.derivations.catalogue import truths_of_losses
from tests.derivations.catalogue.truths_of_losses import MP, softmax


def root_mean_square(x, eps):
    return MP.sqrt(sum(v * v for v in x) / len(x) + eps)


def products(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def cap(scores, softcap):
    return [softcap * MP.tanh(s / softcap) for s in scores] if softcap else scores


def rms_norm(x, gain, eps=1e-6):
    return [v / root_mean_square(x, MP.mpf(eps)) * g for v, g in zip(x, gain, strict=True)]


def layer_norm(x, gain, bias, eps=1e-5):
    centred = [v - sum(x) / len(x) for v in x]
    return [v + b for v, b in zip(rms_norm(centred, gain, eps), bias, strict=True)]


def attention(q, k, v, mask, scale=None, softcap=0.0):
    factor = 1 / MP.sqrt(len(q)) if scale is None else MP.mpf(scale)
    scores = cap([s * factor for s in products(k, q)], softcap)
    kept = [j for j, keep in enumerate(mask) if keep]
    weights = softmax([scores[j] for j in kept])
    rows = [v[j] for j in kept]
    return [sum(w * row[i] for w, row in zip(weights, rows, strict=True)) for i in range(len(v[0]))]


def kl_divergence(student, teacher, temperature=1.0):
    t = MP.mpf(temperature)
    q, p = softmax([s / t for s in student]), softmax([s / t for s in teacher])
    return [t * t * sum(a * MP.log(a / b) for a, b in zip(p, q, strict=True))]


def linear_cross_entropy(hidden, weight, label, softcap=0.0):
    return [-MP.log(softmax(cap(products(weight, hidden), softcap))[label])]


def linear_cross_entropy_with_bias(hidden, weight, bias, label, softcap=0.0):
    z = [p + b for p, b in zip(products(weight, hidden), bias, strict=True)]
    return [-MP.log(softmax(cap(z, softcap))[label])]


def sparsemax(z):
    """By bisection: the total of the positive parts falls as the threshold grows."""
    low, high = min(z) - 1, max(z)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(max(v - middle, 0) for v in z) > 1 else (low, middle)
    return [max(v - low, MP.mpf(0)) for v in z]


def log_softmax(z):
    return [MP.log(p) for p in softmax(z)]


def sink_attention(q, k, v, mask, sink, scale=None, softcap=0.0):
    factor = 1 / MP.sqrt(len(q)) if scale is None else MP.mpf(scale)
    scores = cap([s * factor for s in products(k, q)], softcap)
    kept = [j for j, keep in enumerate(mask) if keep]
    total = MP.exp(sink) + sum(MP.exp(scores[j]) for j in kept)
    return [sum(MP.exp(scores[j]) / total * v[j][i] for j in kept) for i in range(len(v[0]))]


def swiglu(a, b):
    return [x / (1 + MP.exp(-x)) * y for x, y in zip(a, b, strict=True)]


def gumbel_softmax(logits, noise, temperature=1.0):
    return softmax([(z + g) / MP.mpf(temperature) for z, g in zip(logits, noise, strict=True)])


def info_nce(query, keys, label, temperature=1.0):
    return [-MP.log(softmax([s / MP.mpf(temperature) for s in products(keys, query)])[label])]


def top_k_gate(logits, k=2):
    """The indices by selection, one largest after another, and the softmax over them."""
    chosen = []
    for _ in range(k):
        left = [i for i in range(len(logits)) if i not in chosen]
        chosen.append(max(left, key=lambda i: logits[i]))
    return [*chosen, *softmax([logits[i] for i in chosen])]


def rotations(pairs, position, base):
    """Each pair times e^(i angle), as complex numbers."""
    for i, (a, b) in enumerate(pairs):
        z = MP.mpc(a, b) * MP.expj(position * MP.mpf(base) ** (-MP.mpf(i) / len(pairs)))
        yield z.real, z.imag


def rope(x, position, base=10000.0):
    half = len(x) // 2
    turned = list(rotations(list(zip(x[:half], x[half:], strict=True)), position, base))
    return [a for a, _ in turned] + [b for _, b in turned]


def rope_interleaved(x, position, base=10000.0):
    pairs = list(zip(x[0::2], x[1::2], strict=True))
    return [v for pair in rotations(pairs, position, base) for v in pair]


# --- of one real ---


def sigmoid(x):
    return [MP.exp(x) / (1 + MP.exp(x))]


def softplus(x):
    return [MP.log(1 + MP.exp(x))]


def normal_cdf(x, beta=1.0):
    return [MP.ncdf(MP.mpf(beta) * x)]


def ria(x, beta=1.0):
    """The integral of Phi(beta t) up to x."""
    return [MP.quad(lambda t: MP.ncdf(MP.mpf(beta) * t), [-MP.inf, -10, x])]


def smoothed_rsqrt(v, width=1.0):
    """E f(v + s Z), f(u) = 1 / sqrt(u) for u > 0, with u = w^2 in the integral."""
    s = MP.mpf(width)
    return [MP.quad(lambda w: 2 * MP.npdf(w * w, v, s), [0, 1, 3, 10])]


def gelu(x):
    """x times the integral of the density up to x."""
    return [x * MP.quad(MP.npdf, [-MP.inf, -10, x])]


def gelu_tanh(x):
    u = MP.sqrt(2 / MP.pi) * (x + MP.mpf("0.044715") * x**3)
    return [x / 2 * (1 + MP.tanh(u))]


def silu(x):
    return [x / (1 + MP.exp(-x))]


def exp(x):
    return [MP.nsum(lambda n: x**n / MP.factorial(n), [0, MP.inf])]


def expm1(x):
    return [MP.nsum(lambda n: x**n / MP.factorial(n), [1, MP.inf])]


def tanh(x):
    return [MP.sinh(x) / MP.cosh(x)]


def erf(x):
    return [2 / MP.sqrt(MP.pi) * MP.quad(lambda t: MP.exp(-t * t), [0, x])]


def log1p(x):
    return [MP.quad(lambda t: 1 / (1 + t), [0, x])]


X, Y, W = (0.5, -1.25, 2.0, -0.375), (1.0, 0.25, -0.5, 3.0), (-1.5, 0.75, 0.125, 1.0)
MATRIX = ((0.5, -1.0, 2.0, 0.25), (1.5, 0.5, -0.25, -1.0), (-0.75, 1.0, 0.5, 0.125))
VALUES = ((1.0, -2.0), (0.5, 3.0), (-1.0, 0.25))
OF_ONE_REAL = ("sigmoid", "softplus", "gelu", "gelu_tanh", "silu", "exp", "expm1", "tanh", "erf")
REALS = (0.5, -3.0, 0.0, 1.75, -(2.0**-20))
CASES = {
    "rms_norm": [((X, Y), {}), ((X, Y), {"eps": 0.5}), ((X, Y), {"eps": 0.0})],
    "layer_norm": [((X, Y, W), {}), ((X, Y, W), {"eps": 0.5}), ((X, Y, W), {"eps": 0.0})],
    "attention": [
        ((X, MATRIX, VALUES, (True, True, True)), {}),
        ((X, MATRIX, VALUES, (True, False, True)), {"scale": 1.0}),
        ((X, MATRIX, VALUES, (True, True, False)), {"softcap": 2.0}),
        ((X, MATRIX, VALUES, (False, True, False)), {}),
    ],
    "kl_divergence": [((X, Y), {}), ((X, Y), {"temperature": 4.0})],
    "linear_cross_entropy": [((X, MATRIX, 1), {}), ((X, MATRIX, 2), {"softcap": 0.5})],
    "linear_cross_entropy_with_bias": [
        ((X, MATRIX, Y[:3], 1), {}),
        ((X, MATRIX, W[:3], 2), {"softcap": 0.5}),
    ],
    "sparsemax": [((X,), {}), ((W,), {}), (((0.5, 0.5, -3.0, 0.25),), {}), (((7.0,),), {})],
    "sink_attention": [
        ((X, MATRIX, VALUES, (True, True, True), 0.5), {}),
        ((X, MATRIX, VALUES, (True, False, True), 4.0), {"scale": 1.0}),
        ((X, MATRIX, VALUES, (False, True, True), -1.0), {"softcap": 2.0}),
    ],
    "swiglu": [((X, Y), {}), ((W, X), {})],
    "gumbel_softmax": [((X, Y), {}), ((X, W), {"temperature": 0.5})],
    "top_k_gate": [((X,), {}), ((Y,), {"k": 1}), ((W,), {"k": 3}), (((7.0, 7.5),), {})],
    "info_nce": [((X, MATRIX, 0), {}), ((Y, MATRIX, 2), {"temperature": 4.0})],
    "rope": [((X, 3), {}), ((Y, 0), {}), ((X, 2), {"base": 500000.0})],
    "rope_interleaved": [((X, 3), {}), ((Y, 0), {}), ((X, 2), {"base": 500000.0})],
    **{name: [((x,), {}) for x in REALS] for name in OF_ONE_REAL},
    "normal_cdf": [((x,), {}) for x in REALS] + [((-1.5,), {"beta": 2.0})],
    "ria": [((x,), {}) for x in REALS] + [((-1.5,), {"beta": 2.0})],
    "smoothed_rsqrt": [((x,), {}) for x in REALS] + [((0.5,), {"width": 2.0})],
    "log1p": [((x,), {}) for x in (0.5, -0.75, 0.0, 3.0, -(2.0**-20))],
}
TRUTHS = {
    f.__name__: f
    for f in (
        rms_norm,
        layer_norm,
        attention,
        sink_attention,
        kl_divergence,
        linear_cross_entropy,
        linear_cross_entropy_with_bias,
        sparsemax,
        swiglu,
        gumbel_softmax,
        info_nce,
        top_k_gate,
        rope,
        rope_interleaved,
        sigmoid,
        softplus,
        normal_cdf,
        ria,
        smoothed_rsqrt,
        gelu,
        gelu_tanh,
        silu,
        exp,
        expm1,
        tanh,
        erf,
        log1p,
    )
}
CASES |= truths_of_losses.CASES
TRUTHS |= truths_of_losses.TRUTHS
