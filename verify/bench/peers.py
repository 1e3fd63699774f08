"""The candidates of a problem: our kernels and whatever other libraries are installed.

Each is a call without arguments that does the whole operation on the same logits and returns its
result. All write to the problem's `out` but those that `allocates` marks: their libraries make a
new array at each call. Those are numbers of the library as it is called, not of its kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...kernels import cross_entropy, cross_entropy_with_gradient, log_softmax, logsumexp, softmax
from ..subjects.arrays import to_native
from .problems import TINY, Problem

SOFTPROOF = "softproof"
PYTORCH = "PyTorch"
PLAIN = "plain form"
"""Our own kernels for the loss as it is usually written, with the same memory traffic: what the
relative accuracy of a small loss costs."""
UFUNC = "NumPy exp"
"""One ufunc call on the same elements, beside tiny problems: what any call from Python costs."""


@dataclass(frozen=True)
class Candidate:
    """One call that is timed, and what it may use.

    * `name`: of the library.
    * `call`: does the operation; returns its result, for a gradient (losses, gradient).
    * `threads`: how many it may use; None where the library decides itself.
    * `allocates`: whether each call makes the memory of its result.
    """

    name: str
    call: Callable[[], Any]
    threads: int | None
    allocates: bool = False


class Unsupported(Exception):
    """The library has no such operation for such numbers; the message says what is missing."""


def ours(problem: Problem, threads: int) -> Candidate:
    """Make the candidate of this package, as its default arguments choose the algorithm.

    Parameters
    ----------
    problem
        What is computed.
    threads
        How many it may use.

    Returns
    -------
    Candidate
        The call of the kernel.
    """
    x, labels, out = problem.x, problem.labels, problem.out
    calls: dict[str, Callable[[], Any]] = {
        "softmax": lambda: softmax(x, out=out, threads=threads),
        "log_softmax": lambda: log_softmax(x, out=out, threads=threads),
        "logsumexp": lambda: logsumexp(x, out=out, threads=threads),
        "cross_entropy": lambda: cross_entropy(x, labels, threads=threads),
        "cross_entropy_with_gradient": lambda: cross_entropy_with_gradient(
            x, labels, out=out, threads=threads
        ),
    }
    return Candidate(SOFTPROOF, calls[problem.operation], threads)


def candidates(
    problem: Problem, threads: int, only: tuple[str, ...] = ()
) -> tuple[list[Candidate], dict[str, str]]:
    """Make our candidate and those of the peers, and say why others are left out.

    Parameters
    ----------
    problem
        What is computed; one of at most `TINY` elements has `UFUNC` among its candidates.
    threads
        How many each may use.
    only
        The names of the peers; all of them if it is empty.

    Returns
    -------
    found
        The candidates, ours first.
    skipped
        By the name of each peer that is left out, the reason.
    """
    found = [ours(problem, threads)]
    skipped = {}
    for name, (modules, make) in PEERS.items():
        if only and name not in only:
            continue
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            skipped[name] = f"{', '.join(missing)} not installed"
            continue
        try:
            found.append(make(problem, threads))
        except Unsupported as error:
            skipped[name] = str(error)
    if problem.x.size <= TINY:
        y = np.empty_like(problem.x)
        found.append(Candidate(UFUNC, lambda: np.exp(problem.x, out=y), 1))
    return found, skipped


@contextmanager
def pytorch_threads(threads: int) -> Iterator[None]:
    """Give PyTorch, if it is installed, so many threads, and as many as before at the end.

    Parameters
    ----------
    threads
        How many there are.

    Yields
    ------
    None
        While it has them.
    """
    if find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """The versions of the packages behind the candidates that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


# --- the libraries ---


def _pytorch(problem: Problem, threads: int) -> Candidate:
    """PyTorch, whose number of threads is the process's: see `pytorch_threads`."""
    import torch
    from torch.nn import functional

    x, labels, out = (to_native(a, "torch") for a in (problem.x, problem.labels, problem.out))
    losses = partial(functional.cross_entropy, target=labels, reduction="none")

    def with_gradient() -> Any:
        loss = losses(leaf)
        return loss, torch.autograd.grad(loss, leaf, ones)[0]

    leaf = x.detach().requires_grad_()
    ones = torch.ones(len(labels), dtype=x.dtype)
    calls: dict[str, Callable[[], Any]] = {
        "softmax": lambda: torch.softmax(x, -1, out=out),
        "log_softmax": lambda: torch.log_softmax(x, -1, out=out),
        "logsumexp": lambda: torch.logsumexp(x, -1, out=out),
        "cross_entropy": lambda: losses(x),
        "cross_entropy_with_gradient": with_gradient,
    }
    allocates = problem.operation == "cross_entropy_with_gradient"
    return Candidate(PYTORCH, calls[problem.operation], threads, allocates)


