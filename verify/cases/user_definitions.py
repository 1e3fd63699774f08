"""Definitions of a user's own, loaded from a Python file or an installed module."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import flint
import numpy as np

from ...derivations import REGISTRY, Definition
from ...derivations.arithmetic.formats import BINARY32
from ...derivations.arithmetic.systems import balls, big_floats
from ...derivations.choices import chooses, given_choice
from ...derivations.definition import Formula
from ...derivations.proofs.time_limit import OutOfTime, time_limit
from ...derivations.running_error import Model, RunningErrorArithmetic
from ..oracle.rounding import OracleError
from .case import Case
from .choices import at_exact_choice
from .draw import draw_batch, families
from .products import cotangents
from .text import to_text
from .truth import evaluate

SIZES = (3, 1)  # of every axis of the cases at which each formula is tried
BITS = 64  # of balls and big floats there
MOST_SECONDS = 60.0  # for the file, and for each formula at these cases
ADVICE = "a formula takes axes of every size, and computes with xp alone"


class DefinitionError(ValueError):
    """A formula of a user's definition raises an exception."""


def load_definitions(path: Path) -> list[Definition]:
    """Run a Python file, or a module, that defines functions with ``define``, and give those.

    Each of their formulas is tried at small plain cases in every arithmetic of a run, so that a
    slip in it is told now.  Modules in the folder of the file can be imported by it.

    Parameters
    ----------
    path
        The file; where there is none, the name of a module that can be imported, such as
        ``losses.of_mine``.

    Returns
    -------
    list of Definition
        Those that it registers, in their order; at least one.

    Raises
    ------
    ValueError
        The file raises an exception, takes longer than MOST_SECONDS, or defines nothing; or a
        formula of it raises, takes so long, gives what are no numbers, or has no value at plain
        cases: the message has the file, the line and the reason.
    OSError
        The file cannot be read.
    """
    if not path.exists() and path.name in sys.modules:
        return [
            definition for definition in REGISTRY.values() if definition.declared_in == path.name
        ]
    file = source_file(str(path))
    before = set(REGISTRY)
    if file == path:
        spec = importlib.util.spec_from_file_location(
            f"definitions_of_{path.stem}", path.absolute()
        )
        if spec is None or spec.loader is None:
            raise ValueError(f"{path}: that is no Python file; give one that ends in .py")
        module = importlib.util.module_from_spec(spec)
        if (folder := str(path.absolute().parent)) not in sys.path:
            sys.path.insert(0, folder)
        with _slips_told(path, "the file"):
            spec.loader.exec_module(module)
    else:
        with _slips_told(file, "the file"):
            importlib.import_module(str(path))
    own = [definition for name, definition in REGISTRY.items() if name not in before]
    if not own:
        raise ValueError(
            f"{path} defines nothing; write functions with softproof.derivations.define"
        )
    for definition in own:
        definition.declared_in = str(path)
        _try_formulas(file, definition)
    return own


def source_file(declared_in: str) -> Path:
    """The file that definitions are read from.

    Parameters
    ----------
    declared_in
        Its path; where there is no such file, the name of a module that can be imported.

    Returns
    -------
    Path
        The file; a path that is one is left as it is.

    Raises
    ------
    OSError
        There is no such file, nor such a module.

    >>> source_file("softproof.derivations.catalogue.distributions.softmax").name
    'softmax.py'
    """
    path = Path(declared_in)
    if not path.exists() and all(part.isidentifier() for part in declared_in.split(".")):
        with contextlib.suppress(ImportError):  # a package that it would stand in is none
            spec = importlib.util.find_spec(declared_in)
            if spec is not None and spec.origin is not None:
                return Path(spec.origin)
    path.read_bytes()  # an error of its own where it is not there
    return path


