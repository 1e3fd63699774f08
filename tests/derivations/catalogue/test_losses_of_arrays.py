"""Losses give what their sources say, and another function does not agree."""

import flint
import numpy as np
import pytest
from softproof.derivations import lookup
from softproof.derivations.arithmetic.arithmetic import NoValue
from softproof.derivations.arithmetic.systems import balls

from tests.derivations.catalogue.test_functions_of_arrays import agrees
from tests.derivations.catalogue.truths_of_losses import MP, W, X, focal_loss


def one_divergence(student, teacher, xp):
    return lookup("kl_divergence").formula(student, teacher, xp) / 4


def gain_of_the_policy_alone(chosen, rejected, reference_chosen, reference_rejected, xp, beta=0.1):
    return xp.softplus(-xp.number(beta) * (chosen - rejected))


def always_clipped(logp, old_logp, advantage, xp, clip=0.2):
    c = xp.number(clip)
    kept = xp.minimum(xp.maximum(xp.exp(logp - old_logp), 1 - c), 1 + c)
    return -(kept * advantage)


def reversed_penalty(logp, old_logp, advantage, reference_logp, xp, clip=0.2, beta=0.04):
    """e^-d + d - 1 estimates the other divergence."""
    d = logp - reference_logp
    ppo = lookup("ppo_loss").formula(logp, old_logp, advantage, xp, clip)
    return ppo + xp.number(beta) * (xp.exp(d) - d - 1)


def mean_of_the_ratios(logp, old_logp, advantage, mask, xp, clip=0.2):
    ratio = xp.mean(xp.exp(logp[mask] - old_logp[mask]))
    return lookup("ppo_loss").formula(xp.log(ratio), 0, advantage, xp, clip)


def columns_first(cost, xp, epsilon=0.1, iterations=10.0):
    return lookup("sinkhorn").formula(cost.T, xp, epsilon, iterations).T


def softmax_of_half(z, xp, alpha=1.5):
    return xp.softmax(z / 2)


def without_blanks_between_equal_labels(logits, labels, xp):
    """Repetitions merge, so that equal labels are one."""
    kept = [k for i, k in enumerate(labels) if i == 0 or k != labels[i - 1]]
    return lookup("ctc_loss").formula(logits, np.array(kept), xp)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("ctc_loss", without_blanks_between_equal_labels),
        ("sinkhorn", columns_first),
        ("entmax", softmax_of_half),
        ("js_divergence", one_divergence),
        ("dpo", gain_of_the_policy_alone),
        ("ppo_loss", always_clipped),
        ("grpo_loss", reversed_penalty),
        ("gspo_loss", mean_of_the_ratios),
    ],
)
def test_another_function_does_not_agree(name, broken):
    assert not agrees(broken, name)


FOCAL = {**lookup("focal_loss").forms, "as published": lookup("focal_loss").formula}


@pytest.mark.parametrize("gamma", [2.0, 0.0, 0.5])
@pytest.mark.parametrize("form", FOCAL)
def test_focal_loss_is_that_of_its_source(form, gamma):
    xp = balls()
    for logits, label in ((X, 0), (W, 3), ((0.0, 40.0), 1), ((40.0, 0.0), 1)):
        with flint.ctx.workprec(300):
            found = FOCAL[form](xp.vector(logits), label, xp, gamma)
            (truth,) = focal_loss([MP.mpf(v) for v in logits], label, gamma)
            exact = flint.arb(MP.nstr(truth, 45))
            assert abs(found - exact) < abs(exact) * 2.0**-90


@pytest.mark.parametrize("iterations", [0.0, 2.5, 101.0])
def test_sinkhorn_refuses_what_is_no_number_of_iterations(iterations):
    xp = balls()
    with pytest.raises(ValueError, match="give a whole number from 1 to 100"):
        lookup("sinkhorn")(xp.array([[1.0]]), xp, iterations=iterations)


def test_sinkhorn_of_many_iterations_has_both_marginals():
    xp = balls()
    plan = lookup("sinkhorn")(xp.array([[0.5, 1.0], [0.0, 0.25], [2.0, 1.0]]), xp, 1.0, 40.0)
    assert all(abs(sum(row) - flint.arb(1) / 3) < 1e-12 for row in plan)
    assert all(abs(sum(column) - flint.arb(1) / 2) < 1e-12 for column in plan.T)


CTC = {**lookup("ctc_loss").forms, "as published": lookup("ctc_loss").formula}


@pytest.mark.parametrize("form", CTC)
@pytest.mark.parametrize(("steps", "labels"), [(1, [1, 2]), (2, [1, 1]), (4, [1, 1, 2, 2])])
def test_where_no_path_stands_for_the_labels_the_loss_is_no_number(form, steps, labels):
    with pytest.raises(NoValue, match=f"no path of {steps} steps stands for the labels"):
        CTC[form](balls().array(np.zeros((steps, 3))), np.array(labels), balls())


def test_the_blank_is_no_label():
    with pytest.raises(ValueError, match=r"the labels \[1, 0\] have 0 among them"):
        lookup("ctc_loss")(balls().array(np.zeros((3, 3))), np.array([1, 0]), balls())


@pytest.mark.parametrize("form", CTC)
def test_the_ctc_loss_of_one_step_is_the_cross_entropy(form):
    xp = balls()
    logits = xp.array([X])
    with flint.ctx.workprec(200):
        for label in (1, 2, 3):
            found = CTC[form](logits, np.array([label]), xp)
            assert abs(found - lookup("cross_entropy")(logits[0], label, xp)) < 2.0**-190


@pytest.mark.parametrize("form", CTC)
def test_the_ctc_loss_of_no_labels_is_that_of_blanks_alone(form):
    xp = balls()
    logits = xp.array([X, W, X])
    with flint.ctx.workprec(200):
        found = CTC[form](logits, np.array([], dtype=np.int64), xp)
        blanks = sum(lookup("cross_entropy")(row, 0, xp) for row in logits)
        assert abs(found - blanks) < 2.0**-190
