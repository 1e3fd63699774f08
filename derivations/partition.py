"""The partition function along a step, and how near its complex zeros can be.

A step of length t moves the linearised logits of a sample to z_k + a_k t, where a_k is the slope
of logit k along the step.  log-sum-exp, and all that is made from it, is the logarithm of

    F(t) = sum_k exp(z_k + a_k t),                                                           (1)

which has no real zero but complex ones; its Taylor series at t = 0 converges exactly for
|t| < rho, the modulus of the nearest zero (Sao, "Ghosts of Softmax", arXiv 2603.13552, section 4).
``softproof.kernels.radius`` computes these formulas with directed rounding.
"""

from __future__ import annotations

import sympy

T = sympy.Symbol("t")  # complex
DELTA = sympy.Symbol("delta", real=True)  # z_1 - z_2
N = sympy.Symbol("n", integer=True)
SPREAD = sympy.Symbol("Delta", positive=True)  # max_k a_k - min_k a_k
S_HALF = sympy.Symbol("s_half", nonnegative=True)


def slopes(size: int) -> tuple[sympy.Symbol, ...]:
    """The symbols a_1 ... a_K."""
    return tuple(sympy.symbols(f"a_1:{size + 1}", real=True))


def partition_function(size: int) -> sympy.Expr:
    """F(t) = sum_k exp(z_k + a_k t) of K = size classes, equation (1).

    >>> partition_function(2)
    exp(a_1*t + z_1) + exp(a_2*t + z_2)
    """
    z = sympy.symbols(f"z_1:{size + 1}", real=True)
    return sum(sympy.exp(zk + ak * T) for zk, ak in zip(z, slopes(size), strict=True))


def binary_zeros() -> sympy.Expr:
    """All zeros of F for K = 2, one for each integer n, with delta = z_1 - z_2.

    Divided by its first term, which has no zero, F is 1 + e^w with w affine in t: SymPy solves
    1 + e^w = 0 over the complex numbers, then w for t (Sao, Theorem 4.3).

    >>> binary_zeros()
    (delta + I*pi*(2*n + 1))/(-a_1 + a_2)
    """
    total = partition_function(2)
    first = total.args[0]
    (second,) = sympy.powsimp(sympy.expand(total / first) - 1).atoms(sympy.exp)
    w = sympy.Dummy("w")
    roots = sympy.solveset(1 + sympy.exp(w), w, sympy.S.Complexes)
    root = sympy.factor(roots.lamda(N))  # the image of the integers
    (zero,) = sympy.solve(second.exp - root, T)
    z_1, z_2 = sympy.symbols("z_1 z_2", real=True)
    a_1, a_2 = slopes(2)
    numerator = sympy.expand(sympy.cancel(zero * (a_2 - a_1)).subs(z_1, z_2 + DELTA))
    real, imaginary = numerator.as_real_imag()
    return (real + sympy.I * sympy.factor(imaginary)) / (a_2 - a_1)


def binary_radius() -> sympy.Expr:
    """rho for K = 2, exactly: the least modulus of ``binary_zeros``.

    The modulus grows with (2 n + 1)^2, whose least value over the integers is 1, at n = 0 and
    n = -1: a conjugate pair (Sao, Theorem 4.3).

    >>> binary_radius()
    sqrt(delta**2 + pi**2)/Abs(a_1 - a_2)
    """
    a_1, a_2 = slopes(2)
    numerator = binary_zeros() * (a_2 - a_1)
    real, imaginary = numerator.subs(N, 0).as_real_imag()
    return sympy.sqrt(real**2 + imaginary**2) / sympy.Abs(a_1 - a_2)


def spread_bound() -> sympy.Expr:
    """rho >= pi / Delta for any number of classes, Delta = max_k a_k - min_k a_k.

    Proof (Sao, Lemma 4.5 and Theorem 4.6).  Half-plane lemma: complex numbers whose arguments lie
    in an open arc shorter than pi have positive components along its bisector, and so has every sum
    of them; the sum is not 0.  At t = s + iy, term k of F has the argument a_k y (mod 2 pi), and
    these arguments lie in an interval of length Delta |y|.  So |y| < pi / Delta excludes a zero:
    every zero has |t| >= |y| >= pi / Delta.  For K = 2 and z_1 = z_2 it is the exact radius.

    >>> spread_bound()
    pi/Delta
    """
    return sympy.pi / SPREAD


def half_mass_bound() -> sympy.Expr:
    """rho >= sqrt(s_half^2 + (pi / Delta)^2) for any number of classes.

    s_half is the distance from 0, along the real line, to the nearest s where no class holds more
    than half of the mass, max_k softmax(z + a s)_k <= 1/2.

    Proof.  A zero of F at t = s + iy needs max_k softmax(z + a s)_k <= 1/2: where class k holds
    more than half of the mass, the modulus of term k, exp(z_k + a_k s), is greater than the sum of
    the moduli of all others, whatever y, and F(t) != 0.  So every zero has |s| >= s_half, and
    |y| >= pi / Delta by ``spread_bound``.  For K = 2 it is the exact radius: the masses are equal
    at s = delta / (a_2 - a_1), the real part of every zero.

    >>> half_mass_bound()
    sqrt(s_half**2 + pi**2/Delta**2)
    """
    return sympy.sqrt(S_HALF**2 + spread_bound() ** 2)
