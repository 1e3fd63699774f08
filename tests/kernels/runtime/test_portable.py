"""Other processors give the same bits: the code is compiled for them, and run here.

Vectors are split by LLVM into the registers of the target: 64 bytes (AVX-512), 32 (AVX2) or 16 (any
x86-64). The last has no fused multiply-add: each is a call of the C library, right and slow.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from softproof import kernels

DTYPES = {"float32": np.float32, "float64": np.float64, "float16": np.float16}
DTYPES["bfloat16"] = ml_dtypes.bfloat16

TARGETS = {
    "AVX2": ("haswell", "", "zmm"),
    "any x86-64": ("x86-64", "", "ymm"),
}
"""The processor's name, its features besides, and the registers that it does not have."""

QUICK = ["three_pass_reload", "softmax_vjp", "cross_entropy"]
EVERY = [
    *("three_pass_recompute", "three_pass_reload", "two_pass", "online"),
    *("log_softmax", "logsumexp", "softmax_vjp", "log_softmax_vjp", "log_softmax_jvp"),
    *("cross_entropy", "cross_entropy_with_gradient"),
]

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="runs code for x86-64"
)


def results(names, dtype):
    """The results of these kernels on rows of a few lengths, and with a mask, as a digest each."""
    digests = {name: hashlib.sha256() for name in names}
    for length in (5, 67, 4099):
        rng = np.random.default_rng(length)
        x = (rng.normal(size=(2, length)) * 6).astype(dtype)
        x[1, 1:4] = -np.inf, -80.0, 9.0  # masked; the result may be subnormal
        p, v = abs(x[::-1] / 64).astype(dtype), np.roll(x, 7, axis=1)
        v[1] = v[0]
        p[0] = p[1]
        for name in names:
            function = getattr(kernels, name)
            if name.endswith(("vjp", "jvp")):
                found = (function(-p if "log" in name else p, v, scale=1.25),)
            elif name.startswith("cross"):
                found = function(x, [0, 4], label_smoothing=0.0)
            else:
                found = (function(x, scale=1.25),)
            for array in found if isinstance(found, tuple) else (found,):
                digests[name].update(array.tobytes())
    return {name: digest.hexdigest() for name, digest in digests.items()}


def registers(compiled):
    """Return which kinds of vector registers the machine code uses."""
    return [kind for kind in ("xmm", "ymm", "zmm") if f"%{kind}" in compiled]


def main(dtype, *names):
    """Print what a child process finds: its results, and the registers of all its code."""
    found = results(names, DTYPES[dtype])
    code = "".join(
        assembly
        for name, module in sorted(sys.modules.items())
        if name.startswith("softproof.kernels.")
        for function in vars(module).values()
        if hasattr(function, "inspect_asm") and function.__module__ == name
        for assembly in function.inspect_asm().values()
    )
    print(json.dumps({"results": found, "registers": registers(code)}))


def compare(target, dtype, names, cache):
    cpu, features, absent = TARGETS[target]
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(cache),
    }
    command = [sys.executable, __file__, dtype, *names]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert "xmm" in found["registers"]
    assert absent not in found["registers"]
    assert found["results"] == results(names, DTYPES[dtype])


@pytest.mark.parametrize(("target", "dtype"), [("AVX2", "float32"), ("any x86-64", "float16")])
def test_other_targets_give_the_same_bits(target, dtype, tmp_path):
    compare(target, dtype, QUICK, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_every_kernel_gives_the_same_bits(target, dtype, tmp_path):
    compare(target, dtype, EVERY, tmp_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
