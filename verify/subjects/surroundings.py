"""What arithmetic depends on beside its operands, and whose it is: rounding, subnormals, errors.

The floating-point environment of a thread (its rounding, whether the processor takes subnormal
numbers for 0, whether it traps) and NumPy's handling of errors belong to everybody in the process.
A subject runs under what its own module has made of them; all else runs under the default.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NEAREST = "to nearest"
# Where <fenv.h> keeps the register that counts, as (name, offset in bytes, bits that take
# subnormal numbers for 0, the lowest bit of the rounding mode, the modes, mask of the traps).
_REGISTERS = {
    "x86_64": ("MXCSR", 28, 0x8040, 13, (NEAREST, "down", "up", "towards 0"), 0x1F80),
    "aarch64": ("FPCR", 0, 1 << 24, 22, (NEAREST, "up", "down", "towards 0"), 0x9F00),
}
_TRAPS_WHERE_CLEAR = "x86_64"  # its bits mask the exceptions; elsewhere they enable them
_DEFAULT_ENVIRONMENT = ctypes.c_void_p(-1)  # FE_DFL_ENV


@functools.cache
def _libm() -> Any:
    """The C library's functions on the environment; None where their memory is not known here."""
    if sys.platform != "linux" or platform.machine() not in _REGISTERS:
        return None
    try:
        return ctypes.CDLL("libm.so.6")
    except OSError:
        return None


@dataclass(frozen=True)
class FloatingPoint:
    """The floating-point environment of a thread.

    * ``flushes``: whether the processor takes subnormal numbers for 0.
    * ``rounding``: to nearest, down, up, or towards 0.
    * ``traps``: whether an exception such as a division by 0 is a signal.
    * ``register``: the control register in words, where it is known.
    """

    flushes: bool = False
    rounding: str = NEAREST
    traps: bool = False
    register: str = field(default="", compare=False)
    _memory: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def current(cls) -> FloatingPoint:
        """That of this thread, now."""
        libm = _libm()
        if libm is None:
            tiny = np.full(1, np.finfo(np.float64).smallest_subnormal)
            return cls(flushes=bool((tiny * 1.0)[0] == 0))
        memory = ctypes.create_string_buffer(64)
        libm.fegetenv(memory)
        return cls._read(memory.raw)

    @classmethod
    @functools.lru_cache(maxsize=64)  # it is looked at before and after every call
    def _read(cls, memory: bytes) -> FloatingPoint:
        """The environment that the C library keeps so."""
        name, at, flush, low, modes, mask = _REGISTERS[platform.machine()]
        bits = int.from_bytes(memory[at : at + 4], "little")
        enabled = ~bits & mask if platform.machine() == _TRAPS_WHERE_CLEAR else bits & mask
        return cls(
            flushes=bool(bits & flush),
            rounding=modes[bits >> low & 3],
            traps=bool(enabled),
            register=f"{name} {bits:#x}",
            _memory=memory,
        )

    def set(self) -> None:
        """Make it that of this thread; does nothing where we do not know how."""
        libm = _libm()
        if libm is not None:
            libm.fesetenv(self._memory if self._memory is not None else _DEFAULT_ENVIRONMENT)

    def offences(self, *, may_flush: bool) -> str:
        """What of it makes results wrong, in words; "" where nothing does."""
        found = []
        if self.flushes and not may_flush:
            found.append("takes subnormal numbers for 0")
        if self.rounding != NEAREST:
            found.append(f"rounds {self.rounding}")
        if self.traps:
            found.append("makes a signal of a floating-point exception")
        return " and ".join(found)


DEFAULT = FloatingPoint()
ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # NumPy's default


def _errors() -> dict[str, str]:
    """How NumPy handles errors now."""
    return {name: str(what) for name, what in np.geterr().items()}


@contextlib.contextmanager
def our_own() -> Iterator[None]:
    """Run under the default, whatever a library has set; what was set is there again afterwards."""
    theirs = FloatingPoint.current()
    DEFAULT.set()
    try:
        with np.errstate(**ERRORS):  # type: ignore[arg-type]
            yield
    finally:
        theirs.set()


class Surroundings:
    """What the functions of one module run under: what the module has set, when it is imported.

    Or in its first call, as libraries do that start up late.  What a later call changes is undone,
    so that no result depends on which calls came before.
    """

    def __init__(self) -> None:
        """What there is now."""
        self._floating_point = FloatingPoint.current()
        self._errors = _errors()
        self._set_when = "before it was called" if self._floating_point != DEFAULT else ""
        self._called = False
        self._found = self._floating_point

    @contextlib.contextmanager
    def of_an_import(self) -> Iterator[None]:
        """Import a module under what there is, and take what it makes of that."""
        before, errors = FloatingPoint.current(), _errors()
        try:
            yield
        finally:
            self._adopt(FloatingPoint.current(), _errors(), "when it is imported")
            before.set()
            np.seterr(**errors)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def of_a_call(self) -> Iterator[None]:
        """Call a function of the module."""
        ours = FloatingPoint.current()
        with np.errstate(**self._errors):  # type: ignore[arg-type]
            self._floating_point.set()
            try:
                yield
            finally:
                self._found, errors = FloatingPoint.current(), _errors()
                ours.set()
                if not self._called:
                    self._called = True
                    self._adopt(self._found, errors, "in its first call")

    def _adopt(self, found: FloatingPoint, errors: dict[str, str], when: str) -> None:
        if found != self._floating_point:
            self._floating_point, self._set_when = found, when
        self._errors = errors

    def offences(self, *, may_flush: bool) -> str:
        """What the last call ran under, or left, that makes results wrong; "" for nothing."""
        for found, when in (
            (self._floating_point, self._set_when),
            (self._found, "in this call"),
        ):
            if words := found.offences(may_flush=may_flush):
                register = f": {found.register}" if found.register else ""
                declare = found.flushes and not may_flush
                more = "; declare flush_to_zero=yes where that is meant" if declare else ""
                return f"the processor {words} (set {when}{register}){more}"
        return ""

    @property
    def errors(self) -> str:
        """Which errors of NumPy are exceptions here, as ``np.seterr`` takes them; "" for none."""
        raised = [f"{name}='raise'" for name, what in self._errors.items() if what == "raise"]
        return f"np.seterr({', '.join(raised)})" if raised else ""