@contextlib.contextmanager
def _slips_told(path: Path, what: str, advice: str = "") -> Iterator[None]:
    """Raise what a user's code raises, or that it takes too long, as a ValueError with its line.

    A Ctrl-C of the user and an OracleError pass through.
    """
    of = "" if what == "the file" else f"{what}: "
    after = f"; {advice}" if advice else ""
    with _interrupts_counted() as interrupts:
        try:
            with time_limit(MOST_SECONDS):
                yield
        except OracleError:
            raise
        except OutOfTime as error:
            at = _told(path, error).partition(": OutOfTime")[0]
            raise ValueError(
                f"{of}{at}: {what} takes more than {MOST_SECONDS:g} s; does it loop for ever?"
            ) from None
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if interrupts:
                raise
            raise ValueError(f"{of}{_told(path, error)}{after}") from error


@contextlib.contextmanager
def _interrupts_counted() -> Iterator[list[int]]:
    """How often Ctrl-C was pressed: user code may raise KeyboardInterrupt by itself."""
    pressed: list[int] = []

    def note(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield pressed
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def errors_of_definitions() -> Iterator[None]:
    """Raise what a formula of a user's definition raises as an error that names file and line.

    Other exceptions pass through: they are no slip of the user.

    Raises
    ------
    DefinitionError
        An exception passed through the file of a definition of the user.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        passed = {frame.filename for frame in traceback.extract_tb(error.__traceback__)}
        for definition in REGISTRY.values():
            if not definition.declared_in:
                continue
            path = source_file(definition.declared_in)
            if str(path.absolute()) in passed:
                raise DefinitionError(f"{_told(path, error)}; {ADVICE}") from error
        raise


def _try_formulas(path: Path, definition: Definition) -> None:
    """ValueError where a formula fails at plain cases, or has no value at any of them.

    So where its products cannot be asked for.
    """
    cotangents(definition)
    cases = [_plain_case(definition, size) for size in SIZES]
    if chooses(definition):
        try:
            with _slips_told(path, definition.name, ADVICE):
                cases = [at_exact_choice(definition, case)[1] for case in cases]
        except OracleError as error:
            raise ValueError(f"{path}: {definition.name}: {error}") from error
        definition = given_choice(definition)
    forms = {"": definition.formula, **definition.forms}
    for name, formula in forms.items():
        of = f"form {name!r} of " if name else ""
        try:
            with _slips_told(path, f"{of}{definition.name}", ADVICE):
                values = [x for case in cases for x in _tried(definition, formula, case)]
        except OracleError as error:
            raise ValueError(f"{path}: {of}{definition.name}: {error}") from error
        if values and not any(x.is_finite() or x > 0 or x < 0 for x in values):
            at = "; ".join(to_text(definition, cases[0]).splitlines()[1:])
            raise ValueError(
                f"{path}: {of}{definition.name} has no value, as at {at}; correct the formula, or "
                "declare the domain of each argument by its lower and upper end"
            )


def _plain_case(definition: Definition, size: int) -> Case:
    sizes = dict.fromkeys(definition.signature.axes, size)
    rng = np.random.default_rng(0)
    return draw_batch(definition, families(definition)[0], BINARY32, sizes, rng).cases[0]


def _tried(definition: Definition, formula: Formula, case: Case) -> list[flint.arb]:
    """The values of a formula in balls, once it was evaluated in all arithmetics of a run.

    OracleError where a value is no number of the arithmetic.
    """
    with flint.ctx.workprec(BITS):
        found: list[flint.arb] = evaluate(definition, formula, case, balls()).tolist()
    for x in found:
        if not isinstance(x, flint.arb):
            raise OracleError(
                f"the formula of {definition.name} gives {x!r}, of the type {type(x).__name__}; "
                "give numbers of xp, such as xp.number(1)"
            )
    with np.errstate(all="ignore"):
        with contextlib.suppress(ZeroDivisionError):  # where the function has no value
            evaluate(definition, formula, case, big_floats(BITS))
        evaluate(definition, formula, case, RunningErrorArithmetic(Model.of(BINARY32)))
    return found


def _told(path: Path, error: BaseException) -> str:
    """The exception, with the last line of the file that it passed through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path.absolute())]
    if isinstance(error, SyntaxError) and error.lineno:
        lines.append(error.lineno)
    at = f":{lines[-1]}" if lines else ""
    return f"{path}{at}: {type(error).__name__}: {error}"
