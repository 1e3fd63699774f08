"""The built-in subjects with their contracts, and the choice among them and the user's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ....derivations import Definition
from ....kernels.activations.elementwise import ULP_BOUND as ACTIVATION_ULPS
from ....kernels.losses.comp_sum import ULP_BOUND as COMP_SUM_ULPS
from ....kernels.losses.cross_entropy import ULP_BOUND as CROSS_ENTROPY_ULPS
from ....kernels.softmax_alternatives.stablemax import LOSS_ULP_BOUND as STABLEMAX_LOSS_ULPS
from ....kernels.softmax_alternatives.stablemax import ULP_BOUND as STABLEMAX_ULPS
from ....kernels.softmax_family.log_softmax import ULP_BOUND as LOG_SOFTMAX_ULPS
from ....kernels.softmax_family.softmax import ULP_BOUND as SOFTMAX_ULPS
from ..contract import CONVENTIONAL, Contract
from ..isolation.program import as_subject, is_command
from ..subject import CXX, LIBRARIES, Subject, SubjectError, matches

WIDE = ("float32", "float64")
ANY_FORMAT = ("float16", "bfloat16", *WIDE)
# What is built in declares all of its contract: nothing is left to be observed.
# NumPy sums in blocks of 128, but what is between operations is in the format of the input.
IN_FORMAT = replace(CONVENTIONAL, accumulator="input", arithmetic="input")
UNSHIFTED = replace(IN_FORMAT, pos_inf="nan_at")  # inf / inf is NaN, x / inf is 0
SHIFTED = replace(IN_FORMAT, empty="error")  # NumPy's max of nothing raises
# As many sums as a vector has lanes, each one by one: of many classes that a leader absorbs, a
# sixteenth was lost (PyTorch 2.13, ONNX Runtime 1.32, AVX-512, 2^10 to 2^17 classes).
IN_LANES = replace(CONVENTIONAL, summation="any")
# The gradient is e^l less 1 at the label, with log-softmax l as it is stored, in the input format.
FROM_STORED_LOGARITHMS = replace(IN_LANES, arithmetic="input")


def _promising(ulps: Mapping[str, float]) -> Contract:
    return replace(CONVENTIONAL, ulps=ulps, bitwise_batch="yes", collapse_free="yes")


def _kernel(name: str, definition: str, promised: Mapping[str, float]) -> Subject:
    contract = _promising(promised)
    return Subject(f"softproof.kernels:{name}", definition, contract, tuple(promised) or ANY_FORMAT)


# The shifted forms without softproof.
SCRIPTS = {
    "softmax_shifted": "(e := np.exp(x - x.max(-1, keepdims=True))) / e.sum(-1, keepdims=True)",
    "log_softmax_shifted": "(d := x - x.max(-1, keepdims=True))"
    " - np.log(np.exp(d).sum(-1, keepdims=True))",
    "logsumexp_shifted": "(m := x.max(-1)) + np.log(np.exp(x - m[:, None]).sum(-1))",
    "cross_entropy_shifted": "d = x - x.max(-1, keepdims=True)\n"
    "e = np.exp(d)\n"
    "p = e / e.sum(-1, keepdims=True)\n"
    "rows = np.arange(len(x))\n"
    "loss = np.log(e.sum(-1)) - d[rows, labels]\n"
    "p[rows, labels] -= 1\n"
    "loss, p",
}


def _textbook(name: str, definition: str, contract: Contract = IN_FORMAT) -> Subject:
    return Subject(
        f"softproof.verify.textbook:{name}",
        definition,
        contract,
        ANY_FORMAT,
        snippet=SCRIPTS.get(name, ""),
    )


def _scipy(name: str, definition: str, contract: Contract) -> Subject:
    axis = "" if name in ("expit", "ndtr") else ", axis=-1"
    return Subject(
        f"scipy.special:{name}",
        definition,
        contract,
        requires=("scipy",),
        snippet=f"scipy.special.{name}(x{axis})",
    )


COMP_SUM_TAUS = {
    "comp_sum": 0.5,
    "sum_exponential": 0.0,
    "generalized_cross_entropy": 1.7,
    "mean_absolute_error": 2.0,
}

OWN_AND_NUMPY = (
    _kernel("softmax", "softmax", SOFTMAX_ULPS["online"]),
    *(_kernel(name, "softmax", promised) for name, promised in SOFTMAX_ULPS.items()),
    Subject("softproof.kernels:naive", "softmax", replace(UNSHIFTED, summation="any")),
    _textbook("softmax_naive", "softmax", UNSHIFTED),
    _textbook("softmax_shifted", "softmax", SHIFTED),
    _scipy("softmax", "softmax", SHIFTED),
    _kernel("log_softmax", "log_softmax", LOG_SOFTMAX_ULPS),
    _textbook("log_softmax_naive", "log_softmax", SHIFTED),
    _textbook("log_softmax_shifted", "log_softmax", SHIFTED),
    _scipy("log_softmax", "log_softmax", replace(SHIFTED, pos_inf="nan_at")),
    _kernel("logsumexp", "logsumexp", {}),
    _textbook("logsumexp_naive", "logsumexp"),
    _textbook("logsumexp_shifted", "logsumexp", SHIFTED),
    _scipy("logsumexp", "logsumexp", IN_FORMAT),
    _kernel("cross_entropy", "cross_entropy", CROSS_ENTROPY_ULPS),
    _kernel("cross_entropy_with_gradient", "cross_entropy", CROSS_ENTROPY_ULPS),
    *(
        Subject(
            f"softproof.verify.subjects.comp_sum_members:{name}",
            name,
            _promising(COMP_SUM_ULPS),
            ANY_FORMAT,
            snippet=f"softproof.kernels.comp_sum_with_gradient(x, labels, tau={tau})",
        )
        for name, tau in COMP_SUM_TAUS.items()
    ),
    _textbook("cross_entropy_naive", "cross_entropy", UNSHIFTED),
    _textbook("cross_entropy_shifted", "cross_entropy"),
    _textbook("sigmoid_naive", "sigmoid"),
    _scipy("expit", "sigmoid", IN_FORMAT),
    _textbook("softplus_naive", "softplus"),
    _textbook("softplus_logaddexp", "softplus"),
    _kernel("normal_cdf", "normal_cdf", ACTIVATION_ULPS["normal_cdf"]),
    _textbook("normal_cdf_by_erf", "normal_cdf"),
    _scipy("ndtr", "normal_cdf", IN_FORMAT),
    _kernel("ria", "ria", ACTIVATION_ULPS["ria"]),
    _textbook("ria_as_published", "ria"),
    _kernel("smoothed_rsqrt", "smoothed_rsqrt", ACTIVATION_ULPS["smoothed_rsqrt"]),
    _kernel("stablemax", "stablemax", STABLEMAX_ULPS),
    _kernel("stablemax_cross_entropy", "stablemax_cross_entropy", STABLEMAX_LOSS_ULPS),
    _kernel(
        "stablemax_cross_entropy_with_gradient", "stablemax_cross_entropy", STABLEMAX_LOSS_ULPS
    ),
    _textbook("stablemax", "stablemax", UNSHIFTED),
    _textbook("stablemax_cross_entropy", "stablemax_cross_entropy", UNSHIFTED),
)

# --- frameworks ---

TORCH = "softproof.verify.subjects.torch_forms"
JAX = "softproof.verify.subjects.jax_forms"
# XLA's CPU code takes subnormals for 0, and rounds the result of each operation to its format.
FLUSHING = replace(CONVENTIONAL, flush_to_zero="yes", arithmetic="input")
FLUSHING_LOSS = replace(FLUSHING, pos_inf="nan_at")  # log-sum-exp less a logit: inf - x


def _torch(
    subject_id: str,
    definition: str,
    snippet: str,
    contract: Contract = IN_LANES,
    *,
    compiled: bool = False,
) -> Subject:
    return Subject(
        subject_id,
        definition,
        contract,
        ANY_FORMAT,
        arrays="torch",
        requires=("torch", CXX) if compiled else ("torch",),
        time_limit=120.0 if compiled else 30.0,
        snippet=snippet,
    )


def _on_cuda(subject: Subject) -> Subject:
    return replace(
        subject,
        id=f"{subject.id}@cuda",
        device="cuda",
        contract=replace(CONVENTIONAL, arithmetic=subject.contract.arithmetic),
    )


def _jax(name: str, definition: str, snippet: str, contract: Contract = FLUSHING) -> Subject:
    ours = "" if ":" in name else f"{JAX}:"
    return Subject(
        f"{ours}{name}",
        definition,
        contract,
        ANY_FORMAT,
        "jax",
        requires=("jax", "optax") if ours else ("jax",),
        slow="it compiles anew for each shape",
        snippet=snippet,
    )


def _onnx(name: str, snippet: str, dtypes: tuple[str, ...] = ("float16", *WIDE)) -> Subject:
    return Subject(
        f"softproof.verify.subjects.onnx_forms:{name}",
        name,
        IN_LANES,
        dtypes,
        requires=("onnx", "onnxruntime"),
        snippet=snippet,
    )


EAGER_TORCH = (
    _torch(f"{TORCH}:softmax", "softmax", "torch.softmax(x, -1)"),
    _torch(f"{TORCH}:log_softmax", "log_softmax", "torch.log_softmax(x, -1)"),
    _torch(f"{TORCH}:logsumexp", "logsumexp", "torch.logsumexp(x, -1)", IN_FORMAT),
    _torch(
        f"{TORCH}:cross_entropy",
        "cross_entropy",
        'torch.nn.functional.cross_entropy(x, labels, reduction="none")',
        FROM_STORED_LOGARITHMS,
    ),
    _torch("torch:sigmoid", "sigmoid", "torch.sigmoid(x)"),
    _torch("torch.nn.functional:softplus", "softplus", "torch.nn.functional.softplus(x)"),
)
COMPILED_TORCH = (
    _torch(
        f"{TORCH}:softmax_compiled",
        "softmax",
        "torch.compile(torch.softmax, dynamic=True)(x, -1)",
        compiled=True,
    ),
    _torch(
        f"{TORCH}:log_softmax_compiled",
        "log_softmax",
        "torch.compile(torch.log_softmax, dynamic=True)(x, -1)",
        compiled=True,
    ),
    _torch(
        f"{TORCH}:cross_entropy_compiled",
        "cross_entropy",
        "torch.compile(torch.nn.functional.cross_entropy, dynamic=True)"
        '(x, labels, reduction="none")',
        FROM_STORED_LOGARITHMS,
        compiled=True,
    ),
)
FRAMEWORKS = (
    *EAGER_TORCH,
    *COMPILED_TORCH,
    *(_on_cuda(subject) for subject in EAGER_TORCH),
    _jax("jax.nn:softmax", "softmax", "jax.nn.softmax(x)"),
    _jax("jax.nn:log_softmax", "log_softmax", "jax.nn.log_softmax(x)"),
    _jax("jax.nn:logsumexp", "logsumexp", "jax.nn.logsumexp(x, -1)"),
    _jax("jax.nn:sigmoid", "sigmoid", "jax.nn.sigmoid(x)"),
    _jax("jax.nn:softplus", "softplus", "jax.nn.softplus(x)"),
    _jax("softmax_jit", "softmax", "jax.jit(jax.nn.softmax)(x)"),
    _jax("log_softmax_jit", "log_softmax", "jax.jit(jax.nn.log_softmax)(x)"),
    _jax("logsumexp_jit", "logsumexp", "jax.jit(lambda x: jax.nn.logsumexp(x, -1))(x)"),
    _jax(
        "cross_entropy",
        "cross_entropy",
        "optax.losses.softmax_cross_entropy_with_integer_labels(x, labels)",
        FLUSHING_LOSS,
    ),
    _jax(
        "cross_entropy_jit",
        "cross_entropy",
        "jax.jit(optax.losses.softmax_cross_entropy_with_integer_labels)(x, labels)",
        FLUSHING_LOSS,
    ),
    _onnx("softmax", 'operator("Softmax", x)'),
    _onnx("log_softmax", 'operator("LogSoftmax", x)'),
    _onnx("logsumexp", 'operator("ReduceLogSumExp", x, np.array([-1]), rank=1, keepdims=0)'),
    _onnx(
        "cross_entropy",
        'operator("SoftmaxCrossEntropyLoss", x, labels, rank=1, reduction="none")',
    ),
    _onnx("sigmoid", 'operator("Sigmoid", x)'),
    _onnx("softplus", 'operator("Softplus", x)', ("float16", "float32")),
    Subject(
        "softproof.verify.subjects.sklearn_forms:cross_entropy",
        "cross_entropy",
        CONVENTIONAL,
        requires=("scikit-learn",),
        snippet="model = sklearn._loss.HalfMultinomialLoss(n_classes=x.shape[1])\n"
        "loss, gradient = model.loss_gradient(labels.astype(x.dtype), x)\n"
        "loss, gradient",
    ),
    *(
        Subject(
            f"cupyx.scipy.special:{name}",
            name,
            CONVENTIONAL,
            ("float16", *WIDE),
            arrays="cupy",
            device="cuda",
            requires=("cupy-cuda12x",),
            snippet=f"cupyx.scipy.special.{name}(x, axis=-1)",
        )
        for name in ("softmax", "log_softmax", "logsumexp")
    ),
)

BUILT_IN: tuple[Subject, ...] = (*OWN_AND_NUMPY, *FRAMEWORKS)


def registered(subject_id: str, definition: str) -> Subject:
    """The built-in subject of that name, or the user's as ``select`` makes it."""
    known = (s for s in BUILT_IN if (s.id, s.definition) == (subject_id, definition))
    module, _, _ = subject_id.partition(":")
    library = module.partition(".")[0]
    own = Subject(
        subject_id,
        definition,
        dtypes=ANY_FORMAT,
        arrays=library if library in LIBRARIES else "numpy",
    )
    return next(known, own)


