"""Normalisers that take their statistics from a batch, or from what went before."""

from ...definition import Parameter, define
from ...proofs.facts import PermutationEquivariant, ShiftInvariant, SumsTo
from ...proofs.facts_of_arguments import At, Homogeneous, ReducesTo
from ...signature import Matrix, Real, Vector

EPS = Parameter(1e-5, 0.0, 1.0, values=(0.5,))
MOMENTUM = Parameter(0.9, 0.0, 1.0, values=(0.5,))


def _moments(x, xp):
    mean = xp.mean(x)
    centred = x - mean
    return mean, xp.mean(centred * centred)


@define(
    family="normalisation",
    source="Ioffe, Szegedy 2015, Batch Normalization, arXiv 1502.03167",
    arguments={"x": Vector("n"), "gain": Real(), "bias": Real()},
    output=("n",),
    parameters={"eps": EPS},
    least_sizes=lambda eps: {"n": 2},
    facts=(
        ShiftInvariant("x"),
        At(Homogeneous("x", 0), eps=0),
        At(SumsTo(0), bias=0),
        PermutationEquivariant("n"),
    ),
    papers=(178,),
)
def batch_norm(x, gain, bias, xp, eps=1e-5):
    """g (x - mean) / sqrt(variance + eps) + b: one channel of a batch.

    >>> from softproof.derivations import value
    >>> value("batch_norm", x=[1.0, 3.0], gain=2.0, bias=1.0, eps=0.0)
    [-1.0, 3.0]
    """
    mean, variance = _moments(x, xp)
    return gain * (x - mean) / xp.sqrt(variance + xp.number(eps)) + bias


@batch_norm.form("mean of squares less square of the mean")
def _(x, gain, bias, xp, eps=1e-5):
    mean = xp.mean(x)
    variance = xp.mean(x * x) - mean * mean
    return gain * (x - mean) / xp.sqrt(variance + xp.number(eps)) + bias


@define(
    family="normalisation",
    source="You et al. 2021, Test-time Batch Statistics Calibration",
    arguments={
        "x": Vector("n"),
        "source_mean": Real(),
        "source_variance": Real(lower=0.0),
        "gain": Real(),
        "bias": Real(),
    },
    output=("n",),
    parameters={"alpha": Parameter(0.9, 0.0, 1.0, values=(0.0, 0.5)), "eps": EPS},
    least_sizes=lambda alpha, eps: {"n": 2},
    facts=(
        PermutationEquivariant("n"),
        At(
            ReducesTo(
                "batch_norm",
                lambda xp, x, source_mean, source_variance, gain, bias: {
                    "x": x,
                    "gain": gain,
                    "bias": bias,
                },
                "x, gain, bias",
            ),
            alpha=0,
        ),
    ),
    papers=(199,),
)
def alpha_batch_norm(x, source_mean, source_variance, gain, bias, xp, alpha=0.9, eps=1e-5):
    """Batch normalisation by a mix of statistics: alpha of the source's, 1 - alpha of the batch's.

    >>> from softproof.derivations import value
    >>> value("alpha_batch_norm", x=[1.0, 3.0], source_mean=0.0, source_variance=4.0, gain=1.0,
    ...       bias=0.0, alpha=1.0, eps=0.0)
    [0.5, 1.5]
    """
    a = xp.number(alpha)
    mean, variance = _moments(x, xp)
    mixed = a * source_variance + (1 - a) * variance
    centred = x - (a * source_mean + (1 - a) * mean)
    return gain * centred / xp.sqrt(mixed + xp.number(eps)) + bias


