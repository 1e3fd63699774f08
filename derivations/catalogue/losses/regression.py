"""Losses of real targets, densities and samples."""

from ...definition import Parameter, define
from ...proofs.facts import Convex, GradientSumsTo, PermutationInvariant, Range, ShiftInvariant
from ...proofs.facts_of_arguments import Homogeneous, ZeroWhereEqual
from ...signature import Matrix, Real, Vector


@define(
    family="losses",
    source="Farebrother et al. 2024, Stop Regressing, arXiv 2403.03950 (HL-Gauss)",
    arguments={"logits": Vector("K"), "target": Real(lower=-8.0, upper=8.0)},
    parameters={
        "lowest": Parameter(-4.0, -(2.0**10), 2.0**10, values=(-2.0,)),
        "width": Parameter(1.0, 2.0**-10, 2.0**10, values=(2.0,)),
        "sigma": Parameter(0.75, 2.0**-4, 2.0**10, values=(2.0,)),
    },
    facts=(ShiftInvariant("logits"), GradientSumsTo(0, "logits"), Convex("logits")),
    papers=(51,),
)
def hl_gauss_loss(logits, target, xp, lowest=-4.0, width=1.0, sigma=0.75):
    """Cross-entropy of logits of K bins against a Gaussian around the target, cut to the bins.

    Bin k = 0 ... K - 1 is from lowest + k width to lowest + (k + 1) width.

    >>> from softproof.derivations import value
    >>> value("hl_gauss_loss", logits=[0.0, 0.0], target=-3.0)
    0.6931471805599453
    """
    ends = xp.number(lowest) + xp.number(width) * (xp.counts(len(logits) + 1) - 1)
    below = xp.normal_cdf((ends - target) / xp.number(sigma))
    share = (below[1:] - below[:-1]) / (below[len(logits)] - below[0])
    return xp.logsumexp(logits) - xp.sum(share * logits)


@define(
    family="losses",
    source="EMO: Earth Mover Distance Optimization for Auto-Regressive Language Modeling",
    arguments={
        "logits": Vector("K"),
        "target": Vector("K", lower=0.0, upper=1.0),
        "embeddings": Matrix("K", "d", shared=True),
    },
    facts=(
        Range(lower=0),
        ShiftInvariant("logits"),
        GradientSumsTo(0, "logits"),
        Homogeneous("target", 1),
        Homogeneous("embeddings", 0),
    ),
    papers=(78,),
)
def demo_loss(logits, target, embeddings, xp):
    """sum_ij Q_i P_j (1 - cos(e_i, e_j)), Q the softmax of the logits and P the target.

    An upper bound of the earth mover's distance between the two.

    >>> from softproof.derivations import value
    >>> orthogonal = [[1.0, 0.0], [0.0, 2.0]]
    >>> value("demo_loss", logits=[0.0, 0.0], target=[1.0, 0.0], embeddings=orthogonal)
    0.5
    """
    unit = embeddings / xp.sqrt(xp.sum(embeddings * embeddings, axis=1))[:, None]
    cost = 1 - xp.dot(unit, unit.T)
    return xp.sum(xp.softmax(logits) * xp.dot(cost, target))


def _log_mean_kernel(x, y, width, xp):
    """log of the mean of e^(-(x_i - y_j)^2 / (2 width^2))."""
    d = (x[:, None] - y[None, :]) / width
    return xp.log(xp.mean(xp.exp(-(d * d) / 2)))


@define(
    family="losses",
    source="Yu et al. 2024, Cauchy-Schwarz Divergence Information Bottleneck for Regression",
    arguments={"x": Vector("n"), "y": Vector("n")},
    parameters={"width": Parameter(1.0, 2.0**-4, 2.0**10, values=(4.0,))},
    facts=(Range(lower=0), ZeroWhereEqual("x", "y"), PermutationInvariant("n")),
    papers=(80,),
    reconstructed=(
        "the paper's estimator is of conditional densities, from three Gram matrices; this is that "
        "of two samples"
    ),
)
def cauchy_schwarz_divergence(x, y, xp, width=1.0):
    """-log((mean k(x_i, y_j))^2 / (mean k(x_i, x_j) mean k(y_i, y_j))), k a Gaussian kernel.

    >>> from softproof.derivations import value
    >>> value("cauchy_schwarz_divergence", x=[0.0], y=[1.0])
    1.0
    """
    w = xp.number(width)
    own = _log_mean_kernel(x, x, w, xp) + _log_mean_kernel(y, y, w, xp)
    return own - 2 * _log_mean_kernel(x, y, w, xp)


