"""PyTorch's functions of several arguments are handed over as what they are.

They are held against the oracle to half of the digits of the format, which tells one function, axis
or parameter from another.  How accurate PyTorch is, is for the suites to find.
"""

import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.formats import FORMATS, format_of
from softproof.verify.cases.case import Case, CaseBatch
from softproof.verify.cases.choices import beside_the_truth
from softproof.verify.subjects.built_in import BUILT_IN
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import NotApplicable
from softproof.verify.suites.of_cases.accuracy import call

MODULES = ("torch_functions_of_arrays:", "torch_losses_of_arrays:")
SUBJECTS = {
    s.definition: s
    for s in BUILT_IN
    if s.id.startswith(tuple(f"softproof.verify.subjects.{module}" for module in MODULES))
}
X, Y = [0.25, -1.5, 3.0], [2.0, 0.5, -1.0]
MATRIX = [[1.0, -2.0, 0.5], [0.75, 0.5, -1.0], [3.0, 1.0, 0.25], [-1.0, 2.0, 1.5]]
VALUES = {
    "rms_norm": {"x": X, "gain": Y},
    "layer_norm": {"x": X, "gain": Y, "bias": [1.0, -0.5, 0.25]},
    "attention": {"q": X, "k": MATRIX, "v": MATRIX, "mask": [1, 0, 1, 1]},
    "sink_attention": {"q": X, "k": MATRIX, "v": MATRIX, "mask": [1, 0, 1, 1], "sink": 1.5},
    "swiglu": {"a": X, "b": Y},
    "rope": {"x": [0.25, -1.5, 3.0, 1.0], "position": 3},
    "gumbel_softmax": {"logits": X, "noise": Y},
    "info_nce": {"query": X, "keys": MATRIX, "label": 2},
    "kl_divergence": {"student": X, "teacher": Y},
    "linear_cross_entropy": {"hidden": X, "weight": MATRIX, "label": 2},
    "linear_cross_entropy_with_bias": {
        "hidden": X,
        "weight": MATRIX,
        "bias": [*Y, 0.25],
        "label": 2,
    },
    "js_divergence": {"student": X, "teacher": Y},
    "dpo": {
        "chosen": -3.0,
        "rejected": -2.5,
        "reference_chosen": -2.0,
        "reference_rejected": -4.0,
    },
    "ppo_loss": {"logp": -1.0, "old_logp": -1.5, "advantage": 0.5},
    "grpo_loss": {"logp": -1.0, "old_logp": -1.5, "advantage": 0.5, "reference_logp": -2.0},
    "gspo_loss": {
        "logp": [-0.5, -2.0, -1.25],
        "old_logp": [-1.0, -1.75, -1.5],
        "advantage": 1.5,
        "mask": [1, 0, 1],
    },
    "sinkhorn": {"cost": MATRIX},
    "entmax": {"z": X},
    "ctc_loss": {"logits": MATRIX, "labels": [1, 1]},
    "top_k_gate": {"logits": X},
}
PARAMETERS = [
    ("rms_norm", {}),
    ("rms_norm", {"eps": 0.0625}),
    ("layer_norm", {}),
    ("layer_norm", {"eps": 0.0625}),
    ("attention", {}),
    ("attention", {"scale": 2.0}),
    ("sink_attention", {}),
    ("sink_attention", {"scale": 2.0, "softcap": 2.0}),
    ("swiglu", {}),
    ("rope", {}),
    ("rope", {"base": 500000.0}),
    ("gumbel_softmax", {}),
    ("gumbel_softmax", {"temperature": 4.0}),
    ("info_nce", {}),
    ("info_nce", {"temperature": 4.0}),
    ("kl_divergence", {}),
    ("kl_divergence", {"temperature": 4.0}),
    ("linear_cross_entropy", {}),
    ("linear_cross_entropy", {"softcap": 2.0}),
    ("linear_cross_entropy_with_bias", {"softcap": 2.0}),
    ("js_divergence", {}),
    ("dpo", {}),
    ("dpo", {"beta": 8.0}),
    ("ppo_loss", {}),
    ("ppo_loss", {"clip": 0.0}),
    ("grpo_loss", {}),
    ("grpo_loss", {"clip": 0.0, "beta": 1.0}),
    ("gspo_loss", {}),
    ("gspo_loss", {"clip": 0.0}),
    ("sinkhorn", {"epsilon": 1.0, "iterations": 2.0}),
    ("entmax", {}),
    ("ctc_loss", {}),
    ("top_k_gate", {}),
    ("top_k_gate", {"k": 3}),
]

pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)


def case_of(name, dtype, parameters, **changed):
    """A case of a definition, with some values changed."""
    kinds = dict.fromkeys(("label", "labels", "position"), np.int64) | {"mask": np.bool_}
    values = {
        argument: np.array(value).astype(kinds.get(argument, FORMATS[dtype].dtype))
        for argument, value in {**VALUES[name], **changed}.items()
    }
    return Case(values, parameters)


def results(name, dtype, *cases):
    subject = InProcess(SUBJECTS[name])
    return call(subject, lookup(name), format_of(dtype), CaseBatch("given", cases))


@pytest.mark.parametrize(
    ("name", "parameters", "dtype"),
    [(*asked, dtype) for asked in PARAMETERS for dtype in SUBJECTS[asked[0]].dtypes],
)
def test_each_case_of_a_batch_gives_the_function_to_half_of_the_digits(name, parameters, dtype):
    definition, fmt = lookup(name), format_of(dtype)
    first = next(iter(VALUES[name]))
    cases = [case_of(name, dtype, parameters)]
    other = -(np.array(VALUES[name][first]) / 2)
    cases.append(case_of(name, dtype, parameters, **{first: other}))
    computed = results(name, dtype, *cases).astype(np.float64)
    for row, case in zip(computed, cases, strict=True):
        found, exact = beside_the_truth(definition, case, row, fmt)
        exact = exact.rounded.astype(np.float64)
        assert np.allclose(
            found, exact, rtol=2.0 ** -(fmt.precision // 2), atol=2.0 ** -(fmt.precision // 2)
        )


def test_attention_takes_no_cap_of_scores_as_pytorch_has_none():
    with pytest.raises(NotApplicable, match="softcap"):
        results("attention", "float32", case_of("attention", "float32", {"softcap": 2.0}))


def test_all_definitions_but_sparsemax_have_a_function_of_pytorch():
    assert set(SUBJECTS) == set(VALUES)
