# %% [markdown]
# # 7. Prove your own kernel
#
# You have written a softmax, and it passes your test: random normal logits, `allclose`. This lesson
# shows what such a test misses, and how the toolkit finds it, makes it small, and says what to do.

# %%
import os

import numpy as np
from softproof.verify.testing import assert_conforms

DTYPES = ["float32"] if "SOFTPROOF_FAST" in os.environ else ["float32", "float64"]

# %% [markdown]
# ## The kernel
#
# It goes over the classes once, in tiles of 32 as a vector unit would, and keeps a running maximum
# and a running sum of exponentials (Milakov and Gimelshein, arXiv 1805.02867, 2018). What happens
# at each tile is a function of its own, so that we can mend it.


# %%
def online(update):
    def softmax(x):
        maximum = np.full_like(x[:, :1], -np.inf)
        total = np.zeros_like(maximum)
        for start in range(0, x.shape[1], 32):
            maximum, total = update(maximum, total, x[:, start : start + 32])
        return (np.exp(x - maximum) / total).astype(x.dtype)

    return softmax


def first_try(maximum, total, tile):
    maximum = np.maximum(maximum, tile[:, :1])
    return maximum, total + np.exp(tile - maximum).sum(axis=1, keepdims=True)


# %% [markdown]
# The usual test, and it passes:

# %%
x = np.random.default_rng(0).normal(0, 1, (64, 32)).astype(np.float32)
expected = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
assert np.allclose(online(first_try)(x), expected)

# %% [markdown]
# ## Ask for conformance
#
# One call asks for everything that the definition of softmax and a declared contract promise. Its
# inputs are hazards, its truth is exact, its thresholds are proven error bounds. What it raises is
# an `AssertionError`, at home in any test suite; here it is caught and printed.


# %%
def findings(update, **asked):
    with np.errstate(all="ignore"):
        try:
            assert_conforms(online(update), "softmax", **asked)
        except AssertionError as error:
            return str(error)
    return "conforms"


told = findings(first_try, suites="accuracy")
print(told)
assert "[-16, 73]" in told

# %% [markdown]
# The row was found among thousands and then shrunk: fewer classes, simpler numbers, as long as it
# still fails. Two logits are left, the second much larger than the first, and e^(73 + 16)
# overflows. There is the **first bug**: `tile[:, :1]` is the first logit of a tile, not its
# maximum. A script shows the case again, without the toolkit.


# %%
def with_maximum(maximum, total, tile):
    maximum = np.maximum(maximum, tile.max(axis=1, keepdims=True))
    return maximum, total + np.exp(tile - maximum).sum(axis=1, keepdims=True)


told = findings(with_maximum, suites="accuracy")
print("\n".join(line[:110] for line in told.splitlines()[:11]))
assert "(33 in all)" in told

# %% [markdown]
# That was not all. Now no row fails that is shorter than 33 classes, one more than a tile, and the
# message says where to look: at what lies beyond the first tile. The **second bug**: where a later
# tile brings a larger maximum, the sum so far must be brought to the new reference, times e^(old -
# new). No test with short rows can see it.


# %%
def rescaled(maximum, total, tile):
    new = np.maximum(maximum, tile.max(axis=1, keepdims=True))
    return new, total * np.exp(maximum - new) + np.exp(tile - new).sum(axis=1, keepdims=True)


told = findings(rescaled)
print("\n".join(line[:110] for line in told.splitlines()))
assert "accuracy:" not in told

# %% [markdown]
# Accuracy holds; all suites were asked this time. The **third bug** is at the edge: a tile whose
# classes are all masked has the maximum -inf, and -inf - (-inf) is not a number. Attention masks
# are made of such tiles. The toolkit knew it from a bug report of the past. An infinite maximum
# must not be subtracted:


# %%
def repaired(maximum, total, tile):
    new = np.maximum(maximum, tile.max(axis=1, keepdims=True))
    reference = np.where(new == -np.inf, tile.dtype.type(0), new)
    kept = total * np.exp(maximum - reference)
    return new, kept + np.exp(tile - reference).sum(axis=1, keepdims=True)


told = findings(repaired, dtype=DTYPES)
print(told)
assert told == "conforms"

# %% [markdown]
# ## Another format
#
# In float32 and float64 that is all. In float16, where it will be used one day, it is not:

# %%
told = findings(repaired, dtype="float16", suites="regressions")
print("\n".join(line[:110] for line in told.splitlines()[:10]))
assert "0.0] * 65536" in told

# %% [markdown]
# The **fourth bug**: 65 536 equal logits. Each exponential is 1, their sum is beyond the largest
# float16, and every probability comes out as 0. So sums are kept in float32 at least:


# %%
def widened(maximum, total, tile):
    new = np.maximum(maximum, tile.max(axis=1, keepdims=True))
    reference = np.where(new == -np.inf, tile.dtype.type(0), new)
    kept = total * np.exp(maximum - reference)
    wide = np.promote_types(tile.dtype, np.float32)
    return new, kept + np.exp(tile - reference).sum(axis=1, keepdims=True, dtype=wide)


told = findings(widened, dtype="float16")
print("\n".join(line[:110] for line in told.splitlines()[:10]))
assert 'contract={"arithmetic": "input"}' in told

# %% [markdown]
# What is left is no bug but a choice. Between its operations this kernel rounds to float16, where
# others keep float32; the error is within what is proven for the former, and the message says so.
# Who wants that declares it, and from then on is held to it:

# %%
told = findings(widened, dtype=["float16", *DTYPES], contract={"arithmetic": "input"})
print(told)
assert told == "conforms"

# %% [markdown]
# ## What it means to conform
#
# Every value within the a-priori error bound that is proven for its row, at 1 to 130 classes and
# around every power of two; no overflow up to the largest finite number; masks, NaN and infinities
# as the contract says; the declared facts (sums to one, shift, permutation); strided, reversed and
# misaligned memory; and twenty bugs of others, on record. It is a test, not a proof, but one that
# no bug in this lesson survived.
#
# In your own repository the same stands in a test,
#
#     @pytest.mark.conforms("softmax")
#     def test_softmax(conformance):
#         conformance(mykernels.softmax)
#
# or on the command line, where a crash or a hang is a finding, too:
#
#     softproof verify softmax --subject mykernels:softmax --html report.html
#
# **Next:** and if it is no softmax at all? [From a formula to a
# verdict](8_from_a_formula_to_a_verdict.ipynb)
