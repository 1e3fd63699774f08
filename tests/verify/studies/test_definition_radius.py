"""Radii of definitions from files, and of every definition of the catalogue."""

import json
import math

import flint
import numpy as np
import pytest
from softproof.derivations import REGISTRY, lookup
from softproof.derivations.arithmetic.arithmetic import NoValue
from softproof.derivations.arithmetic.continued import (
    Kink,
    NotContinued,
    Singular,
    continued,
    moving,
)
from softproof.derivations.arithmetic.formats import BINARY64
from softproof.derivations.arithmetic.systems import balls
from softproof.derivations.choices import of_numbers
from softproof.verify.cases.case import formula_call
from softproof.verify.cases.draw import draw, families
from softproof.verify.cli.main import app
from typer.testing import CliRunner

MOST_NUMBERS = 40
STEP = 2.0**-10


def radius(tmp_path, name, case, direction, *options):
    for file, text in (("case", case), ("direction", direction)):
        (tmp_path / file).write_text(text)
    given = ["--case", tmp_path / "case", "--direction", tmp_path / "direction"]
    return CliRunner().invoke(
        app, ["radius", "--definition", name, *map(str, given), *map(str, options)]
    )


def test_the_command_tells_the_bound_the_exact_radius_and_the_estimate(tmp_path):
    found = radius(tmp_path, "silu", "silu\nx 0x1p+2", "x -0x1p+1", "--json", tmp_path / "json")
    assert found.exit_code == 0, found.output
    told = json.loads((tmp_path / "json").read_text())
    exact = math.hypot(4, math.pi) / 2
    assert told["exact"] == pytest.approx(exact, rel=1e-12)
    assert 0.9 * exact < told["lower"] <= exact
    assert told["estimate"] == pytest.approx(exact, rel=1e-3)
    assert "proven" in found.output
    assert "an estimate, not a proof" in found.output


def test_a_definition_of_the_users_has_one(tmp_path):
    (tmp_path / "own.py").write_text(
        "from softproof.derivations import Real, define\n\n\n"
        '@define(family="mine", source="mine", arguments={"x": Real()})\n'
        "def witch(x, xp):\n"
        '    """The witch of Agnesi."""\n'
        "    return 1 / (1 + x * x)\n"
    )
    own = ["--definitions", tmp_path / "own.py", "--json", tmp_path / "json"]
    try:
        found = radius(tmp_path, "witch", "witch\nx 0x0p+0", "x 0x1p+0", *own)
    finally:
        REGISTRY.pop("witch", None)
    assert found.exit_code == 0, found.output
    told = json.loads((tmp_path / "json").read_text())
    assert 0.9 < told["lower"] <= 1
    assert told["exact"] is None


@pytest.mark.parametrize(
    ("name", "case", "direction", "said"),
    [
        ("silu", "mish\nx 0x1p+0", "x 0x1p+0", "is a case of mish, not of silu"),
        ("silu", "silu\nx 0x1p+0", "y 0x1p+0", "those that can move are x"),
        ("silu", "silu\nx 0x1p+0", "", "the direction is empty"),
        ("softmax", "softmax\nlogits[K=2] 0x1p+0 0x1p+1", "logits[K=1] 0x1p+0", "its shape is"),
    ],
)
def test_files_that_do_not_fit_are_errors(tmp_path, name, case, direction, said):
    found = radius(tmp_path, name, case, direction)
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())


@pytest.mark.parametrize(
    "given", [[], ["logits.npy"], ["--definition", "silu"], ["--case", "a", "--direction", "b"]]
)
def test_what_belongs_together_is_said(given):
    found = CliRunner().invoke(app, ["radius", *given])
    assert found.exit_code == 2
    assert "--definition" in found.output


# --- every definition ---


def small_case(definition):
    """A case of a plain family, with few numbers."""
    plain = [f for f in families(definition) if "normal" in f] or families(definition)
    for family in (*plain, *families(definition)):
        for batch in draw(definition, family, BINARY64, 1, 0):
            for case in batch.cases:
                if sum(value.size for value in case.values.values()) <= MOST_NUMBERS:
                    return case
    raise AssertionError(f"no small case of {definition.name}")


def numbers_of(definition, results):
    outputs = results if len(definition.signature.outputs) > 1 else (results,)
    flat = (x for output in outputs for x in np.asarray(output, dtype=object).reshape(-1))
    return [x for x in flat if hasattr(x, "is_exact")]


def moved(arguments, slopes, make):
    def array(name):
        values = np.asarray(arguments[name], dtype=np.float64)
        found = np.empty(values.shape, dtype=object)
        for place in np.ndindex(values.shape):
            found[place] = make(float(values[place]), float(slopes[name][place]))
        return found[()]

    return [array(n) if n in slopes else value for n, value in arguments.items()]


def continued_values(name):
    """Results on a small square about 0, and those of real balls at a point of it."""
    definition = of_numbers(lookup(name))
    arguments, settings = formula_call(definition, small_case(definition))
    rng = np.random.default_rng(0)
    slopes = {n: rng.normal(size=np.shape(arguments[n])) for n in definition.signature.numbers}
    square = flint.acb(flint.arb(0, STEP), flint.arb(0, STEP))
    xp = balls()
    over = moved(arguments, slopes, lambda x, s: moving(x, s, square))
    there = moved(arguments, slopes, lambda x, s: xp.number(x) + STEP * xp.number(s))
    return [
        numbers_of(definition, definition.formula(*given, arithmetic, **settings))
        for given, arithmetic in ((over, continued()), (there, xp))
    ]


def test_every_definition_is_continued_or_says_why_not():
    """On the square the continuation encloses what real balls give at a real point of it."""
    refused = {}
    with flint.ctx.workprec(200):
        for name in REGISTRY:
            try:
                over, there = continued_values(name)
            except (Singular, Kink, NotContinued, NoValue) as error:
                refused[name] = error
                continue
            assert len(over) == len(there)
            assert all(x.over.overlaps(flint.acb(y)) for x, y in zip(over, there, strict=True))
            assert all(x.over.is_finite() for x in over)
    assert all(str(error) for error in refused.values())
    assert len(refused) <= len(REGISTRY) // 10, refused
