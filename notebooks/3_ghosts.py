# %% [markdown]
# # 3. Ghosts: how far does a Taylor series see?
#
# A gradient step trusts a Taylor series: the loss a little further along is the loss here, plus
# slope times distance, plus half the curvature times its square, and so on. But such a series
# converges only up to the nearest singularity, and that may be a complex number which no real step
# ever meets. Sao ("Ghosts of Softmax", arXiv 2603.13552, 2026) calls these points the ghosts of
# softmax.
#
# Along a step of length t the linearised logits of a sample are z_k + a_k t. The cross-entropy is
# made from the logarithm of the partition function
#
#     F(t) = sum_k exp(z_k + a_k t)
#
# and log F is singular where F is 0: nowhere on the real line, but at complex t. This lesson finds
# these zeros, bounds their distance, and proves it.

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import os
from importlib.resources import files

import numpy as np
from softproof.derivations.check_certificate import CertificateError, check
from softproof.derivations.step_radius.certify import certify
from softproof.derivations.step_radius.partition import binary_radius, binary_zeros
from softproof.derivations.step_radius.series import (
    derivative,
    loss_coefficients,
    nearest_pole,
    pair_domb_sykes,
    root_test,
)
from softproof.kernels import BOUNDS, radius
from softproof.verify.plots import complex_zeros as ghosts
from softproof.verify.plots import radius_bounds as ladder
from softproof.verify.plots import taylor

FAST = "SOFTPROOF_FAST" in os.environ  # coarse portraits

# %% [markdown]
# ## Two classes: a formula
#
# For two classes SymPy solves F(t) = 0. With delta = z_1 - z_2, one zero for every integer n:

# %%
print("zeros ", binary_zeros())
print("radius", binary_radius())

# %% [markdown]
# This is Theorem 4.3 of the paper, derived instead of typed in. Two tied classes (delta = 0) have
# their ghosts at distance pi / |a_1 - a_2|; a lead of delta pushes them away. The numerical kernel
# says the same:

# %%
delta, slope_1, slope_2 = 3.0, 2.0, -1.0
computed = radius([[delta, 0.0]], [[slope_1, slope_2]]).exact[0]
formula = np.hypot(delta, np.pi) / abs(slope_1 - slope_2)
print(computed, formula)
assert np.isclose(computed, formula, rtol=1e-15)

# %% [markdown]
# ## More classes: look, don't solve
#
# For more classes there is no formula. Take a sample of four. Where is its nearest ghost? `certify`
# finds out, and encloses its distance between two floating-point numbers:

# %%
logits, slopes = [2.0, 1.0, 0.0, -1.0], [-1.0, 0.5, 1.0, 2.0]
proven = certify(logits, slopes)
((ghost, _, _),) = proven.zeros
print(f"nearest zero  {ghost:.12f} and its conjugate")
print(f"its distance  between {proven.lower!r} and {proven.upper!r}")


def partition(t):
    return np.sum(np.exp(np.array(logits) + np.array(slopes) * t))


assert abs(partition(ghost)) < 1e-14

# %% [markdown]
# ## The series feels it
#
# Nobody told the Taylor coefficients of the loss about any zero; they are made from logits and
# slopes by a recursion. Still they give the ghost away. Three estimates of the radius from the
# first n coefficients, and the position of the nearest pole of a Padé approximant of the loss'
# derivative:

# %%
coefficients = loss_coefficients(logits, slopes, 80)
print(f"{'n':>3}{'root test':>12}{'Domb-Sykes':>13}  nearest pole")
for n in (20, 40, 80):
    c = coefficients[: n + 1]
    pole = complex(nearest_pole(derivative(c)).position)
    print(f"{n:3}{float(root_test(c)):12.6f}{float(pair_domb_sykes(c).radius):13.6f}  {pole:.12f}")
assert np.isclose(pole, ghost, rtol=1e-12)

# %% [markdown]
# Inside the disc the partial sums converge to the loss. Outside they do not, and more terms make it
# worse:

