"""What the papers on normalisation and on optimisers say, in plain loops over mpmath numbers."""

from tests.derivations.catalogue.published_losses import FEW, softmax
from tests.derivations.catalogue.truths import MP, W


def length(x):
    return MP.sqrt(sum(v * v for v in x))


def moments(x):
    mean = sum(x) / len(x)
    return mean, sum((v - mean) ** 2 for v in x) / len(x)


def dot(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def flat(rows):
    return [v for row in rows for v in row]


def seednorm(x, alpha, beta, gamma, eps=1e-5):
    rms = MP.sqrt(dot(x, x) / len(x) + MP.mpf(eps))
    turn = MP.tanh(dot(x, beta))
    return [(a * turn + g) * v / rms for v, a, g in zip(x, alpha, gamma, strict=True)]


def crms_norm(x):
    """RMSNorm of x with minus its sum behind it, of which the last is left out."""
    whole = [*x, -sum(x)]
    rms = MP.sqrt(dot(whole, whole) / len(whole))
    return [v / rms for v in x]


def deep_norm(x, branch, gain, bias, alpha=2.0, eps=1e-5):
    mixed = [MP.mpf(alpha) * v + b for v, b in zip(x, branch, strict=True)]
    mean, variance = moments(mixed)
    root = MP.sqrt(variance + MP.mpf(eps))
    return [g * (v - mean) / root + b for v, g, b in zip(mixed, gain, bias, strict=True)]


def scale_norm(x, gain):
    return [gain * v / length(x) for v in x]


def hypersphere_step(h, branch, rates):
    unit = [v / length(branch) for v in branch]
    moved = [v + a * (u - v) for v, a, u in zip(h, rates, unit, strict=True)]
    return [v / length(moved) for v in moved]


def elementwise_layer_norm(x, beta, dimension=1.0):
    return [MP.sqrt(MP.mpf(dimension)) * x / MP.sqrt(beta + x**2)]


def multi_scaled_embedding(x, weight, bias, eps=1e-5):
    n, tiny = len(weight), MP.mpf(1) / 10**6
    scales = [MP.mpf(10) ** (i - MP.mpf(n - 1) / 2) for i in range(n)]
    near = [1 / (abs(MP.log(abs(x) / e + tiny)) + tiny) for e in scales]
    total = [MP.mpf(0)] * len(weight[0])
    for a, e, w, b in zip(near, scales, weight, bias, strict=True):
        row = [x * v + e * c for v, c in zip(w, b, strict=True)]
        mean, variance = moments(row)
        root = MP.sqrt(variance + MP.mpf(eps))
        total = [t + a / sum(near) * (v - mean) / root for t, v in zip(total, row, strict=True)]
    return total


def batch_norm(x, gain, bias, eps=1e-5):
    mean, variance = moments(x)
    return [gain * (v - mean) / MP.sqrt(variance + MP.mpf(eps)) + bias for v in x]


def alpha_batch_norm(x, source_mean, source_variance, gain, bias, alpha=0.9, eps=1e-5):
    a = MP.mpf(alpha)
    mean, variance = moments(x)
    mean, variance = a * source_mean + (1 - a) * mean, a * source_variance + (1 - a) * variance
    return [gain * (v - mean) / MP.sqrt(variance + MP.mpf(eps)) + bias for v in x]


def power_norm(x, gain, bias, power, momentum=0.9):
    a, d = MP.mpf(momentum), len(power)
    scaled = [gain[k] * row[k] / MP.sqrt(power[k]) + bias[k] for row in x for k in range(d)]
    squares = [sum(row[k] ** 2 for row in x) / len(x) for k in range(d)]
    return [*scaled, *(a * p + (1 - a) * q for p, q in zip(power, squares, strict=True))]


def unified_norm(x, gain, bias, history, eps=1e-5):
    d, rows = len(gain), []
    variances = []
    for k in range(d):
        now = sum(row[k] ** 2 for row in x) / len(x)
        powers = [*(row[k] for row in history), now]
        product = MP.mpf(1)
        for p in powers:
            product *= p
        variances.append(product ** (MP.mpf(1) / len(powers)))
    for row in x:
        rows += [gain[k] * row[k] / MP.sqrt(variances[k] + MP.mpf(eps)) + bias[k] for k in range(d)]
    return rows


def online_norm(x, mean, variance, momentum=0.999):
    a = MP.mpf(momentum)
    streams = list(zip(x, mean, variance, strict=True))
    return [
        *((v - m) / MP.sqrt(s) for v, m, s in streams),
        *(a * m + (1 - a) * v for v, m, _ in streams),
        *(a * s + a * (1 - a) * (v - m) ** 2 for v, m, s in streams),
    ]


def evonorm_b0(x, slope, gain, bias):
    _, of_batch = moments(flat(x))
    result = []
    for row in x:
        _, own = moments(row)
        for v in row:
            result.append(gain * v / max(MP.sqrt(of_batch), slope * v + MP.sqrt(own)) + bias)
    return result


def evonorm_s0(x, slope, gain, bias, eps=1e-5):
    root = MP.sqrt(moments(x)[1] + MP.mpf(eps))
    return [gain * v / (1 + MP.exp(-slope * v)) / root + bias for v in x]


def content_controlling_norm(x, batch_mean, batch_deviation, content=0.5):
    """The amplitudes of the batch-normalised x with the phases of x - w mu, by Fourier series."""
    n = len(x)

    def transformed(values, sign):
        return [
            sum(v * MP.expjpi(sign * 2 * MP.mpf(j * k) / n) for j, v in enumerate(values))
            for k in range(n)
        ]

    normalised = [(v - batch_mean) / batch_deviation for v in x]
    moved = [v - MP.mpf(content) * batch_mean for v in x]
    sizes, phases = transformed(normalised, -1), transformed(moved, -1)
    joined = [abs(a) * b / abs(b) for a, b in zip(sizes, phases, strict=True)]
    return [MP.re(v) / n for v in transformed(joined, 1)]


def phi_standardization(y, rotation):
    n, d = len(y), len(rotation)
    means = [sum(row[k] for row in y) / n for k in range(d)]
    centred = [[row[k] - means[k] for k in range(d)] for row in y]
    phi = MP.sqrt(sum(moments([row[k] for row in y])[1] for k in range(d)) / d)
    return [dot(turn, row) / phi for row in centred for turn in rotation]


def weight_projection(weight, norm=1.0):
    return [MP.mpf(norm) * v / length(flat(weight)) for v in flat(weight)]


def filter_normalized_direction(direction, weight):
    return [v / length(direction) * length(weight) for v in direction]


def row_equilibration(weight):
    return [v / length(row) for row in weight for v in row]


def weight_compander(x, bound=1.0, width=1.0):
    return [MP.mpf(bound) * MP.atan(x / MP.mpf(width))]


def spectral_norm(weight, u):
    columns = list(zip(*weight, strict=True))
    right = [dot(u, column) for column in columns]
    right = [v / length(right) for v in right]
    left = [dot(row, right) for row in weight]
    sigma = dot([v / length(left) for v in left], left)
    return [v / sigma for v in flat(weight)]


def scaled_weight_standardization(weight, gain):
    mean, variance = moments(weight)
    return [gain * (v - mean) / (MP.sqrt(variance) * MP.sqrt(len(weight))) for v in weight]


def weight_standardization(weight, eps=1e-5):
    mean, variance = moments(weight)
    return [(v - mean) / (MP.sqrt(variance) + MP.mpf(eps)) for v in weight]


def norm_loss(weight, strength=1.0):
    return [MP.mpf(strength) * sum((1 - length(row)) ** 2 for row in weight)]


def magnitude_invariant_encoding(g):
    return [*(MP.cospi(v / 2) for v in g), *(MP.sinpi(v / 2) for v in g)]


def softmax_aggregation(messages, beta=1.0):
    return [dot(softmax([MP.mpf(beta) * m for m in messages]), messages)]


def power_mean(messages, power=2.0):
    p = MP.mpf(power)
    return [(sum(m**p for m in messages) / len(messages)) ** (1 / p)]


def beta_normalized_advantage(rewards, p, beta_function, alpha=1.5, beta=1.5):
    density = p ** (MP.mpf(alpha) - 1) * (1 - p) ** (MP.mpf(beta) - 1) / beta_function
    return [(r - p) / density for r in rewards]


def generalized_divisive_normalization(x, transform, beta, gamma, alpha=2.0, eps=0.5):
    z = [dot(row, x) for row in transform]
    return [
        v
        / (b + sum(g * abs(w) ** MP.mpf(alpha) for g, w in zip(row, z, strict=True))) ** MP.mpf(eps)
        for v, b, row in zip(z, beta, gamma, strict=True)
    ]


def projected_update(update, weight):
    unit = [w / length(weight) for w in weight]
    return [p - dot(unit, update) * w for p, w in zip(update, unit, strict=True)]


def adaptive_gradient_clipping(gradient, weight, clip=0.01, eps=1e-3):
    most = MP.mpf(clip) * max(length(weight), MP.mpf(eps))
    if length(gradient) <= most:
        return list(gradient)
    return [most / length(gradient) * g for g in gradient]


def gradnorm_loss(norms, losses, initial, alpha=1.5):
    rates = [a / b for a, b in zip(losses, initial, strict=True)]
    mean = sum(rates) / len(rates)
    middle = sum(norms) / len(norms)
    wanted = [middle * (r / mean) ** MP.mpf(alpha) for r in rates]
    return [sum(abs(g - w) for g, w in zip(norms, wanted, strict=True))]


def target_surrogate(logits, base, label, rate=2.0):
    p = softmax(base)
    slope = [v - (k == label) for k, v in enumerate(p)]
    moved = [a - b for a, b in zip(logits, base, strict=True)]
    return [-MP.log(p[label]) + dot(slope, moved) + dot(moved, moved) / (2 * MP.mpf(rate))]


def feasible_multipliers(multipliers, losses, rate=1.0, level=0.0):
    eta, eps = MP.mpf(rate), MP.mpf(level)
    return [
        max(MP.mpf(0), m + eta * (loss - eps)) for m, loss in zip(multipliers, losses, strict=True)
    ]


def singular_value_descent(jacobian, losses, rate=0.001):
    solved = MP.lu_solve(MP.matrix(jacobian) * MP.matrix(jacobian).T, MP.matrix(losses))
    return [-MP.mpf(rate) * v for v in MP.matrix(jacobian).T * solved]


def gradient_regularized_step(gradient, factor, radius):
    a = MP.matrix(factor)
    ridge = length(gradient) / radius
    hessian = a.T * a + ridge * MP.eye(len(gradient))
    return [-v for v in MP.lu_solve(hessian, MP.matrix(gradient))]


def adamw_step(
    weight, m, v, gradient, step, rate=0.001, decay=0.01, beta1=0.9, beta2=0.999, eps=1e-8
):
    first, second = MP.mpf(beta1), MP.mpf(beta2)
    next_m = [first * a + (1 - first) * g for a, g in zip(m, gradient, strict=True)]
    next_v = [second * a + (1 - second) * g**2 for a, g in zip(v, gradient, strict=True)]
    moved = []
    for w, a, b in zip(weight, next_m, next_v, strict=True):
        mean, size = a / (1 - first**step), MP.sqrt(b / (1 - second**step)) + MP.mpf(eps)
        moved.append(w - MP.mpf(rate) * (mean / size + MP.mpf(decay) * w))
    return [*moved, *next_m, *next_v]


def ranger21_update(
    m, former_m, v, gradient, step, beta1=0.9, beta2=0.999, sharpness=50.0, eps=1e-8
):
    first, second, s = MP.mpf(beta1), MP.mpf(beta2), MP.mpf(sharpness)
    result = []
    for a, f, b, g in zip(m, former_m, v, gradient, strict=True):
        new = first**2 * f + (1 - first**2) * g
        direction = (2 * new - a) / MP.sqrt((1 + second) ** 2 + second**2)
        size = MP.sqrt((second * b + (1 - second) * g**2) / (1 - second**step)) + MP.mpf(eps)
        result.append(direction / (MP.log(1 + MP.exp(s * size)) / s) / (1 - first**step))
    return result


def normalized_gradient_step(weight, gradient, rate=0.001, beta=0.5):
    size = length(gradient) ** MP.mpf(beta)
    return [w - MP.mpf(rate) * g / size for w, g in zip(weight, gradient, strict=True)]


V = (0.5, -1.25, 2.0)
U = (1.5, 0.25, -0.75)
M = ((0.5, -1.25, 1.0), (2.0, 0.75, -0.5))
SQUARE = ((0.5, -1.25), (0.75, 1.5))
CASES = {
    "seednorm": [((V, U, (0.25, 0.5, -0.5), V), {}), ((V, U, U, V), {"eps": 0.0})],
    "crms_norm": [((V,), {}), (((3.0,),), {})],
    "deep_norm": [((V, U, V, U), {}), ((V, U, U, U), {"alpha": 1.0, "eps": 0.5})],
    "scale_norm": [((V, 2.0), {}), ((W, -0.5), {})],
    "hypersphere_step": [((V, U, (0.25, 0.5, 1.0)), {}), ((U, V, V), {})],
    "elementwise_layer_norm": [((0.75, 2.0), {}), ((-3.0, 0.5), {"dimension": 4.0})],
    "multi_scaled_embedding": [
        ((0.75, M, ((1.0, 0.5, -0.5), (0.25, -1.0, 2.0))), {}),
        ((-3.0, (V,), (U,)), {"eps": 0.5}),
    ],
    "batch_norm": [((W, 2.0, 0.5), {}), ((V, -1.0, 0.0), {"eps": 0.5})],
    "alpha_batch_norm": [
        ((V, 0.25, 2.0, 1.5, -0.5), {}),
        ((V, 0.25, 2.0, 1.5, 0.5), {"alpha": 0.0, "eps": 0.5}),
    ],
    "power_norm": [((M, V, U, (1.0, 2.0, 0.5)), {}), ((M, V, U, V[:1] * 3), {"momentum": 0.5})],
    "unified_norm": [
        ((M, V, U, ((1.0, 2.0, 0.5),)), {}),
        ((M, V, U, ((1.0, 2.0, 0.5), (0.25, 1.0, 4.0))), {"eps": 0.5}),
    ],
    "online_norm": [((V, U, (1.0, 2.0, 0.5)), {}), ((U, V, FEW[:3]), {"momentum": 0.5})],
    "evonorm_b0": [((M, 0.5, 2.0, 0.25), {}), ((M, -4.0, 2.0, 0.0), {})],
    "evonorm_s0": [((V, 0.5, 2.0, 0.25), {}), ((V, -4.0, 2.0, 0.0), {"eps": 0.5})],
    "content_controlling_norm": [
        ((V, 0.25, 2.0), {}),
        ((V, 1.5, 2.0), {"content": 0.0}),
        ((W, -2.0, 0.5), {"content": 1.0}),
    ],
    "phi_standardization": [
        ((((0.5, 1.0), (2.0, -1.5), (0.25, 0.0)), SQUARE), {}),
        ((((0.5,), (2.0,)), ((-1.0,),)), {}),
    ],
    "weight_projection": [((M,), {}), ((M,), {"norm": 4.0})],
    "filter_normalized_direction": [((V, U), {}), ((U, V), {})],
    "row_equilibration": [((M,), {}), ((SQUARE,), {})],
    "weight_compander": [((0.75,), {}), ((-3.0,), {"bound": 2.0, "width": 0.5})],
    "spectral_norm": [((M, (0.5, 1.0)), {}), ((SQUARE, (1.0, -0.25)), {})],
    "scaled_weight_standardization": [((V, 2.0), {}), ((W, 0.5), {})],
    "weight_standardization": [((V,), {}), ((W,), {"eps": 0.5})],
    "norm_loss": [((M,), {}), ((SQUARE,), {"strength": 0.5})],
    "magnitude_invariant_encoding": [(((0.25, 0.5, 1.0),), {}), (((0.75,),), {})],
    "softmax_aggregation": [((V,), {}), ((W,), {"beta": 2.0})],
    "power_mean": [((FEW,), {}), ((FEW,), {"power": 0.5})],
    "beta_normalized_advantage": [
        (((1.0, 0.0, 1.0), 0.25, 0.375), {}),
        (((1.0, 0.0), 0.75, 0.5), {"alpha": 1.0, "beta": 4.0}),
    ],
    "generalized_divisive_normalization": [
        ((V, M, (1.0, 0.5), ((0.5, 0.25), (1.0, 2.0))), {}),
        ((V, M, (1.0, 0.5), ((0.5, 0.25), (1.0, 2.0))), {"alpha": 1.0, "eps": 1.0}),
    ],
    "projected_update": [((V, U), {}), ((U, V), {})],
    "adaptive_gradient_clipping": [
        ((V, U), {}),
        ((V, U), {"clip": 4.0}),
        ((V, (0.0, 0.0, 0.0)), {"clip": 1.0, "eps": 0.5}),
    ],
    "gradnorm_loss": [((FEW, FEW, (1.0, 2.0, 0.5, 0.25)), {}), ((FEW, FEW, FEW), {"alpha": 0.0})],
    "target_surrogate": [((V, U, 1), {}), ((U, V, 0), {"rate": 0.5})],
    "feasible_multipliers": [((FEW, W), {}), ((FEW, W), {"rate": 0.5, "level": 1.0})],
    "singular_value_descent": [((M, (0.5, -1.0)), {"rate": 0.5}), (((U,), (2.0,)), {})],
    "gradient_regularized_step": [((V, M, 2.0), {}), (((1.0, 2.0), SQUARE, 0.5), {})],
    "adamw_step": [
        ((V, U, (1.0, 2.0, 0.5), (0.5, -0.5, 1.0), 3), {"beta2": 0.5}),
        ((V, U, (1.0, 2.0, 0.5), U, 1), {"rate": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.5}),
    ],
    "ranger21_update": [
        ((V, U, (1.0, 2.0, 0.5), (0.5, -0.5, 1.0), 3), {"sharpness": 2.0, "beta2": 0.5}),
        ((V, U, (1.0, 2.0, 0.5), U, 1), {"beta1": 0.5, "beta2": 0.75, "eps": 0.5}),
    ],
    "normalized_gradient_step": [((V, U), {}), ((V, U), {"rate": 0.5, "beta": 1.0})],
}
TRUTHS = {name: globals()[name] for name in CASES}
NOT_IN_SYMBOLS: set[str] = set()
OF_A_STEP = "its results are a step's new states, which have no symmetry but the order of entries"
FEW_FACTS = {
    "power_norm": OF_A_STEP,
    "online_norm": OF_A_STEP,
    "adamw_step": OF_A_STEP,
    "ranger21_update": "it is one entry's update, which has no symmetry but the order of entries",
    "adaptive_gradient_clipping": "it is homogeneous in both arguments together, where eps is 0",
}
