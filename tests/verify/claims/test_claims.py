"""Every claim is told from its opposite, and what the checkers rest on is right."""

import itertools
import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import flint
import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize
from softproof.derivations.arithmetic.formats import BFLOAT16, BINARY32
from softproof.derivations.claims import (
    METHODS,
    OUTCOMES,
    claim,
    register,
)
from softproof.derivations.claims import dukhan2020 as two_passes
from softproof.derivations.claims import (
    mao2023 as comp_sum,
)
from softproof.derivations.claims import (
    prieto2025 as collapse,
)
from softproof.derivations.claims import (
    sao2026_bounds as ghosts_bounds,
)
from softproof.derivations.claims import (
    sao2026_divergence as ghosts_divergence,
)
from softproof.derivations.claims import (
    sao2026_radius as ghosts_radius,
)
from softproof.derivations.claims.register import (
    EXPERIMENT,
    PROOF,
    confirmed,
    proven,
    refuted,
    require,
)
from softproof.verify.claims import CLAIMS, chosen, settle
from softproof.verify.claims import our_kernels as of_kernels
from softproof.verify.claims import settled as settled_module
from softproof.verify.claims.report import summary, verdict
from softproof.verify.cli.main import app
from softproof.verify.subjects.implementations.textbook import cross_entropy_shifted
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]

# What has no opposite: measurements, and what is asked of another library.
WITHOUT = {name for name, entry in CLAIMS.items() if entry.method == EXPERIMENT}
WITHOUT |= {"masks_in_litert"}


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "150"}).invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def settled():
    """All claims, settled once."""
    return {entry.name: settle(entry) for entry in CLAIMS.values()}


# --- every claim ---


@pytest.mark.parametrize("name", [name for name in CLAIMS if name not in WITHOUT])
def test_the_checker_tells_a_claim_from_its_opposite(name, settled):
    entry = settled[name]
    assert entry.discriminates is True, (entry.evidence, entry.opposite_evidence)
    answers = ("answered yes", "answered no")
    assert entry.outcome in (answers if entry.kind == "our question" else OUTCOMES)
    assert entry.evidence
    assert entry.opposite_evidence


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_measurements_are_not_made_unasked(name, settled):
    if name == "masks_in_litert" and settled[name].outcome != "not checkable here":
        assert settled[name].outcome == "answered yes"  # LiteRT is installed
        return
    assert settled[name].outcome == "not checkable here"
    assert settled[name].discriminates is None
    assert settled[name].evidence


def test_what_is_claimed_of_each_paper(settled):
    papers = [entry.paper for entry in settled.values()]
    assert {papers.count(paper) >= 9 for paper in settled_module.CORE_PAPERS} == {True}
    assert all(entry.method in METHODS for entry in settled.values())


def test_what_the_papers_got_wrong(settled):
    """Each of these stands in a paper, and has a counterexample."""
    assert {name for name, entry in settled.items() if entry.outcome == "refuted"} == {
        "bregman_divergence",  # the divergence of the other direction
        "cce_filter_keeps_the_gradient",  # where more than 4096 classes are about equally likely
        "ensloss_tail",  # as its code adds 1e-6 to every derivative
        "exponent_of_a_pair_is_finite",
        "hessian_mismatch_of_figure_13",  # 2100, not 4000
        "randomized_smoothing",
        "rouche_for_the_exact_radius",
        "rouche_with_weights_of_F",
        "smallest_neuron_radius",
        "tanh_gelu_poles",
        "tight_above_two",
        "tight_at_two",
        "tight_between_one_and_two",
        "two_passes_as_printed",
    }


def test_what_no_paper_states_refutes_none(settled):
    """The answers to our own questions are counted apart, and none reads as a refutation."""
    ours = {name: entry for name, entry in settled.items() if entry.kind == "our question"}
    assert {name for name, entry in ours.items() if entry.outcome == "answered no"} == {
        "cce_dropped_mass",
        "cce_softcap_of_padding",
        "cce_z_loss_gradient",
        "ensloss_ties",
        "shifting_costs_little",
        "temperature_of_the_exact_radius",
        "tosa_exponential_in_webnn_softmax",  # 163 ulp where 9 are admitted
        "two_passes_as_printed_are_accurate",
        "webnn_expected_gelu",  # itself 33.8 ulp off
        "webnn_softmax_by_the_textbook",
    }
    allowed = {"answered yes", "answered no", "not checkable here"}
    assert {entry.outcome for entry in ours.values()} <= allowed
    unstated = {name for name, entry in CLAIMS.items() if entry.place.startswith("not stated")}
    assert unstated <= ours.keys()
    text = summary(list(settled.values()))
    papers = len(settled) - len(ours)
    assert re.match(
        rf"{papers} claims of papers: .* 14 refuted.*\. {len(ours)} questions of ours: ", text
    )
    no = sum(entry.outcome == "answered no" for entry in ours.values())
    assert f", {no} answered no" in text


