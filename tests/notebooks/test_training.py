"""The training experiments: their parts against other truths, their runs against proven facts."""

import functools
import importlib
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from softproof.kernels.step_radius.radius import BOUNDS, Radius, radius
from softproof.kernels.training.clip import ClipRecord

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

with pytest.MonkeyPatch.context() as patch:  # where a script finds its neighbours
    patch.syspath_prepend(Path(__file__).parents[2] / "notebooks")
    models = importlib.import_module("models")
    rate_spike = importlib.import_module("rate_spike")
    calibration = importlib.import_module("calibration")
    steps_to_target = importlib.import_module("steps_to_target")
    clip_overhead = importlib.import_module("clip_overhead")

# PyTorch's own forward-mode derivatives call its deprecated scripting compiler once per process.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

INF, NAN = math.inf, math.nan
ROUNDED = 1.0 + 1e-12  # factor * r is rounded twice
SHORT = rate_spike.Spike("MLP", 1e-3, 1000.0, steps=6)


# --- the spike ---


@pytest.fixture(scope="module")
def spiked():
    return rate_spike.measure(fast=True)


def test_plain_adam_is_lost_in_the_spike_and_the_clipped_run_is_not(spiked):
    (found,) = spiked.values()
    plain, clipped = found["plain Adam"], found["radius, spread"]
    assert plain.before == clipped.before > 0.7
    assert plain.worst_loss > 100.0 * math.log(10.0)
    assert plain.after < 0.5
    assert clipped.worst_loss < 1.2 * math.log(10.0)  # never much worse than a guess
    assert clipped.end > clipped.before
    assert clipped.after > 0.9
    assert math.isnan(plain.largest_r)
    assert 0.99 < clipped.largest_r <= ROUNDED


@pytest.mark.parametrize("clip", [clip for clip in rate_spike.CLIPS if clip.startswith("radius")])
def test_no_step_of_a_clipped_run_exceeds_its_radius(clip):
    run = rate_spike.train(SHORT, rate_spike.CLIPS[clip], seed=0, after=2)
    assert len(run.r) == len(run.loss) == rate_spike.BEFORE + 8
    assert max(run.r) <= ROUNDED
    assert min(run.r[rate_spike.BEFORE : -2]) > 0.99  # the spike is clipped at every step
    assert max(run.r[: rate_spike.BEFORE]) < 0.99  # and the base rate is not


def test_a_clip_that_does_not_clip_is_seen(monkeypatch):
    loose = functools.partial(rate_spike.radius_clip, r=INF)
    monkeypatch.setattr(rate_spike, "radius_clip", loose)
    run = rate_spike.train(SHORT, rate_spike.CLIPS["radius, spread"], seed=0, after=2)
    assert max(run.r) > 10.0
    plain = rate_spike.train(SHORT, rate_spike.CLIPS["plain Adam"], seed=0, after=2)
    assert run.loss == plain.loss


def test_the_gradient_clip_scales_the_gradient_and_adam_undoes_it():
    # Adam divides by the size of its gradients: at the first step a scale cancels but for epsilon.
    run = [
        rate_spike.train(SHORT._replace(steps=1), rate_spike.Clip(gradient_norm=norm), 0, after=0)
        for norm in (INF, 1e-3)
    ]
    assert run[0].loss[0] == run[1].loss[0]
    assert run[0].loss[1] == pytest.approx(run[1].loss[1], rel=1e-2)
    assert run[0].loss[-1] != run[1].loss[-1]


@pytest.mark.parametrize(("limit", "length"), [(INF, 5.0), (7.0, 5.0), (1.0, 1.0)])
def test_the_update_clip_keeps_the_direction(limit, length):
    value = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    value.grad = torch.tensor([-3.0, 4.0], dtype=torch.float64)
    rate_spike.take(torch.optim.SGD([value], lr=1.0), limit)
    np.testing.assert_allclose(value.detach(), [0.6 * length, -0.8 * length], rtol=1e-15)


def test_an_outcome_is_the_median_of_the_seeds():
    runs = [
        rate_spike.Run([1.0, peak], [0.7 + shift, 0.4 + shift, 0.9 + shift], r)
        for shift, peak, r in ((0.0, 3.0, [0.5, 1.0]), (0.01, 2.0, [0.1]), (-0.05, 9.0, [0.2]))
    ]
    assert rate_spike.outcome(runs) == (0.7, 0.4, 0.9, 3.0, 1.0)


