"""Subjects that misbehave beyond wrong numbers, each where a logit exceeds 100."""

import ctypes
import os
import sys
import time

import numpy as np


def _softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=-1, keepdims=True)


def _provoked(x):
    return bool((x > 100).any())


def softmax_segfaults(x):
    if _provoked(x):
        ctypes.string_at(0)
    return _softmax(x)


def softmax_aborts(x):
    if _provoked(x):
        os.write(2, b"internal error 42\n")
        os.abort()
    return _softmax(x)


def softmax_exits(x):
    if _provoked(x):
        os._exit(7)
    return _softmax(x)


def softmax_interrupts(x):
    if _provoked(x):
        raise KeyboardInterrupt
    return _softmax(x)


def softmax_hangs(x):
    if _provoked(x):
        time.sleep(600)
    return _softmax(x)


def softmax_hoards(x):
    if _provoked(x):
        hoard = []
        while True:
            hoard.append(np.ones(2**22))
    return _softmax(x)


def softmax_writes_into_its_input(x):
    if _provoked(x):
        x -= x.max(axis=-1, keepdims=True)
    return _softmax(x)


def softmax_of_another_shape(x):
    return _softmax(x)[..., None] if _provoked(x) else _softmax(x)


def softmax_of_another_dtype(x):
    return _softmax(x).astype(np.float64) if _provoked(x) else _softmax(x)


_calls = 0


def softmax_of_the_day(x):
    global _calls
    _calls += 1
    return _softmax(x) * x.dtype.type(1 + _calls % 2 * 1e-7) if _provoked(x) else _softmax(x)


def softmax_chatters(x):
    print("noise on stdout")
    os.write(1, b"noise below Python\n")
    print("noise on stderr", file=sys.stderr)
    return _softmax(x)


def softmax_dies_always(x):
    os._exit(1)


def softmax_flushes_from_now_on(x):
    """As a library does that was compiled with -ffast-math, when it is loaded."""
    if _provoked(x):
        environment = ctypes.create_string_buffer(64)
        libm = ctypes.CDLL("libm.so.6")
        libm.fegetenv(environment)
        mxcsr = int.from_bytes(environment[28:32], "little") | 0x8040  # FTZ, DAZ
        environment[28:32] = mxcsr.to_bytes(4, "little")
        libm.fesetenv(environment)
    return _softmax(x)


_kept = []


def softmax_leaks(x):
    if _provoked(x):
        _kept.append(np.ones(2**22))
    return _softmax(x)


def softmax_forks(x):
    if _provoked(x):
        os.fork()  # and returns twice
    return _softmax(x)


class SoftmaxOfAClass:
    def __init__(self, x):
        self.x = x


def softmax_crashes_on_nan(x):
    if np.isnan(x).any() or np.isposinf(x).any():
        os.abort()
    return _softmax(x)