WORDS = {
    "symbolic proof": {"proven", "attained", "counterexample"},
    "certified computation": {"proven", "attained", "certified", "counterexample"},
    "search": {"confirmed", "simulated", "counterexample"},
    "experiment": {"confirmed", "counterexample"},
}


def test_no_word_is_stronger_than_its_evidence(settled):
    """A search proves nothing, and what rests on its cases says how many they are."""
    for name, entry in settled.items():
        if entry.strength:
            assert entry.strength in WORDS[entry.method], name
        if entry.strength in ("certified", "confirmed", "simulated"):
            assert re.search(
                rf"{entry.strength} on {entry.cases} (cases|instances)$", verdict(entry)
            )
            assert entry.cases >= 1


def test_gaps_of_one_instance_are_not_called_proven(settled):
    entry = settled["minimizability_gaps"]
    assert (entry.outcome, entry.cases) == ("certified", 140)


@pytest.mark.parametrize("name", ["half_plane", "half_mass"])
def test_arguments_that_once_tested_themselves_compute(name, settled, monkeypatch):
    """A cosine or a modulus that is wrong is found out."""
    assert settled[name].cases >= 20

    module, drawn = {
        "half_plane": (ghosts_radius, "_combinations"),
        "half_mass": (ghosts_bounds, "samples"),
    }[name]
    told = {
        "half_plane": lambda half: [([2 * half], [flint.arb(1)])],  # an argument outside of the arc
        "half_mass": lambda *a, **k: [([0.0, 5.0], [1.0, math.nan])],  # no term of F
    }[name]
    monkeypatch.setattr(module, drawn, told)
    with pytest.raises(ArithmeticError, match="an error of softproof"):
        CLAIMS[name].check()


def test_the_smallest_radius_of_neurons_bounds_a_layer_from_below(settled):
    evidence = settled["smallest_neuron_radius"].evidence
    assert "no bound from above" in evidence
    assert "From below it bounds one layer" in evidence


def test_what_cannot_be_improved(settled):
    for name in ("zero_free_strip", "third_central_moment", "forward_divergence", "popoviciu"):
        assert settled[name].outcome == "attained"


def test_the_commands_that_reproduce_are_there():
    for entry in CLAIMS.values():
        program, _, rest = entry.reproduce.partition(" ")
        if program == "python":
            assert (ROOT / rest).exists(), entry.name
        else:
            assert entry.reproduce == f"softproof claims {entry.name}"


# --- the register ---


def test_a_name_is_taken_once_and_methods_are_known(monkeypatch):
    monkeypatch.setattr(register, "CLAIMS", {})

    @claim("A statement.", "A paper", "its title", PROOF)
    def check():
        return proven("")

    with pytest.raises(ValueError, match="there is a claim 'check' already"):
        claim("Another.", "A paper", "its title", PROOF)(check)
    with pytest.raises(ValueError, match="kind must be one of of the paper, our question"):
        claim("Another.", "A paper", "its title", PROOF, kind="rumour")(check)
    with pytest.raises(ValueError, match="method must be one of symbolic proof"):
        claim("Another.", "A paper", "its title", "belief")


def test_a_step_of_a_proof_that_does_not_hold_is_an_error():
    require(True)
    with pytest.raises(ArithmeticError, match="an error of softproof"):
        require(False)


def test_a_checker_that_cannot_tell_is_found_out(monkeypatch):
    entry = CLAIMS["popoviciu"]
    blind = replace(entry, check=lambda constant=None: confirmed(1, "as always"))
    assert settle(blind).discriminates is False
    monkeypatch.setitem(CLAIMS, "popoviciu", blind)
    outcome = softproof("claims", "popoviciu")
    assert outcome.exit_code == 1, outcome.output


def test_slow_claims_run_by_name():
    calls = []

    def check():
        calls.append(1)
        return refuted("measured")

    slow = replace(CLAIMS["reloading_wins_in_cache"], check=check)
    assert settle(slow).outcome == "not checkable here"
    assert not calls
    assert settle(slow, named=True).outcome == "refuted"


