"""The primitives of `kernels.simd` on NumPy vectors, under a model of a cache that counts.

`kernels()` gives the package once more, uncompiled, over these: the same algorithms, but it is
known which lines of memory each of them moves. For float32, without 16-bit numbers. A fused
multiplication goes through float64, where the product of two float32 is exact: rounding its sum
twice differs from once only if the first falls on a tie of the second, one time in 2^29.
"""

import contextlib
import functools
import importlib
import sys
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType, SimpleNamespace
from unittest import mock

import numpy as np
import softproof.kernels

LINE = 64


@dataclass
class Traffic:
    """What moved between the cache and one array in memory, in lines."""

    reads: float = 0
    owned: float = 0  # read because a part of them is to be written: what streaming saves
    writes: float = 0
    ahead: float = 0  # prefetched from behind the end of the array

    def __iter__(self):
        return iter((self.reads, self.owned, self.writes, self.ahead))

    def __add__(self, other):
        return Traffic(*map(sum, zip(self, other, strict=True)))

    def times(self, factor):
        return Traffic(*(count * factor for count in self))


class Cache:
    """Write-back, fully associative, the line given up is the one not used for longest.

    Prefetching moves nothing here, for the load that follows is what counts: what is asked for
    ahead comes into a larger cache (locality 2), and earlier, but no less.
    """

    def __init__(self, size):
        self.capacity = size // LINE
        self.lines = {}  # line: the array that was written in it, or None; longest unused first
        self.traffic = defaultdict(Traffic)  # of the array that begins at each address

    def touch(self, array, address, size, *, writes):
        traffic = self.traffic[array]
        for line in range(address // LINE, (address + size - 1) // LINE + 1):
            dirty = self.lines.pop(line, "absent")
            if dirty == "absent":
                traffic.reads += not writes
                traffic.owned += writes
                dirty = None
            self.lines[line] = array if writes else dirty
            if len(self.lines) > self.capacity:
                self.give_up(next(iter(self.lines)))

    def stream(self, array, address):
        self.lines.pop(address // LINE, None)
        self.traffic[array].writes += 1

    def give_up(self, line):
        dirty = self.lines.pop(line)
        if dirty is not None:
            self.traffic[dirty].writes += 1


cache = Cache(0)


@contextlib.contextmanager
def counting(size):
    """Count with an empty cache of so many bytes; gives the traffic by the address of arrays."""
    global cache
    cache = Cache(size)
    with np.errstate(all="ignore"):
        yield cache.traffic
    for line in list(cache.lines):
        cache.give_up(line)


# --- types ---


@dataclass(frozen=True)
class Vector:
    dtype: type
    lanes: int


FLOAT32, FLOAT64 = Vector(np.float32, 16), Vector(np.float64, 8)
VECTOR = {np.dtype(np.float32): FLOAT32, np.dtype(np.float64): FLOAT64}
DOWN_EXPONENT = {FLOAT32: 120, FLOAT64: 300}


class Pointer:
    """Elements of an array from one on. Its own type, too, of which only `dtype` is asked."""

    def __init__(self, array, start, origin):
        self.array, self.start, self.origin = array, start, origin
        self.dtype, self.size = array.dtype, array.itemsize

    def address(self, i):
        return self.origin + (self.start + i) * self.size

    def move(self, i, count, *, writes):
        """The slice of these elements, which must exist; counted."""
        at = self.start + i
        assert 0 <= at <= at + count <= self.array.size, "outside of the array"
        cache.touch(self.origin, self.address(i), count * self.size, writes=writes)
        return slice(at, at + count)


def typeof(value):
    if isinstance(value, np.ndarray):
        return VECTOR[value.dtype]
    return value if isinstance(value, Pointer) else SimpleNamespace(instance_class=type(value))


# --- memory ---


def nothing(*array):
    pass


keep_alive = fence = nothing


def pointer(array):
    if array is None:
        return None
    return Pointer(array.reshape(-1), 0, array.ctypes.data)


def offset(p, i):
    if p is None:
        return None
    return Pointer(p.array, p.start + i, p.origin)


def load_scalar(p, i):
    return np.float64(p.array[p.move(i, 1, writes=False)][0])


def store_scalar(p, i, x):
    p.array[p.move(i, 1, writes=True)] = x


def lanes(p):
    return VECTOR[p.dtype].lanes


def elements_to_alignment(p):
    return -p.address(0) % LINE // p.size


def load(p, i):
    return p.array[p.move(i, lanes(p), writes=False)].copy()


def load_masked(p, i, count, rest):
    v = broadcast(p, rest)
    v[:count] = p.array[p.move(i, count, writes=False)]
    return v


def store(p, i, v):
    p.array[p.move(i, lanes(p), writes=True)] = v


def store_masked(p, i, v, count):
    p.array[p.move(i, count, writes=True)] = v[:count]


def store_lane0(p, i, v):
    store_masked(p, i, v, 1)


def store_stream(p, i, v):
    assert p.address(i) % LINE == 0, "not aligned"
    cache.stream(p.origin, p.address(i))
    p.array[p.start + i : p.start + i + lanes(p)] = v


def prefetch(p, i):
    cache.traffic[p.origin].ahead += p.start + i >= p.array.size


# --- arithmetic ---


def broadcast(like, x):
    return np.full(lanes(like), x, like.dtype)


def fma(a, b, c):
    if isinstance(a, np.ndarray):
        assert a.dtype == np.float32
        return (a.astype(np.float64) * b + c).astype(np.float32)
    return np.float64(float(Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))))


