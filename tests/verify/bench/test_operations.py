"""`softproof bench softmax ...`: is the right thing timed, and are the ratios what they say?"""

import json
import math
import signal
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from softproof.derivations.arithmetic.formats import FORMATS
from softproof.verify.bench import (
    adversarial_inputs as bad_days,
)
from softproof.verify.bench import (
    limits,
    peers,
    plot,
    row_length,
)
from softproof.verify.bench import (
    operations as kernels,
)
from softproof.verify.bench.allocator import ChildError, run_with_pages_kept
from softproof.verify.bench.machine import about
from softproof.verify.bench.peers import Candidate, candidates
from softproof.verify.bench.problems import (
    DISTRIBUTIONS,
    OPERATIONS,
    demand_memory,
    is_representable,
    parse_shape,
    problem,
)
from softproof.verify.bench.timing import interleaved, quiet
from softproof.verify.cli.main import app
from softproof.verify.plots.plot import save
from softproof.verify.subjects.arrays import jax_with_float64, to_numpy
from typer.testing import CliRunner

KINDS = [kind for kinds in OPERATIONS.values() for kind in kinds]
TOLERANCE = {"float64": 1e-13, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}


@pytest.fixture(autouse=True, scope="module")
def own_precision():
    """JAX is switched to 64 bits where it is timed; what is tested next should not notice."""
    try:
        import jax
    except ImportError:
        yield
        return
    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)
    jax_with_float64.cache_clear()  # or it would take JAX to be switched still


