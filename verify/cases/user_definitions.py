"""Definitions of a user's own, loaded from a Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path

import flint
import numpy as np

from ...derivations import REGISTRY, Definition
from ...derivations.arithmetic.formats import BINARY32
from ...derivations.arithmetic.systems import balls
from ..oracle.rounding import OracleError
from .draw import draw_batch, families
from .products import cotangents
from .truth import evaluate

SIZE = 3  # of every axis of the case at which each formula is tried


def load_definitions(path: Path) -> list[Definition]:
    """Run a Python file that defines functions with ``define``, and give those definitions.

    Each of their formulas is tried at one case, so that a slip in it is told now.  Modules in the
    folder of the file can be imported by it.

    Raises
    ------
    ValueError
        The file raises an exception, defines nothing, or a formula of it does: the message has the
        file, the line and the exception.
    OSError
        The file cannot be read.
    """
    path.read_bytes()  # an error of its own where it is not there
    before = set(REGISTRY)
    name = f"definitions_of_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.absolute())
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: that is no Python file; give one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    if (folder := str(path.absolute().parent)) not in sys.path:
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(_told(path, error)) from error
    own = [definition for name, definition in REGISTRY.items() if name not in before]
    if not own:
        raise ValueError(
            f"{path} defines nothing; write functions with softproof.derivations.define"
        )
    for definition in own:
        definition.declared_in = str(path)
        _try_formulas(path, definition)
    return own


def _try_formulas(path: Path, definition: Definition) -> None:
    """ValueError where a formula fails at a plain case, or its products cannot be asked for."""
    cotangents(definition)
    sizes = dict.fromkeys(definition.signature.axes, SIZE)
    rng = np.random.default_rng(0)
    case = draw_batch(definition, families(definition)[0], BINARY32, sizes, rng).cases[0]
    forms = {"": definition.formula, **definition.forms}
    for name, formula in forms.items():
        of = f"form {name!r} of " if name else ""
        try:
            with flint.ctx.workprec(64):
                evaluate(definition, formula, case, balls())
        except OracleError as error:
            raise ValueError(f"{path}: {of}{definition.name}: {error}") from error
        except Exception as error:
            raise ValueError(f"{of}{definition.name}: {_told(path, error)}") from error


def _told(path: Path, error: BaseException) -> str:
    """The exception, with the last line of the file that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path.absolute())]
    if isinstance(error, SyntaxError) and error.lineno:
        lines.append(error.lineno)
    at = f":{lines[-1]}" if lines else ""
    return f"{path}{at}: {type(error).__name__}: {error}"