def vmax(a, b):
    return np.where(a > b, a, b)


def vmin(a, b):
    return np.where(a > b, b, a)


def scaled(v, k):
    return (v.view(np.int32) + (k.view(np.int32) << 23)).view(np.float32)


def scale_down_normal(v):
    return (v.view(np.int32) - (DOWN_EXPONENT[FLOAT32] << 23)).view(np.float32)


def scale_down(v):
    return v * np.float32(2.0 ** -DOWN_EXPONENT[FLOAT32])


def where_nan(a, b):
    return np.isnan(a) | np.isnan(b)


def low_half(v):
    return v[:8].astype(np.float64)


def high_half(v):
    return v[8:].astype(np.float64)


def extract_lane0(v):
    return np.float64(v[0])


mask_or, below, select, any_lane, count_lanes = np.logical_or, np.less, np.where, np.any, np.sum


def not_below(a, b):
    return ~(a < b)


def insert_lane(v, lane, x):
    return np.where(np.arange(len(v)) == lane, v.dtype.type(x), v)


rotate_8, rotate_4, rotate_2, rotate_1 = (
    functools.partial(np.roll, shift=-lanes) for lanes in (8, 4, 2, 1)
)


# --- the package over these ---


def _plain(function):
    function.py_func = function
    return function


def _overload(function, **options):
    """As numba's: what is decorated picks, by the types, the code that `function` stands for."""

    def chosen_by_types(pick):
        def run(*arguments):
            return pick(*map(typeof, arguments))(*arguments)

        setattr(sys.modules[function.__module__], function.__name__, run)
        return pick

    return chosen_by_types


def kernels(*names):
    """The modules of these names, of a copy of the package that is not compiled."""
    package = ModuleType("counted_kernels")
    package.__path__ = list(softproof.kernels.__path__)
    jit = ModuleType("counted_kernels.runtime.jit")
    jit.jit = jit.inline = _plain
    ours = {"counted_kernels": package, "counted_kernels.runtime.jit": jit}
    ours["counted_kernels.arithmetic.simd"] = sys.modules[__name__]
    with mock.patch.dict(sys.modules, ours), mock.patch("numba.extending.overload", _overload):
        return [importlib.import_module(f"counted_kernels.{name}") for name in names]
