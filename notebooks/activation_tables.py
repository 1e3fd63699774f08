"""Make kernels/activations/tables.py: Chebyshev coefficients of the Gaussian tails.

    python notebooks/activation_tables.py > kernels/activations/tables.py

Every series interpolates at NODES Chebyshev points with 50 digits and is cut where the rest adds
up to less than 2^-60 of the first coefficient.  The test of the kernels makes the tables anew and
compares them.
"""

from collections.abc import Callable, Sequence

import mpmath

MP = mpmath.MPContext()
MP.dps = 50
NODES = 72
HALF = MP.mpf(1) / 2

Function = Callable[[mpmath.mpf], mpmath.mpf]


def normal_tail(t):
    """e^(t^2/2) Phi(-t)."""
    return MP.exp(t**2 / 2) * MP.erfc(t / MP.sqrt(2)) / 2


def ria_tail(t):
    """e^(t^2/2) (phi(t) - t Phi(-t))."""
    return 1 / MP.sqrt(2 * MP.pi) - t * normal_tail(t)


def rsqrt(x):
    """G(x) = e^(-x^2/4) D_{-1/2}(-x) / sqrt(2)."""
    return MP.exp(-(x**2) / 4) * MP.pcfd(-HALF, -x) / MP.sqrt(2)


def rsqrt_slope(x):
    """G'(x) = e^(-x^2/4) D_{1/2}(-x) / sqrt(2)."""
    return MP.exp(-(x**2) / 4) * MP.pcfd(HALF, -x) / MP.sqrt(2)


ZERO = MP.findroot(rsqrt_slope, 0.765)
ZERO_HIGH = float(ZERO)
ZERO_LOW = float(ZERO - ZERO_HIGH)


def series(function: Function) -> list[mpmath.mpf]:
    """Chebyshev coefficients c_0 / 2, c_1, c_2 ... of a function on [-1, 1]."""
    angles = [MP.pi * (j + HALF) / NODES for j in range(NODES)]
    values = [function(MP.cos(a)) for a in angles]
    c = [
        2 * MP.fsum(v * MP.cos(i * a) for v, a in zip(values, angles, strict=True)) / NODES
        for i in range(NODES)
    ]
    c[0] /= 2
    kept = NODES
    while MP.fsum(abs(v) for v in c[kept - 1 :]) < MP.mpf(2) ** -60 * abs(c[0]):
        kept -= 1
    return c[:kept]


def on_half_line(function: Function) -> list[mpmath.mpf]:
    """In y = (t - 2) / (t + 2), which maps [0, inf) to [-1, 1); the nodes avoid y = 1."""
    return series(lambda y: function(2 * (1 + y) / (1 - y)))


def on_pieces(function: Function) -> list[list[mpmath.mpf]]:
    """On the six sixths of [0, 9], padded to one length."""
    middles = [1.5 * k + 0.75 for k in range(6)]
    pieces = [series(lambda y, m=m: function(m + 0.75 * y)) for m in middles]
    length = max(map(len, pieces))
    return [p + [MP.mpf(0)] * (length - len(p)) for p in pieces]


def on_tail(function: Function) -> list[mpmath.mpf]:
    """On [9, inf), in y = 2 (9 / x)^2 - 1."""
    return series(lambda y: function(9 / MP.sqrt((1 + y) / 2)))


TABLES: dict[str, tuple[str, Callable[[], Sequence]]] = {
    "NORMAL_TAIL": (
        "(t + 3/4) e^(t^2/2) Phi(-t)",
        lambda: on_half_line(lambda t: (t + 0.75) * normal_tail(t)),
    ),
    "RIA_TAIL": (
        "(t + 1)^2 e^(t^2/2) (phi(t) - t Phi(-t))",
        lambda: on_half_line(lambda t: (t + 1) ** 2 * ria_tail(t)),
    ),
    "RSQRT_TAIL": (
        "sqrt(t + 11/16) e^(t^2/2) G(-t)",
        lambda: on_half_line(lambda t: MP.sqrt(t + 0.6875) * MP.exp(t**2 / 2) * rsqrt(-t)),
    ),
    "RSQRT_SLOPE_TAIL": (
        "e^(t^2/2) G'(-t) / sqrt(t + 2)",
        lambda: on_half_line(lambda t: MP.exp(t**2 / 2) * rsqrt_slope(-t) / MP.sqrt(t + 2)),
    ),
    "RSQRT_PIECES": ("G(x)", lambda: on_pieces(rsqrt)),
    "RSQRT_SLOPE_PIECES": (
        "G'(x) / (x - zero)",
        lambda: on_pieces(lambda x: rsqrt_slope(x) / (x - ZERO)),
    ),
    "RSQRT_FAR": ("sqrt(x) G(x)", lambda: on_tail(lambda x: MP.sqrt(x) * rsqrt(x))),
    "RSQRT_SLOPE_FAR": (
        "x^(3/2) G'(x)",
        lambda: on_tail(lambda x: x * MP.sqrt(x) * rsqrt_slope(x)),
    ),
}

HEAD = '''"""Chebyshev coefficients for `activations`, made by notebooks/activation_tables.py.

G(x) = e^(-x^2/4) D_{-1/2}(-x) / sqrt(2).  A series is sum_i c_i T_i(y).  Tails: y = (t - 2)/(t + 2)
on t >= 0.  Pieces: [0, 3/2] ... [15/2, 9], one row each.  Far: y = 2 (9/x)^2 - 1 on x >= 9.
"""

import numpy as np
'''


def array(values: Sequence) -> str:
    if isinstance(values[0], list):
        return f"[{', '.join(map(array, values))}]"
    return f"[{', '.join(repr(float(v)) for v in values)}]"


def main() -> None:
    print(HEAD)
    print("# The zero of G' in two parts.")
    print(f"RSQRT_SLOPE_ZERO = {ZERO_HIGH!r}\nRSQRT_SLOPE_ZERO_LOW = {ZERO_LOW!r}")
    for name, (text, make) in TABLES.items():
        print(f"\n# {text}\n{name} = np.array({array(make())})")


if __name__ == "__main__":
    main()
