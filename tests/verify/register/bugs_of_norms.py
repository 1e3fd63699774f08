"""The reported bugs of norms and of the softmax, one implementation for each, and right ones.

Written from the reports, not from the code that they are about.
"""

import numpy as np

# --- right ---


def mean(x):
    return np.mean(x, axis=-1, keepdims=True, dtype=np.float32 if x.dtype != np.float64 else None)


def wide(x):
    """Numbers of 16 bits in 32."""
    return x if x.dtype == np.float64 else x.astype(np.float32)


def rms_norm(x, gain, eps=1e-6):
    """Scaled by a power of 2 near the largest, and eps with it, so that no square overflows."""
    top = np.max(np.abs(wide(x)), axis=-1, keepdims=True)
    _, exponent = np.frexp(top)
    exponent = np.maximum(exponent, 0)  # eps may not overflow either
    small = np.ldexp(wide(x), -exponent)
    root = np.sqrt(mean(small * small) + np.ldexp(small.dtype.type(eps), -2 * exponent))
    return (small / root * wide(gain)).astype(x.dtype)


def layer_norm(x, gain, bias, eps=1e-5):
    """By two passes."""
    centred = wide(x) - mean(wide(x))
    root = np.sqrt(mean(centred * centred) + centred.dtype.type(eps))
    return (centred / root * wide(gain) + wide(bias)).astype(x.dtype)


def softmax(x, out=None):
    z = x.astype(np.float64)
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    p = (e / np.sum(e, axis=-1, keepdims=True)).astype(x.dtype)
    if out is None:
        return p
    out[...] = p
    return out


# --- broken ---


def variance_by_squares(x, gain, bias, eps=1e-5):
    """E[x^2] - E[x]^2."""
    z = wide(x)
    center = mean(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(mean(z * z) - center * center + z.dtype.type(eps))
        return ((z - center) / root * wide(gain) + wide(bias)).astype(x.dtype)


def variance_by_squares_one_by_one(x, gain, bias, eps=1e-5):
    """The same, summed one by one, which may leave a variance below 0."""
    z = wide(x)
    total, squares = np.zeros_like(z[:, :1]), np.zeros_like(z[:, :1])
    for k in range(z.shape[1]):
        total, squares = total + z[:, k : k + 1], squares + z[:, k : k + 1] ** 2
    n = z.dtype.type(z.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(squares / n - (total / n) ** 2 + z.dtype.type(eps))
        return ((z - total / n) / root * wide(gain) + wide(bias)).astype(x.dtype)


def variance_by_squares_in_one_pass(x, gain, bias, eps=1e-5):
    """The same, multiplied out: x s - mean s."""
    z = wide(x)
    center = mean(z)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / np.sqrt(np.maximum(mean(z * z) - center * center, 0) + z.dtype.type(eps))
        return ((z * scale - center * scale) * wide(gain) + wide(bias)).astype(x.dtype)


def squares_that_overflow(x, gain, eps=1e-6):
    z = wide(x)
    with np.errstate(over="ignore"):
        return (z / np.sqrt(mean(z * z) + z.dtype.type(eps)) * wide(gain)).astype(x.dtype)


def sum_in_the_format(x, gain, eps=1e-6):
    """Squares are wide, their sum is kept in the format."""
    with np.errstate(over="ignore"):
        total = np.sum(wide(x) ** 2, axis=-1, keepdims=True).astype(x.dtype)
    root = np.sqrt(wide(total) / x.shape[-1] + eps)
    return (wide(x) / root * wide(gain)).astype(x.dtype)


def squares_in_the_format(x, gain, eps=1e-6):
    with np.errstate(over="ignore"):
        squares = x * x
    return (wide(x) / np.sqrt(mean(wide(squares)) + eps) * wide(gain)).astype(x.dtype)


def eps_of_scaled_numbers(x, gain, eps=1e-6):
    """Divided by the largest, so that no square overflows; eps is added as it is."""
    z = wide(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = z / np.max(np.abs(z), axis=-1, keepdims=True)
        root = np.sqrt(mean(scaled * scaled) + z.dtype.type(eps))
        return (scaled / root * wide(gain)).astype(x.dtype)


def order_by_the_batch(x, gain, eps=1e-6):
    """Blocks of 8 numbers, from 256 rows on of 16: summed one block after the other."""
    z = wide(x)
    width, total = 16 if len(z) >= 256 else 8, np.zeros_like(z[:, :1])
    for start in range(0, z.shape[1], width):
        part = z[:, start : start + width]
        total = total + np.sum(part * part, axis=-1, keepdims=True)
    root = np.sqrt(total / z.dtype.type(z.shape[1]) + z.dtype.type(eps))
    return (z / root * wide(gain)).astype(x.dtype)


def adds_to_the_buffer(x, out=None):
    """The result is 0 times the old output more."""
    p = softmax(x)
    if out is None:
        return p
    out[...] = p + x.dtype.type(0) * out
    return out


def padded_with_zeros(x):
    """Rows are filled up with logits 0 to a multiple of 4."""
    padded = np.concatenate([x, np.zeros((len(x), -x.shape[1] % 4), x.dtype)], axis=1)
    return softmax(padded)[:, : x.shape[1]]
