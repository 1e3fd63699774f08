"""The one-step experiments: their parts against other truths, their runs against proven facts."""

import importlib
import math
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from softproof.kernels.step_radius.radius import BOUNDS, radius

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("sklearn", reason="scikit-learn is not installed")

with pytest.MonkeyPatch.context() as patch:  # where a script finds its neighbours
    patch.syspath_prepend(Path(__file__).parents[2] / "notebooks")
    models = importlib.import_module("models")
    one_step = importlib.import_module("one_step")
    phase_transition = importlib.import_module("phase_transition")
    directions = importlib.import_module("directions")
    temperature = importlib.import_module("temperature")

# PyTorch's own forward-mode derivatives call its deprecated scripting compiler once per process.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


@pytest.fixture(scope="module")
def data():
    return models.digits()


@pytest.fixture(scope="module")
def at(data):
    return one_step.problem(data)


@pytest.fixture(scope="module")
def linear(data):
    return models.trained("linear", data)


@pytest.fixture(scope="module")
def phase():
    return phase_transition.measure(fast=True)


@pytest.fixture(scope="module")
def all_directions():
    return directions.measure(fast=True)


@pytest.fixture(scope="module")
def temperatures():
    return temperature.measure(fast=True)


# --- the data and the models ---


def test_the_split_keeps_every_image_once_and_the_shares_of_the_classes(data):
    assert len(data.labels) + len(data.test_labels) == 1797
    together = torch.cat([data.images, data.test_images]).numpy()
    images, _ = models.load_digits(return_X_y=True)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(images / 16.0, axis=0))
    shares = torch.bincount(data.test_labels) / torch.bincount(
        torch.cat([data.labels, data.test_labels])
    )
    assert (shares - 0.3).abs().max() < 0.01


def test_another_seed_is_another_split_and_the_same_seed_the_same(data):
    assert torch.equal(models.digits().images, data.images)
    assert not torch.equal(models.digits(seed=1).images, data.images)


@pytest.mark.parametrize("name", models.MODELS)
def test_slopes_are_the_derivative_of_the_logits(name, data):
    model = models.build(name)
    models.train(model, data, steps=5)
    images, labels = models.batch(data, 16)
    direction = models.downhill(model, images, labels)
    logits, slopes = models.logits_and_slopes(model, images, direction)
    np.testing.assert_array_equal(
        logits, models.logits_after(model, images, direction, 0.0).numpy()
    )

    def difference(along):
        after, before = (models.logits_after(model, images, along, t) for t in (1e-5, -1e-5))
        return (after - before).numpy() / 2e-5

    np.testing.assert_allclose(slopes, difference(direction), atol=1e-6 * np.abs(slopes).max())
    other = models.random_direction(model, np.random.default_rng(0))
    assert np.abs(slopes - difference(other)).max() > 0.01 * np.abs(slopes).max()


@pytest.mark.parametrize("name", models.MODELS)
def test_a_logit_depends_on_its_own_image_alone(name, data):
    model = models.build(name)
    models.train(model, data, steps=3)
    with torch.no_grad():
        torch.testing.assert_close(model(data.images[:8])[:3], model(data.images[:3]))


