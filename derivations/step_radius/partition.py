"""The partition function along a step, and how near its complex zeros can be.

A step of length t moves the linearised logits of a sample to z_k + a_k t, where a_k is the slope
of logit k along the step.  log-sum-exp, and all that is made from it, is the logarithm of

    F(t) = sum_k exp(z_k + a_k t),                                                           (1)

which has no real zero but complex ones; its Taylor series at t = 0 converges exactly for
|t| < rho, the modulus of the nearest zero (Sao, "Ghosts of Softmax", arXiv 2603.13552, section 4).
``softproof.kernels.step_radius.radius`` computes these formulas with directed rounding, and
``softproof.derivations.step_radius.series`` estimates rho from the Taylor coefficients.
"""

from __future__ import annotations

import sympy

T = sympy.Symbol("t")  # complex
DELTA = sympy.Symbol("delta", real=True)  # z_1 - z_2
N = sympy.Symbol("n", integer=True)
SPREAD = sympy.Symbol("Delta", positive=True)  # max_k a_k - min_k a_k
S, Y = sympy.symbols("s y", real=True)  # t = s + i y
S_HALF = sympy.Symbol("s_half", nonnegative=True)
VARIANCE = sympy.Symbol("V", positive=True)  # of the slopes a_k under softmax(z + a s)
TEMPERATURE = sympy.Symbol("T", positive=True)
# Differences of class 1 and class 2: of the slopes, and of the curvatures b_k in a_k t + b_k t^2.
ALPHA, BETA = sympy.symbols("alpha beta", real=True, nonzero=True)


def logits(size: int) -> tuple[sympy.Symbol, ...]:
    """The logits as the symbols z_1 ... z_K.

    Parameters
    ----------
    size
        K, the number of classes.

    Returns
    -------
    tuple of Symbol
        One real symbol for each class.
    """
    return tuple(sympy.symbols(f"z_1:{size + 1}", real=True))


def slopes(size: int) -> tuple[sympy.Symbol, ...]:
    """The slopes of the logits along the step as the symbols a_1 ... a_K.

    Parameters
    ----------
    size
        K, the number of classes.

    Returns
    -------
    tuple of Symbol
        One real symbol for each class.
    """
    return tuple(sympy.symbols(f"a_1:{size + 1}", real=True))


def moments(order: int) -> tuple[sympy.Symbol, ...]:
    """The moments of the slopes, m_j = sum_k p_k a_k^j with p = softmax(z), as symbols m_1 ... m_n.

    Parameters
    ----------
    order
        n, the highest order.

    Returns
    -------
    tuple of Symbol
        One real symbol for each order.
    """
    return tuple(sympy.symbols(f"m_1:{order + 1}", real=True))


def partition_function(size: int) -> sympy.Expr:
    """The partition function F(t) = sum_k exp(z_k + a_k t), equation (1).

    Parameters
    ----------
    size
        K, the number of classes.

    Returns
    -------
    Expr
        F in the symbols of `logits`, `slopes` and the step `T`.

    Examples
    --------
    >>> partition_function(2)
    exp(a_1*t + z_1) + exp(a_2*t + z_2)
    """
    return sum(sympy.exp(zk + ak * T) for zk, ak in zip(logits(size), slopes(size), strict=True))


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
    z_1, z_2 = logits(2)
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


def binary_quadratic_zeros() -> tuple[sympy.Expr, sympy.Expr]:
    """All zeros for K = 2 and logits z_k + a_k t + b_k t^2: two for each integer n.

    As in ``binary_zeros``, 1 + e^w = 0 with w now quadratic: with delta, alpha and beta for the
    differences of the z_k, a_k and b_k, alpha and beta not 0,

        delta + i pi (2 n + 1) + alpha t + beta t^2 = 0.

    >>> binary_quadratic_zeros()[0]
    (-alpha - sqrt(alpha**2 - 4*beta*delta - 8*I*pi*beta*n - 4*I*pi*beta))/(2*beta)
    """
    a_1, a_2 = slopes(2)
    constant = sympy.expand(binary_zeros() * (a_2 - a_1))
    lower, upper = sympy.solve(constant + ALPHA * T + BETA * T**2, T)
    return lower, upper


