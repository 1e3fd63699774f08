# %% [markdown]
# # 9. What your test cannot see
#
# Kernels are written by programs now, and graded by tests: random inputs, a reference, a tolerance.
# Whoever passes is right, one hopes. An issue of a benchmark of generated kernels (KernelBench,
# number 165) tells that an output of zeros passes 4 of 60 of its tasks, softmax among them. How
# many other wrong kernels pass, and which test would not let them? This lesson grades a test.

# %%
# %matplotlib inline
# %config InlineBackend.figure_formats = ["retina"]
import numpy as np
from matplotlib import pyplot as plt
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.audit.check import parse
from softproof.verify.audit.grade import Audit, Described, called, grade
from softproof.verify.gate import judge
from softproof.verify.gate.told import told

SOFTMAX, FLOAT32 = lookup("softmax"), FORMATS["float32"]

# %% [markdown]
# ## The test
#
# It is the kind of test that one finds in public: 16 rows of 16384 normal random numbers, compared
# with the reference to within a hundredth, absolutely and relatively.


# %%
def softmax(x):
    """The softmax that candidates are compared with."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test(candidate):
    """Whether a candidate agrees with the reference."""
    x = np.random.default_rng(0).normal(size=(16, 16384)).astype(np.float32)
    return np.allclose(candidate(x), softmax(x), atol=1e-2, rtol=1e-2)


assert test(softmax)
assert test(np.zeros_like)
print("A kernel of zeros passes.")

# %% [markdown]
# The largest of 16384 probabilities is about a hundred times the mean of them, 1/16384, and still
# below a hundredth. The tolerance is above everything that the test compares.
#
# ## Its grade
#
# `audit` plants mistakes in the definition that the test is about, and gives each to the test. On
# the command line that is `softproof audit module:test --definition softmax`.


# %%
def graded(judge, noise=0.0):
    """The grade of a test of softmax in float32."""
    audit = Audit("this test", "softmax", "float32", 0, noise)
    for _ in grade(audit, SOFTMAX, FLOAT32, judge):
        pass
    return audit


first = graded(called(test, SOFTMAX))
for mistake in first.mistakes:
    print(f"{mistake.name:30}", "passes" if mistake.judged.accepted else "is rejected")
assert first.kill_rate == 0

# %% [markdown]
# Nothing is rejected at all: neither the mean of each row in place of the probabilities, nor the
# result of another row, nor a softmax that forgets the maximum and overflows from 89 on. To say
# `return True` would be as good a test, and faster.
#
# ## How far away is each mistake?
#
# A smaller tolerance would reject some of them. Described in a file, the test can be asked by how
# much: the *excess* of a mistake is the factor by which the tolerances are exceeded.

# %%
described = Described(
    parse(
        """
        title = "this test"
        definition = "softmax"
        dtype = "float32"
        inputs = [{ cases = 16, sizes = { K = 16384 } }]
        comparison = [{ kind = "allclose", atol = 1e-2, rtol = 1e-2 }]
        """,
        "the test",
    ),
    seed=0,
)
audit = graded(described, described.noise)
shown = sorted(audit.mistakes, key=lambda one: one.judged.excess)
figure, axes = plt.subplots(figsize=(7, 4))
floor = audit.least_excess / 10
axes.barh([one.name for one in shown], [max(one.judged.excess, floor) for one in shown], left=floor)
axes.axvline(1, color="black", label="the tolerance")
axes.axvline(audit.least_excess, color="black", linestyle=":", label="rounding errors")
axes.set(xscale="log", xlim=(floor, 10), xlabel="error, in units of the tolerance")
axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
figure.tight_layout()

# %% [markdown]
# A tolerance a thousand times smaller would reject most. But some mistakes stand at the left, at
# what rounding alone does, or at nothing: *no tolerance* rejects these, for they give the right
# result on these inputs. 16384 is a multiple of 128, so that a kernel that leaves out the rest of a
# row has no rest to leave out; no logit is large, so that no exponential overflows; no row holds a
# NaN.

# %%
by_name = {one.name: one for one in audit.mistakes}
unseen = [one.name for one in audit.mistakes if one.judged.excess <= audit.least_excess]
print(*unseen, sep="\n")
assert "K in whole tiles of 128" in unseen
assert "overflowing: as published" in unseen

# %% [markdown]
# ## The input that shows it
#
# For each mistake that passes there is an input at which it is wrong, shrunk to a few numbers. They
# are in hexadecimal, so that they are exact.

# %%
for name in ("zeros", "overflowing: as published", "NaN written as 0"):
    print(f"{name}: {by_name[name].seen.family}\n{by_name[name].seen.input}\n")
assert by_name["overflowing: as published"].seen.suite == "overflow"

# %% [markdown]
# ## The better test
#
# What rejects everything are the inputs more than the tolerance: lengths that are no multiple of
# anything, a square batch, a large logit, a NaN, and a comparison that is relative, since half of
# all probabilities are far below any absolute tolerance.


# %%
def better_test(candidate):
    """Whether a candidate agrees with the reference where implementations go wrong."""
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=shape) for shape in ((3, 3), (2, 9), (2, 129), (4, 1000))]
    inputs += [np.array([[100.0, 0.0]]), np.array([[np.nan, 0.0], [1.0, 2.0]])]
    for x in inputs:
        x = x.astype(np.float32)
        exact = softmax(x.astype(np.float64))
        if not np.allclose(candidate(x), exact, atol=1e-30, rtol=1e-5, equal_nan=True):
            return False
    return True


second = graded(called(better_test, SOFTMAX))
assert second.passed
print(
    f"{second.kill_rate:.0%} of the mistakes are rejected; {len(second.false_alarms)} false alarms"
)

# %% [markdown]
# The grade speaks of the mistakes that were planted, and of no others: 1e-5 is a number that
# somebody chose, and a kernel whose exponential is off by 1e-6 passes.
#
# ## The gate's verdict
#
# A verdict does not depend on such a choice. The gate holds a kernel against exact values, with
# error bounds that are theorems, at hard inputs that are drawn anew for each candidate. On the
# command line that is `softproof gate softmax --subject mine:softmax`.

# %%
verdict = judge(np.zeros_like, "softmax", dtype="float32", seed=7)
print(*told(verdict), sep="\n")
assert verdict.verdict == "wrong"
assert len(verdict.failure.logits) <= 2

# %% [markdown]
# And the softmax that the test compared with? It is right, as far as a second of asking tells.

# %%
verdict = judge(softmax, "softmax", dtype="float32", seconds=1, seed=7)
print(*told(verdict), sep="\n")
assert verdict.verdict == "right within its class"