@pytest.mark.parametrize("t", [0.5, 1.0, 8.0])
def test_downhill_has_norm_1_and_the_loss_falls_at_the_rate_of_the_gradient(t, data):
    model = models.build("MLP")
    images, labels = models.batch(data, 32)
    direction = models.downhill(model, images, labels, t)
    assert sum(float((part**2).sum()) for part in direction.values()) == pytest.approx(1.0)
    loss = torch.nn.functional.cross_entropy(model(images) / t, labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    norm = math.sqrt(sum(float((part**2).sum()) for part in gradients))
    losses = [
        models.loss(models.logits_after(model, images, direction, h) / t, labels)
        for h in (1e-5, -1e-5)
    ]
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(-norm, rel=1e-6)


def test_training_reaches_the_accuracy_that_its_recipe_promises(linear, data):
    with torch.no_grad():
        assert models.accuracy(linear(data.test_images), data.test_labels) > 0.95
        untrained = models.build("linear")(data.test_images)
    assert models.accuracy(untrained, data.test_labels) < 0.5


# --- the sweep ---


def test_a_step_of_length_0_changes_nothing_and_a_huge_one_everything(linear, at):
    direction = models.downhill(linear, at.images, at.labels)
    measured = one_step.sweep(linear, direction, np.array([0.0, 1e4]), at)
    assert (measured.loss_ratio[0], measured.flipped[0], measured.retained[0]) == (1.0, 0.0, 1.0)
    assert measured.loss_ratio[1] > 100
    assert measured.flipped[1] > 0.5
    assert measured.retained[1] < 0.5


def test_an_onset_is_the_first_failure_and_inf_without_one():
    lengths = np.array([1.0, 2.0, 4.0, 8.0])
    measured = one_step.Sweep(
        lengths,
        loss_ratio=np.array([0.9, 1.2, 1.0, 3.0]),
        flipped=np.zeros(4),
        retained=np.array([1.0, 0.97, 0.95, 0.91]),
    )
    assert measured.loss_onset == 2.0
    assert measured.turn == 2.0
    assert measured.accuracy_onset == np.inf


def test_the_grid_of_r_contains_1_and_its_ends():
    for per_decade in (5, 10, 40):
        r = one_step.grid(0.01, 100.0, per_decade)
        assert 1.0 in r
        assert (r[0], r[-1]) == pytest.approx((0.01, 100.0))
        assert len(r) == 4 * per_decade + 1


# --- facts of linear logits, on the trained linear model ---


@pytest.fixture(scope="module")
def line(linear, at):
    """Logits and slopes of the batch along its gradient step."""
    direction = models.downhill(linear, at.images, at.labels)
    return models.logits_and_slopes(linear, at.images, direction)


def losses(logits, slopes, labels, lengths):
    return np.array([models.loss(torch.tensor(logits + t * slopes), labels) for t in lengths])


def test_the_loss_rises_downhill_by_less_than_pi_squared_over_8_times_r_squared(line, at):
    # L'' is a mean variance of slopes, at most Delta^2 / 4, and L'(0) < 0: with t = r pi / Delta,
    # L(t) - L(0) < t^2 Delta^2 / 8 = (pi r)^2 / 8.
    r = one_step.grid(0.01, 100.0, 10)

    def holds(spread):
        rise = losses(*line, at.labels, r * spread) - losses(*line, at.labels, [0.0])
        return np.all(rise < (math.pi * r) ** 2 / 8)

    spread = one_step.batch_radii(*line)["spread"]
    assert holds(spread)
    assert not holds(100 * spread)


def test_no_prediction_of_more_than_half_the_mass_flips_before_its_half_mass_point(line):
    # hypot(s_half, pi / Delta) is the half-mass bound; inside s_half the top class outweighs all.
    logits, slopes = line
    bounds = radius(logits, slopes)
    s_half = np.sqrt(np.maximum(bounds.half_mass**2 - bounds.spread**2, 0.0))
    top = logits.argmax(axis=1)

    def flipped(times):
        return (logits + (times * s_half)[:, None] * slopes).argmax(axis=1) != top

    assert np.count_nonzero(s_half > 0) > 200
    assert not any(flipped(times).any() for times in (0.25, 0.5, 0.99))
    assert flipped(4.0).any()


def test_the_line_loss_is_convex_so_it_fails_for_good(line, linear, at):
    direction = models.downhill(linear, at.images, at.labels)
    spread = one_step.batch_radii(*line)["spread"]
    measured = one_step.sweep(linear, direction, spread * one_step.grid(0.01, 100, 10), at)
    failed = measured.lengths >= measured.loss_onset
    np.testing.assert_array_equal(measured.loss_ratio > one_step.LOSS_LIMIT, failed)
    assert 0 < np.count_nonzero(failed) < failed.size


# --- the Taylor series ---


def test_the_series_converges_inside_the_binary_radius_and_diverges_outside():
    logits = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 5.0]])
    slopes = np.array([[1.0, -1.0], [0.5, 3.0], [2.0, 1.0]])
    delta, spread = logits[:, 0] - logits[:, 1], np.abs(slopes[:, 0] - slopes[:, 1])
    rho = np.hypot(delta, math.pi) / spread

    def errors(radii, at):
        return phase_transition.series_errors(logits, slopes, radii, at)[:, -1]

    assert errors(rho, 0.9).max() < 1e-6
    assert errors(rho, 1.1).min() > 1e3
    # Radii that are wrong by 30 % are seen on both sides.
    assert errors(1.3 * rho, 0.9).min() > 1e3
    assert errors(0.7 * rho, 1.1).max() < 1e-6


def test_the_series_of_every_digit_converges_inside_its_exact_radius_and_not_outside(phase):
    assert phase.inside.shape == phase.outside.shape == (256, len(phase_transition.ORDERS))
    assert phase.inside[:, -1].max() < 1e-6
    assert phase.outside[:, -1].min() > 1.0


# --- the runs ---


