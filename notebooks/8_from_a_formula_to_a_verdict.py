# %% [markdown]
# # 8. From a formula to a verdict
#
# You have read a paper, and implemented its loss. Is the implementation right? This lesson writes
# the paper's equation down once, in a file of a few lines. What one needs for an answer follows
# from these lines: the exact value, the derivatives, the largest error that rounding may cause, and
# the inputs at which implementations go wrong. Nothing of the toolkit is edited for it.
#
# The loss is that of Menon et al. ("Long-tail learning via logit adjustment", arXiv 2007.07314,
# 2021), for classes that are rare in the training set and matter nevertheless. With the logits f
# and the frequencies pi of the classes its equation (10) is the cross-entropy of f + tau log pi.

# %%
import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.derivations.page import derive
from softproof.verify.cases.case import Case
from softproof.verify.cases.truth import truth
from softproof.verify.cases.user_definitions import load_definitions
from softproof.verify.subjects.contract import Contract
from softproof.verify.suites.of_cases.thresholds import largest_errors, model_of
from softproof.verify.testing import assert_conforms

DTYPES = ["float32"] if "SOFTPROOF_FAST" in os.environ else ["float32", "float64"]

# %% [markdown]
# ## The file
#
# A definition names its arguments and their axes: `logits` and `log_prior` are vectors along the
# same axis K, of one size therefore; a label is an index into it. `upper=0.0` says that logarithms
# of frequencies are not positive, and `shared` that a batch of samples has one vector of them. The
# formula is one of a single sample. It computes with `xp` alone, which stands for an arithmetic:
# symbols, intervals, any number of bits.

# %%
FORMULA = '''
from softproof.derivations import Label, Parameter, Vector, define
from softproof.derivations.proofs.facts import Convex, GradientSumsTo, Range, ShiftInvariant

@define(
    family="losses",
    source="Menon et al. 2021, arXiv 2007.07314, eq. (10)",
    arguments={
        "logits": Vector("K"),
        "log_prior": Vector("K", upper=0.0, shared=True),
        "label": Label("K"),
    },
    parameters={"tau": Parameter(1.0, 0.0, 8.0, values=(0.0, 2.5))},
    facts=(
        Range(lower=0),
        ShiftInvariant("logits"),
        Convex("logits"),
        GradientSumsTo(0, "logits"),
    ),
)
def logit_adjusted_loss(logits, log_prior, label, xp, tau=1.0):
    """Cross-entropy of the logits plus tau times the logarithm of each class's frequency."""
    z = xp.shifted(logits + xp.number(tau) * log_prior)
    return xp.log(xp.sum(xp.exp(z))) - z[label]
'''

# %% [markdown]
# `xp.shifted` subtracts the maximum, which the value does not depend on: the formula says what is
# meant, and the shift is how it is computed. `values` are those at which implementations are asked
# besides the default. `facts` are what the author believes of the loss.

# %%
with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
    Path("long_tail.py").write_text(FORMULA)
    (definition,) = load_definitions(Path("long_tail.py"))

# %% [markdown]
# ## What follows from it
#
# The formula in symbols and, by reverse mode, the derivative in every argument; here of two
# classes, the first of which is right. The facts that the file declares are proven, or a
# counterexample is shown. (`softproof derive logit_adjusted_loss --definitions long_tail.py` prints
# the same.)

# %%
told = derive("logit_adjusted_loss")
print(told)
assert "df/dlog_prior_2 = tau*exp" in told
assert told.count("proven for axes of 2, 3") == 4

# %% [markdown]
# The exact value, from interval arithmetic, rounded once; and the threshold, which is the largest
# error of any implementation that computes this formula in a declared way. The arithmetic that
# finds it carries the error of each step along. Here of three classes, the last of which is rare,
# and a logit that leads by 7:


# %%
def sample(fmt, lead):
    frequencies = np.array([1000, 1000, 10]) / 2010
    return Case(
        {
            "logits": np.array([lead, 0, 0]).astype(fmt.dtype),
            "log_prior": np.log(frequencies).astype(fmt.dtype),
            "label": np.array(0),
        }
    )


print(f"{'format':10}{'exact, rounded':>18}{'threshold':>14}")
for fmt in FORMATS.values():
    exact = truth(definition, sample(fmt, 7), fmt)
    (error,) = largest_errors(definition, sample(fmt, 7), model_of(Contract(), fmt))
    ulps = error / 2.0 ** float(exact.ulp_exponent[0])
    print(f"{fmt.name:10}{float(exact.rounded[0]):18.8e}{ulps:10.1f} ulp")
    assert ulps > 0.5

