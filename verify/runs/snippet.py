"""A minimal Python script that shows a result without softproof, to be sent upstream."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..oracle.metrics import hexadecimal
from ..subjects.subject import Subject

Array = NDArray[Any]

# What a script calls the array library of a subject, and how it gets it.
LIBRARIES = {
    "numpy": ("np", ["import numpy as np"]),
    "torch": ("torch", ["import torch"]),
    "jax": ("jnp", ["import jax", "import jax.numpy as jnp"]),
    "cupy": ("cp", ["import cupy as cp"]),
}
ALIASES = {alias for alias, _ in LIBRARIES.values()}
X64 = 'jax.config.update("jax_enable_x64", True)'
NUMBERS = """\
def numbers(text):
    return [float.fromhex(word) for word in text.split()]"""
MOST_CHARACTERS = 30_000  # in a line: more is not minimal

OPERATOR = '''\
def operator(name, *inputs, rank=None, **attributes):
    """One ONNX node at the given arrays; the result has `rank` axes, or as many as x."""
    names, ranks = "xabc"[: len(inputs)], [i.ndim for i in inputs]
    types = [onnx.helper.np_dtype_to_tensor_dtype(i.dtype) for i in inputs]
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(name, [*names], ["y"], **attributes)],
        name,
        [info(n, t, [None] * r) for n, t, r in zip(names, types, ranks)],
        [info("y", types[0], [None] * (ranks[0] if rank is None else rank))],
    )
    opset = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, inputs)))[0]'''


def snippet(
    subject: Subject,
    logits: Array,
    labels: Array | int | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    place: tuple[int, ...] = (0,),
    in_gradient: bool = False,
    expected: float | None = None,
    axis: int = -1,
) -> str | None:
    """Write the script that prints one number of a subject's result, beside the true one.

    ``Subject.snippet`` is an expression over ``x`` and ``labels``, which may have statements on the
    lines before it. Gradients come from ``torch.autograd`` and ``jax.vjp``; one over NumPy arrays
    that has a gradient ends in ``loss, gradient``. It may call ``operator(name, x, ...)``: one ONNX
    node, run by ONNX Runtime.

    Parameters
    ----------
    subject
        The subject.
    logits
        One row or a batch.
    labels
        The labels, or the one of a row, where it takes any.
    options
        Further arguments by name.
    place
        The index of the number in the result, a batch's.
    in_gradient
        Whether the number is one of the gradient.
    expected
        The true number; None where there is none.
    axis
        The axis of the classes.

    Returns
    -------
    str or None
        The script; None where the subject does not tell its call, or the script would not be
        minimal.

    Examples
    --------
    >>> subject = Subject("f", "softmax", snippet="np.exp(x) / np.exp(x).sum(-1)")
    >>> print(snippet(subject, np.float32([1000]), place=(0, 0), expected=1.0))
    import numpy as np
    <BLANKLINE>
    x = np.array([[1000.0]], dtype=np.float32)
    y = np.exp(x) / np.exp(x).sum(-1)
    print("observed", float(y[0, 0]).hex())
    print("expected 0x1p+0")
    """
    batch = np.atleast_2d(np.asarray(logits))
    if not subject.snippet or (axis != -1 and "-1" not in subject.snippet):
        return None
    turned = subject.snippet if axis == -1 else subject.snippet.replace("-1", str(axis))
    *before, expression = turned.splitlines()
    options = dict(options or {})
    code = Code(subject, batch.dtype.name)
    lines = [f"x = {code.array(batch)}"]
    if labels is not None:
        lines.append(f"labels = {code.array(np.atleast_1d(np.asarray(labels)))}")
    scale, cotangent = options.pop("scale", None), options.pop("cotangent", None)
    for name, value in options.items():
        if isinstance(value, np.ndarray):
            lines.append(f"{name} = {code.array(value)}")
            expression = _with_keyword(expression, f"{name}={name}")
        else:
            expression = _with_keyword(expression, f"{name}={value!r}")
    if cotangent is not None:
        lines.append(f"cotangent = {code.array(cotangent)}")
    if max(len(line) for line in lines) > MOST_CHARACTERS:
        return None
    if subject.arrays in ("numpy", "cupy"):
        called = _evaluated(before, expression, scale, in_gradient)
    else:
        called = _differentiable(
            subject.arrays, before, expression, scale, in_gradient, cotangent is not None
        )
    if called is None:
        return None
    lines += called
    number = "g" if in_gradient else "y"
    lines.append(f'print("observed", float({number}[{", ".join(map(str, place))}]).hex())')
    if expected is not None:
        lines.append(f'print("expected {hexadecimal(expected)}")')
    return "\n".join([*code.prelude("\n".join([*before, expression]), lines), *lines])


def _evaluated(
    before: list[str], expression: str, scale: float | None, in_gradient: bool
) -> list[str] | None:
    """The lines that compute y, or g of a pair; None where there is no gradient."""
    result = ast.parse(expression, mode="eval").body
    parts = [ast.unparse(e) for e in result.elts] if isinstance(result, ast.Tuple) else [expression]
    if len(parts) <= in_gradient:
        return None
    scaled = [] if scale is None else [f"x = x * {scale!r}"]
    return [*scaled, *before, f"{'g' if in_gradient else 'y'} = {parts[in_gradient]}"]


def _differentiable(
    library: str,
    before: list[str],
    expression: str,
    scale: float | None,
    in_gradient: bool,
    weighted: bool,
) -> list[str]:
    """The lines that compute y, and g by the library's differentiation."""
    if not before and scale is None and not in_gradient:
        return [f"y = {expression}"]
    lines, call = [f"f = lambda x: {expression}"], "f"
    if before:
        lines = ["def f(x):", *(f"    {line}" for line in before), f"    return {expression}"]
    if scale is not None:
        call = "h"
        lines.append(f"h = {_compiler(expression)}(lambda x: f(x * {scale!r}))")
    if not in_gradient:
        return [*lines, f"y = {call}(x)"]
    if library == "torch":
        seed = "cotangent" if weighted else "torch.ones_like(y)"
        lines += ["x.requires_grad_()", f"y = {call}(x)"]
        return [*lines, f"(g,) = torch.autograd.grad(y, x, {seed})"]
    seed = "cotangent" if weighted else "jnp.ones_like(y)"
    return [*lines, f"y, pull_back = jax.vjp({call}, x)", f"(g,) = pull_back({seed})"]