def test_linear_logits_never_leave_their_linearisation_and_those_of_an_mlp_do(phase):
    ends = {row.model: row.linear_end for row in phase.rows}
    assert ends["linear"] == np.inf
    assert ends["MLP"] < np.inf


def test_the_taylor_polynomial_of_the_linear_model_ends_at_the_exact_radius_of_its_batch(phase):
    # Inside, it converges; outside, the most critical of 256 samples alone contributes r^n / n.
    (linear,) = [row for row in phase.rows if row.model == "linear"]
    assert 1.0 < linear.series_end / linear.radii["exact"] < 1.5


def test_a_tighter_rung_never_lowers_the_radius_of_a_batch(phase):
    for row in phase.rows:
        radii = [row.radii[bound] for bound in BOUNDS]
        assert radii == sorted(radii)
        assert row.exact.min() == pytest.approx(row.radii["exact"], rel=1e-9)


def test_the_verdicts_on_the_phase_transition_follow_from_the_numbers(phase):
    linear = phase.rows[0]
    unit = linear.radii["spread"]

    def verdicts(**onsets):
        row = linear._replace(**{name: r * unit for name, r in onsets.items()})
        text = phase_transition.report(phase._replace(rows=[row]))
        (line,) = [s for s in text.splitlines() if s.startswith("  linear:")]
        return re.findall("agrees|DISAGREES", line)

    good = {"accuracy_onset": 2.0, "loss_onset": 1.5, "turn": 1.0}
    assert verdicts(**good) == ["agrees"] * 3
    assert verdicts(**good | {"accuracy_onset": 0.9}) == ["DISAGREES", "agrees", "agrees"]
    assert verdicts(**good | {"loss_onset": 0.9}) == ["agrees", "DISAGREES", "agrees"]
    assert verdicts(**good | {"turn": 3.0}) == ["agrees", "agrees", "DISAGREES"]


def test_the_loss_of_the_linear_model_rises_uphill_by_at_least_its_slope(all_directions, data, at):
    # The line loss is convex, so it lies above its tangent, in both directions.
    for row, steps in zip(all_directions, directions.STEPS["linear"], strict=True):
        model = models.build("linear")
        models.train(model, data, steps, rate=directions.RATE["linear"])
        down = models.downhill(model, at.images, at.labels)
        spread = one_step.batch_radii(*models.logits_and_slopes(model, at.images, down))["spread"]
        logits = [models.logits_after(model, at.images, down, t) for t in (0.0, 1e-5)]
        before, after = (models.loss(z, at.labels) for z in logits)
        relative_rise = (before - after) / 1e-5 * spread / before
        (downhill,), (uphill,) = row.of("downhill"), row.of("uphill")
        assert uphill.loss_ratio > 1 + relative_rise > 1
        assert downhill.loss_ratio > 1 - relative_rise
        assert len(row.of("random")) == 3


def test_the_phases_of_training_are_three_and_rise_in_accuracy(all_directions):
    assert [row.phase for row in all_directions] == list(directions.PHASES)
    accuracies = [row.accuracy for row in all_directions]
    assert accuracies == sorted(accuracies)
    for row in all_directions:
        assert abs(row.accuracy - directions.PAPER[row.phase].accuracy) < 0.05


def test_the_verdict_on_a_direction_follows_from_its_onset(all_directions):
    def verdict(onset):
        rays = [ray._replace(onset=ray.onset | {"spread": onset}) for ray in row.rays]
        text = directions.report([row._replace(rays=rays)])
        return said(text, "the onset by loss is near r = 1, median random direction")

    row = all_directions[0]
    assert verdict(1.0) == "1 of 1 phases (early)."
    assert verdict(3.0) == "0 of 1 phases."


