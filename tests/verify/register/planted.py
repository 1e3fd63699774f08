"""The table of planted bugs: by case of the register, what is broken, what is right, what finds it.

``NOT_SEEN`` says which bugs only their records find, and why.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from softproof.verify.subjects.contract import Contract

from tests.verify.register import bugs_of_activations as act
from tests.verify.register import bugs_of_attention as a
from tests.verify.register import bugs_of_gates as g
from tests.verify.register import bugs_of_losses as b
from tests.verify.register import bugs_of_norms as n
from tests.verify.register import bugs_of_policies as p
from tests.verify.register import bugs_of_positions as r
from tests.verify.register import bugs_of_sequences as s


@dataclass(frozen=True)
class Planted:
    """A bug of the register in an implementation, beside a right one, and what finds it."""

    case: str
    definition: str
    broken: Callable[..., Any]
    right: Callable[..., Any]
    suite: str
    family: str
    dtype: str = "float32"
    contract: Contract = field(default=Contract(summation="any"))


def backward(products, function=a.right):
    """A right function with a backward pass of its own."""
    called = functools.partial(function)
    called.vjp = products
    return called


BACKWARD = [
    ("attention_gradient_of_one_key", backward(a.reads_beyond_the_last_key), "q: normal"),
    (
        "attention_gradient_of_wide_scores",
        backward(a.exponential_of_unshifted_scores),
        "q: offset",
    ),
    ("attention_gradient_of_masked_keys", backward(a.masked_keys_not_zeroed), "q: normal"),
]
ATTENTION = [
    ("attention_softcap_times_score", a.capped_by_the_score_itself, "accuracy", "softcap=2"),
    ("attention_scores_near_the_cap", a.capped_before_the_scale, "accuracy", "softcap=2"),
    ("attention_softcap_ignored", a.softcap_ignored, "liveness", "softcap"),
    ("attention_softcap_after_the_mask", a.capped_after_the_mask, "accuracy", "softcap=2"),
    ("attention_finite_infinity", a.infinity_of_5e4, "accuracy", "q: huge"),
    ("attention_first_tile_masked", a.tiles_without_a_key, "accuracy", "mask: one kept"),
    ("attention_of_no_keys", a.spreads_nan, "poison", "q: normal"),
    ("attention_another_pattern", a.keeps_one_key_more, "accuracy", "mask: last dropped"),
]
SINK = [
    ("attention_sink_dropped", a.sink_dropped, "liveness", "sink"),
    (
        "attention_sink_dropped",
        backward(a.gradient_of_the_sink_dropped, a.right_with_sink),
        "gradient",
        "q: normal",
    ),
    (
        "attention_sink_above_the_scores",
        a.sink_against_the_maximum_of_scores,
        "accuracy",
        "sink: beyond exp",
    ),
    ("attention_sink_path", a.sink_as_a_weight, "accuracy", "q: normal"),
]
LAYER_NORM = [
    ("layer_norm_variance_by_squares", n.variance_by_squares),
    ("layer_norm_of_equal_numbers", n.variance_by_squares_one_by_one),
    ("layer_norm_fused", n.variance_by_squares_in_one_pass),
    ("layer_norm_on_one_device", n.variance_by_squares_one_by_one),
    ("layer_norm_at_mean_2000", n.variance_by_squares_one_by_one),
]
RMS_NORM = [
    ("rms_norm_skip_overflow", n.sum_in_the_format, "accuracy", "x: huge", "float16"),
    ("rms_norm_square_overflow", n.squares_in_the_format, "accuracy", "x: huge", "float16"),
    ("rms_norm_eps_scaled", n.eps_of_scaled_numbers, "accuracy", "eps=0.0625", "float32"),
]
LOSSES = [
    (
        "linear_loss_gradient_unreduced",
        "linear_cross_entropy",
        backward(b.gradient_of_the_mean, b.linear_cross_entropy),
        b.linear_cross_entropy,
        "gradient",
        "hidden: normal",
    ),
    (
        "ctc_gradient_beyond_the_last_state",
        "ctc_loss",
        backward(s.reads_beyond_the_last_state, s.ctc_loss),
        s.ctc_loss,
        "gradient",
        "logits: normal",
    ),
    (
        "ctc_loss_of_raw_logits",
        "ctc_loss",
        s.of_raw_logits,
        s.ctc_loss,
        "accuracy",
        "logits: normal",
    ),
    (
        "sparsemax_of_huge_logits",
        "sparsemax",
        b.support_by_one_plus,
        b.sparsemax,
        "accuracy",
        "z: huge",
    ),
    (
        "sparsemax_threshold",
        "sparsemax",
        b.threshold_by_the_sum_of_sums,
        b.sparsemax,
        "accuracy",
        "z: normal",
    ),
    (
        "contrastive_loss_underflow",
        "info_nce",
        b.logarithm_of_a_probability,
        b.info_nce,
        "accuracy",
        "query: wide",
    ),
    (
        "contrastive_loss_of_a_sharp_temperature",
        "info_nce",
        b.exponentials_without_a_shift,
        b.info_nce,
        "accuracy",
        "temperature=0.0703125",
    ),
]
ACTIVATIONS = [
    ("gelu_tanh_by_quotient_overflow", "gelu_tanh", act.by_one_exponential, "accuracy", "tall"),
    ("gelu_tanh_far_below", "gelu_tanh", act.by_two_exponentials, "accuracy", "tall"),
    ("gelu_nan_in_vector_lanes", "gelu_tanh", act.nan_in_vector_lanes, "accuracy", "reals"),
    ("silu_of_minus_infinity", "silu", act.silu_naive, "overflow", "far_reals"),
    ("gelu_tanh_cancels", "gelu_tanh", act.by_one_plus_tanh, "accuracy", "reals"),
    ("gelu_constant_term", "gelu", act.constant_term, "accuracy", "reals"),
    ("gelu_gradient_sign", "gelu", act.wrong_sign, "gradient", "x: reals"),
    ("tanh_polynomial", "tanh", act.few_terms, "accuracy", "reals"),
    ("tanh_gradient_cancels", "tanh", act.slope_cancels, "gradient", "x: reals"),
]
GATES = [
    ("gate_of_one_shape", g.wrong_from_128_experts_on, "accuracy", "logits: normal"),
    ("gate_of_nan", g.no_expert_for_nan, "poison", "logits: normal"),
]
POSITIONS = [
    ("rope_angles_in_half", r.angles_in_half),
    ("rope_positions_in_tf32", r.positions_of_11_bits),
    ("rope_positions_in_bfloat16", r.positions_in_bfloat16),
]
POLICIES = [
    (
        "policy_ratio_overflow",
        "ppo_loss",
        backward(p.ratio_times_zero, p.ppo_loss),
        p.ppo_loss,
        "gradient",
        "logp: beyond exp",
    ),
    (
        "policy_padding_in_the_gradient",
        "gspo_loss",
        backward(p.padding_times_zero, p.gspo_loss),
        p.gspo_loss,
        "gradient",
        "logp: beyond exp",
    ),
    (
        "sequence_ratio_overflow",
        "gspo_loss",
        backward(p.sequence_ratio_times_zero, p.gspo_loss),
        p.gspo_loss,
        "gradient",
        "logp: offset",
    ),
    (
        "mixture_underflow",
        "js_divergence",
        p.logarithm_of_the_mixture,
        p.js_divergence,
        "accuracy",
        "student with teacher",
    ),
    (
        "focal_loss_of_a_sure_answer",
        "focal_loss",
        p.logarithm_of_zero,
        p.focal_loss,
        "accuracy",
        "ordered",
    ),
]
BITWISE = Contract(summation="any", bitwise_batch="yes")
PLANTED = [
    *(Planted(case, "attention", f, a.right, *found) for case, f, *found in ATTENTION),
    *(Planted(case, "attention", f, a.right, "gradient", family) for case, f, family in BACKWARD),
    *(Planted(case, "sink_attention", f, a.right_with_sink, *found) for case, f, *found in SINK),
    *(
        Planted(case, "layer_norm", f, n.layer_norm, "accuracy", "x: offset")
        for case, f in LAYER_NORM
    ),
    *(Planted(case, "rms_norm", f, n.rms_norm, *found) for case, f, *found in RMS_NORM),
    Planted(
        "rms_norm_batch_invariance",
        "rms_norm",
        n.order_by_the_batch,
        n.rms_norm,
        "poison",
        "x: normal",
        contract=BITWISE,
    ),
    *(
        Planted(case, name, f, getattr(act, name), suite, family)
        for case, name, f, suite, family in ACTIVATIONS
    ),
    *(Planted(case, "top_k_gate", f, g.top_k_gate, *found) for case, f, *found in GATES),
    *(Planted(case, "rope", f, r.rope, "accuracy", "x: normal") for case, f in POSITIONS),
    *(Planted(*found) for found in LOSSES),
    *(Planted(*found) for found in POLICIES),
    Planted(
        "output_buffer_of_nan",
        "softmax",
        n.adds_to_the_buffer,
        n.softmax,
        "poison",
        "logits: normal",
    ),
    Planted("padded_channels", "softmax", n.padded_with_zeros, n.softmax, "accuracy", "lengths"),
]

# What no suite finds, and why: the record alone does.
NOT_SEEN = {
    "divergence_estimate_overflow": "an exponential overflows: implementations do not agree",
    "norms_beyond_the_root_of_the_range": "squares may overflow: implementations do not agree",
    "ctc_loss_below_zero": "the bound of the loss is far larger than a loss that is nearly 0",
    "ctc_loss_without_a_path": "all cases that are drawn have a path, as an infinite loss is none",
    "linear_loss_under_an_offset": "the catalogue admits the log-sum-exp less the logit as a form",
}
ONLY_RECORDED = [
    Planted(
        "divergence_estimate_overflow",
        "grpo_loss",
        p.divergence_in_the_format,
        p.grpo_loss,
        "accuracy",
        "reference_logp: beyond exp",
    ),
    Planted(
        "norms_beyond_the_root_of_the_range",
        "rms_norm",
        n.squares_that_overflow,
        n.rms_norm,
        "accuracy",
        "x: huge",
    ),
    Planted(
        "ctc_loss_below_zero",
        "ctc_loss",
        s.below_zero,
        s.ctc_loss,
        "accuracy",
        "logits: wide",
    ),
    Planted(
        "ctc_loss_without_a_path",
        "ctc_loss",
        s.zero_without_a_path,
        s.ctc_loss,
        "accuracy",
        "logits: normal",
    ),
    Planted(
        "linear_loss_under_an_offset",
        "linear_cross_entropy",
        b.logsumexp_less_the_logit,
        b.linear_cross_entropy,
        "accuracy",
        "weight: offset",
    ),
]