def _onnx_runtime(problem: Problem, threads: int) -> Candidate:
    """ONNX Runtime on one model of one node, its input and output bound to our memory."""
    import onnx
    import onnxruntime

    from ..subjects.implementations.onnx_forms import FATAL, HEADER, TYPES

    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "softmax": ("Softmax <axis = -1> (x)", {}),
        "log_softmax": ("LogSoftmax <axis = -1> (x)", {}),
        "logsumexp": ("ReduceLogSumExp <keepdims = 0> (x, axes)", {"axes": np.array([-1])}),
        "cross_entropy": (
            'SoftmaxCrossEntropyLoss <reduction = "none"> (x, labels)',
            {"labels": problem.labels},
        ),
    }
    dtype = problem.x.dtype.name
    if problem.operation not in nodes:
        raise Unsupported("no gradients")
    if dtype not in TYPES:
        raise Unsupported(f"no {dtype}")
    node, others = nodes[problem.operation]
    arguments = ", ".join([f"{TYPES[dtype]}[n, k] x", *(f"int64[m] {name}" for name in others)])
    model = onnx.parser.parse_model(f"{HEADER} one_node ({arguments}) => (y) {{ y = {node} }}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding, out = session.io_binding(), problem.out
    for name, array in {"x": problem.x, **others}.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    binding.bind_output("y", "cpu", 0, out.dtype, out.shape, out.ctypes.data)

    def call() -> Any:
        session.run_with_iobinding(binding)
        return out

    return Candidate("ONNX Runtime", call, threads)


def _litert(problem: Problem, threads: int) -> Candidate:
    """LiteRT, whose softmax is XNNPACK's; it has its own memory, which it reuses."""
    from ..subjects.implementations.engines.litert_forms import interpreter

    options: dict[str, dict[str, Any]] = {"softmax": {"beta": 1.0}, "log_softmax": {}}
    if problem.operation not in options:
        raise Unsupported(f"no {problem.operation}")
    if problem.x.dtype != np.float32:
        raise Unsupported(f"no {problem.x.dtype.name}")
    operation = problem.operation
    made = interpreter(operation, problem.x.shape, threads, **options[operation])
    made.set_tensor(made.get_input_details()[0]["index"], problem.x)
    result = made.tensor(made.get_output_details()[0]["index"])

    def call() -> Any:
        made.invoke()
        return result()

    return Candidate("LiteRT", call, threads)


def _jax(problem: Problem, threads: int) -> Candidate:
    """JAX, compiled; XLA has its own threads, which no call can limit."""
    arguments = [to_native(problem.x, "jax")]
    if "cross_entropy" in problem.operation:
        arguments.append(to_native(problem.labels, "jax"))
    import jax
    import optax

    losses = optax.losses.softmax_cross_entropy_with_integer_labels

    def with_gradient(x: Any, labels: Any) -> Any:
        value, pull_back = jax.vjp(partial(losses, labels=labels), x)
        return value, *pull_back(jax.numpy.ones_like(value))

    functions = {
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "logsumexp": partial(jax.nn.logsumexp, axis=-1),
        "cross_entropy": losses,
        "cross_entropy_with_gradient": with_gradient,
    }
    compiled = jax.jit(functions[problem.operation])
    return Candidate(
        "JAX", lambda: jax.block_until_ready(compiled(*arguments)), None, allocates=True
    )


def _scipy(problem: Problem, threads: int) -> Candidate:
    """SciPy, on one thread."""
    from scipy import special

    functions = {
        "softmax": special.softmax,
        "log_softmax": special.log_softmax,
        "logsumexp": special.logsumexp,
    }
    if problem.operation not in functions:
        raise Unsupported(f"no {problem.operation}")
    if problem.x.dtype.kind != "f":
        raise Unsupported(f"no {problem.x.dtype.name}")
    if threads > 1:
        raise Unsupported("one thread only, timed with threads=1")
    function, x = functions[problem.operation], problem.x
    return Candidate("SciPy", lambda: function(x, axis=-1), 1, allocates=True)


def _plain(problem: Problem, threads: int) -> Candidate:
    """log-sum-exp less the logit of the label; with the gradient p - onehot, and -log p."""
    x, labels, out = problem.x, problem.labels, problem.out
    rows = np.arange(len(x))

    def with_gradient() -> Any:
        p = softmax(x, out=out, threads=threads)
        losses = -np.log(p[rows, labels])
        p[rows, labels] -= 1
        return losses, p

    calls: dict[str, Callable[[], Any]] = {
        "cross_entropy": lambda: logsumexp(x, threads=threads) - x[rows, labels],
        "cross_entropy_with_gradient": with_gradient,
    }
    if problem.operation not in calls:
        raise Unsupported("a form of cross-entropy alone")
    return Candidate(PLAIN, calls[problem.operation], threads)


Make = Callable[[Problem, int], Candidate]

PEERS: dict[str, tuple[tuple[str, ...], Make]] = {
    PYTORCH: (("torch",), _pytorch),
    "ONNX Runtime": (("onnx", "onnxruntime"), _onnx_runtime),
    "LiteRT": (("ai_edge_litert", "flatbuffers"), _litert),
    "JAX": (("jax", "optax"), _jax),
    "SciPy": (("scipy",), _scipy),
    PLAIN: ((), _plain),
}
"""The modules that each peer needs, and what makes it a candidate."""

PACKAGES = (
    "softproof",
    "numpy",
    "numba",
    "llvmlite",
    "torch",
    "onnxruntime",
    "ai-edge-litert",
    "jax",
    "jaxlib",
    "optax",
    "scipy",
)