def test_the_accuracy_is_read_at_the_right_steps():
    # A run that ends where another has its mark has seen the same steps, if the spike is none.
    spike = rate_spike.Spike("linear", 1e-2, 1.0, steps=5)
    long = rate_spike.train(spike, rate_spike.Clip(), 0, after=4)
    short = rate_spike.train(spike._replace(steps=2), rate_spike.Clip(), 0, after=3)
    assert long.accuracy[0] == short.accuracy[0]
    assert long.accuracy[1] == short.accuracy[2]
    assert len(set(long.accuracy)) == len(long.accuracy) == 3
    assert len(long.loss) == rate_spike.BEFORE + 9


def ended(before, end):
    return rate_spike.Outcome(before, end, end, 1.0, NAN)


@pytest.mark.parametrize(
    ("end", "agrees"), [(0.09, False), (0.29, False), (0.5, True), (0.71, False)]
)
def test_agreement_with_a_word_is_computed(end, agrees):
    spike = rate_spike.FIGURE_6[1]
    said = rate_spike.agreement(spike, {"plain Adam": ended(0.8, end)})
    assert rate_spike.paper_says(spike, "plain Adam") == "drops to about 50 %"
    assert ("does not agree" in said) is not agrees


def test_agreement_with_the_table_is_the_order_and_the_distance():
    spike = rate_spike.TABLE_1[0]
    names = list(rate_spike.PAPER_TABLE_1["transformer"])
    found = {n: ended(0.9, end) for n, end in zip(names, (0.328, 0.377, 0.953), strict=True)}
    assert "radius clip agrees; points above the paper: +1, -1, +0" in (
        rate_spike.agreement(spike, found)
    )
    found[names[0]] = ended(0.9, 0.96)
    assert "does not agree" in rate_spike.agreement(spike, found)


def test_the_spike_is_reported(spiked):
    text = rate_spike.report(spiked)
    assert "MLP, base rate 0.001, times 1000 for 150 steps" in text
    assert "drops to about 50 %" in text
    assert "Beside the paper: plain Adam" in text


def test_the_other_clips_are_put_beside_the_papers_own():
    measured = {
        spike: {"plain Adam": ended(0.9, plain), rate_spike.BASE: ended(0.9, 0.95)}
        for spike, plain in zip(rate_spike.FIGURE_6, (0.96, 0.45, 0.1), strict=True)
    }
    (line,) = rate_spike.against_the_spread(measured)[1:]
    assert line.split() == ["plain", "Adam", "-85.0", "+1.0"]


# --- the calibration ---


@pytest.fixture(scope="module")
def seen():
    """Logits and slopes that the script hands to `radius`, and what it makes of them."""
    arguments = []

    def recorded(logits, slopes):
        arguments.append((logits, slopes))
        return radius(logits, slopes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "radius", recorded)
        (series,) = calibration.measure(fast=True)
    return series, arguments


def test_the_ladder_holds_on_every_sample_of_every_checkpoint(seen):
    series, _ = seen
    for c in series.checkpoints:
        assert len(c.radii.flagged) == 300
        assert c.r == c.length / np.nanmin(c.radii.exact)
        assert np.mean(c.radii.flagged) <= 0.01
        known = ~c.radii.flagged
        for low, high in itertools.pairwise(BOUNDS):
            assert (getattr(c.radii, low)[known] <= getattr(c.radii, high)[known]).all()
        for share in calibration.ratios(c.radii).values():
            assert share.min() > 0.0
            assert share.max() <= 1.0


def zeros_within(logits, slopes, distance):
    """Count the zeros of F in a disc by the winding of F along its circle."""
    t = distance * np.exp(2j * np.pi * np.arange(20_001) / 20_000)
    exponents = logits + np.multiply.outer(t, slopes)
    # A positive factor at each point keeps the terms below 1 and the angles as they are.
    terms = np.exp(exponents - exponents.real.max(axis=1, keepdims=True))
    angle = np.unwrap(np.angle(terms.sum(axis=1)))
    return round((angle[-1] - angle[0]) / (2 * np.pi))


def test_no_zero_is_nearer_than_the_exact_radius_and_one_is_there(seen):
    series, arguments = seen
    for c, (logits, slopes) in zip(series.checkpoints, arguments, strict=True):
        for i in np.flatnonzero(~c.radii.flagged)[::60]:
            assert zeros_within(logits[i], slopes[i], 0.999 * c.radii.exact[i]) == 0
            assert zeros_within(logits[i], slopes[i], 1.001 * c.radii.exact[i]) >= 1


