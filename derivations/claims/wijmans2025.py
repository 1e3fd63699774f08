"""Wijmans et al. 2025, Cut Your Losses (cut cross-entropy): what its filter and its padding do.

The gradient in the logits is G = p - e_y, p the softmax.  Blocks of G whose entries are all below
eps are skipped; eps = 2^-12 where G is rounded to bfloat16.
"""

from __future__ import annotations

import math
from fractions import Fraction

import flint

from ..arithmetic.balls import ball
from .register import (
    COMPUTATION,
    OUR_QUESTION,
    PROOF,
    Verdict,
    certified,
    claim,
    proven,
    refuted,
    require,
)

CCE = "Wijmans et al. 2025 (arXiv 2411.09009)"
EPS = Fraction(1, 2**12)
BITS = 160


@claim(
    "At most 4096 entries of a softmax reach the threshold 2^-12 of the filter.",
    CCE,
    "gradient filtering",
    PROOF,
    opposite={"most": 4095},
)
def cce_pigeonhole(most: int = 4096) -> Verdict:
    """The entries sum to 1; 4096 equal ones are 2^-12 each."""
    if most * EPS < 1:  # one entry more would still sum to at most 1
        return refuted(
            f"{most + 1} equal entries are {Fraction(1, most + 1)} each, not below 2^-12"
        )
    require((most + 1) * EPS > 1)
    return proven(f"{most + 1} entries of 2^-12 or more would sum to more than 1")


@claim(
    "Fewer than 0.02 % of the entries of a vocabulary of 256 000 matter: about 50.",
    CCE,
    "on the sparsity of the softmax",
    PROOF,
    opposite={"entries": 52},
)
def cce_share(entries: int = 50) -> Verdict:
    """Arithmetic of the stated figures alone; which entries matter is a measurement of theirs."""
    share = Fraction(entries, 256_000)
    told = f"{entries} / 256 000 = {float(share):.4%}"
    return proven(told) if share < Fraction(2, 10_000) else refuted(told)


@claim(
    "Filtering loses no precision of the gradient.",
    CCE,
    "gradient filtering",
    COMPUTATION,
    opposite={"classes": 2048},
)
def cce_filter_keeps_the_gradient(classes: int = 8192, tile: int = 128) -> Verdict:
    """Equal logits, as at initialisation: all tiles but that of the label are skipped.

    What is kept of G then sums to (tile / V) - 1, and not to 0, as every gradient of a softmax
    does; the same holds of the rows of the gradient in the classifier.
    """
    share = Fraction(1, classes)
    if share >= EPS:
        return proven(f"with {classes} classes every entry reaches 2^-12, and no tile is skipped")
    kept = tile * share - 1
    skipped = 1 - Fraction(tile, classes)
    return refuted(
        f"{classes} equal logits: {float(skipped):.1%} of the rows of the classifier's gradient "
        f"are exactly 0, and what is kept of G sums to {float(kept):.3f} where the gradient sums "
        "to 0",
        1,
    )


@claim(
    "The mass that the filter drops is bounded by the threshold.",
    CCE,
    "a bound that the filter does not have (our reading)",
    PROOF,
    opposite={"classes": 1},
    kind=OUR_QUESTION,
)
def cce_dropped_mass(classes: int = 256_000) -> Verdict:
    """n dropped entries, each below eps, may sum to n eps, and to nearly 1."""
    dropped = min(Fraction(classes - 1, classes), (classes - 1) * EPS)
    if dropped > EPS:
        return refuted(f"{classes} equal entries: {float(dropped):.6f} of the mass is dropped")
    return proven(f"with {classes} class there is nothing to drop")


@claim(
    "Soft-capped logits of classes that only pad a tile change no loss.",
    CCE,
    "linear_cross_entropy(softcap=...) of apple/ml-cross-entropy d42911f",
    COMPUTATION,
    opposite={"classes": 512},
    kind=OUR_QUESTION,
)
def cce_softcap_of_padding(classes: int = 507, softcap: float = 1.0, tile: int = 128) -> Verdict:
    """Pad classes are set to -inf and capped after that, to -softcap: they enter the sum."""
    padding = -classes % tile
    with flint.ctx.workprec(BITS):
        lse = flint.arb(classes).log()  # of logits 0
        excess = (1 + padding * (-ball(softcap) - lse).exp()).log()
    if padding:
        return refuted(
            f"{classes} logits of 0, cap {softcap:g}: {padding} pad classes add "
            f"{float(excess):.4g} to the loss",
            1,
        )
    return proven(f"{classes} is a multiple of {tile}: there is no padding")


@claim(
    "The gradient of the z-loss, lse^2, is kept where the filter skips a block.",
    CCE,
    "linear_cross_entropy(return_lse=True) of apple/ml-cross-entropy d42911f",
    COMPUTATION,
    opposite={"leading": 2.0},
    kind=OUR_QUESTION,
)
def cce_z_loss_gradient(leading: float = 40.0, classes: int = 256) -> Verdict:
    """One confident token: all of G is below 2^-12, yet d(lse^2) is 2 lse p at the label."""
    with flint.ctx.workprec(BITS):
        others = (classes - 1) * (-ball(leading)).exp()
        missed = others / (1 + others)  # 1 - p of the label, the largest entry of |G|
        slope = 2 * (ball(leading) + (1 + others).log()) * (1 - missed)
        skipped = missed < flint.arb(1) / 4096
    if skipped:
        return refuted(
            f"logits {leading:g}, 0, ..., 0 of {classes} classes: all entries of G are at most "
            f"{float(missed):.2g}, the block is skipped, and the gradient {float(slope):.1f} of "
            "lse^2 with it",
            1,
        )
    return certified(1, f"the largest entry of G is {float(missed):.3g}, which is not skipped")


@claim(
    "2^-12 is what bfloat16 does not resolve beside 1.",
    CCE,
    "the choice of eps",
    PROOF,
    opposite={"exponent": -7},
)
def cce_below_bfloat16(exponent: int = -12) -> Verdict:
    """1 + x rounds to 1 in bfloat16 for x at most half of its spacing 2^-7 above 1."""
    if exponent > -8:
        return refuted(f"1 + 2^{exponent} is a number of bfloat16 or rounds up to one")
    return proven(
        f"2^{exponent} is {2.0 ** (-8 - exponent):g} times below 2^-8, half of the spacing at 1; "
        f"a sum of {math.ceil(2.0 ** (-8 - exponent))} such entries is not"
    )