@define(
    family="normalisation",
    source="Shen et al. 2020, PowerNorm, arXiv 2003.07845",
    arguments={
        "x": Matrix("n", "d"),
        "gain": Vector("d", shared=True),
        "bias": Vector("d", shared=True),
        "power": Vector("d", lower=2.0**-20, shared=True),
    },
    output={"value": ("n", "d"), "next_power": ("d",)},
    parameters={"momentum": MOMENTUM},
    facts=(PermutationEquivariant("d"),),
    papers=(16,),
)
def power_norm(x, gain, bias, power, xp, momentum=0.9):
    """g x / sqrt(power) + b, and momentum power + (1 - momentum) mean x^2: a step of PowerNorm.

    ``power`` is the running mean of squares of each channel.

    >>> from softproof.derivations import value
    >>> value("power_norm", x=[[2.0]], gain=[1.0], bias=[0.0], power=[4.0], momentum=0.5)
    {'value': [[1.0]], 'next_power': [4.0]}
    """
    a = xp.number(momentum)
    scaled = gain[None, :] * x / xp.sqrt(power)[None, :] + bias[None, :]
    return scaled, a * power + (1 - a) * xp.mean(x * x, axis=0)


@define(
    family="normalisation",
    source="Unified Normalization for Accelerating and Stabilizing Transformers (authors' code)",
    arguments={
        "x": Matrix("n", "d"),
        "gain": Vector("d", shared=True),
        "bias": Vector("d", shared=True),
        "history": Matrix("m", "d", lower=2.0**-20, shared=True),
    },
    output=("n", "d"),
    parameters={"eps": EPS},
    facts=(
        PermutationEquivariant("n"),
        PermutationEquivariant("d"),
        At(Homogeneous("gain", 1), bias=0),
    ),
    papers=(17,),
)
def unified_norm(x, gain, bias, history, xp, eps=1e-5):
    """g x / sqrt(v + eps) + b, v the geometric mean of mean x^2 now and in m former batches.

    The filter of outliers and the corrected gradient are not part of it.

    >>> from softproof.derivations import value
    >>> value("unified_norm", x=[[2.0]], gain=[1.0], bias=[0.0], history=[[1.0]], eps=0.0)
    [[1.4142135623730951]]
    """
    now = xp.mean(x * x, axis=0)
    logs = xp.log(xp.concatenate([history, now[None, :]]))
    variance = xp.exp(xp.mean(logs, axis=0))
    return gain[None, :] * x / xp.sqrt(variance + xp.number(eps))[None, :] + bias[None, :]


@define(
    family="normalisation",
    source="Chiley et al. 2019, Online Normalization for Training Neural Networks",
    arguments={"x": Vector("d"), "mean": Vector("d"), "variance": Vector("d", lower=2.0**-20)},
    output={"value": ("d",), "next_mean": ("d",), "next_variance": ("d",)},
    parameters={"momentum": Parameter(0.999, 0.0, 1.0, values=(0.5,))},
    facts=(PermutationEquivariant("d"),),
    papers=(162,),
)
def online_norm(x, mean, variance, xp, momentum=0.999):
    """(x - mean) / sqrt(variance), and the next mean and variance of each stream: one step.

    With the momentum a: a mean + (1 - a) x, and a variance + a (1 - a) (x - mean)^2.

    >>> from softproof.derivations import value
    >>> value("online_norm", x=[3.0], mean=[1.0], variance=[4.0], momentum=0.5)
    {'value': [1.0], 'next_mean': [2.0], 'next_variance': [3.0]}
    """
    a = xp.number(momentum)
    off = x - mean
    return off / xp.sqrt(variance), a * mean + (1 - a) * x, a * variance + a * (1 - a) * (off * off)


@define(
    family="normalisation",
    source="Liu et al. 2020, Evolving Normalization-Activation Layers, arXiv 2004.02967",
    arguments={"x": Matrix("n", "p"), "slope": Real(), "gain": Real(), "bias": Real()},
    output=("n", "p"),
    least_sizes=lambda: {"n": 2, "p": 2},
    facts=(
        PermutationEquivariant("n"),
        PermutationEquivariant("p"),
        At(Homogeneous("x", 0), bias=0),
        At(Homogeneous("gain", 1), bias=0),
    ),
    papers=(134,),
)
def evonorm_b0(x, slope, gain, bias, xp):
    """g x / max(s, v x + s_i) + b, s the deviation of a channel and s_i that of a sample in it.

    The rows of x are samples, v is the slope.

    >>> from softproof.derivations import value
    >>> value("evonorm_b0", x=[[1.0, -1.0], [1.0, -1.0]], slope=0.0, gain=2.0, bias=1.0)
    [[3.0, -1.0], [3.0, -1.0]]
    """
    centred = x - xp.mean(x)
    of_samples = x - xp.mean(x, axis=1)[:, None]
    deviation = xp.sqrt(xp.mean(centred * centred))
    of_sample = xp.sqrt(xp.mean(of_samples * of_samples, axis=1))
    return gain * x / xp.maximum(deviation, slope * x + of_sample[:, None]) + bias


