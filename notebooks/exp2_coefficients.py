"""Make kernels/arithmetic/exp2_coefficients.py: 2^f = 1 + f q(f) for |f| just above 1/2.

    python notebooks/exp2_coefficients.py

prints them as they stand there, the error bounds as comments.

Each polynomial minimises the largest |(1 + f q(f)) 2^-f - 1| 8^-f. The factor 8^-f is there because
the rounding errors of 1 + f q(f), taken relative to it, are larger at f = -1/2 than at f = 1/2 (by
0.18 u): it moves the approximation error to where there is room.

Coefficients are rounded to the format one at a time, the lowest order first, and after each one the
others are fitted anew, so that they make up for most of what the rounding did.
"""

import mpmath

MP = mpmath.MPContext()
MP.prec = 160
POINTS = 300  # Chebyshev points, which miss the largest error by at most 0.2 %
CLOSE = MP.mpf(1) / 1000  # a fit is done when it is that near the best one, relatively

# name: number of coefficients, digits of the format, |f| at most
TABLES = {
    "EXP2_FLOAT32": (6, 24, MP.mpf(1) / 2 + MP.ldexp(1, -8)),
    "EXP2_FLOAT64": (11, 53, MP.mpf(1) / 2 + MP.ldexp(1, -20)),
}


def rounded(x: mpmath.mpf, digits: int) -> mpmath.mpf:
    mantissa, exponent = MP.frexp(x)
    return MP.ldexp(MP.nint(MP.ldexp(mantissa, digits)), exponent - digits)


class Fit:
    """Fits with so many coefficients on |f| <= limit, by single exchange (Remez).

    f = 0, where every error vanishes, is not among the points.
    """

    def __init__(self, terms: int, limit: mpmath.mpf) -> None:
        self.terms = terms
        # An even number of points, in pairs f and -f.
        self.f = [-limit * MP.cos(MP.pi * i / (POINTS - 1)) for i in range(POINTS)]
        self.scale = [MP.power(16, -f) for f in self.f]
        self.target = [MP.power(8, -f) for f in self.f]

    def errors(self, c: list[mpmath.mpf]) -> list[mpmath.mpf]:
        """((1 + f q(f)) 2^-f - 1) 8^-f at the points."""
        values = [1 + f * MP.polyval(c[::-1], f) if c else MP.one for f in self.f]
        return [v * s - t for v, s, t in zip(values, self.scale, self.target, strict=True)]

    def alternant(self, fixed: list[mpmath.mpf], at: list[int]) -> list[mpmath.mpf]:
        """The coefficients whose errors at those points are equal but for their signs.

        The free part of the polynomial is f^(fixed + 1) times any polynomial, and the signs that
        alternate are those of the error divided by that power.
        """
        free = self.terms - len(fixed)
        matrix = MP.matrix(free + 1, free + 1)
        right = MP.matrix(free + 1, 1)
        offset = self.errors(fixed)
        for row, i in enumerate(at):
            for j in range(free):
                matrix[row, j] = self.scale[i] * self.f[i] ** (len(fixed) + 1 + j)
            matrix[row, free] = (-1) ** row * self.sign(fixed, i)
            right[row] = -offset[i]
        return [*fixed, *MP.lu_solve(matrix, right)[:free]]

    def sign(self, fixed: list[mpmath.mpf], i: int) -> int:
        return -1 if self.f[i] < 0 and len(fixed) % 2 == 0 else 1

    def best(self, fixed: list[mpmath.mpf]) -> list[mpmath.mpf]:
        """The best coefficients that begin with the fixed ones."""
        free = self.terms - len(fixed)
        at = [round((POINTS - 1) * (1 - MP.cos(MP.pi * i / free)) / 2) for i in range(free + 1)]
        while True:
            c = self.alternant(fixed, at)
            errors = self.errors(c)
            worst = max(range(POINTS), key=lambda i: abs(errors[i]))
            if abs(errors[worst]) <= abs(errors[at[0]]) * (1 + CLOSE):
                return c
            # The worst point replaces a neighbour of its own sign; beyond the ends there may be
            # none, and then all move by one.
            up = [errors[i] * self.sign(fixed, i) > 0 for i in (*at, worst)]
            if worst < at[0] and up[-1] != up[0]:
                at = [worst, *at[:-1]]
            elif worst > at[-1] and up[-1] != up[-2]:
                at = [*at[1:], worst]
            else:
                below = max((k for k, i in enumerate(at) if i < worst), default=0)
                at[below if up[below] == up[-1] else below + 1] = worst


def coefficients(name: str) -> tuple[tuple[float, ...], mpmath.mpf]:
    """The tuple of that name, and in units of u its largest error times 8^-f."""
    terms, digits, limit = TABLES[name]
    fit = Fit(terms, limit)
    fixed: list[mpmath.mpf] = []
    while len(fixed) < terms:
        fixed.append(rounded(fit.best(fixed)[len(fixed)], digits))
    largest = max(abs(e) for e in fit.errors(fixed))
    return tuple(map(float, fixed)), MP.ldexp(largest, digits)


def text(name: str) -> str:
    """The tuple as Python code."""
    c, error = coefficients(name)
    lines = [f'    float.fromhex("{x.hex()}"),' for x in c]
    bound = f"# |(1 + f q(f)) 2^-f - 1| <= {float(MP.ceil(1000 * error)) / 1000} u 8^f"
    return "\n".join([bound, f"{name} = (", *lines, ")"])


def main() -> None:
    print("\n\n".join(map(text, TABLES)))


if __name__ == "__main__":
    main()
