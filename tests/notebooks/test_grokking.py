"""The grokking experiment: its measures against other truths, its fast run, its file."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

with pytest.MonkeyPatch.context() as patch:  # where a script finds its neighbours
    patch.syspath_prepend(Path(__file__).parents[2] / "notebooks")
    grokking = importlib.import_module("grokking")


@pytest.fixture(scope="module")
def fast():
    return grokking.measure(fast=True)


def records_of(records, method):
    return [record for record in records if record.method == method]


def test_float32_collapses_and_the_collapse_free_gradient_does_not_die(fast):
    plain, free = records_of(fast, "float32"), records_of(fast, "collapse-free")
    assert plain[-1].train == free[-1].train == 1.0
    assert max(r.collapsed for r in plain) > 0.5
    assert max(r.dead for r in plain) > 0.5
    assert max(r.collapsed for r in free) > 0.5  # what would have collapsed
    assert max(r.dead for r in free) == 0.0
    assert free[-1].loss < 1e-7
    assert max(r.dead for r in records_of(fast, "StableMax")) == 0.0


def test_a_loss_that_collapses_is_seen_in_place_of_the_collapse_free_one(monkeypatch):
    monkeypatch.setitem(grokking.METHODS, "collapse-free", grokking.plain(torch.float32))
    broken = grokking.run(grokking.FAST, "collapse-free", 0)
    assert max(r.dead for r in broken) > 0.5


def test_all_methods_start_from_the_same_network(fast):
    starts = [records_of(fast, method)[0] for method in grokking.METHODS]
    assert len({(r.train, r.test, round(r.norm, 9)) for r in starts}) == 1


def test_the_split_holds_every_pair_once_with_its_sum():
    data = grokking.sums(7, 0.6, seed=3)
    pairs, labels = torch.cat([data.pairs, data.test_pairs]), [*data.labels, *data.test_labels]
    found = {
        (int(pair[:7].argmax()), int(pair[7:].argmax()), int(label))
        for pair, label in zip(pairs, labels, strict=True)
    }
    assert found == {(a, b, (a + b) % 7) for a in range(7) for b in range(7)}
    assert len(data.labels) == 29
    assert torch.all(pairs.sum(dim=1) == 2)


@pytest.mark.parametrize("method", grokking.METHODS)
def test_the_gradients_are_those_of_the_losses(method):
    logits = torch.tensor(np.random.default_rng(0).normal(size=(6, 5)), dtype=torch.float32)
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    loss, gradient = grokking.METHODS[method](logits, labels)
    wide = logits.double().requires_grad_()
    if method == "StableMax":
        s = torch.where(wide >= 0, wide + 1, 1 / (1 - wide.clamp(max=0)))
        expected = -torch.log(s[range(6), labels] / s.sum(dim=1)).mean()
    else:
        expected = torch.nn.functional.cross_entropy(wide, labels)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-6)
    np.testing.assert_allclose(gradient, wide.grad, rtol=2e-6, atol=1e-8)


def test_collapse_is_counted_in_the_format_of_the_logits():
    logits = torch.tensor([[0.0, -16.0], [0.0, -17.0], [0.0, -40.0]])
    assert grokking.collapsed(logits) == pytest.approx(2 / 3)
    assert grokking.collapsed(logits.double()) == pytest.approx(1 / 3)


def test_the_cosine_is_1_where_a_step_only_scales_the_weights():
    w = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    w.grad = torch.tensor([-3.0, 6.0])
    assert grokking.cosine([w]) == pytest.approx(1.0)
    w.grad = torch.tensor([2.0, 1.0])
    assert grokking.cosine([w]) == pytest.approx(0.0)
    w.grad = torch.zeros(2)
    assert math.isnan(grokking.cosine([w]))


def test_adam_is_pytorchs_but_for_epsilon():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ours = torch.nn.Parameter(torch.randn(5))
        theirs = torch.nn.Parameter(ours.detach().double())
        one = grokking.Adam(iter([ours]), 0.01)
        other = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99), eps=0.0)
        for _ in range(5):
            ours.grad = torch.randn(5)
            theirs.grad = ours.grad.double()
            one.step()
            other.step()
    np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-5)
    ours.grad = torch.full((5,), 1e-40)  # the square of which no float32 holds
    before = ours.detach().clone()
    fresh = grokking.Adam(iter([ours]), 0.01)
    fresh.step()
    np.testing.assert_allclose(before - ours.detach(), 0.01, rtol=1e-3)


def test_what_is_missing_in_the_file_is_run_and_the_rest_is_kept(tmp_path, monkeypatch):
    ran = []

    def run(setting, method, seed):
        ran.append((method, seed))
        return [
            grokking.Record(
                setting.name, method, seed, step, 1.0, 0.5, 0.1, 0.0, math.nan, 1e-9, 2.0
            )
            for step in (0, 10)
        ]

    monkeypatch.setattr(grokking, "run", run)
    monkeypatch.setattr(grokking, "SETTINGS", (grokking.FAST,))
    monkeypatch.setattr(grokking, "SEEDS", range(1))
    path = tmp_path / "data" / "grokking.csv"
    everything = grokking.measure(path=path)
    assert len(ran) == 5
    ran.clear()
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-2]) + "\n")  # the last run is lost
    again = grokking.measure(path=path)
    assert ran == [("collapse-free", 0)]
    assert [r._replace(cosine=0.0) for r in again] == [r._replace(cosine=0.0) for r in everything]


def record(method, step, train, test, collapsed, seed=0):
    return grokking.Record(
        "net", method, seed, step, train, test, collapsed, collapsed, 0.5, 0.1, 1
    )


def example(free_test):
    """Everything but float32 groks at step 2; collapse-free by as much as is said."""
    records = []
    for method in grokking.METHODS:
        last = {"float32": 0.2, "collapse-free": free_test}.get(method, 1.0)
        full = 1.0 if method == "float32" else 0.0
        records += [record(method, 0, 0.1, 0.0, 0.0), record(method, 1, 1.0, 0.1, full)]
        records.append(record(method, 2, 1.0, last, full))
    return records


@pytest.mark.parametrize(
    ("free_test", "answer"),
    [
        (0.97, "grok? yes, in 2 steps. The collapse is what kept float32 from it."),
        (0.25, "here the collapse alone is not what prevents it."),
        (0.90, "grok? not in these steps. It ends at 90.0%"),
    ],
)
def test_the_answer_is_computed(free_test, answer):
    text = grokking.report(example(free_test))
    assert answer in " ".join(text.split())
    assert "float32 collapses and never groks, the paper says: so it is here." in text
    assert "StableMax groks: yes, in 2 steps." in text


def test_what_goes_against_the_paper_is_said_too():
    records = [r._replace(test=0.0) for r in example(0.0)]
    text = grokking.report(records)
    assert "StableMax groks: not here." in text
    records = [r._replace(test=1.0) if r.step == 2 else r for r in example(0.0)]
    assert "the paper says: not here." in grokking.report(records)


def test_curves_are_medians_and_ended_runs_keep_their_last_value():
    records = [record("float32", step, 1.0, 0.1 * step, 0.0) for step in range(4)]
    records += [record("float32", step, 1.0, 0.3, 0.0, seed=1) for step in range(2)]
    (curve,) = grokking.curves(records)["net"].values()
    np.testing.assert_allclose(curve.median["test"], [0.15, 0.2, 0.25, 0.3])
    assert curve.steps.tolist() == [0, 1, 2, 3]


def test_the_figure_shows_every_method_on_every_network(fast):
    figure = grokking.draw(grokking.curves(fast))
    figure.canvas.draw()
    panels = figure.axes
    assert len(panels) == len(grokking.PANELS)
    for axes in panels:
        assert {line.get_color() for line in axes.lines} == {*grokking.COLOURS.values()}
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [*grokking.METHODS]


def test_the_stored_runs_are_whole():
    if not grokking.DATA.exists():
        pytest.fail("notebooks/data/grokking.csv is missing: run python notebooks/grokking.py")
    grouped = grokking.by_run(grokking.read(grokking.DATA))
    assert {method for _, method in grouped} == {*grokking.METHODS}
    for runs in grouped.values():
        for records in runs:
            assert records[0].step == 0
            assert records[0].loss == pytest.approx(math.log(31), rel=0.02)