def _compiler(expression: str) -> str:
    """What compiles an expression, so that a product before it is compiled with it."""
    for name in ("jax.jit", "torch.compile"):
        if f"{name}(" in expression:
            return name
    return ""


def _with_keyword(expression: str, keyword: str) -> str:
    """The expression with a keyword argument more in its last call."""
    head, _, tail = expression.rpartition(")")
    return f"{head}, {keyword}){tail}"


class Code:
    """How values are written down for one subject's array library."""

    def __init__(self, subject: Subject, dtype: str) -> None:
        """For arrays of a format, of the library of a subject and on its device."""
        self.alias, self.imports = LIBRARIES[subject.arrays]
        self.library = subject.arrays
        self.device = f', device="{subject.device}"' if subject.device else ""
        self.dtype = dtype

    def array(self, array: Array) -> str:
        """An expression that makes the same array, without rounding."""
        make = "tensor" if self.library == "torch" else "array"
        if array.dtype.kind in "bi":
            return f"{self.alias}.{make}({array.tolist()!r}{self._on()})"
        home = "ml_dtypes" if self._is_ml_dtype() else self.alias
        return f"{self.alias}.{make}({_numbers(array)}, dtype={home}.{self.dtype}{self._on()})"

    def exact_array(self, array: Array) -> str:
        """An expression that makes an array from numbers in hex; a single index is an int."""
        if array.dtype.kind in "bi":
            return repr(int(array)) if array.ndim == 0 else self.array(array)
        make = "tensor" if self.library == "torch" else "array"
        home = "ml_dtypes" if self._is_ml_dtype() else self.alias
        words = " ".join(hexadecimal(float(number)) for number in array.reshape(-1))
        shape = ", ".join(map(str, array.shape)) or "()"
        dtype = f"dtype={home}.{self.dtype}{self._on()}"
        return f'{self.alias}.{make}(numbers("{words}"), {dtype}).reshape({shape})'

    def _on(self) -> str:
        return self.device if self.library == "torch" else ""

    def _is_ml_dtype(self) -> bool:
        is_theirs = self.dtype == "bfloat16" or self.dtype.startswith("float8")
        return self.library in ("numpy", "cupy") and is_theirs

    def prelude(
        self, expression: str, lines: list[str], own: Iterable[str] = ("x", "labels")
    ) -> list[str]:
        """Imports, and what else must stand before the lines; ``own`` are no modules."""
        used = names_in("\n".join(lines))
        special = [name for name in ("inf", "nan") if name in used]
        modules = {*self.imports, *(f"import {m}" for m in _modules(expression, own))}
        if "ml_dtypes" in used:
            modules.add("import ml_dtypes")
        if "operator" in used:
            modules |= {"import onnx", "import onnxruntime"}
        prelude = [f"from math import {', '.join(special)}", ""] if special else []
        prelude += [*sorted(modules), ""]
        if self.library == "jax":
            prelude += [X64, ""]
        if "operator" in used:
            prelude += [OPERATOR, ""]
        if "numbers" in used:
            prelude += [NUMBERS, ""]
        return prelude


def names_in(code: str) -> set[str]:
    """Find the names that some code uses.

    Parameters
    ----------
    code
        The code.

    Returns
    -------
    set of str
        The names.
    """
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _modules(expression: str, variables: Iterable[str]) -> set[str]:
    """The modules that an expression names: all but the last part of its dotted names."""
    tree = ast.parse(expression)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {*variables, *(n.id for n in names if isinstance(n.ctx, ast.Store))}
    found = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and parts and node.id not in {*ALIASES, *own}:
            found.add(".".join([node.id, *parts[:-1]]))
    # Of torch.nn.functional.softmax the walk has met torch.nn.functional, torch.nn and torch.
    return {m for m in found if not any(other.startswith(f"{m}.") for other in found)}


def _numbers(array: Array) -> str:
    """Nested lists of numbers; rows that are equal, and runs of equal numbers, only once."""
    if array.ndim > 1:
        rows = [_numbers(row) for row in array]
        groups = [(row, len(list(same))) for row, same in itertools.groupby(rows)]
        if len(groups) == 1 and len(rows) > 2:
            return f"[{rows[0]}] * {len(rows)}"
        return f"[{', '.join(rows)}]"
    values = [repr(float(v)) for v in array]
    runs = [(v, len(list(same))) for v, same in itertools.groupby(values)]
    if len(values) <= 8 or len(runs) > 5:
        return f"[{', '.join(values)}]"
    return " + ".join(f"[{v}] * {n}" if n > 1 else f"[{v}]" for v, n in runs)
