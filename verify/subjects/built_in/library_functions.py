"""Functions of libraries that are subjects as they are, without a wrapper in softproof."""

from __future__ import annotations

from dataclasses import replace

from ..contract import CONVENTIONAL, FLUSHING, IN_FORMAT, IN_LANES, SHIFTED, UNSHIFTED, Contract
from ..registration import ANY_FORMAT, on_device
from ..subject import Subject


def _scipy(name: str, definition: str, contract: Contract, axis: str = "") -> Subject:
    return Subject(
        f"scipy.special:{name}",
        definition,
        contract,
        requires=("scipy",),
        snippet=f"scipy.special.{name}(x{axis})",
    )


def _numpy(name: str) -> Subject:
    return Subject(f"numpy:{name}", name, IN_FORMAT, ANY_FORMAT, snippet=f"np.{name}(x)")


def _torch(module: str, definition: str) -> Subject:
    return Subject(
        f"{module}:{definition}",
        definition,
        IN_LANES,
        ANY_FORMAT,
        arrays="torch",
        requires=("torch",),
        snippet=f"{module}.{definition}(x)",
    )


def _jax(name: str, axis: str = "", module: str = "jax.nn", definition: str = "") -> Subject:
    return Subject(
        f"{module}:{name}",
        definition or name,
        FLUSHING,
        ANY_FORMAT,
        arrays="jax",
        requires=("jax",),
        slow="it compiles anew for each shape",
        snippet=f"{module}.{name}(x{axis})",
    )


def _cupy(definition: str) -> Subject:
    return Subject(
        f"cupyx.scipy.special:{definition}",
        definition,
        CONVENTIONAL,
        ("float16", "float32", "float64"),
        arrays="cupy",
        device="cuda",
        requires=("cupy-cuda12x",),
        snippet=f"cupyx.scipy.special.{definition}(x, axis=-1)",
    )


_TORCH = (
    *(_torch("torch", name) for name in ("sigmoid", "exp", "expm1", "tanh", "erf", "log1p")),
    *(_torch("torch.nn.functional", name) for name in ("softplus", "silu", "gelu")),
)

LIBRARY_FUNCTIONS: tuple[Subject, ...] = (
    # Our own kernel that breaks the promises of the others: it is there to be compared with.
    Subject("softproof.kernels:naive", "softmax", replace(UNSHIFTED, summation="any")),
    _scipy("softmax", "softmax", SHIFTED, ", axis=-1"),
    _scipy("log_softmax", "log_softmax", replace(SHIFTED, pos_inf="nan_at"), ", axis=-1"),
    _scipy("logsumexp", "logsumexp", IN_FORMAT, ", axis=-1"),
    _scipy("expit", "sigmoid", IN_FORMAT),
    _scipy("ndtr", "normal_cdf", IN_FORMAT),
    *(_scipy(name, name, IN_FORMAT) for name in ("expm1", "erf", "log1p")),
    *(_numpy(name) for name in ("exp", "expm1", "tanh")),
    *_TORCH,
    *(on_device(subject, "cuda") for subject in _TORCH),
    *(_jax(name) for name in ("softmax", "log_softmax", "sigmoid", "softplus", "silu")),
    _jax("gelu", definition="gelu_tanh"),  # approximate=True is its default
    *(_jax(name, module="jax.numpy") for name in ("exp", "expm1", "tanh", "log1p")),
    _jax("erf", module="jax.scipy.special"),
    _jax("logsumexp", ", -1"),
    *(_cupy(name) for name in ("softmax", "log_softmax", "logsumexp")),
)