def bisector_component() -> sympy.Sum:
    """The real part of e^(-i m y) F(s + i y), for any number K of classes and any real m.

    Term k has the direction a_k y in the complex plane; turned by -m y, its real part is its
    component along the direction m y.  With m the middle of the slopes, that is the bisector of
    all directions.

    >>> bisector_component()
    Sum(exp(s*a[k] + z[k])*cos(m*y - y*a[k]), (k, 1, K))
    """
    z, a = sympy.IndexedBase("z", real=True), sympy.IndexedBase("a", real=True)
    k, size = sympy.symbols("k K", integer=True, positive=True)
    m = sympy.Symbol("m", real=True)
    real, _ = sympy.exp(z[k] + a[k] * (S + sympy.I * Y) - sympy.I * m * Y).as_real_imag()
    return sympy.Sum(real, (k, 1, size))


def spread_bound() -> sympy.Expr:
    """rho >= pi / Delta for any number of classes, Delta = max_k a_k - min_k a_k.

    Proof (Sao, Lemma 4.5 and Theorem 4.6: terms whose directions lie in an open arc shorter than
    pi have positive components along its bisector).  Take m = (max_k a_k + min_k a_k) / 2 in
    ``bisector_component``.  Then |a_k - m| |y| <= Delta |y| / 2, and cos, even and decreasing on
    [0, pi], is at least cos(Delta |y| / 2) in every term.  As long as Delta |y| / 2 stays below the
    least positive zero of cos, every term is positive, so is their sum, and F(s + i y) != 0.  Hence
    every zero has |t| >= |y| >= pi / Delta.  For K = 2 and z_1 = z_2 it is the exact radius.

    >>> spread_bound()
    pi/Delta
    """
    half_angle = sympy.Symbol("x", real=True)
    (quarter_turn,) = sympy.solveset(
        sympy.cos(half_angle), half_angle, sympy.Interval.open(0, sympy.pi)
    )
    (height,) = sympy.solve(SPREAD * Y / 2 - quarter_turn, Y)
    return height


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


def variance_bound() -> sympy.Expr:
    """A zero at t = s + i y has |t| >= sqrt(s^2 + max(pi / Delta, sqrt(2 / V))^2).

    V is the variance of the slopes a_k under p = softmax(z + a s), the second cumulant there.  So
    rho is at least the minimum of the right side over all s where no class holds more than half of
    the mass (``half_mass_bound``): a bound that knows how the slopes are distributed, where the
    spread knows only two of them.

    Proof.  Divided by F(s) > 0, ``bisector_component`` is the mean of cos((a_k - m) y) under p.
    As cos x >= 1 - x^2 / 2 for every real x, it is at least 1 - y^2 V / 2 with m the mean of
    the a_k under p.  A zero needs it to be 0: y^2 >= 2 / V; and |y| >= pi / Delta by
    ``spread_bound``.  V <= Delta^2 / 4 (Popoviciu), so with all slopes at the two ends in equal
    shares sqrt(2 / V) is sqrt(8) / Delta, and pi / Delta is the better of the two.

    >>> variance_bound()
    sqrt(s**2 + Max(sqrt(2)/sqrt(V), pi/Delta)**2)
    """
    x, height = sympy.symbols("x y", positive=True)
    parabola = sympy.series(sympy.cos(x), x, 0, 4).removeO()
    mean = parabola.subs(x, sympy.sqrt(VARIANCE) * height)  # E x^2 = V y^2
    (least,) = sympy.solve(mean, height)
    return sympy.sqrt(S**2 + sympy.Max(spread_bound(), sympy.expand_power_base(least)) ** 2)


def at_temperature(expression: sympy.Expr) -> sympy.Expr:
    """The expression for logits and slopes divided by the temperature T: z / T and a / T.

    Which radii are multiplied by T?  Slopes divided by T stretch the step: the partition function
    of z', a / T at t = T u is that of z', a at u, whatever the logits z'.  With z' = z / T,

        rho(z / T, a / T) = T rho(z / T, a).

    * pi / Delta does not depend on the logits: it becomes pi T / Delta exactly.
    * rho is multiplied by T if the logits keep their values, rho(z, a / T) = T rho(z, a), or grow
      along with T.  It is not if they are divided by T too, unless all z_k are equal: for K = 2
      it grows more slowly than T, for the margin delta / T shrinks.
    * As T grows, z / T tends to equal logits, and rho(z / T, a / T) / T to rho(0, a): F tends to
      its limit uniformly on discs, and so do its zeros (Hurwitz).

    Parameters
    ----------
    expression
        An expression in the symbols of `logits` and `slopes`.

    Returns
    -------
    Expr
        The same for z / T and a / T.

    Examples
    --------
    >>> at_temperature(spread_bound())
    pi*T/Delta
    >>> at_temperature(binary_radius())
    sqrt(pi**2*T**2 + delta**2)/Abs(a_1 - a_2)
    """
    scaled = [
        symbol
        for symbol in expression.free_symbols
        if symbol in (DELTA, SPREAD) or symbol.name.startswith(("z_", "a_"))
    ]
    divided = {symbol: symbol / TEMPERATURE for symbol in scaled}
    return sympy.simplify(expression.subs(divided, simultaneous=True))


