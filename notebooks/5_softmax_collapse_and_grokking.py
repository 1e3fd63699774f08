# %% [markdown]
# # 5. Softmax collapse and grokking
#
# Some networks fit their training set at once and understand the task much later, long after there
# is anything left to learn by the look of the loss. They *grok*. Prieto, Barsbey, Mediano and
# Birdal ("Grokking at the Edge of Numerical Stability", arXiv 2501.04697, 2025) say why it often
# fails without weight decay: the loss becomes exactly 0 in float32, and with it the gradient. They
# call this softmax collapse.
#
# Where does it begin? Who is affected? And would a cross-entropy that cannot collapse grok?

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import math
import os
from importlib.resources import files

import grokking
import numpy as np
from softproof.derivations.arithmetic.formats import BINARY32, FORMATS
from softproof.derivations.error_bounds.collapse import absorption_gap, explain
from softproof.kernels import cross_entropy_with_gradient, stablemax_cross_entropy_with_gradient
from softproof.kernels.training.perp_grad import perp_grad
from softproof.verify.plots import collapse
from softproof.verify.subjects.implementations.textbook import cross_entropy_shifted
from softproof.verify.suites.collapse import collapsed

FAST = "SOFTPROOF_FAST" in os.environ  # fewer points in the figure

# %% [markdown]
# ## Where it begins
#
# Let the right class lead by g. The sum of exponentials is 1 + e^-g, which rounds to 1 once e^-g is
# at most 2^-p: from g = p ln 2 on, with p the significand bits of the format that the sum is kept
# in. The paper's figures are 16.64, 36.74, 7.62 and 5.55; so are ours:

# %%
for fmt in FORMATS.values():
    print(f"{fmt.name:10} p = {fmt.precision:2}  g = {absorption_gap(fmt.precision):.2f}")
gaps = [round(absorption_gap(FORMATS[name].precision), 2) for name in FORMATS]
assert gaps == [7.62, 5.55, 16.64, 36.74]

# %% [markdown]
# ## What is lost
#
# The usual cross-entropy, with the maximum subtracted, as NumPy users write it. The true loss is
# log(1 + e^-g), the true gradient of the right class almost -e^-g. Both are numbers that float32
# can hold until g is about 103:


# %%
def relative_errors(function, gap):
    """Of the loss, and of the gradient of the right class."""
    loss, gradient = function(np.array([[0.0, -gap]], np.float32), np.array([0]))
    exact = math.log1p(math.exp(-gap)), -1 / (1 + math.exp(gap))
    return [
        abs(float(x) - t) / abs(t) for x, t in zip((loss[0], gradient[0, 0]), exact, strict=True)
    ]


print(f"{'g':>4}{'usual: loss':>14}{'gradient':>11}{'ours: loss':>14}{'gradient':>11}")
for gap in (1, 8, 14, 16, 17, 20, 80):
    usual = relative_errors(cross_entropy_shifted, gap)
    ours = relative_errors(cross_entropy_with_gradient, gap)
    print(f"{gap:4}{usual[0]:14.0e}{usual[1]:11.0e}{ours[0]:14.0e}{ours[1]:11.0e}")
    assert max(ours) < 6e-7
    assert (usual[0] == 1) == (gap > 16.64)

# %% [markdown]
# A relative error of 1 means that a 0 was returned. Digits are lost long before. Ours writes the
# loss as log1p of the sum over the *other* classes, and the gradient of the right class as minus
# the sum of the others': the loss is unchanged, only its rounding is better. `softproof verify
# --suite collapse` finds the gap from which on a function loses its results, by search, and says
# where that gap comes from:

# %%
print(explain(absorption_gap(24), BINARY32, 1))
print(explain(absorption_gap(53), BINARY32, 1))

# %%
subjects = ["*textbook:cross_entropy_shifted", "softproof.kernels:cross_entropy_with_gradient"]
collapse.plot(subjects, count=50 if FAST else 200).figure

# %% [markdown]
# ## Who is affected
#
# The paper's measure is the share of samples whose sum of exponentials is exactly 1. The digits of
# lesson 3 come from a mild softmax regression. But a model that fits its data can lower the loss
# for ever by scaling its logits, without changing one prediction; the paper calls that naive loss
# minimisation. Scale them, and see:

# %%
with np.load(files("softproof.verify") / "data" / "digits.npz") as digits:
    logits = digits["logits"]
shares = {}
for scale in (1, 2, 4, 8, 16):
    shares[scale] = float(collapsed(logits * np.float32(scale)).mean())
    print(f"logits times {scale:2}: {shares[scale]:.1%} of the samples have collapsed")
assert shares[1] < 0.01
assert shares[16] > 0.9

# %% [markdown]
# ## Two remedies
#
# **StableMax** replaces the exponential by a function that grows linearly and falls like 1 / x, so
# that nothing is absorbed before a lead of 2^24. It is another loss. **perpGrad** removes from the
# gradient its part along the weights, the direction that only scales. It is another optimiser.

# %%
row = np.array([[20.0, 0.0, 0.0]], np.float32)
loss, gradient = stablemax_cross_entropy_with_gradient(row, np.array([0]))
print("StableMax, lead 20: loss", loss[0], "gradient", gradient[0])
assert gradient[0, 0] < 0

weights, slope = np.array([3.0, 4.0]), np.array([-1.0, 0.0])
left = perp_grad(weights, slope)
print("perpGrad:", slope, "becomes", left)
assert abs(weights @ left) < 1e-15

# %% [markdown]
# ## Does it grok?
#
# The paper claims for addition modulo a prime, full batch, no weight decay: **float32 stops at
# collapse and never groks, float64 delays it, StableMax and perpGrad grok**. It leaves open what a
# collapse-free float32 cross-entropy would do: same loss, same optimiser, no rounding to 0. If
# collapse were the only obstacle, it would grok. `grokking.py` trained all five, on two networks
# with three seeds each, modulo 31 instead of 113, and stored every run:

# %%
records = grokking.measure()  # runs only what the file of runs does not hold
grokking.draw(grokking.curves(records))

# %%
print(grokking.report(records))

# %%
relu, squares = dict.fromkeys(record.setting for record in records)
found = {key: grokking.outcome(runs) for key, runs in grokking.by_run(records).items()}
for network in (relu, squares):
    assert math.isfinite(found[network, "float32"].collapse)
    assert math.isinf(found[network, "float32"].grokked)
    assert found[network, "float64"].collapse > found[network, "float32"].collapse
    assert math.isfinite(found[network, "StableMax"].grokked)
assert math.isfinite(found[relu, "perpGrad"].grokked)
assert math.isinf(found[squares, "perpGrad"].grokked)
assert math.isinf(found[relu, "collapse-free"].grokked)
assert math.isfinite(found[squares, "collapse-free"].grokked)

# %% [markdown]
# Beside the paper: float32 collapses and never groks, float64 delays the collapse, StableMax groks;
# we agree on both networks. perpGrad groks on two ReLU layers, the paper's kind of network, and
# there we agree; on one layer of squares it does not even fit the training pairs.
#
# And the open question: it depends on the network. On one layer of squares the collapse-free loss
# groks where plain float32 rises to 82 % and falls again: there the collapse is what stood in the
# way. On two ReLU layers it does not, although no sample's gradient is lost to rounding. Its
# gradient keeps pointing along the weights. There, collapse is not the whole story.
#
# **Next:** even an exact loss is not what we want to minimise, which is the number of mistakes.
# [Consistency bounds](6_consistency_bounds.ipynb)