def test_timings_measure_on_a_short_row():
    verdict = CLAIMS["two_passes_are_faster_out_of_cache"].check(exponent=12)
    assert "ns / element" in verdict.evidence
    verdict = CLAIMS["reloading_wins_in_cache"].check(exponent=12)
    assert verdict.outcome in ("confirmed", "refuted")


# --- the command ---


def test_without_names_it_prints_a_table_of_all(tmp_path, monkeypatch):
    few = dict(itertools.islice(CLAIMS.items(), 6))
    monkeypatch.setattr(settled_module, "CLAIMS", few)
    file = tmp_path / "claims.json"
    outcome = softproof("claims", "--json", file)
    assert outcome.exit_code == 0, outcome.output
    for name in few:
        assert name in outcome.output
    assert "4 claims of papers: " in outcome.output
    report = json.loads(file.read_text())
    assert (report["schema"], report["interrupted"]) == (2, False)
    assert {entry["name"] for entry in report["claims"]} == set(few)
    fields = set(settled_module.Settled.__dataclass_fields__)
    assert set(report["claims"][0]) == fields - {"discriminates"} | {"told_apart"}


def test_with_names_it_prints_their_evidence():
    outcome = softproof("claims", "zero_free_strip", "third*")
    assert outcome.exit_code == 0, outcome.output
    assert "Lemma 4.5" in outcome.output
    assert "third_central_moment" in outcome.output
    assert "constant=16/5: refuted." in outcome.output


def test_an_unknown_name_is_a_usage_error():
    outcome = softproof("claims", "no_such_claim")
    assert outcome.exit_code == 2
    assert "there is no claim 'no_such_claim'" in outcome.output


