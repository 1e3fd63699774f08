"""binary16 is read and written right, by the processor and, where it cannot, in integers."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from softproof.kernels.arithmetic.simd import keep_alive, lanes, load, pointer, store


@numba.njit(error_model="numpy")
def convert(x, y):
    p, q = pointer(x), pointer(y)
    for i in range(0, x.size, lanes(p)):
        store(q, i, load(p, i))
    keep_alive(x)
    keep_alive(y)


def check():
    """Every binary16 to float32; float32 on, beside and half way between them, and any, back."""
    every = np.arange(1 << 16, dtype=np.uint16)
    exact = every.view(np.float16).astype(np.float32)
    wide = np.zeros(1 << 16, np.float32)
    convert(every.view(np.int16), wide)
    np.testing.assert_array_equal(wide, exact)
    np.testing.assert_array_equal(np.signbit(wide), np.signbit(exact))
    steps = np.arange(-4, 5, dtype=np.int64) * 0x800
    near = (exact.view(np.uint32)[:, np.newaxis] + steps).ravel()
    subnormal = np.arange(0x33000000 - 4096, 0x38900000, 61, dtype=np.int64)
    other = np.random.default_rng(0).integers(0, 1 << 32, 1 << 20)
    bits = np.concatenate([near, near + 1, near - 1, subnormal, other]).astype(np.uint32)
    numbers = np.resize(bits, -(-bits.size // 16) * 16).view(np.float32)
    narrow = np.zeros(numbers.size, np.int16)
    convert(numbers, narrow)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = numbers.astype(np.float16)
    np.testing.assert_array_equal(narrow.view(np.float16), expected)
    defined = ~np.isnan(expected)
    signs = np.signbit(narrow.view(np.float16)), np.signbit(expected)
    np.testing.assert_array_equal(signs[0][defined], signs[1][defined])


@pytest.mark.parametrize("processor", ["host", "x86-64"])
def test_binary16(processor, tmp_path):
    if processor == "host":
        check()
        return
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    child = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True
    )
    if "not a recognized processor" in child.stderr:
        pytest.skip("this is no x86-64")
    assert child.returncode == 0, child.stderr


if __name__ == "__main__":
    check()
