"""The power of the suites: tails of any length and remainder are seen, sizes down to some size."""

import itertools
import json

import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.cli.main import app
from softproof.verify.power import measure as measuring
from softproof.verify.power import sized
from softproof.verify.power.measure import Power, Setting, measure, share_of_tails
from softproof.verify.power.mistakes import DEFINITIONS, planted
from softproof.verify.runs.execute import execute
from softproof.verify.runs.plan import plan
from softproof.verify.subjects.contract import Contract
from softproof.verify.subjects.isolation.in_process import InProcess
from softproof.verify.subjects.subject import Subject
from softproof.verify.suites import SUITES
from typer.testing import CliRunner

BY_LENGTH = Setting(("accuracy", "overflow"))


@pytest.mark.parametrize("kind", sized.TAILS)
@pytest.mark.parametrize("definition", sized.DEFINITIONS)
def test_nine_of_ten_tails_of_any_length_and_remainder_are_seen_for_each_seed(definition, kind):
    seen, of = share_of_tails(BY_LENGTH, definition, kind, sized.sample_of_tails(7, 20))
    assert of == 20
    assert seen >= 0.9 * of


def test_the_sample_of_tails_has_lengths_up_to_4096_and_all_remainders():
    lengths, remainders = zip(*sized.sample_of_tails(0, 2000), strict=True)
    assert (min(lengths), max(remainders), min(remainders)) == (1, 63, 0)
    assert 4000 < max(lengths) <= 4096


def test_a_tail_that_only_one_length_has_is_not_seen():
    never = Setting(("gradient",))
    assert share_of_tails(never, "softmax", "last class not in the sum", [(130, 7)]) == (0, 1)


@pytest.mark.parametrize("definition", sized.DEFINITIONS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_a_mistake_of_size_0_is_none(definition, dtype):
    function = sized.RIGHT.planted(definition, 0.0, lambda n: True)
    live = InProcess(Subject("m:f", definition, Contract(), tuple(FORMATS)), function)
    items = plan([live.subject], ["accuracy", "overflow", "special-values"], [dtype])
    items = [i for i in items if i.family in ("normal", "wide", "dominant", "beyond_exp", "")]
    assert [f.message for i in items for f in execute(i, lambda subject: live).failures] == []


@pytest.mark.parametrize("family", sized.FAMILIES, ids=lambda family: family.name)
def test_the_smaller_a_mistake_is_the_less_it_changes(family):
    x = np.random.default_rng(0).normal(size=(2, 100))
    right = sized.RIGHT.planted("softmax", 0.0, lambda n: True)(x)
    lengths = sized.around(100)
    errors = [
        np.abs(family.planted("softmax", size, lengths)(x) / right - 1).max()
        for size in family.sizes
    ]
    assert errors[0] > 1e-3
    assert all(b < a for a, b in itertools.pairwise(errors[:5]))
    elsewhere = np.zeros((1, 7))
    assert (family.planted("softmax", family.sizes[0], lengths)(elsewhere) == 1 / 7).all()


def test_the_smallest_size_that_is_seen_is_read_off():
    exponential = next(f for f in sized.FAMILIES if "exponential" in f.name)
    found = measuring._smallest(BY_LENGTH, "softmax", exponential, 100)
    assert 1e-7 < found <= 1e-4
    wide = measuring._smallest(BY_LENGTH, "softmax", exponential, 100_000)
    assert wide is None  # the quick budget has no such rows


def test_planted_mistakes_are_functions_with_a_word_on_what_is_wrong():
    mistakes = planted()
    assert len({m.name for m in mistakes}) == len(mistakes) > 150
    assert {m.subject.definition for m in mistakes} == {*DEFINITIONS}
    assert all(m.function.__doc__ for m in mistakes)
    assert not {"broken_layouts:softmax", "broken_batches:softmax_right"} & {
        m.name for m in mistakes
    }


def test_right_implementations_that_stand_beside_the_mistakes_are_seen_by_no_suite():
    from softproof.verify.power import broken_batches, broken_parameters

    for function in (broken_batches.softmax_right, broken_parameters.softmax):
        live = InProcess(Subject("m:f", "softmax", Contract(empty="error")), function)
        items = plan([live.subject], ["parameters", "accuracy"], ["float32"])
        assert not any(execute(item, lambda subject: live).failures for item in items)  # noqa: B023


def test_the_command_prints_shares_and_writes_them(tmp_path):
    path = tmp_path / "power.json"
    arguments = ["power", "sigmoid", "--suite", "special-values", "--suite", "accuracy"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "special-values" in result.output
    (found,) = json.loads(path.read_text())["power"]
    assert (found["budget"], found["dtype"], found["seeds"]) == ("quick", "float32", [0])
    assert found["mistakes"]["broken:sigmoid_infinity_clamped"] == {"special-values": 1.0}
    assert found["mistakes"]["broken:sigmoid_hard"]["accuracy"] == 1.0
    assert len(found["mistakes"]) == 6


def test_a_definition_without_planted_mistakes_is_refused():
    result = CliRunner().invoke(app, ["power", "stablemax"])
    assert result.exit_code == 2
    assert "no mistakes of stablemax are planted" in result.output


def test_an_interrupted_measurement_keeps_what_it_knows(monkeypatch):
    asked = []

    def interrupted(setting, mistake):
        asked.append(mistake.name)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"accuracy": 1.0}

    monkeypatch.setattr(measuring, "_suites_that_see", interrupted)
    power = Power(Setting(tuple(SUITES)))
    assert len([*measure(power, ["sigmoid"])]) == 3
    assert power.interrupted
    assert len(power.seen) == 2

    result = CliRunner().invoke(app, ["power", "sigmoid"])
    assert result.exit_code == 0  # the third call alone was interrupted


def test_shares_count_the_seeds(monkeypatch):
    monkeypatch.setattr(
        measuring, "_suite_sees", lambda setting, suite, live, seed, wrong_at=None: seed == 1
    )
    power = Power(Setting(("accuracy",), seeds=(0, 1, 2, 3)))
    list(measure(power, ["sigmoid"]))
    assert {share for found in power.seen.values() for share in found.values()} == {0.25}
