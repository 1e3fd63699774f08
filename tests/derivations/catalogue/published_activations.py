"""What the papers on activations and on means say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.published_losses import FEW, sigmoid
from tests.derivations.catalogue.published_normalisation import M, U, V, dot, length
from tests.derivations.catalogue.truths import MP, REALS


def mish(x):
    return [x * MP.tanh(MP.log(1 + MP.exp(x)))]


def selu(x):
    """The constants in closed form, from the fixed point of mean 0 and variance 1."""
    e = MP.e
    erfc, root = MP.erfc, MP.sqrt
    alpha = -root(2 / MP.pi) / (erfc(1 / root(2)) * root(e) - 1)
    scale = (1 - erfc(1 / root(2)) * root(e)) * root(2 * MP.pi)
    scale /= root(
        2 * erfc(root(2)) * e**2
        + MP.pi * erfc(1 / root(2)) ** 2 * e
        - 2 * (2 + MP.pi) * erfc(1 / root(2)) * root(e)
        + MP.pi
        + 2
    )
    return [scale * x if x > 0 else scale * alpha * (MP.exp(x) - 1)]


def corrected_relu(x, eps=0.01):
    return [max(MP.mpf(0), x) + MP.mpf(eps) * x * MP.exp(-(x**2) / 2)]


def soft_relu(x, width=1.0):
    a = MP.mpf(width)
    return [(x + MP.sqrt(x**2 + a**2) - a) / 2]


def activation_bump(x, low=0.0, high=1.0):
    def silu(v):
        return v * sigmoid(v)

    return [(silu(x - MP.mpf(low)) * silu(MP.mpf(high) - x)) ** 2]


def adaptive_parametric_activation(x, lam=1.0, kappa=1.0):
    return [(MP.mpf(lam) * MP.exp(-MP.mpf(kappa) * x) + 1) ** (-1 / MP.mpf(lam))]


def two_slopes(x, negative, positive):
    return [(positive if x >= 0 else negative) * x]


def binary_periodic(x, frequency=1.0):
    return [MP.sign(MP.sin(MP.mpf(frequency) * x))]


def smoothed_leaky_relu(x, slope=0.25, sharpness=1.0):
    """The convolution of leaky ReLU with the Gaussian, in the closed form of the paper."""
    a, b = MP.mpf(slope), MP.mpf(sharpness)
    bell = (1 - a) / (MP.sqrt(2 * MP.pi) * b) * MP.exp(-(b**2) * x**2 / 2)
    return [bell + x / 2 * ((1 + a) + (1 - a) * MP.erf(b * x / MP.sqrt(2)))]


def saturated_elu(x):
    def elu(v):
        return v if v >= 0 else MP.exp(v) - 1

    return [elu(x + 1) - elu(MP.mpf(1)) if x < 0 else -elu(-(x - 1)) + elu(MP.mpf(1))]


def dynamic_tanh(x, alpha, gain, bias):
    return [gain * MP.tanh(alpha * x) + bias]


def puma_gelu(x):
    if x < -4:
        return [MP.mpf(0)]
    if x < MP.mpf("-1.95"):
        left = ["-0.5054031199708174", "-0.42226581151983866", "-0.11807612951181953"]
        left.append("-0.011034134030615728")
        return [sum(MP.mpf(c) * x**k for k, c in enumerate(left))]
    if x <= 3:
        even = {0: "0.008526321541038084", 2: "0.3603292692789629"}
        even |= {4: "-0.037688200365904236", 6: "0.0018067462606141187"}
        return [x / 2 + sum(MP.mpf(c) * x**k for k, c in even.items())]
    return [x]


def generalized_norm_pooling(x, p=2.0, q=0.5):
    total = sum(v ** MP.mpf(p) for v in x) ** (1 / MP.mpf(p))
    return [total / MP.mpf(len(x)) ** MP.mpf(q)]


def lehmer_mean(x, weights, p=2.0):
    power = MP.mpf(p)
    above = sum(w * v**power for w, v in zip(weights, x, strict=True))
    return [above / sum(w * v ** (power - 1) for w, v in zip(weights, x, strict=True))]


def spectral_regularizer(weight, bias, power=2.0):
    """The largest singular value from the eigenvalues of W W^T."""
    gram = MP.matrix([[dot(a, b) for b in weight] for a in weight])
    sigma, k = MP.sqrt(max(MP.eigsy(gram, eigvals_only=True))), MP.mpf(power)
    return [(sigma**k - 1) ** 2 + length(bias) ** (2 * k)]


def squashed_gaussian_log_prob(u, mean, log_deviation):
    total = MP.mpf(0)
    for a, m, s in zip(u, mean, log_deviation, strict=True):
        total += MP.log(MP.npdf(a, m, MP.exp(s))) - MP.log(1 - MP.tanh(a) ** 2)
    return [total]


OF_ONE_REAL = {
    "mish": {},
    "selu": {},
    "corrected_relu": {"eps": 0.5},
    "soft_relu": {"width": 0.25},
    "activation_bump": {"low": -1.0, "high": 2.0},
    "adaptive_parametric_activation": {"lam": 0.5, "kappa": 2.0},
    "smoothed_leaky_relu": {"slope": 0.5, "sharpness": 2.0},
    "saturated_elu": {},
}
CASES = {
    **{
        name: [((x,), {}) for x in REALS] + [((0.75,), changed)] * bool(changed)
        for name, changed in OF_ONE_REAL.items()
    },
    "two_slopes": [((0.5, 2.0, -3.0), {}), ((-1.25, 2.0, -3.0), {}), ((0.0, 1.0, 1.0), {})],
    "binary_periodic": [((0.5,), {}), ((-2.0,), {}), ((3.5,), {"frequency": 2.0})],
    "dynamic_tanh": [((0.5, 2.0, -3.0, 0.25), {}), ((-1.25, 0.5, 1.0, 0.0), {})],
    "puma_gelu": [((x,), {}) for x in (-5.0, -2.5, -1.0, 0.0, 2.5, 4.0)],
    "generalized_norm_pooling": [((FEW,), {}), ((FEW,), {"p": 1.0, "q": 1.0})],
    "lehmer_mean": [((FEW, FEW[::-1]), {}), ((FEW, FEW), {"p": -1.0})],
    "spectral_regularizer": [((M, (0.5, -1.0)), {}), ((M, (0.5, -1.0)), {"power": 3.0})],
    "squashed_gaussian_log_prob": [((V, U, (0.25, -1.0, 0.5)), {}), (((0.0,), (0.5,), (0.0,)), {})],
}
TRUTHS = {name: globals()[name] for name in CASES}
NOT_IN_SYMBOLS = {"spectral_regularizer"}
FEW_FACTS = {
    "saturated_elu": "that it never falls is not proven: its pieces lie in one another",
    "mish": "it is neither monotone nor convex, and its lower end is no rational number",
    "corrected_relu": "it is neither monotone nor convex, nor odd",
    "activation_bump": "its symmetry about (low + high) / 2 cannot be stated for all parameters",
    "binary_periodic": "it jumps",
    "puma_gelu": "its pieces do not meet",
    "squashed_gaussian_log_prob": "a density in u has no symmetry but the order of its entries",
}