def select(
    pattern: str, definitions: Sequence[Definition], known: Sequence[Subject] = BUILT_IN
) -> list[Subject]:
    """The known subjects that a pattern names, or else the user's.

    A pattern is an id, or a glob of ids; the user's own is ``module:attribute``, or the command
    line of a program.  Of several definitions it is held against the one in its name.  SubjectError
    where nothing matches, or where no definition, or no single one, is in that name.
    """
    names = [d.name for d in definitions]
    found = [s for s in known if s.definition in names and matches(pattern, s.id)]
    if found:
        return found
    is_own = is_command(pattern) or (":" in pattern and not any(c in pattern for c in "*?["))
    if not is_own:
        raise SubjectError(
            f"no known subject of {', '.join(names)} matches {pattern!r}; name one as "
            "module:attribute or by its command line, or list them with `softproof subjects`"
        )
    name = _implemented(pattern, names)
    if name is None:
        quoted = shlex.quote(pattern)
        commands = "; ".join(
            f"softproof verify {name} --subject {quoted}" for name in names[:MOST_NAMED]
        )
        more = f"; or another of {', '.join(names)}" if len(names) > MOST_NAMED else ""
        raise SubjectError(
            f"{pattern} has the name of no definition; say which it implements: {commands}{more}"
        )
    if is_command(pattern):
        return [as_subject(pattern, name)]
    return [registered(pattern, name)]


MOST_NAMED = 3  # commands in an error


def _implemented(own: str, names: Sequence[str]) -> str | None:
    """Which definition a user's subject implements: the only one, or the one in its name.

    Of several in its name the longest, which holds the others; None where none is, or several.

    >>> names = ["softmax", "log_softmax", "cross_entropy"]
    >>> [_implemented(f"mine:{f}", names) for f in ("log_softmax", "fast_softmax_v2", "f")]
    ['log_softmax', 'softmax', None]
    """
    if len(names) == 1:
        return names[0]
    last = own.rpartition("/")[2] if is_command(own) else own.rpartition(":")[2]
    found = [n for n in names if re.search(rf"(?<![a-z]){n}(?![a-z])", last.lower())]
    longest = max(found, key=len, default="")
    return longest if found and all(name in longest for name in found) else None