def test_interrupted_it_prints_what_is_known(tmp_path, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    entries = [CLAIMS["popoviciu"], replace(CLAIMS["half_plane"], check=interrupt)]
    monkeypatch.setattr(settled_module, "CLAIMS", {entry.name: entry for entry in entries})
    outcome = softproof("claims", "--json", tmp_path / "claims.json")
    assert outcome.exit_code == 1
    assert "1 claims of papers: 1 attained" in outcome.output
    assert json.loads((tmp_path / "claims.json").read_text())["interrupted"] is True


def test_patterns_choose():
    assert {entry.name for entry in chosen(["*_divergence"])} == {
        "bregman_divergence",
        "forward_divergence",
        "reverse_divergence",
    }


# --- what checkers rest on: comp-sum losses ---


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_the_regret_is_the_loss_over_its_least(tau):
    """By minimising over softmax(h) with SciPy; for tau >= 2 the minimum is at infinity."""
    random = np.random.default_rng(int(10 * tau))
    exact = Fraction(tau).limit_denominator(10)
    for n in (2, 3):
        p = [Fraction(int(k), 30) for k in random.multinomial(30 - n, [1 / n] * n) + 1]
        q = [Fraction(int(k), 40) for k in random.multinomial(40 - n, [1 / n] * n) + 1]

        def risk(share, p=p):
            a = tau - 1
            loss = -np.log(share) if a == 0 else (1 - share**a) / a
            return float(np.dot(np.array(p, float), loss))

        def of_logits(h):
            e = np.exp(np.concatenate([[0.0], h]) - max(0.0, *h))
            return risk(np.maximum(e / e.sum(), 1e-300))

        starts = [np.zeros(n - 1), np.full(n - 1, -30.0), *(30.0 * np.eye(n - 1))]
        least = min(minimize(of_logits, h, method="Nelder-Mead").fun for h in starts)
        truth = risk(np.array(q, float)) - least
        assert float(comp_sum.regret(p, q, exact)) == pytest.approx(truth, abs=2e-6)


@pytest.mark.parametrize("tau", comp_sum.TAUS)
def test_the_transform_is_the_least_regret_of_two_classes(tau):
    """Over all q with the other class predicted, on a grid; for tau > 2 T is below it."""
    b = Fraction(2, 5)
    p = [(1 + b) / 2, (1 - b) / 2]
    with flint.ctx.workprec(64):
        regrets = [
            float(comp_sum.regret(p, [Fraction(k, 100), Fraction(100 - k, 100)], tau))
            for k in range(1, 51)
        ]
        bound = float(comp_sum.transform_ball(flint.arb(2) / 5, tau, 2))
    assert min(regrets) == regrets[-1] or tau > 2
    assert min(regrets) >= bound * (1 - 1e-12)
    if tau <= 2:
        assert min(regrets) == pytest.approx(bound, rel=1e-12)


# --- what checkers rest on: divergences ---


@pytest.mark.parametrize("seed", range(3))
def test_divergences_are_those_of_the_definition(seed):
    z, a = next(iter(ghosts_radius.samples(1, seed=seed)))
    t = 0.7
    with mpmath.workdps(30):
        moved = [mpmath.exp(mpmath.mpf(x) + t * mpmath.mpf(y)) for x, y in zip(z, a, strict=True)]
        start = [mpmath.exp(mpmath.mpf(x)) for x in z]
        p, q = ([w / mpmath.fsum(row) for w in row] for row in (moved, start))

        def divergence(p, q):
            return mpmath.fsum(x * mpmath.log(x / y) for x, y in zip(p, q, strict=True))

        mean = mpmath.fsum(x * mpmath.mpf(y) for x, y in zip(q, a, strict=True))
        square = mpmath.fsum(x * (mpmath.mpf(y) - mean) ** 2 for x, y in zip(q, a, strict=True))
        with flint.ctx.workprec(128):
            found = ghosts_divergence._divergences(z, a, flint.arb(t))
        assert float(found["forward"]) == pytest.approx(float(divergence(p, q)), rel=1e-12)
        assert float(found["reverse"]) == pytest.approx(float(divergence(q, p)), rel=1e-12)
        assert float(found["quadratic"]) == pytest.approx(float(t**2 / 2 * square), rel=1e-12)


def test_no_distribution_has_a_larger_third_moment():
    random = np.random.default_rng(0)
    worst = 0.0
    for _ in range(2000):
        x = np.concatenate([[0.0, 1.0], random.random(3)])
        p = random.dirichlet(np.full(5, 0.3))
        worst = max(worst, abs(np.dot(p, (x - np.dot(p, x)) ** 3)))
    assert 0.09 < worst <= 1 / (6 * math.sqrt(3))


def test_coefficients_of_a_tie_are_those_of_log_cosh():
    with flint.ctx.workprec(64):
        found = [float(c) for c in ghosts_bounds.softplus_series(0.0, 1.0, 6)]
    truth = [math.log(2), 1 / 2, 1 / 8, 0, -1 / 192, 0, 1 / 2880]
    assert found == pytest.approx(truth, abs=1e-15)


# --- what checkers rest on: arithmetic ---


def test_rounding_a_ball_is_to_nearest_even():
    with flint.ctx.workprec(128):
        for fmt in (BINARY32, BFLOAT16):
            u = flint.arb(2) ** -fmt.precision
            assert collapse.rounded(1 + u, fmt) == 1
            assert collapse.rounded(1 + u * flint.arb("1.0000001"), fmt) > 1


def test_the_printed_reduction_is_the_exponential_where_it_holds():
    x = np.linspace(-80, 80, 1001).astype(np.float32)
    m, n = two_passes.reduced(x)
    np.testing.assert_allclose(
        np.ldexp(m.astype(np.float64), n.astype(int)), np.exp(np.float64(x)), rtol=5e-6
    )
    assert np.all((m > 0.7) & (m < 1.42))


@pytest.mark.parametrize("scale", two_passes.SCALES)
def test_the_printed_passes_are_softmax_where_nothing_is_large(scale):
    row = np.array([3.0, -50.0, 2.5, 88.0, 87.5], np.float32)
    exact = np.exp(row.astype(np.float64) - 88)
    found = two_passes.softmax_as_printed(row, scale)
    np.testing.assert_allclose(found, exact / exact.sum(), atol=1e-5)


def test_a_pass_too_many_is_counted(monkeypatch):
    assert not CLAIMS["memory_operations"].check().refuted
    wasteful = {**two_passes.ALGORITHMS, "two-pass": two_passes.ALGORITHMS["recompute"]}
    monkeypatch.setattr(two_passes, "ALGORITHMS", wasteful)
    assert CLAIMS["memory_operations"].check().evidence == "two-pass: 3 reads and 1 writes"


def test_a_kernel_that_collapses_or_overflows_is_found():
    def no_gradient_of_the_right_class(x, labels):
        loss, gradient = of_kernels.cross_entropy_with_gradient(x, labels)
        gradient[:, 0] = 0
        return loss, gradient

    assert of_kernels.collapse_free_loss(no_gradient_of_the_right_class).refuted
    assert "loss" in of_kernels.collapse_free_loss(cross_entropy_shifted).evidence
    assert of_kernels.two_pass_kernel_never_overflows("naive").refuted
