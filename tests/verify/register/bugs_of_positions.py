"""The reported bugs of rotary embeddings, one implementation for each, and a right one.

Written from the reports, not from the code that they are about.
"""

import ml_dtypes
import numpy as np


def rotated(x, angles):
    one, other = np.split(x.astype(np.float64), 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    turned = [one * cos - other * sin, other * cos + one * sin]
    return np.concatenate(turned, axis=-1).astype(x.dtype)


def frequencies(x, base):
    size = x.shape[-1]
    return float(base) ** (-np.arange(0, size, 2) / size)


# --- right ---


def rope(x, position, base=10000.0):
    return rotated(x, position[:, None] * frequencies(x, base))


# --- broken ---


def angles_in_half(x, position, base=10000.0):
    angles = position.astype(np.float16)[:, None] * frequencies(x, base).astype(np.float16)
    return rotated(x, angles.astype(np.float64))


def positions_of_11_bits(x, position, base=10000.0):
    mantissa, exponent = np.frexp(position.astype(np.float64))
    rounded = np.ldexp(np.round(np.ldexp(mantissa, 11)), exponent - 11)
    return rotated(x, rounded[:, None] * frequencies(x, base))


def positions_in_bfloat16(x, position, base=10000.0):
    rounded = position.astype(ml_dtypes.bfloat16).astype(np.float64)
    return rotated(x, rounded[:, None] * frequencies(x, base))
