# %% [markdown]
# # 2. Two passes or three?
#
# A softmax that subtracts the maximum reads its logits three times: for the maximum, for the sum of
# exponentials, for the results. Out of cache it is memory that costs, not arithmetic. Dukhan and
# Ablavatski ("The Two-Pass Softmax Algorithm", arXiv 2001.04438, 2020) save one of the three
# passes, and report that this makes softmax up to 28 % faster with AVX-512, and up to 18 % with
# AVX2.
#
# How can a pass be saved at all? What should it bring? What does it bring here?

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import math
import os

import numpy as np
from rich.console import Console
from softproof.kernels import ALGORITHMS, naive, two_pass
from softproof.kernels.arithmetic.exp import exp_pair
from softproof.verify.bench import row_length
from softproof.verify.bench.limits import TRAFFIC
from softproof.verify.bench.machine import about
from softproof.verify.bench.plot import draw_row_lengths

FAST = "SOFTPROOF_FAST" in os.environ  # short rows, few rounds

# %% [markdown]
# ## The trick: an exponential that cannot overflow
#
# The maximum is needed only because e^x overflows. Write it as e^x = m 2^n instead, with m near 1
# and the integer n a number of its own that is never folded into the exponent of m. Then e^1000 is
# as harmless as e:

# %%
for x in (1.0, 1000.0, -1e6):
    m, n = exp_pair(x, 0.0)
    print(f"e^{x:<9g} = {m:.6f} * 2^{n:.0f}")
    assert 0.7 < m < 1.42
    assert math.isclose(math.log(m) + n * math.log(2), x, rel_tol=1e-15)

# %% [markdown]
# Two such pairs are added by bringing both to the larger exponent. That is the maximum, found in
# passing: the first pass sums up pairs, the second recomputes each pair and divides. The naive
# formula needs as few passes, but it breaks:

# %%
logits = np.float32([[1000.0, 999.0, -1e30, -np.inf]])
print("two_pass", two_pass(logits))
print("naive   ", naive(logits))
assert np.isnan(naive(logits)).any()
assert np.isclose(two_pass(logits)[0, 0], 1 / (1 + math.exp(-1)))

# %% [markdown]
# The claim that it never overflows holds for every finite input. (Google's XNNPACK, which ships the
# algorithm, returns NaN for a mask of -1e30; the algorithm is not to blame, as the line above
# shows.) All algorithms of the library give nearly the same bits, for their exponentials are the
# same numbers:

# %%
row = np.random.default_rng(0).normal(0, 10, (1, 100_000)).astype(np.float32)
results = {name: ALGORITHMS[name](row) for name in TRAFFIC}
for name, p in results.items():
    apart = np.abs(p.view(np.int32) - results["two_pass"].view(np.int32))
    print(f"{name:21} {np.mean(apart > 0):.2%} of the results differ, by at most {apart.max()} ulp")
    assert apart.max() <= 1

# %% [markdown]
# ## What it should bring
#
# What moves between memory and processor, for each logit, counted as the paper counts it (the test
# suite counts the same in the running kernels, over vectors that keep books, and finds exactly
# this):

# %%
print(f"{'algorithm':22}{'reads':>6}{'writes':>8}{'with the read before a write':>30}")
for name, (reads, writes) in TRAFFIC.items():
    print(f"{name:22}{reads:6}{writes:8}{reads + 2 * writes:30}")

# %% [markdown]
# A processor reads a line of its cache before it writes to it, unless the write is streamed past
# the caches. So where memory is all that counts, two passes should be faster than the better
# three-pass algorithm by

# %%
reads, writes = TRAFFIC["three_pass_recompute"]
two_reads, two_writes = TRAFFIC["two_pass"]
streamed = (reads + writes) / (two_reads + two_writes) - 1
read_first = (reads + 2 * writes) / (two_reads + 2 * two_writes) - 1
print(f"{read_first:.0%}, or {streamed:.0%} where writes are streamed")
assert (read_first, round(streamed, 2)) == (0.25, 0.33)

# %% [markdown]
# The paper's 28 % lies between these two; its 18 % below both. In cache the second read of the
# three-pass algorithms is nearly free, and two passes pay for their pairs with arithmetic.
#
# ## What it brings here
#
# `softproof bench softmax --roofline` takes one row of growing length and times every algorithm,
# with pure reads and copies in between: what memory allows at that length. The same function, here:

# %%
shapes = [(1, 1 << k) for k in (range(12, 19, 2) if FAST else range(12, 25, 2))]
entries = list(row_length.run("float32", shapes, threads=[1], rounds=3 if FAST else 7))
draw_row_lengths(entries, about() | {"command": "softproof bench softmax --roofline --threads 1"})

# %%
row_length.print_row_lengths(entries, Console(width=130, force_jupyter=False, force_terminal=False))

# %% [markdown]
# ## Beside the paper

# %%
longest = entries[-1]
low, middle, high = longest["gain"]
verdict = "agrees" if 0 < middle <= 0.33 else "does not agree"
print("Published: two passes are up to 28 % (AVX-512) or 18 % (AVX2) faster out of cache.")
print(f"Here, {longest['classes']} classes: {middle:+.0%}, quartiles {low:+.0%} ... {high:+.0%}.")
print(f"That {verdict}.")
share = longest["limits"]["two_pass"] / longest["nanoseconds_per_element"]["two_pass"]
print(f"Of the time of two_pass, memory alone explains {share:.0%}.")

# %% [markdown]
# The last line tells why the answer differs from machine to machine. The paper's algorithm wins
# where memory is the limit. Our kernels sum in pairs so that every result is right within 4 ulp,
# some 30 instructions a vector; where those take longer than the memory does, saved traffic saves
# little. On the machine on which this was written (AMD EPYC, Zen 4, AVX-512, shared with other
# work) memory explained 26 to 40 % of the time of two_pass beyond the caches, and at 2^24 classes
# it gained 10 %, quartiles -1 to 22 %: less than the paper's 28 %, and in the same direction.
# `online` has the same traffic with less arithmetic, since it takes the maximum of a stretch that
# stays in the first-level cache, and was the fastest there.
#
# **Next:** [Ghosts](3_ghosts.ipynb), what the complex plane knows about the next training step.