@cauchy_schwarz_divergence.form("quotient of means")
def _(x, y, xp, width=1.0):
    def mean(a, b):
        d = (a[:, None] - b[None, :]) / xp.number(width)
        return xp.mean(xp.exp(-(d * d) / 2))

    both = mean(x, y)
    return -xp.log(both * both / (mean(x, x) * mean(y, y)))


@define(
    family="losses",
    source="Learning Unnormalized Statistical Models via Compositional Optimization (MECO)",
    arguments={"data": Vector("n"), "noise": Vector("m")},
    facts=(
        Convex("noise"),
        GradientSumsTo(1, "noise"),
        GradientSumsTo(-1, "data"),
        PermutationInvariant("n"),
        PermutationInvariant("m"),
    ),
    papers=(122,),
)
def meco_loss(data, noise, xp):
    """-mean log p(x) over data, plus log mean p(x) / q(x) over samples of q; p is unnormalised.

    ``data`` has log p(x) of the data, and ``noise`` log p(x) - log q(x) of the samples.

    >>> from softproof.derivations import value
    >>> value("meco_loss", data=[1.0, 3.0], noise=[0.5, 0.5])
    -1.5
    """
    return xp.log(xp.mean(xp.exp(noise))) - xp.mean(data)


@meco_loss.form("log-sum-exp")
def _(data, noise, xp):
    return xp.logsumexp(noise) - xp.log(xp.number(len(noise))) - xp.mean(data)


@define(
    family="losses",
    source=(
        "Mean Absolute Directional Loss as a New Loss Function for Machine Learning Problems in "
        "Algorithmic Investment Strategies; the same in Alternative Loss Function in Evaluation of "
        "Transformer Models"
    ),
    arguments={"returns": Vector("n"), "predicted": Vector("n")},
    facts=(Homogeneous("returns", 1), Homogeneous("predicted", 0), PermutationInvariant("n")),
    papers=(264, 268),
)
def mean_absolute_directional_loss(returns, predicted, xp):
    """-mean of sign(r s) |r|, r a return and s what was predicted; sign(0) = 0.

    >>> from softproof.derivations import value
    >>> value("mean_absolute_directional_loss", returns=[1.0, -3.0], predicted=[2.0, 0.5])
    1.0
    """
    return -xp.mean((2 * xp.step(returns * predicted) - 1) * xp.abs(returns))


@define(
    family="losses",
    source="Concise Logarithmic Loss Function for Robust Training of Anomaly Detection Model",
    arguments={
        "x": Vector("n", lower=0.0, upper=0.875),
        "reconstruction": Vector("n", lower=0.0, upper=0.875),
    },
    facts=(Range(lower=0), ZeroWhereEqual("x", "reconstruction"), PermutationInvariant("n")),
    papers=(273,),
    reconstructed=(
        "the paper's logarithm of the squared error was not found; -log(1 - loss) is of a later "
        "paper by its author"
    ),
)
def logarithmic_mse(x, reconstruction, xp):
    """-log(1 - mean (x_i - y_i)^2), for numbers between 0 and 1.

    >>> from softproof.derivations import value
    >>> value("logarithmic_mse", x=[0.5], reconstruction=[0.0])
    0.2876820724517809
    """
    d = x - reconstruction
    return -xp.log(1 - xp.mean(d * d))


@logarithmic_mse.form("log1p")
def _(x, reconstruction, xp):
    d = x - reconstruction
    return -xp.log1p(-xp.mean(d * d))


