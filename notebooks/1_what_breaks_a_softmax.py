# %% [markdown]
# # 1. What breaks a softmax?
#
# Softmax turns K numbers into probabilities, p_k = exp(z_k) / sum_j exp(z_j). On paper nothing can
# go wrong: every exponential is positive, so is their sum, and every quotient lies between 0 and 1.
# In floating point three things go wrong, each at a place that can be computed in advance:
#
# * **overflow**: an exponential is larger than the largest number;
# * **underflow**: a result that matters is smaller than the smallest one;
# * **absorption**: a term is too small to change the sum that it is added to.
#
# Here each of them happens, in numbers, with the cure beside it. All results are compared with the
# exact value, which comes from ball arithmetic and is rounded once.

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import math

import numpy as np
import scipy.special
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.kernels import cross_entropy, log_softmax, logsumexp, naive, softmax
from softproof.verify.oracle.metrics import ulp_error
from softproof.verify.oracle.truth import truth
from softproof.verify.plots import precision
from softproof.verify.studies.precision import precision_errors

# %% [markdown]
# ## The three thresholds
#
# A binary format has p significand bits and exponents up to emax. Its largest number is almost
# 2^(emax + 1), its smallest is 2^(emin - p + 1), and 1 + x rounds to 1 for every 0 < x <= 2^-p.
# Take logarithms, and the thresholds for a logit stand there.

# %%
print(f"{'format':10}{'overflows above':>17}{'vanishes below':>16}{'1 absorbs below':>17}")
for fmt in FORMATS.values():
    overflow = (fmt.emax + 1) * math.log(2)
    vanishes = (fmt.tiny_exponent - 1) * math.log(2)
    absorbed = -fmt.precision * math.log(2)
    print(f"{fmt.name:10}{overflow:17.2f}{vanishes:16.2f}{absorbed:17.2f}")

# %% [markdown]
# In float32, the everyday format, the exponential of 89 is infinite, and next to a logit that leads
# by 17 all others are lost. That is no extreme: trained classifiers lead by 17 all the time.

# %%
with np.errstate(over="ignore"):
    assert np.isposinf(np.exp(np.float32(89.0)))
assert np.float32(1) + np.exp(np.float32(-17.0)) == 1

# %% [markdown]
# ## Overflow
#
# `naive` is the formula as it stands in textbooks. One logit of 89 and the whole row is lost:
# infinity over infinity is not a number, and a finite number over infinity is 0.

# %%
row = np.float32([[89.0, 0.0]])
print("naive  ", naive(row))
print("softmax", softmax(row))
assert np.isnan(naive(row)[0, 0])

# %% [markdown]
# The cure is as old as the disease: softmax(z) = softmax(z - c) for every c, so subtract the
# maximum, and the largest exponential is 1. (The kernels here do it in the exponent: e^x = w 2^n,
# and it is the integer n that the maximum is taken from. Nothing is rounded by it.) Then neither
# size nor offset matters, up to the largest number there is.

# %%
largest = np.finfo(np.float32).max
for row in ([1e30, 1e30, 0.0], [-largest, largest], [-1e9, -1e9]):
    p = softmax(np.float32([row]))
    print(p)
    assert p.sum() == 1

# %% [markdown]
# ## Underflow
#
# A probability of e^-110 does not exist in float32, so 0 is the right answer. But its logarithm,
# -110, exists. Whoever takes the logarithm of a softmax gets minus infinity, and a loss that is
# infinite.

# %%
row = np.float32([[0.0, -110.0]])
with np.errstate(divide="ignore"):
    print("log of softmax", np.log(softmax(row)))
print("log_softmax   ", log_softmax(row))
assert log_softmax(row)[0, 1] == -110

# %% [markdown]
# ## Absorption
#
# The quietest of the three. With logits 17 and 0 the second probability is e^-17, about 4.1e-8; the
# sum 1 + e^-17 rounds to 1, and the log-probability of the first class comes out as 0 instead of
# -4.1e-8. SciPy's function does that, and so do those of the frameworks. A loss of exactly 0 has no
# gradient: training stops there, right or not. Lesson 5 is about that.