# %%
for share in (0.9, 1.1):
    t = share * proven.lower
    loss = np.log(partition(t)) - logits[0] - slopes[0] * t
    sums = np.cumsum([float(c) * t**n for n, c in enumerate(coefficients)])
    errors = "".join(f"{abs(sums[n] - loss):10.1e}" for n in (10, 20, 40, 80))
    print(f"at {share} radii, error of 10, 20, 40, 80 terms:{errors}")
    assert (abs(sums[80] - loss) < 1e-5) == (share < 1)

# %% [markdown]
# ## The ladder
#
# The paper's answer for any number of classes is a lower bound, pi / Delta with Delta the spread of
# the slopes (Theorem 4.6), and it calls the exact radius impractical. Here it costs a few
# microseconds, and between the two there are rungs of a ladder, each a proven lower bound of the
# next:
#
# * **spread**: pi / Delta. No zero has a smaller imaginary part.
# * **half-mass**: while one class holds more than half of the mass, its term outweighs all others
#   together, and there is no zero at all above such a point of the real line.
# * **variance**: where the slopes, weighted by the probabilities, vary little, the terms cannot
#   cancel either.
# * **exact**: the nearest zero itself.
#
# (The proofs stand in the docstring of `softproof.kernels.step_radius.radius`, a few lines each.)

# %%
found = radius([logits], [slopes])
for bound in BOUNDS:
    print(f"{bound:10}{getattr(found, bound)[0]:.6f}")
assert found.spread[0] <= found.half_mass[0] <= found.variance[0] <= found.exact[0]
assert abs(found.exact[0] - proven.lower) <= found.error[0] + (proven.upper - proven.lower)

# %% [markdown]
# What does that mean for a real model? The library stores the logits of a softmax regression on
# scikit-learn's 1797 handwritten digits, and their slopes along the next gradient step.

# %%
with np.load(files("softproof.verify") / "data" / "digits.npz") as digits:
    logits, slopes = digits["logits"], digits["slopes"]
found = radius(logits, slopes)
shares = {bound: getattr(found, bound) / found.exact for bound in BOUNDS[:-1]}
for bound, share in shares.items():
    print(f"{bound:10} finds {np.median(share):.0%} of the exact radius (median)")
print("shortest radius of the batch:", [f"{value:.3f}" for value in found.batch])
assert [round(float(np.median(share)), 2) for share in shares.values()] == [0.31, 0.85, 0.90]

# %% [markdown]
# The paper's bound is right, and three times too cautious for the typical digit. How often each
# rung comes how close:

# %%
ladder.plot().figure

# %% [markdown]
# A batch is as cautious as its most cautious sample, and for this one the exact radius allows a
# step 3.2 times as long as pi / Delta.

# %%
print(f"{found.batch.exact / found.batch.spread:.2f}")
assert round(found.batch.exact / found.batch.spread, 1) == 3.2

# %% [markdown]
# ## A portrait
#
# One of these digits in the complex plane of its step. The shade is |F(s + iy)| / F(s), which is 0
# at the ghosts alone. The strip of the paper's bound, the regions of the other rungs and the disc
# of convergence all keep clear of them:

# %%
ghosts.plot(points=61 if FAST else 241).figure

# %% [markdown]
# And its Taylor sums, which part with the loss where the disc ends, whatever their order:

# %%
taylor.plot(steps=61 if FAST else 161).figure

# %% [markdown]
# ## Certificates
#
# How do we know that no zero lies nearer? A search that finds none proves nothing. `certify`
# counts: the zeros of F within a circle are those of a Taylor polynomial whose tail is bounded, or
# the winding number of F along the circle; all in ball arithmetic, where every rounding is
# enclosed. What it found goes into a certificate, a few numbers that a second, much shorter program
# checks without trusting the first:

# %%
sample = logits[0], slopes[0]
proven = certify(*sample)
check(*sample, proven)  # raises an error unless the certificate proves the claim
print(f"{proven.lower!r} <= radius <= {proven.upper!r}, proven by {proven.method}")

# %% [markdown]
# And a false claim is refused, by however little it is false:

# %%
try:
    check(*sample, proven._replace(lower=proven.upper * (1 + 1e-12)))
except CertificateError as error:
    print("refused:", error)
else:
    raise AssertionError("a false claim was accepted")

# %% [markdown]
# **Next:** what happens to a model that steps beyond its radius? [How far may this step
# go?](4_how_far_may_this_step_go.ipynb)