@define(
    family="normalisation",
    source="Liu et al. 2020, Evolving Normalization-Activation Layers, arXiv 2004.02967",
    arguments={"x": Vector("p"), "slope": Real(), "gain": Real(), "bias": Real()},
    output=("p",),
    parameters={"eps": EPS},
    least_sizes=lambda eps: {"p": 2},
    facts=(PermutationEquivariant("p"), At(Homogeneous("gain", 1), bias=0)),
    papers=(134,),
)
def evonorm_s0(x, slope, gain, bias, xp, eps=1e-5):
    """g x sigmoid(v x) / sqrt(variance of the group + eps) + b, v the slope.

    >>> from softproof.derivations import value
    >>> value("evonorm_s0", x=[1.0, -1.0], slope=0.0, gain=2.0, bias=0.0, eps=0.0)
    [1.0, -1.0]
    """
    _, variance = _moments(x, xp)
    return gain * x * xp.sigmoid(slope * x) / xp.sqrt(variance + xp.number(eps)) + bias


@define(
    family="normalisation",
    source="Decompose, Adjust, Compose (CCNorm), in the closed form without Fourier transforms",
    arguments={"x": Vector("p"), "batch_mean": Real(), "batch_deviation": Real(lower=2.0**-10)},
    output=("p",),
    parameters={"content": Parameter(0.5, 0.0, 1.0, values=(0.0, 1.0))},
    facts=(PermutationEquivariant("p"), Homogeneous("batch_deviation", -1)),
    papers=(165,),
)
def content_controlling_norm(x, batch_mean, batch_deviation, xp, content=0.5):
    """(x - m) / s + sign(m - w mu) |m - mu| / s, m the mean of x, mu and s of the batch.

    Batch normalisation with the phase of x - w mu, w the content; w = 0 is PCNorm, which keeps the
    phase of x, and w = 1 batch normalisation.  Only the constant part differs from that.

    >>> from softproof.derivations import value
    >>> value("content_controlling_norm", x=[1.0, 3.0], batch_mean=4.0, batch_deviation=2.0,
    ...       content=0.0)
    [0.5, 1.5]
    """
    mean = xp.mean(x)
    sign = 2 * xp.step(mean - xp.number(content) * batch_mean) - 1
    return (x - mean) / batch_deviation + sign * xp.abs(mean - batch_mean) / batch_deviation


@define(
    family="normalisation",
    source="Ranzinger et al. 2024, PHI-S: Distribution Balancing, arXiv 2410.01680",
    arguments={"y": Matrix("n", "d"), "rotation": Matrix("d", "d", shared=True)},
    output=("n", "d"),
    least_sizes=lambda: {"n": 2, "d": 1},
    facts=(
        ShiftInvariant("y"),
        Homogeneous("y", 0),
        Homogeneous("rotation", 1),
        PermutationEquivariant("n"),
    ),
    papers=(176,),
)
def phi_standardization(y, rotation, xp):
    """R (y - mean) over phi, the root of the mean variance of all coordinates.

    R is a Hadamard matrix times the eigenvectors of the covariance, whose signs are free: so it is
    an argument.  Then every coordinate has variance 1.

    >>> from softproof.derivations import value
    >>> value("phi_standardization", y=[[1.0], [3.0]], rotation=[[1.0]])
    [[-1.0], [1.0]]
    """
    centred = y - xp.mean(y, axis=0)[None, :]
    phi = xp.sqrt(xp.mean(centred * centred))
    return xp.dot(centred, rotation.T) / phi