def test_the_bounds_tell_less_of_the_radius_than_they_might(seen):
    series, _ = seen
    for c in series.checkpoints:
        middle = [np.median(share) for share in calibration.ratios(c.radii).values()]
        assert middle == sorted(middle)
        assert middle[0] < 0.8
        assert middle[-1] > middle[0] + 0.1


def test_the_first_adam_update_moves_every_parameter_by_the_rate():
    # m / sqrt(v) = g / |g| at the first step, where the gradient is not zero.
    (first,) = calibration.checkpoints("linear", "Adam", (0,), 0, 5)
    images = models.digits(0).images
    chosen = np.random.default_rng(0).choice(len(images), 64, replace=False)
    moving = 10 * (int((images[chosen] > 0).any(dim=0).sum()) + 1)
    assert first.length == pytest.approx(1e-3 * math.sqrt(moving), rel=1e-3)


def test_the_sgd_update_is_the_gradient_step():
    # Softmax regression by hand: the gradient of the weights is (p - onehot)^T x / N.
    data, model = models.digits(0), models.build("linear", 0)
    chosen = np.random.default_rng(0).choice(len(data.labels), 64, replace=False)
    x = np.column_stack([data.images[chosen].numpy(), np.ones(64)])
    weights = np.column_stack([model.weight.detach().numpy(), model.bias.detach().numpy()])
    p = np.exp(x @ weights.T)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(64), data.labels[chosen].numpy()] -= 1.0
    (first,) = calibration.checkpoints("linear", "SGD", (0,), 0, 5)
    assert first.length == pytest.approx(0.1 * np.linalg.norm(p.T @ x / 64), rel=1e-10)


def stacked(spread, exact):
    spread, exact = np.array(spread), np.array(exact)
    flagged = np.isnan(exact)
    return Radius(spread, 2.0 * spread, 3.0 * spread, exact, np.zeros_like(exact), flagged)


def test_flagged_samples_and_those_without_a_zero_are_left_out():
    shares = calibration.ratios(stacked([1.0, 2.0, INF], [4.0, NAN, INF]))
    assert {rung: share.tolist() for rung, share in shares.items()} == {
        "spread": [0.25],
        "half_mass": [0.5],
        "variance": [0.75],
    }


def test_a_batch_costs_what_its_minimum_loses():
    exact = np.arange(10.0, 74.0)  # one batch of 64
    radii = stacked(exact[::-1] / 10.0, exact)
    # Lower order statistic of rank floor(0.1 * 63) = 6.
    assert calibration.batch_cost(radii, "exact") == (1.0, 1.6, 6 / 64)
    assert calibration.batch_cost(radii, "spread") == pytest.approx((0.1, 0.16, 0.0))


def test_seeds_are_pooled():
    runs = [
        [calibration.Checkpoint(5, share, 2.0 * share, 4.0 * share, stacked([share], [1.0]))]
        for share in (0.5, 0.75, 1.0)
    ]
    (joined,) = calibration.pooled(runs)
    assert joined[:4] == (5, 0.75, 1.5, 3.0)
    assert joined.radii.spread.tolist() == [0.5, 0.75, 1.0]


def test_the_calibration_is_reported(seen):
    text = calibration.report([seen[0]])
    assert "MLP, Adam, each sample: bound / rho*" in text
    lines = text.splitlines()
    heading = lines[lines.index("MLP, Adam, batches") + 2]
    assert heading.split() == ["step", "update", "/", "min", "rho*"] + 4 * [
        "min",
        "q",
        "0.1",
        "beyond",
    ]
    assert " of 900 samples." in text


# --- steps to a target ---


@pytest.fixture(scope="module")
def raced():
    return steps_to_target.measure(fast=True)


def test_radii_train_without_a_rate(raced):
    for result in raced["MLP"]:
        if result.rule.bound:
            assert result.steps[0.90] <= 60
            assert result.level > 0.85


@pytest.mark.parametrize("r", [0.5, 2.0])
def test_without_a_rate_every_step_is_r_radii_long(r):
    rule = steps_to_target.Rule("SGD", steps_to_target.ALWAYS_CLIPPED, "exact", r)
    run = steps_to_target.train("MLP", rule, 10, seed=0)
    assert all(record.factor < 1e-3 for record in run.log)
    assert [record.factor * record.r for record in run.log] == pytest.approx([r] * 10, rel=1e-12)


