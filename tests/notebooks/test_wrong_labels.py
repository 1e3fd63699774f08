"""The gradients that the experiment on wrong labels trains by are those of its losses."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from softproof.kernels import cross_entropy, ldr_kl

pytest.importorskip("sklearn", reason="scikit-learn is not installed")
with pytest.MonkeyPatch.context() as patch:  # where a script finds its neighbours
    patch.syspath_prepend(Path(__file__).parents[2] / "notebooks")
    wrong_labels = importlib.import_module("wrong_labels")

STEP = 2.0**-20


def normalised_ldr(scores, labels):
    positive = np.log1p(np.exp(scores))
    normalised = positive / positive.mean(axis=1, keepdims=True)
    return ldr_kl(normalised, labels, 0.5, wrong_labels.MARGIN).mean()


def mean_logistic(scores, labels):
    return np.log1p(np.exp(-np.where(labels > 0, 1, -1) * scores[:, 0])).mean()


@pytest.mark.parametrize(
    ("loss", "gradient", "outputs"),
    [
        (lambda z, y: cross_entropy(z, y).mean(), wrong_labels.cross_entropy, 3),
        (normalised_ldr, wrong_labels.ldr(0.5), 3),
        (mean_logistic, wrong_labels.logistic, 1),
    ],
)
def test_a_gradient_is_that_of_the_loss(loss, gradient, outputs):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, outputs))
    labels = rng.integers(0, max(outputs, 2), 4)
    found = gradient(scores, labels, rng)
    for place in np.ndindex(scores.shape):
        moved = np.zeros_like(scores)
        moved[place] = STEP
        slope = (loss(scores + moved, labels) - loss(scores - moved, labels)) / (2 * STEP)
        assert found[place] == pytest.approx(slope, abs=1e-8)


def test_drawn_derivatives_pull_towards_the_label():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(30, 1)), rng.integers(0, 2, 30)
    found = wrong_labels.ensemble(0.0)(scores, labels, rng)
    assert np.all(np.sign(found[:, 0]) == np.where(labels > 0, -1, 1))


def test_a_short_run_learns_right_labels():
    features, labels = wrong_labels.load()
    found = wrong_labels.accuracy(features, labels, 10, wrong_labels.ldr(1.0), 0.0, 0, 4)
    assert found > 0.8