# %% [markdown]
# The loss is the logarithm of a number near 1, and what that was rounded by is large beside it. In
# the formats of 16 bits this is not seen, as the declared way keeps float32 between the operations;
# in float32 and float64 many digits may be lost. Who wants them back computes log1p of the sum over
# the other classes (lesson 5). The definition stays the same, and a contract promises the smaller
# error.
#
# ## The verdict
#
# Here is the loss as it is written in a hurry. Its arguments come as the definition has them, with
# one axis more in front for the samples of a batch (but not of what is `shared`), and the
# parameters by name.


# %%
def first_try(logits, log_prior, label, tau=1.0):
    e = np.exp(logits + logits.dtype.type(tau) * log_prior)
    return -np.log(e[np.arange(len(label)), label] / e.sum(axis=1))


logits = np.random.default_rng(0).normal(0, 1, (64, 3)).astype(np.float32)
log_prior = np.log(np.array([1000, 1000, 10]) / 2010).astype(np.float32)
label = np.arange(64) % 3
z = logits + log_prior
expected = np.log(np.exp(z).sum(axis=1)) - z[np.arange(64), label]
assert np.allclose(first_try(logits, log_prior, label), expected, atol=1e-6)

# %% [markdown]
# The usual test passes. Now ask for everything that follows from the definition:


# %%
def findings(function, **asked):
    with np.errstate(all="ignore"):
        try:
            assert_conforms(function, "logit_adjusted_loss", **asked)
        except AssertionError as error:
            return "\n".join(line[:110] for line in str(error).splitlines())
    return "conforms"


told = findings(first_try)
print(told)
assert "logits[K=1] 0x1p+7" in told

# %% [markdown]
# The **first bug** is the old one: e^128 is infinite in float32. One class of logit 128 is what was
# left when the case was shrunk, along the axis K in all arguments at once. So the maximum is to be
# subtracted:


# %%
def shifted(logits, log_prior, label, tau=1.0):
    z = logits + logits.dtype.type(tau) * log_prior
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return -np.log(e[np.arange(len(label)), label] / e.sum(axis=1))


told = findings(shifted)
print(told)
assert "observed  inf" in told

# %% [markdown]
# The **second bug** was behind it. The probability of a class far below the others is 0 in
# floating point, and its logarithm infinite, where the loss itself is an ordinary number. The
# logarithm has to be taken before the exponential.


# %%
def in_logarithms(logits, log_prior, label, tau=1.0):
    z = logits + logits.dtype.type(tau) * log_prior
    z -= z.max(axis=1, keepdims=True)
    return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(label)), label]


told = findings(in_logarithms, dtype=DTYPES)
print(told)
assert told == "conforms"

# %% [markdown]
# ## The gradient
#
# Training needs the derivative, too. A function that has one by hand gives it as its attribute
# `vjp`: called with the arguments and a weight for each loss, the cotangent, it returns the product
# with the derivative in every argument of real numbers, summed over the batch where that is shared.
# (Of PyTorch and JAX functions it is asked by their own differentiation.)


# %%
def by_hand(logits, log_prior, label, cotangent, tau=1.0):
    z = logits + logits.dtype.type(tau) * log_prior
    e = np.exp(z - z.max(axis=1, keepdims=True))
    slopes = e / e.sum(axis=1, keepdims=True)
    slopes[np.arange(len(label)), label] -= 1
    slopes *= cotangent[:, None]
    return slopes, slopes.sum(axis=0)


in_logarithms.vjp = by_hand
told = findings(in_logarithms, suites="gradient")
print(told)
assert "log_prior[K=0]" in told
assert "logit_adjusted_loss tau=0x0p+0" in told

# %% [markdown]
# The **third bug**: the derivative in the log-prior has a factor tau, which the gradient above
# shows. At tau = 1, where everybody tests, it cannot be seen. The suite asks at every value of the
# file.


# %%
def with_tau(logits, log_prior, label, cotangent, tau=1.0):
    in_logits, in_prior = by_hand(logits, log_prior, label, cotangent, tau)
    return in_logits, logits.dtype.type(tau) * in_prior


in_logarithms.vjp = with_tau
told = findings(in_logarithms, dtype=DTYPES)
print(told)
assert told == "conforms"

# %% [markdown]
# ## What it means to conform
#
# Every result and every derivative within its threshold: with each argument in turn, and each two
# together, at the hazards of its kind, at sizes that kernels treat differently, and with every
# parameter at the values of the file. The declared facts hold. Each argument and parameter acts as
# defined; nothing that a loss does not depend on, as another sample of its batch, changes a bit of
# it; strided, misaligned and read-only memory, and a batch without samples, are taken. It is a
# test, not a proof, but its truth and its thresholds were written down by nobody: they follow from
# the formula.
#
# On the command line the same is
#
#     softproof verify logit_adjusted_loss --definitions long_tail.py --subject mylosses:loss
#
# where PyTorch functions (`--arrays torch`) and programs in other languages are asked, too.
