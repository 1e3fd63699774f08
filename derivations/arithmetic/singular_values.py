"""Singular values with right singular vectors, in each arithmetic.

Of a matrix A with at least as many rows as columns: sigma_1 >= sigma_2 >= ... >= 0 and orthonormal
columns v_k of V with |A v_k| = sigma_k and A v_j orthogonal to A v_k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flint
import numpy as np

MOST_SWEEPS = 64


def singular_values_of_balls(a: Any, descending: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Enclose singular values by the roots of the eigenvalues of A^T A.

    The eigenvalues are real and not negative, so of their enclosures in the plane only that part
    counts.  Of an eigenvalue that is isolated, the eigenvector is a complex multiple of v_k; its
    quotient by one of its entries is real.  Where eigenvalues are not isolated, V is NaN.

    Parameters
    ----------
    a
        The matrix A, of at least as many rows as columns.
    descending
        Sorts balls: ``Arithmetic.descending``.

    Returns
    -------
    values
        Enclosures of sigma_1, sigma_2, ...
    vectors
        Enclosures of the columns of V; NaN where eigenvalues are not isolated.
    """
    matrix = flint.arb_mat(a.tolist())
    gram, size = matrix.transpose() * matrix, a.shape[1]
    v = np.full((size, size), flint.arb.nan(), dtype=object)
    try:
        found, vectors = gram.eig(right=True)
    except ValueError:
        return _roots_of_clusters(gram, descending), v
    roots = _roots(found)
    order = sorted(range(size), key=lambda k: roots[k].mid(), reverse=True)
    for place, k in enumerate(order):
        column = [vectors[i, k] for i in range(size)]
        largest = max(column, key=lambda c: c.abs_lower())
        real = [(c / largest).real for c in column]
        norm = sum((c * c for c in real), flint.arb(0)).sqrt()
        v[:, place] = [c / norm for c in real]
    return roots[order], v


def _roots_of_clusters(gram: Any, descending: Callable[[Any], Any]) -> Any:
    """Enclosures of eigenvalues that are equal or near; NaN where there are none."""
    try:
        return descending(_roots(gram.eig(multiple=True)))
    except ValueError:
        return np.full(gram.nrows(), flint.arb.nan(), dtype=object)


def _roots(eigenvalues: Any) -> Any:
    roots = np.empty(len(eigenvalues), dtype=object)
    roots[:] = [flint.acb(x).real.nonnegative_part().sqrt() for x in eigenvalues]
    return roots


def singular_values_of_floats(a: Any, xp: Any, roundoff: Any) -> tuple[Any, Any]:
    """Compute singular values by one-sided Jacobi rotations.

    The columns are rotated until all are orthogonal to rounding (Golub, Van Loan 2013, Matrix
    Computations, section 8.6.3).

    Parameters
    ----------
    a
        The matrix A, of at least as many rows as columns.
    xp
        The arithmetic.
    roundoff
        Its unit roundoff.

    Returns
    -------
    values
        The singular values sigma_1, sigma_2, ...
    vectors
        The columns of V.
    """
    columns, v = list(a.T), list(xp.array(np.eye(a.shape[1])))
    for _ in range(MOST_SWEEPS):
        rotated = False
        for p in range(len(columns)):
            for q in range(p + 1, len(columns)):
                alpha, beta = (xp.dot(columns[k], columns[k]) for k in (p, q))
                gamma = xp.dot(columns[p], columns[q])
                if not abs(gamma) > 4 * roundoff * xp.sqrt(alpha) * xp.sqrt(beta):
                    continue
                rotated = True
                zeta = (beta - alpha) / (2 * gamma)
                t = (1 if zeta >= 0 else -1) / (abs(zeta) + xp.sqrt(1 + zeta * zeta))
                c = 1 / xp.sqrt(1 + t * t)
                for vectors in (columns, v):
                    x, y = vectors[p], vectors[q]
                    vectors[p], vectors[q] = c * x - c * t * y, c * t * x + c * y
        if not rotated:
            break
    values = xp.stack([xp.sqrt(xp.dot(x, x)) for x in columns])
    order = sorted(range(len(columns)), key=lambda k: values[k], reverse=True)
    return values[order], xp.stack([v[k] for k in order]).T


def no_singular_values(a: Any) -> tuple[Any, Any]:
    """Refuse: singular values of symbols are no expressions in general.

    Parameters
    ----------
    a
        The matrix.

    Returns
    -------
    never
        It always raises.

    Raises
    ------
    ValueError
        Always.
    """
    raise ValueError("singular values are no expressions in general; evaluate them in balls")