def said(text, statement):
    """What the report says after a statement and a colon."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"    {statement}: ")]
    return line.partition(": ")[2]


def test_agreement_with_the_figures_at_r_1_follows_from_the_numbers(all_directions):
    row = all_directions[0]
    shown = directions.PAPER[row.phase]

    def verdicts(loss_ratio, flipped, along_the_gradient):
        rays = [
            ray._replace(loss_ratio=loss_ratio, flipped=flipped)
            if ray.kind == "random"
            else ray._replace(loss_ratio=along_the_gradient)
            for ray in row.rays
        ]
        text = directions.report([row._replace(rays=rays)])
        return [
            said(text, statement)[0]
            for statement in (
                "its median loss ratio of random directions at r = 1 is in our range",
                "its median share of flips of random directions at r = 1 is in our range",
                "the gradient is worse at r = 1 than every random one, uphill",
            )
        ]

    assert verdicts(shown.random_loss, shown.random_flips, 9.0) == ["1", "1", "1"]
    assert verdicts(shown.random_loss + 0.1, shown.random_flips, 9.0) == ["0", "1", "1"]
    assert verdicts(shown.random_loss, shown.random_flips + 0.1, 9.0) == ["1", "0", "1"]
    assert verdicts(shown.random_loss, shown.random_flips, 0.5) == ["1", "1", "0"]


def test_the_radius_of_kept_weights_is_proportional_to_the_temperature(temperatures):
    # The slopes of z / T are a / T: along one direction the spread bound is pi T / Delta.
    assert {row.temperature for row in temperatures} == set(temperature.TEMPERATURES)
    logits, slopes = np.random.default_rng(0).standard_normal((2, 5, 10))
    base = one_step.batch_radii(logits, slopes)
    for t in temperature.TEMPERATURES:
        scaled = one_step.batch_radii(logits, slopes / t)
        assert scaled["spread"] == pytest.approx(t * base["spread"], rel=1e-14)


def test_every_temperature_has_a_finite_onset_in_every_unit(temperatures):
    assert len(temperatures) == 2 * len(temperature.TEMPERATURES)
    for row in temperatures:
        assert all(0 < value < np.inf for value in temperature.units(row).values())


def test_onsets_proportional_to_the_radius_collapse_and_constant_ones_do_not(temperatures):
    ours = [row for row in temperatures if row.weights == "T = 1"]
    collapsed = [row._replace(onset=2.0 * row.radii["spread"]) for row in ours]
    onsets = temperature.medians(collapsed)
    assert np.std(np.log10(onsets["spread"])) < 1e-12 < np.std(np.log10(onsets["raw"]))
    constant = [row._replace(onset=1.0) for row in ours]
    assert "DISAGREES" in temperature.report(constant)


@pytest.mark.parametrize(
    ("by_t", "by_radius", "says"),
    [
        (0.22, 0.20, "T alone brings them 4.5 times closer; Delta adds little (a factor of 1.1)"),
        (0.50, 0.20, "T alone brings them 2.0 times closer; Delta adds the rest (a factor of 2.5)"),
        (0.20, 0.25, "T alone brings them 5.0 times closer; Delta adds nothing (a factor of 0.8)"),
    ],
)
def test_what_delta_adds_to_the_temperature_is_told_by_its_factor(by_t, by_radius, says):
    deviations = {"raw": 1.0, "T": by_t} | dict.fromkeys(BOUNDS, by_radius)
    assert says in "".join(temperature.comparison_with_the_paper(deviations))


def test_runs_that_fail_early_are_counted_for_every_rung(phase):
    linear = phase.rows[0]
    between = (linear.radii["spread"] + linear.radii["exact"]) / 2
    late = linear._replace(accuracy_onset=10 * between, loss_onset=10 * between)
    early = late._replace(loss_onset=between)  # beyond r = 1 of the spread, not of the exact radius
    text = phase_transition.report(phase._replace(rows=[late, early]))
    rungs = [line.split() for line in text.splitlines() if line.startswith(("spread ", "exact "))]
    assert [(rung[0], rung[1], rung[3]) for rung in rungs] == [
        ("spread", "0", "0"),
        ("exact", "0", "1"),
    ]
    assert "By loss, 'none for r < 1' agrees for spread (0)" in text
    assert "DISAGREES for exact (1)" in text


def test_a_range_is_that_of_the_quantiles_asked_for():
    values = [5.0, *range(1, 5), *range(6, 12)]
    assert one_step.median_and_range(values) == "6.00 (1.00-11.00)"
    assert one_step.median_and_range(values, 0.1, 0.9) == "6.00 (2.00-10.00)"
    assert one_step.median_and_range([2.0]) == "2.00"
    assert one_step.median_and_range([math.inf] * 3) == "inf (inf-inf)"


def test_fast_on_the_command_line_is_the_fast_run(all_directions, monkeypatch, capsys):
    script = directions.__file__
    monkeypatch.setattr(sys, "argv", [script, "--fast"])
    runpy.run_path(script, run_name="__main__")
    assert capsys.readouterr().out == directions.report(all_directions) + "\n"


@pytest.mark.parametrize(
    ("module", "run"),
    [(phase_transition, "phase"), (directions, "all_directions"), (temperature, "temperatures")],
)
def test_the_script_prints_its_report(module, run, request, monkeypatch, capsys):
    result = request.getfixturevalue(run)
    monkeypatch.setattr(module, "measure", lambda fast: result)
    module.main(fast=True)
    printed = capsys.readouterr().out
    assert printed == module.report(result) + "\n"
    assert "aper" in printed
    assert max(map(len, printed.splitlines())) < 130