class Clock:
    """A clock that only calls move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def taking(self, seconds):
        def call():
            self.now += seconds

        return call


# --- problems ---


def masked_half(x):
    return x[:, : x.shape[1] // 2].astype(float)


def probabilities(x):
    e = np.exp(x.astype(float) - x.astype(float).max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PROPERTIES = {
    "normal": lambda x, info: 2.5 < x.astype(float).std() < 3.5,
    "half -inf": lambda x, info: (masked_half(x) == -np.inf).all(),
    "half -1e9": lambda x, info: np.allclose(masked_half(x), -1e9, rtol=1e-2),
    "half -1e30": lambda x, info: np.allclose(masked_half(x), -1e30, rtol=1e-2),
    "half lowest": lambda x, info: (masked_half(x) == float(info.min)).all(),
    "ascending": lambda x, info: (np.diff(x.astype(float)) >= 0).all() and x[0, 0] == -100,
    "descending": lambda x, info: (np.diff(x.astype(float)) <= 0).all() and x[0, -1] == -100,
    "late spike": lambda x, info: (x[:, -1] == 100).all() and x[:, :-1].astype(float).max() < 30,
    "half underflowing": lambda x, info: (
        probabilities(x)[:, ::2].max() < float(info.smallest_subnormal)
    ),
    "subnormal": lambda x, info: (
        probabilities(x)[:, :-1].max() < info.tiny
        and np.median(probabilities(x)[:, :-1]) > info.smallest_subnormal
    ),
    "offset": lambda x, info: x.astype(float).min() > min(1e6, float(info.max) / 4) / 2,
    "random walk": lambda x, info: 0.8 < np.diff(x.astype(float)).std() < 1.2,
    "equal": lambda x, info: (x == x[0, 0]).all(),
}


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_is_what_its_name_says(name, dtype):
    if not is_representable(name, dtype):
        with pytest.raises(ValueError, match="beyond the range of float16"):
            problem("softmax", dtype, (4, 256), name)
        return
    x = problem("softmax", dtype, (4, 256), name).x
    assert x.dtype == FORMATS[dtype].dtype
    assert x.shape == (4, 256)
    assert x.flags.carray
    assert PROPERTIES[name](x, ml_dtypes.finfo(x.dtype))
    again = problem("softmax", dtype, (4, 256), name).x
    np.testing.assert_array_equal(x.astype(float), again.astype(float))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_no_label_is_masked(name):
    posed = problem("cross_entropy", "float32", (50, 9), name)
    assert posed.labels.min() >= 4
    assert np.isfinite(posed.x[np.arange(50), posed.labels]).all()


@pytest.mark.parametrize("text", ["64", "64x", "0x8", "-1x8", "1x2x3", "1x2^99", "axb", ""])
def test_a_shape_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="shape must be ROWSxCLASSES"):
        parse_shape(text)


def test_a_shape_beyond_memory_is_refused_by_name():
    with pytest.raises(ValueError, match="shape 1x1099511627776 of float64 needs 65536 GiB"):
        demand_memory([(1, 8), (1, 1 << 40)], "float64")


# --- candidates ---


def reference(posed):
    x = posed.x.astype(float)
    total = np.log(np.exp(x).sum(axis=1))
    p = np.exp(x - total[:, None])
    losses = total - x[np.arange(len(x)), posed.labels]
    gradient = p - np.eye(x.shape[1])[posed.labels]
    return {
        "softmax": (p,),
        "log_softmax": (x - total[:, None],),
        "logsumexp": (total,),
        "cross_entropy": (losses,),
        "cross_entropy_with_gradient": (losses, gradient),
    }[posed.operation]


@pytest.mark.parametrize(("dtype", "threads"), [*((dtype, 1) for dtype in FORMATS), ("float32", 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_does_the_operation(kind, dtype, threads):
    posed = problem(kind, dtype, (5, 33))
    found, skipped = candidates(posed, threads)
    assert found[0].name == "softproof"
    assert {c.name for c in found} | set(skipped) == {"softproof", *peers.PEERS}
    for candidate in found:
        assert candidate.threads in (threads, 1, None)
        posed.out.fill(0)
        result = candidate.call()
        results = result if isinstance(result, tuple) else (result,)
        for value, expected in zip(results, reference(posed), strict=True):
            np.testing.assert_allclose(
                to_numpy(value).astype(float),
                expected,
                rtol=TOLERANCE[dtype],
                atol=TOLERANCE[dtype],
                err_msg=candidate.name,
            )
        is_written = np.any(posed.out != 0)
        assert (
            is_written
            or candidate.allocates
            or candidate.name == "LiteRT"
            or kind in ("cross_entropy",)
        )


def test_what_is_missing_is_skipped_with_a_word(monkeypatch):
    there = {"torch", "scipy", "onnx"}
    monkeypatch.setattr(peers, "find_spec", lambda name: name if name in there else None)
    pytest.importorskip("torch")
    found, skipped = candidates(problem("softmax", "float32", (2, 33)), 1)
    assert [c.name for c in found] == ["softproof", "PyTorch", "SciPy"]
    assert skipped["ONNX Runtime"] == "onnxruntime not installed"
    assert skipped["JAX"] == "jax, optax not installed"


def test_a_peer_that_cannot_is_skipped_with_a_word():
    _, skipped = candidates(problem("cross_entropy_with_gradient", "bfloat16", (2, 33)), 1)
    assert skipped["SciPy"] == "no cross_entropy_with_gradient"
    _, skipped = candidates(problem("softmax", "float32", (2, 33)), 2)
    assert skipped["SciPy"].startswith("one thread only")


def test_a_peer_that_raises_is_skipped_with_its_words(monkeypatch):
    def broken(posed, threads):
        return Candidate("Broken", lambda: [][1], threads)

    monkeypatch.setattr(peers, "PEERS", {"Broken": ((), broken)})
    (case,) = kernels.run("softmax", "float32", [(2, 8)], [1], 1)
    assert case["skipped"] == {"Broken": "IndexError: list index out of range"}
    assert [c["name"] for c in case["candidates"]] == ["softproof", "NumPy exp"]


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("ours")

    monkeypatch.setattr(peers, "softmax", broken)
    with pytest.raises(RuntimeError, match="ours"):
        next(kernels.run("softmax", "float32", [(2, 8)], [1], 1))


def test_pytorch_gets_its_threads_back():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with peers.pytorch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


# --- limits ---


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", FORMATS)
def test_limits_read_and_copy_all_but_the_ends(dtype, threads):
    posed = problem("softmax", dtype, (3, 10_001))
    for candidate in limits.limits(posed, threads):
        posed.out.fill(0)
        candidate.call()
        copied = np.count_nonzero(posed.out.astype(float) == posed.x.astype(float))
        if candidate.name in limits.COPIES:
            assert copied > posed.x.size - threads * 2 * 64 * 4
        else:
            assert candidate.name in limits.READS
            assert copied < 100
    reduced = problem("logsumexp", dtype, (3, 101))
    assert {c.name for c in limits.limits(reduced, threads)} == set(limits.READS)


def test_the_limit_takes_the_fastest_way():
    seconds = {name: np.array([2.0, 2.0]) for name in (*limits.READS, *limits.COPIES)}
    seconds["read, prefetched"] = np.array([1.0, 1.0])
    seconds["copy"] = np.array([1.5, 9.0])
    assert limits.limit(seconds, 3, 1).tolist() == [4.0, 4.0]
    assert limits.limit(seconds, 3, 2).tolist() == [5.0, 5.0]
    assert limits.limit(seconds, 1, 0).tolist() == [1.0, 1.0]


def test_long_rows_are_read_twice(monkeypatch):
    monkeypatch.setattr(limits, "second_level_cache", lambda: 1000)
    assert limits.traffic("cross_entropy_with_gradient", 1000) == (1, 1)
    assert limits.traffic("cross_entropy_with_gradient", 1001) == (2, 1)
    assert limits.traffic("cross_entropy", 1001) == (1, 0)


def test_a_system_that_does_not_tell_its_cache_has_one(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(limits.os, "sysconf", unknown)
    assert limits.second_level_cache() == limits.CACHE


# --- timing ---


def test_fast_candidates_are_repeated():
    clock = Clock()
    candidates = {"fast": clock.taking(0.25), "slow": clock.taking(3.0)}
    seconds = interleaved(candidates, 2, clock, shortest=1.0)
    assert seconds["fast"].tolist() == [0.25, 0.25]
    assert seconds["slow"].tolist() == [3.0, 3.0]
    # A warm-up; 1 + 2 + 4 calls until they last a second; 2 rounds of 4.
    assert clock.now == 3.0 * (1 + 1 + 2) + 0.25 * (1 + 7 + 8)


def test_a_candidate_is_woken_after_the_rest():
    told = []
    candidates = {"a": lambda: told.append("a")}
    interleaved(candidates, 1, warm_ups=2, settle=lambda: told.append("settle"))
    assert told == ["a", "a", "settle", "a", "a"]


def test_quiet_returns():
    quiet(nap=1e-4)


# --- measurements ---


@pytest.fixture
def fake(monkeypatch):
    """Candidates and limits with known times."""
    clock = Clock()

    def made(posed, threads, only=()):
        names = {"softproof": 2.0, "PyTorch": 3.0, "NumPy exp": 0.5}
        return [Candidate(n, clock.taking(s), threads) for n, s in names.items()], {"JAX": "gone"}

    def bounds(posed, threads):
        times = {"read": 0.25, "read, prefetched": 0.5, "copy": 0.75, "copy, streamed": 1.5}
        return [Candidate(n, clock.taking(s), threads) for n, s in times.items()]

    def ours(posed, threads):
        return Candidate("softproof", clock.taking(1.6), threads)

    def quickly(x, *, algorithm, out, threads):
        faster = x.size > 1000 and algorithm == "two_pass"
        clock.now += 1.0 if faster else {"three_pass_reload": 1.2}.get(algorithm, 1.5)

    for module in (kernels, bad_days, row_length):
        for name, function in {"candidates": made, "limits": bounds, "ours": ours}.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, function)
    monkeypatch.setattr(row_length, "softmax", quickly)
    return clock


def test_ratios_of_a_case(fake):
    told = []
    cases = list(
        kernels.run("cross_entropy", "float32", [(4, 32)], [1], 3, tell=told.append, clock=fake)
    )
    assert len(cases) == kernels.plan("cross_entropy", [(4, 32)], [1]) == 2
    assert told[0] == "cross_entropy float32, 4 x 32, 1 thread"
    _, case = cases
    assert case["operation"] == "cross_entropy_with_gradient"
    assert (case["shape"], case["threads"], case["dtype"]) == ([4, 32], 1, "float32")
    assert case["skipped"] == {"JAX": "gone"}
    ours, pytorch, ufunc = case["candidates"]
    assert ours["seconds"] == [2.0] * 3
    assert ours["nanoseconds_per_element"] == pytest.approx(2e9 / 128)
    assert ours["times_pytorch"] == (1.5, 1.5, 1.5)
    assert pytorch["times_pytorch"] == (1, 1, 1)
    assert ufunc["times_pytorch"] == (6, 6, 6)
    assert ours["times_ufunc"] == (4, 4, 4)
    assert ours["traffic"] == [1, 1]
    assert ours["share_of_limit"] == (0.375, 0.375, 0.375)  # one copy
    losses_alone = cases[0]["candidates"][0]
    assert losses_alone["share_of_limit"] == (0.125, 0.125, 0.125)  # one read
    assert case["limits"]["copy"] == [0.75] * 3


def test_small_arrays_on_two_threads_have_no_limit(fake):
    one, two = kernels.run("softmax", "float32", [(4, 32)], [1, 2], 1, clock=fake)
    assert one["candidates"][0]["share_of_limit"]
    assert two["candidates"][0]["share_of_limit"] is None


def test_ratios_of_a_bad_day(fake):
    entries = list(bad_days.run("softmax", "float16", [(4, 32)], [1], 2, clock=fake))
    assert len(entries) == bad_days.plan("softmax", "float16", [(4, 32)], [1])
    names = [entry["distribution"] for entry in entries]
    assert names == [n for n in DISTRIBUTIONS if n not in ("normal", "half -1e9", "half -1e30")]
    for entry in entries:
        assert entry["times_normal"] == pytest.approx((1.25, 1.25, 1.25))
        assert entry["times_pytorch"] == pytest.approx((1.5, 1.5, 1.5))
        assert bad_days.is_good(entry)


@pytest.mark.parametrize(
    ("times_normal", "times_pytorch", "good"), [(2.0, 1.0, True), (2.1, 5, False), (1, 0.9, False)]
)
def test_both_aims_count(times_normal, times_pytorch, good):
    entry = {"times_normal": (0, times_normal, 9), "times_pytorch": (0, times_pytorch, 9)}
    assert bad_days.is_good(entry) == good
    assert bad_days.is_good({**entry, "times_pytorch": None}) == (times_normal <= 2)


def test_ratios_by_row_length(fake):
    shapes = [(1, 500), (1, 2000)]
    short, long = row_length.run("float32", shapes, [1], 2, clock=fake)
    assert short["gain"] == pytest.approx([-0.2] * 3)
    assert long["gain"] == pytest.approx([0.2] * 3)
    assert long["limits"]["two_pass"] == pytest.approx(1e9 * 1.0 / 2000)  # a read and a copy
    assert long["limits"]["three_pass_recompute"] == pytest.approx(1e9 * 1.25 / 2000)
    assert long["limits"]["three_pass_reload"] == pytest.approx(1e9 * 1.75 / 2000)
    assert row_length.crossover([short, long]) == 2000
    assert row_length.crossover([short]) is None


def test_one_lost_length_moves_the_crossover():
    gains = {4: 0.1, 8: -0.1, 16: 0.1, 32: 0.2}
    entries = [{"classes": n, "gain": [0, gain, 0]} for n, gain in gains.items()]
    assert row_length.crossover(entries) == 16


# --- figures ---


def test_figures(fake, tmp_path):
    shapes = [(4, 32), (1, 2000), (1, 8)]
    cases = list(kernels.run("cross_entropy", "float32", shapes, [1, 2], 3, clock=fake))
    kept = [{**case, "allocator": kernels.KEPT} for case in cases]
    days = list(bad_days.run("softmax", "float32", shapes, [1], 3, clock=fake))
    rows = list(row_length.run("float32", [(1, 500), (1, 2000)], [1, 2], 3, clock=fake))
    figures = {
        "cases.png": plot.draw_cases([*cases, *kept], about()),
        "bad_days.svg": plot.draw_bad_days(days, about()),
        "row_lengths.pdf": plot.draw_row_lengths(rows, about()),
    }
    for name, figure in figures.items():
        assert about()["command"] in figure.get_supxlabel().replace("\n", " ")
        save(figure, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 10_000


# --- the command ---


def invoke(*arguments):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["bench", *arguments])


def test_the_command_end_to_end(tmp_path):
    files = {"--json": tmp_path / "bench.json", "--plot": tmp_path / "bench.png"}
    options = [str(text) for pair in files.items() for text in pair]
    shapes = ("--shape", "4x33", "--shape", "1x8")
    result = invoke("softmax", *shapes, "--threads", "1,2", "--rounds", "2", *options)
    assert result.exit_code == 0, result.output
    for told in ("softmax, float32", "4 x 33", "x PyTorch", "of the limit", "np.exp(x, out=y)"):
        assert told in result.output
    report = json.loads(files["--json"].read_text())
    assert (report["operation"], report["dtype"], report["rounds"]) == ("softmax", "float32", 2)
    assert {"command", "date", "machine", "versions", "interrupted"} <= report.keys()
    assert report["machine"]["processor"]
    assert report["versions"]["numpy"] == np.__version__
    places = [(tuple(case["shape"]), case["threads"]) for case in report["cases"]]
    assert places == [((4, 33), 1), ((4, 33), 2), ((1, 8), 1), ((1, 8), 2)]
    for case in report["cases"]:
        names = [candidate["name"] for candidate in case["candidates"]]
        assert names[0] == "softproof"
        assert ("NumPy exp" in names) == (case["shape"] == [1, 8])
    assert files["--plot"].stat().st_size > 10_000


def test_pages_are_kept_in_a_process_of_its_own(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "bench.json"
    result = invoke(
        "logsumexp", "--shape", "4x33", "--threads", "1", "--rounds", "2", "--json", str(path)
    )
    assert result.exit_code == 0, result.output
    cases = json.loads(path.read_text())["cases"]
    if kernels.KEPT not in {case["allocator"] for case in cases}:
        pytest.skip("the C library is not GNU's")
    for told in ("PyTorch, as installed", "PyTorch, allocator keeps its pages", "pages kept"):
        assert told in result.output
    installed, kept = cases
    assert installed["allocator"] == kernels.INSTALLED
    assert [c["name"] for c in kept["candidates"]] == ["softproof", "PyTorch"]


def test_a_process_that_fails_is_told(monkeypatch):
    pytest.importorskip("torch")
    module = run_with_pages_kept.__globals__
    monkeypatch.setitem(module, "plan_with_pages_kept", lambda *arguments: 1)
    monkeypatch.setitem(module, "sys", SimpleNamespace(executable="false"))
    with pytest.raises(ChildError, match="failed: no message"):
        list(run_with_pages_kept("softmax", "float32", [(2, 8)], [1], 1))


def test_bad_days_end_to_end(tmp_path):
    path = tmp_path / "bench.json"
    shape = ("--distributions", "--shape", "4x33", "--threads", "1", "--rounds", "1")
    result = invoke("log_softmax", *shape, "--json", str(path))
    assert result.exit_code == 0, result.output
    for told in ("time / normal", "half -1e30", "random walk", "Aims: at most 2 times"):
        assert told in result.output
    assert len(json.loads(path.read_text())["bad_days"]) == len(DISTRIBUTIONS) - 1


def test_row_lengths_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(row_length, "SHAPES", ((1, 64), (1, 256)))
    path = tmp_path / "bench.json"
    result = invoke("softmax", "--roofline", "--rounds", "1", "--json", str(path))
    assert result.exit_code == 0, result.output
    for told in ("three_pass_recompute", "gain of two_pass", "arXiv 2001.04438"):
        assert told in result.output
    entries = json.loads(path.read_text())["row_lengths"]
    assert [entry["classes"] for entry in entries] == [64, 256]
    assert [entry["threads"] for entry in entries] == [1, 1]


def test_an_interrupt_ends_with_what_is_known(monkeypatch):
    measure = kernels._case
    calls = []

    def interrupted(posed, *rest):
        calls.append(posed.x.shape)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return measure(posed, *rest)

    monkeypatch.setattr(kernels, "_case", interrupted)
    monkeypatch.setattr(peers, "PEERS", {})
    shapes = ("--shape", "3x8", "--shape", "5x8")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's "&" ignores it
    try:
        result = invoke("softmax", *shapes, "--threads", "1", "--rounds", "1")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 1
    assert "3 x 8" in result.output
    assert "5 x 8" not in result.output
    assert "interrupted" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--shape", "8"), "shape must be ROWSxCLASSES"),
        (("--shape", "1x2^40"), "GiB are free; choose a smaller one"),
        (("--threads", "0"), "--threads must be numbers of at least 1, got '0'"),
        (("--threads", "1,x"), "got '1,x'"),
        (("--plot", "bench.gif"), "use one of .png, .svg, .pdf"),
        (("--json", "/no/such/folder/bench.json"), "No such file or directory"),
        (("--roofline", "--distributions"), "two measurements; give one"),
        (("--roofline", "--shape", "1x8"), "leave out --shape"),
    ],
)
def test_usage_errors(arguments, message):
    result = invoke("softmax", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_row_lengths_are_of_softmax():
    result = invoke("logsumexp", "--roofline")
    assert result.exit_code == 2
    assert "softproof bench softmax --roofline" in result.output


def test_shapes_are_told_for_people():
    assert kernels.described((1 << 20, 64)) == "2^20 x 64"
    assert kernels.described((128, 128256)) == "128 x 128256"
    assert math.isclose(kernels.over(np.array([1.0]), np.array([2.0]))[1], 0.5)