def test_a_tighter_rung_steps_further_from_the_same_start():
    first = [
        steps_to_target.train("MLP", steps_to_target.Rule("SGD", 1e9, bound), 1, seed=0).log[0]
        for bound in BOUNDS
    ]
    lengths = [record.factor * record.tau for record in first]
    assert lengths == sorted(lengths)
    assert lengths[-1] > 1.2 * lengths[0]


def test_the_rate_that_is_always_clipped_is_ruinous_without_a_clip():
    rule = steps_to_target.Rule("SGD", steps_to_target.ALWAYS_CLIPPED)
    run = steps_to_target.train("MLP", rule, 10, seed=0)
    assert run.accuracy[-1] < 0.5
    assert run.log == []


def test_the_test_images_are_seen_until_the_targets_are_met_and_at_the_end(monkeypatch):
    shares = iter([0.5, 0.97, *[0.9] * 60])
    monkeypatch.setattr(models, "accuracy", lambda *_: next(shares))
    run = steps_to_target.train("linear", steps_to_target.Rule("SGD", 0.1), 60, seed=0)
    assert run.accuracy[:2] == [0.5, 0.97]
    assert all(math.isnan(share) for share in run.accuracy[2:10])
    assert run.accuracy[10:] == [0.9] * steps_to_target.LATE


def test_steps_are_counted_from_one():
    assert steps_to_target.steps_to([0.5, 0.9, 0.8, 0.95], 0.9) == 2
    assert steps_to_target.steps_to([0.9], 0.9) == 1
    assert steps_to_target.steps_to([0.5], 0.9) == INF


def test_a_summary_takes_medians_and_the_worst():
    log = [ClipRecord(tau=4.0, rho=2.0, r=2.0, factor=0.5)]
    runs = [
        steps_to_target.Run([0.0] * n + [0.96] * (60 - n), log if n else []) for n in (0, 4, 15)
    ]
    runs[1].accuracy[-1] = 0.2
    result = steps_to_target.summary(steps_to_target.Rule("SGD", 1.0, "spread"), runs)
    assert result.steps == {0.90: 5.0, 0.95: 5.0, 0.97: INF}
    assert (result.level, result.worst, result.length) == (0.96, 0.0, 2.0)
    assert result.cost(0.95) == 25.0
    assert result._replace(rule=steps_to_target.Rule("SGD", 1.0)).cost(0.95) == 15.0


@pytest.mark.parametrize(
    ("ours", "base", "said"),
    [
        (80.0, 100.0, "20% fewer steps"),
        (150.0, 100.0, "50% more steps"),
        (91.0, 100.0, "no difference beyond 10 %"),
        (INF, INF, "neither gets there"),
        (9.0, INF, "only the first gets there"),
        (INF, 9.0, "only the second gets there"),
    ],
)
def test_a_gain_is_called_one_only_if_it_is(ours, base, said):
    assert steps_to_target.compared(ours, base) == said


def test_the_race_is_reported(raced):
    text = steps_to_target.report(raced)
    assert "MLP, SGD: a fixed rate, or gradient steps of r radii" in text
    assert "* 90% at r = 1: exact" in text
    assert "* MLP: " in text


# --- what the clip costs ---


def test_the_costs_of_the_clip_are_reported(capsys):
    clip_overhead.main(fast=True)
    title, _, *rows = capsys.readouterr().out.strip().splitlines()
    assert title.startswith("MLP 64-128-10, batch 128: 9610 parameters")
    found = {row[2:32].strip(): [float(cell) for cell in row[32:].split()] for row in rows}
    assert list(found) == list(clip_overhead.VARIANTS)
    plain = found.pop("plain Adam")
    assert plain[1] == 1.0
    for _, ratio, peak in found.values():
        assert ratio > 1.0
        assert peak > plain[2]


# --- from the command line ---


EXPERIMENTS = (
    "phase_transition",
    "directions",
    "temperature",
    "rate_spike",
    "calibration",
    "steps_to_target",
    "clip_overhead",
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_has_the_same_fast_way(name):
    script = (Path(models.__file__).parent / f"{name}.py").read_text()
    assert script.endswith('if __name__ == "__main__":\n    main(fast="--fast" in sys.argv[1:])\n')
    header = script.partition("# %%\n")[0]
    assert f"python notebooks/{name}.py" in header
    assert "--fast" in header
    assert "pip install" in header