@define(
    family="losses",
    source=(
        "Asperti, Trentin 2020, Balancing reconstruction error and Kullback-Leibler divergence in "
        "Variational Autoencoders, arXiv 2002.07514"
    ),
    arguments={
        "x": Vector("D"),
        "reconstruction": Vector("D"),
        "mean": Vector("d"),
        "log_variance": Vector("d"),
    },
    facts=(Convex("mean"), PermutationInvariant("D"), PermutationInvariant("d")),
    papers=(277,),
)
def balanced_vae_loss(x, reconstruction, mean, log_variance, xp):
    """D/2 (1 + log MSE) + KL(N(mean, variance) || N(0, 1)), over d latent numbers.

    The first term is the least Gaussian reconstruction loss, where the variance is the error.

    >>> from softproof.derivations import value
    >>> value("balanced_vae_loss", x=[1.0], reconstruction=[0.0], mean=[1.0], log_variance=[0.0])
    1.0
    """
    e = x - reconstruction
    fit = xp.number(len(x)) * (1 + xp.log(xp.mean(e * e))) / 2
    excess = xp.exp(log_variance) + mean * mean - 1 - log_variance
    return fit + xp.sum(excess) / 2


@balanced_vae_loss.form("expm1")
def _(x, reconstruction, mean, log_variance, xp):
    e = x - reconstruction
    fit = xp.number(len(x)) * (1 + xp.log(xp.mean(e * e))) / 2
    return fit + xp.sum(xp.expm1(log_variance) - log_variance + mean * mean) / 2


@define(
    family="losses",
    source=(
        "Immer et al. 2023, On the Identifiability and Estimation of Causal Location-Scale Noise "
        "Models"
    ),
    arguments={"y": Real(), "eta1": Real(), "eta2": Real(upper=-(2.0**-10))},
    facts=(Convex("eta1"), Convex("eta2")),
    papers=(296,),
)
def natural_gaussian_nll(y, eta1, eta2, xp):
    """-eta1 y - eta2 y^2 - eta1^2 / (4 eta2) - log(-2 eta2) / 2 + log(2 pi) / 2, eta2 < 0.

    The negative log-likelihood of a Gaussian in its natural parameters mean / variance and
    -1 / (2 variance), convex in both together.

    >>> from softproof.derivations import value
    >>> value("natural_gaussian_nll", y=1.0, eta1=1.0, eta2=-0.5)
    0.9189385332046728
    """
    level = (xp.log(2 * xp.pi) - xp.log(-2 * eta2)) / 2
    return -eta1 * y - eta2 * y * y - eta1 * eta1 / (4 * eta2) + level


@natural_gaussian_nll.form("mean and variance")
def _(y, eta1, eta2, xp):
    variance = -1 / (2 * eta2)
    off = y - eta1 * variance
    return off * off / (2 * variance) + xp.log(2 * xp.pi * variance) / 2


@define(
    family="losses",
    source="Offline Reinforcement Learning for LLM Multi-Step Reasoning (the authors' code)",
    arguments={"values": Vector("T"), "returns": Vector("T"), "log_ratios": Vector("T")},
    parameters={"beta": Parameter(0.03, 0.0, 2.0**10, values=(0.0, 1.0))},
    facts=(Range(lower=0), Convex("values"), Convex("log_ratios")),
    papers=(307,),
)
def soft_bellman_loss(values, returns, log_ratios, xp, beta=0.03):
    """Mean over t of (V_t - R_t + beta sum_(i >= t) log(pi / pi_ref)_i)^2.

    The value of both losses of the paper, which differ in where the gradient is stopped, without
    the KL term of the second.

    >>> from softproof.derivations import value
    >>> value("soft_bellman_loss", values=[1.0, 0.0], returns=[0.0, 0.0], log_ratios=[1.0, 1.0],
    ...       beta=1.0)
    5.0
    """
    to_come = xp.cumsum(log_ratios[::-1])[::-1]
    off = values - returns + xp.number(beta) * to_come
    return xp.mean(off * off)