def cumulants(order: int) -> tuple[sympy.Expr, ...]:
    """kappa_1 ... kappa_n of the slopes under p = softmax(z), as polynomials in their moments.

    F(t) / F(0) = sum_k p_k exp(a_k t) is the moment generating function of the slopes, and

        log F(t) = log F(0) + sum_{n >= 1} kappa_n t^n / n!.                                 (2)

    So kappa_n is the nth derivative of log F at 0, in which F^(j)(0) / F(0) is the moment m_j.

    Parameters
    ----------
    order
        n, the highest order.

    Returns
    -------
    tuple of Expr
        kappa_1 ... kappa_n in the symbols of `moments`.

    Examples
    --------
    >>> cumulants(3)
    (m_1, -m_1**2 + m_2, 2*m_1**3 - 3*m_1*m_2 + m_3)
    """
    total = sympy.Function("F")(T)
    symbols = moments(order)
    derivatives = {total.diff(T, j + 1): m * total for j, m in enumerate(symbols)}
    return tuple(
        sympy.expand(sympy.log(total).diff(T, n).xreplace(derivatives)) for n in range(1, order + 1)
    )


def line_loss(size: int, label: int = 0) -> sympy.Expr:
    """The cross-entropy of one class along a step: -z_y - a_y t + log F(t).

    Parameters
    ----------
    size
        K, the number of classes.
    label
        y, the index of the class, from 0.

    Returns
    -------
    Expr
        The loss in the symbols of `logits`, `slopes` and the step `T`.

    Raises
    ------
    IndexError
        If there is no such class.

    Examples
    --------
    >>> line_loss(2)
    -a_1*t - z_1 + log(exp(a_1*t + z_1) + exp(a_2*t + z_2))
    """
    total = sympy.log(partition_function(size))
    return total - logits(size)[label] - slopes(size)[label] * T


def taylor_coefficients_in_cumulants(order: int) -> tuple[sympy.Expr, ...]:
    """c_0 ... c_n of the line loss, for any number of classes, in the cumulants of (2).

    The loss is log F(t) - z_y - a_y t, y the right class; by (2) the nth derivative of its first
    term at 0 is kappa_n.

    Parameters
    ----------
    order
        n, the highest order.

    Returns
    -------
    tuple of Expr
        c_0 ... c_n, in symbols kappa_j for the cumulants.

    Examples
    --------
    >>> taylor_coefficients_in_cumulants(3)
    (-z_y + log(F(0)), -a_y + kappa_1, kappa_2/2, kappa_3/6)
    """
    z_y, a_y, start = sympy.symbols("z_y a_y F(0)", real=True)
    kappa = sympy.symbols(f"kappa_1:{order + 1}", real=True)
    label = z_y + a_y * T
    log_total = (sympy.log(start), *kappa)
    return tuple(
        (value - label.diff(T, n).subs(T, 0)) / sympy.factorial(n)
        for n, value in enumerate(log_total)
    )


def taylor_coefficients(size: int, order: int, label: int = 0) -> tuple[sympy.Expr, ...]:
    """c_0 ... c_n of the line loss sum_n c_n t^n, by differentiation: c_n = kappa_n / n!, n >= 2.

    ``softproof.derivations.step_radius.series`` has the recursion that is fast for numbers.

    Parameters
    ----------
    size
        K, the number of classes.
    order
        n, the highest order.
    label
        y, the index of the right class, from 0.

    Returns
    -------
    tuple of Expr
        c_0 ... c_n in the symbols of `logits` and `slopes`.

    Examples
    --------
    >>> p = sympy.Symbol("p")
    >>> a_1, a_2 = slopes(2)
    >>> c = taylor_coefficients(2, 2)[2].subs(dict(zip(logits(2), (sympy.log(p / (1 - p)), 0))))
    >>> sympy.factor(c)
    -p*(a_1 - a_2)**2*(p - 1)/2
    """
    loss = line_loss(size, label)
    return tuple(loss.diff(T, n).subs(T, 0) / sympy.factorial(n) for n in range(order + 1))
