"""The source of a task: the sizes that its inputs have, changed without running it.

A task is a Python file with a reference (``Model``, a class or a function), ``get_inputs()`` and
perhaps ``get_init_inputs()``, the public format of KernelBench.  How large its inputs are stands in
it as whole numbers: in assignments of the module, and in these two functions.  Other numbers in
their places give the same task at other sizes.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from typing import Any

LEAST_SIZE = 9  # below, a number is an axis, a count of groups or heads, or small enough
OF_INPUTS = ("get_inputs", "get_init_inputs")
NARROW = ("float", "float32", "half", "float16", "bfloat16")
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.LShift: operator.lshift,
}


def sizes_in(source: str) -> list[int]:
    """List the sizes in a task, in their order.

    Parameters
    ----------
    source
        The text of its file.

    Returns
    -------
    list of int
        Whole numbers from LEAST_SIZE on; a product of such is one.

    Raises
    ------
    SyntaxError
        If it is no Python.

    Examples
    --------
    >>> sizes_in("rows = 8 * 1024\\naxis = 1\\ndef get_inputs():\\n    return [rand(rows, 300)]")
    [8192, 300]
    """
    found = _Sizes([])
    found.visit(ast.parse(source))
    return found.seen


def with_sizes(source: str, sizes: Sequence[int], *, wide: bool = False) -> ast.Module:
    """Write other sizes in a task.

    Parameters
    ----------
    source
        The text of its file.
    sizes
        One for each of ``sizes_in``, in its order; none leaves them as they are.
    wide
        Whether its casts to formats of 32 bits and less are to be casts to binary64.

    Returns
    -------
    ast.Module
        What can be compiled.

    Examples
    --------
    >>> ast.unparse(with_sizes("rows = 4096\\nx = y.float()", [3], wide=True))
    'rows = 3\\nx = y.double()'
    """
    tree = ast.parse(source)
    _Sizes(list(sizes)).visit(tree)
    if wide:
        _Wide().visit(tree)
    return ast.fix_missing_locations(tree)


def numbers_in(source: str) -> list[float]:
    """List the numbers that stand anywhere in a task, such as the eps of a norm.

    Parameters
    ----------
    source
        The text of its file.

    Returns
    -------
    list of float
        Each once, in their order.

    Examples
    --------
    >>> numbers_in("def f(x, eps=1e-5):\\n    return x / (2 + eps)")
    [1e-05, 2.0]
    """
    nodes = ast.walk(ast.parse(source))
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    return list(dict.fromkeys(numbers))


def imports_of(source: str) -> set[str]:
    """Name the packages that a file imports.

    Parameters
    ----------
    source
        The text of the file.

    Returns
    -------
    set of str
        Without what follows a point.

    Examples
    --------
    >>> sorted(imports_of("import torch.nn as nn\\nfrom math import pi"))
    ['math', 'torch']
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return {name.partition(".")[0] for name in names}


class _Sizes(ast.NodeTransformer):
    """Sees the sizes, and writes the given ones in their places, where some are given."""

    def __init__(self, sizes: list[int]) -> None:
        self.seen: list[int] = []
        self._sizes = sizes

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """A model is left as it is."""
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """So is a function, but for those that give inputs."""
        return self.generic_visit(node) if node.name in OF_INPUTS else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A product of numbers is one number."""
        value = _value(node)
        return self.generic_visit(node) if value is None else self._put(node, value)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """A number is one."""
        return self._put(node, node.value) if type(node.value) is int else node

    def _put(self, node: ast.expr, value: int) -> ast.expr:
        if value < LEAST_SIZE:
            return node
        self.seen.append(value)
        if not self._sizes:
            return node
        return ast.copy_location(ast.Constant(self._sizes[len(self.seen) - 1]), node)


def _value(node: ast.expr) -> int | None:
    """The value of an expression of whole numbers alone; None of any other."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left), _value(node.right)
        if left is not None and right is not None and max(left, right) < 1 << 40:
            return int(_OPERATORS[type(node.op)](left, right)) if right else None
    return None


class _Wide(ast.NodeTransformer):
    """Makes casts to narrow formats casts to binary64."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """A name such as that of ``torch.float32`` or ``x.float()`` is made the wide one."""
        self.generic_visit(node)
        if node.attr in NARROW:
            is_module = isinstance(node.value, ast.Name) and node.value.id in (
                "torch",
                "np",
                "numpy",
            )
            node.attr = "float64" if is_module else "double"
        return node
