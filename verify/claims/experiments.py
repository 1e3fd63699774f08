"""Claims that only a measurement settles: timings, which run by name, and training runs."""

from __future__ import annotations

import time

from ...derivations.claims.dukhan2020 import TWO_PASS
from ...derivations.claims.mao2023 import COMP_SUM
from ...derivations.claims.prieto2025 import GROKKING
from ...derivations.claims.register import (
    EXPERIMENT,
    Verdict,
    claim,
    confirmed,
    not_checkable,
    refuted,
)
from ...derivations.claims.sao2026_radius import GHOSTS

ROUNDS = 7


@claim(
    "Out of cache, two passes are faster than three: up to 28 % with AVX-512, 18 % with AVX2 "
    "(Skylake-X; also on Broadwell and Zen 2).",
    TWO_PASS,
    "abstract",
    EXPERIMENT,
    slow="a minute of timing that a busy machine disturbs",
)
def two_passes_are_faster_out_of_cache(exponent: int = 26) -> Verdict:
    """Our two_pass against the better of our three-pass algorithms, one row of 2^exponent.

    Told where the quartiles of the gain lie on one side of 0.
    """
    from ..bench.machine import processor
    from ..bench.row_length import run

    # Processor time: it stands still while others have the processor.
    (entry,) = run("float32", [(1, 1 << exponent)], [1], ROUNDS, clock=time.process_time)
    low, middle, high = entry["gain"]
    taken = entry["nanoseconds_per_element"]
    told = (
        f"on {processor()}, 1 x 2^{exponent}, one thread: "
        + ", ".join(f"{name} {spent:.3f}" for name, spent in taken.items())
        + f" ns / element; two_pass {middle:+.0%} (quartiles {low:+.0%}, {high:+.0%})"
    )
    if low > 0:
        return confirmed(ROUNDS, told)
    if high < 0:
        return refuted(f"not of our kernels, {told}", ROUNDS)
    return not_checkable(f"the quartiles lie on both sides of 0: {told}")


@claim(
    "In cache, three passes with reloading are the fastest.",
    TWO_PASS,
    "section 6",
    EXPERIMENT,
    slow="timing, which a busy machine disturbs",
)
def reloading_wins_in_cache(exponent: int = 14) -> Verdict:
    """Our algorithms on one row of 2^exponent float32."""
    from ..bench.machine import processor
    from ..bench.row_length import run

    (entry,) = run("float32", [(1, 1 << exponent)], [1], ROUNDS, clock=time.process_time)
    taken = entry["nanoseconds_per_element"]
    told = f"on {processor()}, 1 x 2^{exponent}: " + ", ".join(
        f"{name} {spent:.3f}" for name, spent in taken.items()
    )
    fastest = min(taken, key=taken.__getitem__)
    told += " ns / element"
    return confirmed(ROUNDS, told) if fastest == "three_pass_reload" else refuted(told, ROUNDS)


def _training(name: str, statement: str, paper: str, place: str, *, script: str, told: str) -> None:
    """A claim about training that a script of ours reproduces, and the README tells about."""

    def check() -> Verdict:
        return not_checkable(f"it trains models, for minutes: run the command. {told}")

    command = f"python notebooks/{script}"
    claim(statement, paper, place, EXPERIMENT, name=name, command=command)(check)


def _elsewhere(name: str, statement: str, paper: str, place: str, why: str) -> None:
    """A claim about training that nothing here reproduces."""

    def check() -> Verdict:
        return not_checkable(why)

    claim(statement, paper, place, EXPERIMENT, name=name)(check)


_training(
    "one_step_phase_transition",
    "Of six trained models, after one gradient step at r in [0.01, 100], none fails for r < 1; the "
    "linear one turns at r = 1, the others between 1 and 10.",
    GHOSTS,
    "Figures 1 and 7",
    script="phase_transition.py",
    told="The README says what came of it: yes by accuracy, no by a 10 % rise of the loss.",
)
_training(
    "learning_rate_spike",
    "Clipped to the radius, training survives spikes of the rate by 1000 and 10 000; plain Adam "
    "and a clip of the gradient do not.",
    GHOSTS,
    "Figure 6 and Table 1",
    script="rate_spike.py",
    told="The README says what came of it: yes; a clip of the update's norm does nearly as well.",
)
_training(
    "transition_in_random_directions",
    "Along the gradient and 20 random directions, in three phases, the transition is near r = 1.",
    GHOSTS,
    "Figure 8",
    script="directions.py",
    told="The README says what came of it: in one of three phases.",
)
_training(
    "temperature_collapses_the_onset",
    "Normalising by T shrinks the spread of the onset over eight temperatures from 0.992 to 0.164.",
    GHOSTS,
    "Figure 9",
    script="temperature.py",
    told="The README says what came of it: ten times, if trained at each T.",
)
_elsewhere(
    "resnet_without_a_schedule",
    "ResNet-18 on CIFAR-10 with steps of one radius reaches 85.3 %, the best fixed rate 82.6 %.",
    GHOSTS,
    "section 6",
    "softproof trains on the digits alone, and has no script for it",
)
_elsewhere(
    "comp_sum_losses_in_training",
    "On CIFAR and SVHN, cross-entropy outperforms the other comp-sum losses, and smooth "
    "adversarial losses outperform the state of the art.",
    COMP_SUM,
    "the experiments",
    "softproof trains on the digits alone, and has no script for it",
)
_training(
    "collapse_prevents_grokking",
    "Training in float32 without regularisation stops at softmax collapse and never groks; float64 "
    "delays the stop; StableMax or perpGrad grok without weight decay.",
    GROKKING,
    "the experiments",
    script="grokking.py",
    told="It prints what came of it here, modulo 31, and goes on from stored runs.",
)