# %%
row = np.float32([17.0, 0.0])
exact = truth(lookup("log_softmax"), row, BINARY32)
print("exact      ", exact.rounded)
print("SciPy      ", scipy.special.log_softmax(row))
print("log_softmax", log_softmax(row))
assert scipy.special.log_softmax(row)[0] == 0
assert log_softmax(row)[0] == exact.rounded[0] == np.float32(-4.1399375e-08)

# %% [markdown]
# It takes only one winner, and any number of other classes. Add 50 000 of them to a 1, one by one:
# each is absorbed on its own, and a total of 0.002 is never seen. (NumPy's own `sum` adds blocks,
# and gets away with it; a loop over the classes, as in many a kernel, does not.)

# %%
others = 50_000
terms = np.exp(np.full(others, -17.0)).astype(np.float32)
total = np.cumsum(np.concatenate([np.ones(1, np.float32), terms]))[-1]  # one by one
logits = np.concatenate([np.zeros(1), np.full(others, -17.0)]).astype(np.float32)
loss = math.log1p(others * math.exp(-17))
print(f"loss from the sum, one by one: {math.log(total):.6f}")
print(f"logsumexp:                     {logsumexp(logits):.6f}")
print(f"cross_entropy:                 {cross_entropy(logits[None], [0])[0]:.6f}")
print(f"exact:                         {loss:.6f}")
assert total == 1
assert math.isclose(cross_entropy(logits[None], [0])[0], loss, rel_tol=1e-6)

# %% [markdown]
# ## What the cure costs
#
# Subtracting the maximum rounds, by up to half an ulp of the difference. The exponential turns that
# absolute error into a relative one: the wider the logits spread, the more digits are lost. In
# units of the last place (ulp) of the exact result, of 200 rows of 16 logits at each spread:


# %%
def worst(function, spread):
    rows = np.random.default_rng(0).normal(0, spread, (200, 16)).astype(np.float32)
    exact = (truth(lookup("softmax"), row, BINARY32) for row in rows)
    return max(ulp_error(function(row), t).max() for row, t in zip(rows, exact, strict=True))


for spread in (1, 3, 10, 30):
    theirs = worst(lambda row: scipy.special.softmax(row), spread)
    print(f"spread {spread:2}: SciPy {theirs:5.1f} ulp, softmax {worst(softmax, spread):.1f} ulp")
assert worst(softmax, 30) < 3.99 < 10 < theirs  # 3.99: the proven bound of our kernels

# %% [markdown]
# ## The published comparison
#
# Blanchard, Higham and Higham ("Accurately computing the log-sum-exp and softmax functions", IMA J.
# Numer. Anal. 41(4), 2021) compare three forms of softmax: unshifted, shifted, and free of a
# division, exp(z_k - logsumexp(z)). They find that the shifted form is as accurate as the unshifted
# one, and that the division-free form can lose accuracy. The figure draws the largest error of each
# form at every precision from 4 to 113 bits, and in the four formats, with the bound proven for the
# shifted form.

# %%
precision.plot("softmax").figure

# %%
errors = precision_errors("softmax", precisions=[24]).errors
shifted = errors["shifted"][0]
for form, (error,) in errors.items():
    print(f"{form:14}{error:.1e}, {error / shifted:4.1f} times that of the shifted form")
assert 0.3 < errors["published"][0] / shifted < 3
assert errors["division-free"][0] > 3 * shifted

# %% [markdown]
# We agree on both: shifted and unshifted errors are within a factor of three of each other (0.5
# here, at 24 bits), and the division-free form loses six times as much, since logsumexp(z), rounded
# near 100, is subtracted before the exponential. What the figure adds are the crosses: in float16,
# bfloat16 and float32 the unshifted form has overflowed, and there is no error to compare.
#
# **Next:** subtracting the maximum takes a pass over the logits. Is it worth it? [Two passes or
# three](2_two_passes_or_three.ipynb).
