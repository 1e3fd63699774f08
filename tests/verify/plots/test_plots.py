"""Every kind of plot: legible, not empty, its numbers in the table, its command reproducing it.

What is particular to a kind is tested below, or in a file of its own.
"""

import csv
import itertools
import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text
from softproof.derivations import lookup
from softproof.kernels import ClipRecord
from softproof.verify import plots
from softproof.verify.bench import speed
from softproof.verify.cli.main import app
from softproof.verify.plots import (
    collapse,
    complex_zeros,
    h_consistency,
    ordinals,
    precision,
    radius_bounds,
    style,
    taylor,
    training_radius,
)
from softproof.verify.plots.plot import DOTS_PER_INCH, ENDINGS, ignore
from softproof.verify.suites.exhaustive import enclosed
from typer.testing import CliRunner

SOFTMAX, SHIFTED = "softproof.kernels:softmax", "softproof.verify.textbook:softmax_shifted"
OURS = "softproof.kernels:cross_entropy_with_gradient"
PLAIN = "softproof.verify.textbook:cross_entropy_shifted"
NAIVE = "softproof.verify.textbook:softmax_naive"

# Name, function, reduced arguments, and the command that takes the same (None: it takes none).
CASES = {
    "precision": (
        lambda **more: precision.plot("softmax", [SOFTMAX], precisions=[8, 24, 53], **more),
        None,
    ),
    "ghosts": (lambda **more: complex_zeros.plot(points=61, **more), "ghosts --row 31"),
    "taylor": (lambda **more: taylor.plot(order=16, steps=31, **more), "taylor --order 8"),
    "ladder": (radius_bounds.plot, "ladder"),
    "radius": (training_radius.plot, "radius"),
    "ordinals": (
        lambda **more: ordinals.plot("softmax", [SHIFTED, NAIVE], **more),
        f"ordinals softmax --inputs 300 --dtype bfloat16 --subject {SHIFTED}",
    ),
    "speed": (
        lambda **more: speed.plot(sizes=(256, 1024, 4096), rounds=1, peers=["SciPy"], **more),
        None,
    ),
    "collapse": (
        lambda **more: collapse.plot([OURS, PLAIN], count=60, **more),
        f"collapse --gaps 20 --classes 5 --dtype float16 --subject {PLAIN}",
    ),
    "consistency": (
        lambda **more: h_consistency.plot(samples=40, **more),
        "consistency --tau 0.25 --tau 1.75 --classes 4 --samples 10",
    ),
}
KINDS = [*CASES]
DEFINITIONS = ("softmax", "logsumexp", "cross_entropy", "sigmoid", "softplus", "stablemax")


@pytest.fixture(scope="module")
def drawn():
    """Each kind, drawn once, with the calls of its progress."""
    made = {}

    def of(kind):
        if kind not in made:
            calls = []
            make, _ = CASES[kind]
            made[kind] = make(progress=lambda *call: calls.append(call)), calls
        return made[kind]

    return of


# --- figures ---


def texts(figure):
    """The boxes of all text that is drawn: ticks beyond the axes have labels that are not."""
    shown = set()
    original = Text.draw
    Text.draw = lambda text, *_: shown.add(text)
    try:
        figure.draw_without_rendering()
    finally:
        Text.draw = original
    shown = [text for text in shown if text.get_visible() and text.get_text()]
    return {text: text.get_window_extent() for text in shown}


def caption(plot):
    return " ".join(plot.figure.get_supxlabel().split())


def misplaced(figure):
    """What text leaves the figure, crosses the frame of axes, or lies upon other text."""
    boxes = texts(figure)
    found = []
    for text, box in boxes.items():
        if not (
            figure.bbox.x0 <= box.x0
            and box.x1 <= figure.bbox.x1
            and figure.bbox.y0 <= box.y0
            and box.y1 <= figure.bbox.y1
        ):
            found.append(f"{text.get_text()!r} leaves the figure")
        for axes in figure.axes:
            frame = axes.get_window_extent()
            inside = (
                frame.x0 <= box.x0
                and box.x1 <= frame.x1
                and frame.y0 <= box.y0
                and box.y1 <= frame.y1
            )
            if frame.overlaps(box) and not inside:
                found.append(f"{text.get_text()!r} crosses a frame")
    for (a, at), (b, there) in itertools.combinations(boxes.items(), 2):
        if at.overlaps(there):
            found.append(f"{a.get_text()!r} lies upon {b.get_text()!r}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_all_text_lies_inside_the_figure_off_the_frames_and_off_other_text(drawn, kind):
    figure = drawn(kind)[0].figure
    assert len(texts(figure)) > 10
    for dpi in (100, DOTS_PER_INCH):  # of a screen, and of a file
        figure.set_dpi(dpi)
        assert misplaced(figure) == []


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_plot_of_precision_is_legible_for_each_definition(name):
    assert misplaced(precision.plot(name, precisions=[4, 24, 113]).figure) == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_plot_of_ordinals_is_legible_in_each_format(dtype):
    plot = ordinals.plot("softmax", [SHIFTED], dtype=dtype, inputs=100)
    assert misplaced(plot.figure) == []


def test_text_that_is_misplaced_is_seen():
    figure = Figure()
    axes = figure.subplots()
    axes.text(0.5, 0.5, "in the middle")
    assert misplaced(figure) == []
    axes.text(0.55, 0.5, "upon it")
    axes.text(0.9, 0.2, "across the frame and out of the figure, so long it is")
    complaints = "\n".join(misplaced(figure))
    for complaint in ("lies upon", "crosses a frame", "leaves the figure"):
        assert complaint in complaints


def data_lines(axes):
    """Lines that show numbers: not those of the legend, not guides, not marks at the edge."""
    guide = to_rgba(style.GUIDE["color"])
    for line in axes.lines:
        if line.get_transform() == axes.transData and to_rgba(line.get_color()) != guide:
            yield line


@pytest.mark.parametrize("kind", KINDS)
def test_all_axes_show_data_and_say_of_what(drawn, kind):
    figure = drawn(kind)[0].figure
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert panels
    for axes in panels:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        points = np.concatenate([line.get_xydata() for line in data_lines(axes)])
        x, y = points[np.isfinite(points).all(axis=1)].T
        seen = (left <= x) & (x <= right) & (low <= y) & (y <= high)
        assert np.unique(points[np.isfinite(points).all(axis=1)][seen], axis=0).shape[0] >= 3
        row = [other for other in panels if other.get_position().y0 == axes.get_position().y0]
        assert any(other.get_ylabel() for other in row)
    assert panels[-1].get_xlabel()


@pytest.mark.parametrize("kind", KINDS)
def test_the_caption_ends_with_the_command(drawn, kind):
    plot, _ = drawn(kind)
    assert caption(plot).endswith(plot.command)
    assert plot.command.startswith(f"softproof plot {kind}")
    assert plot.command.endswith("--output FILE")


@pytest.mark.parametrize("kind", KINDS)
def test_progress_counts_up_to_its_end(drawn, kind):
    done, totals = zip(*drawn(kind)[1], strict=True) if drawn(kind)[1] else ((1,), (1,))
    assert list(done) == sorted(set(done))
    assert set(totals) == {done[-1]}


def test_no_kind_touches_the_state_of_pyplot():
    for path in Path(plots.__file__).parent.glob("*.py"):
        assert "pyplot" not in path.read_text(encoding="utf-8"), path


def test_a_caption_is_as_wide_as_the_figure_whatever_its_letters():
    for width, words in itertools.product((3.5, 7.2), ("WWW MMMM", "i. il,i")):
        figure = style.new_figure(3.0, width)
        figure.subplots()
        style.caption(figure, " ".join([words] * 40), "softproof plot nothing --output FILE")
        assert misplaced(figure) == []
        (box,) = [b for t, b in texts(figure).items() if t.get_text().startswith(words[:3])]
        assert box.width > 0.8 * figure.bbox.width


def test_a_notebook_shows_the_figure(drawn):
    assert drawn("ladder")[0]._repr_png_().startswith(MAGIC[".png"])


# --- tables ---


def read_back(path):
    comment, _, rest = path.read_text(encoding="utf-8").partition("\n")
    header, *rows = csv.reader(rest.splitlines())
    return comment, header, rows


def same(cell, written):
    if cell is None or isinstance(cell, str):
        return written == (cell or "")
    return float(written) == cell or (math.isnan(cell) and math.isnan(float(written)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_read_back_as_it_was(drawn, kind, tmp_path):
    plot, _ = drawn(kind)
    plot.write_csv(tmp_path / "x.csv")
    comment, header, rows = read_back(tmp_path / "x.csv")
    assert comment == f"# {plot.command}"
    assert tuple(header) == plot.columns
    assert len(rows) == len(plot.rows) > 5
    for row, written in zip(plot.rows, rows, strict=True):
        assert len(row) == len(header)
        assert all(map(same, row, written))


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_that_is_drawn_stands_in_the_table(drawn, kind):
    plot, _ = drawn(kind)
    numbers = {abs(cell) for row in plot.rows for cell in row if not isinstance(cell, str | None)}
    if kind == "precision":  # errors are shown times 2^p
        numbers.add(1.0)  # u itself
        column = plot.columns.index("p"), plot.columns.index("error")
        numbers |= {row[column[1]] * 2.0 ** row[column[0]] for row in plot.rows}
    for axes in plot.figure.axes:
        for line in data_lines(axes):
            xy = line.get_xydata()
            missing = {float(abs(x)) for x in xy[np.isfinite(xy)]} - numbers
            if line.get_marker() == "+":  # the origin of the step
                missing.discard(0.0)
            assert not missing, line
            assert len(xy)


# --- what the eye may conclude ---


def labelled(plot):
    """The lines of the legend, by their labels."""
    return {handle.get_label(): handle for handle in plot.figure.legends[0].legend_handles}


def colour(line):
    return to_rgba(line.get_color())[:3]


def test_the_bound_of_one_form_looks_like_that_form_alone(drawn):
    plot, _ = drawn("precision")
    lines = labelled(plot)
    bound = next(line for label, line in lines.items() if label.startswith("bound of"))
    alike = {label for label, line in lines.items() if colour(line) == colour(bound)}
    assert alike == {"shifted", "bound of “shifted” alone"}
    assert len(plot.figure.axes) == 1


def test_a_colour_says_one_thing_in_both_panels_of_taylor_sums(drawn):
    lines = labelled(drawn("taylor")[0])
    sides = {colour(lines[label]) for label in ("|t| < ρ", "|t| > ρ")}
    orders = {colour(line) for label, line in lines.items() if label.startswith("order")}
    assert len(sides) == 2
    assert not sides & orders


def test_zeros_stand_in_a_band_that_is_called_0_below_the_logarithmic_scale(drawn):
    figure = drawn("collapse")[0].figure
    for axes in figure.axes[:2]:
        crosses = [line.get_ydata() for line in axes.lines if line.get_marker() == "x"]
        assert 0 < np.concatenate(crosses).max() < 0.2
        low, high = np.log10(axes.get_ylim())
        ticks = np.log10([tick for tick in axes.get_yticks() if tick >= axes.get_ylim()[0]])
        assert ((ticks - low) / (high - low)).min() >= 0.2 - 1e-9
        assert "0" in [text.get_text() for text in axes.texts]


def test_errors_of_several_subjects_are_drawn_on_one_scale():
    forms = ["softproof.verify.textbook:softmax_*"]
    figure = ordinals.plot("softmax", forms, dtype="float16", inputs=64).figure
    assert len({axes.get_ylim() for axes in figure.axes}) == 1 < len(figure.axes)


# --- commands ---


def softproof(*arguments):
    return CliRunner(env={"COLUMNS": "250"}).invoke(app, [str(a) for a in arguments])


MAGIC = {".png": b"\x89PNG\r\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}
COMMANDS = [command for _, command in CASES.values() if command]


@pytest.mark.parametrize(
    ("command", "ending"),
    [*zip(COMMANDS, itertools.cycle(ENDINGS), strict=False)],
    ids=COMMANDS,
)
def test_the_command_in_the_table_draws_the_same_again(command, ending, tmp_path):
    first, again = tmp_path / "first.csv", tmp_path / "again.csv"
    picture = tmp_path / f"x{ending}"
    outcome = softproof("plot", *command.split(), "--output", picture, "--data", first)
    assert outcome.exit_code == 0, outcome.output
    assert outcome.output == f"wrote {picture}\nwrote {first}\n"
    assert picture.read_bytes().startswith(MAGIC[ending])
    assert picture.stat().st_size > 8_000
    comment, _, _ = read_back(first)
    words = shlex.split(comment.removeprefix("# softproof "))
    words[words.index("FILE")] = str(tmp_path / "y.svg")
    assert softproof(*words, "--data", again).exit_code == 0
    assert again.read_bytes() == first.read_bytes()


def usage_error(*arguments):
    """The one line of a usage error, exit status 2."""
    outcome = softproof("plot", *arguments)
    assert outcome.exit_code == 2, outcome.output
    (line,) = outcome.output.strip().splitlines()
    assert line.startswith("softproof: ")
    return line


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("objects.npy", np.zeros((3, 2), dtype=int))
    np.savez("flat.npz", logits=np.zeros((2, 3)), slopes=np.ones((2, 3)))
    np.savez("labels.npz", logits=np.zeros((2, 3)), slopes=np.eye(3)[:2], labels=[0, 3])
    np.savez("nan.npz", logits=np.full((2, 3), np.nan), slopes=np.ones((2, 3)))
    Path("broken.npz").write_bytes(b"PK\x03\x04 no more")
    Path("log.csv").write_text("tau,rho,r\n1,2,0.5\n")
    Path("words.csv").write_text("tau,rho,r,factor\n1,2,0.5,often\n")
    Path("negative.csv").write_text("tau,rho,r,factor\n1,-2,0.5,1\n")
    Path("empty.json").write_text("[]")
    Path("folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("ladder --output x.bmp", "ends in '.bmp'; use one of .png, .svg, .pdf"),
        ("ladder --output no/x.png", "No such file or directory: "),
        ("ladder --output x.png --data no/x.csv", "No such file or directory: "),
        ("radius --output folder.png", "folder.png"),
        ("precision softmaks --output x.png", "did you mean softmax"),
        ("ordinals softmaks --output x.png", "did you mean softmax"),
        ("ordinals --dtype float8 --output x.png", "dtype is 'float8'; use one of float16, "),
        ("ordinals --subject nobody --output x.png", "no known subject of softmax matches"),
        ("ordinals --subject no.such:f --output x.png", "no.such:f: ModuleNotFoundError"),
        ("precision --subject nobody --output x.png", "no known subject of softmax matches"),
        ("speed hardmax --output x.png", "operation is 'hardmax'; use one of softmax, "),
        ("speed --dtype int8 --output x.png", "dtype is 'int8'; use one of float16, "),
        ("speed --peer Nobody --output x.png", "peers has Nobody; use some of softproof, "),
        ("collapse --dtype float8 --output x.png", "dtype is 'float8'; use one of float16, "),
        ("collapse --subject nobody --output x.png", "no known subject of cross_entropy matches"),
        (
            "collapse --subject scipy.special:log_softmax --dtype bfloat16 --output x.png",
            "subject scipy.special:log_softmax takes no bfloat16",
        ),
        ("consistency --tau inf --output x.png", "tau must be finite and not negative, got inf"),
        (
            "consistency --tau 0 --tau 1 --tau 2 --tau 3 --tau 4 --tau 5 --tau 6 --output x.png",
            "there are 7 taus; at most 6",
        ),
        ("ghosts --row 1797 --output x.png", "row is 1797, but there are 1797 samples, 0 ... 1796"),
        ("ghosts flat.npz --row 0 --output x.png", "F has no zero for row 0 of flat.npz"),
        ("taylor flat.npz --row 0 --output x.png", "converges everywhere: equal slopes"),
        ("taylor --label 10 --output x.png", "label is 10, but there are 10 classes, 0 ... 9"),
        ("taylor labels.npz --row 1 --output x.png", "label is 3, but there are 3 classes"),
        ("ladder flat.npz --output x.png", "no sample of flat.npz has a finite exact radius"),
        ("ladder nan.npz --output x.png", "holds NaN or infinity"),
        ("ladder no.npz --output x.png", "there is no file no.npz"),
        ("ladder objects.npy --output x.png", "objects.npy"),
        ("ladder broken.npz --output x.png", "cannot read broken.npz"),
        ("radius log.csv --output x.png", "it has no factor"),
        ("radius words.csv --output x.png", "cannot read the log words.csv"),
        ("radius negative.csv --output x.png", "has negative numbers or NaN in rho"),
        ("radius empty.json --output x.png", "cannot read the log empty.json"),
        ("radius broken.npz --output x.png", "cannot read the log broken.npz"),
        ("radius log.txt --output x.png", "must be a .csv, .json, .npz file"),
        ("radius none.csv --output x.png", "No such file or directory: 'none.csv'"),
    ],
)
def test_usage_errors(here, command, message):
    assert message in usage_error(*command.split())
    assert not Path("x.png").exists()


def test_an_unknown_kind_is_a_usage_error():
    outcome = softproof("plot", "portrait", "--output", "x.png")
    assert outcome.exit_code == 2
    assert "No such command 'portrait'" in outcome.output


def test_each_kind_has_a_command_and_the_list_of_them_tells_what_it_shows():
    shown = softproof("plot", "--help").output
    modules = {path.stem for path in Path(plots.__file__).parent.glob("*.py")}
    names = {  # of commands, where they are not those of the modules
        "complex_zeros": "ghosts",
        "h_consistency": "consistency",
        "radius_bounds": "ladder",
        "training_radius": "radius",
    }
    shared = {"__init__", "plot", "style", "samples", "subject_values", "line_of_cases"}
    for module in (modules - shared) | {"speed"}:
        assert f"│ {names.get(module, module)} " in shown


# --- ghosts: against certificates and closed forms ---


def rows_of(plot, series):
    return [row[1:] for row in plot.rows if row[0] == series]


def test_two_classes_have_the_zeros_of_the_closed_form(tmp_path):
    delta, rise = 1.5, 0.7  # zeros at (delta + i pi (2 n + 1)) / (a_2 - a_1)
    path = tmp_path / "two.npz"
    np.savez(path, logits=np.array([[delta, 0.0]]), slopes=np.array([[0.0, rise]]))
    plot = complex_zeros.plot(path, row=0, points=81)
    found = np.array([complex(re, im) for re, im, _ in rows_of(plot, "zero")])
    half = complex_zeros.WIDTH * math.hypot(delta, math.pi) / rise
    expected = [complex(delta, math.pi * (2 * n + 1)) / rise for n in range(-9, 9)]
    expected = [t for t in expected if abs(t.imag) <= half]
    assert len(found) == len(expected) == 2
    assert all(np.abs(found - t).min() < 1e-9 for t in expected)
    assert rows_of(plot, "radius")[0][0] == pytest.approx(math.hypot(delta, math.pi) / rise)
    assert rows_of(plot, "strip")[0][1] == pytest.approx(math.pi / rise)


@pytest.mark.parametrize("row", [29, 161, 184])
def test_the_zeros_are_zeros_and_lie_where_the_bounds_allow(row):
    z, a = (x[row].astype(float) for x in radius_bounds.read()[:2])
    plot = complex_zeros.plot(row=row, points=121)
    zeros = [complex(re, im) for re, im, _ in rows_of(plot, "zero")]
    (radius_, *_) = rows_of(plot, "radius")[0]
    strip = rows_of(plot, "strip")[0][1]
    half_mass = np.array([re for re, _, _ in rows_of(plot, "half-mass")])
    s, height = np.array([row[:2] for row in rows_of(plot, "variance")]).T
    spacing = np.diff(s).min()
    certificate = complex_zeros.certify(z, a)
    (nearest, error, _), *_ = certificate.zeros
    assert min(abs(t - nearest) for t in zeros) <= error + 1e-9
    assert certificate.lower <= radius_ <= certificate.upper
    for t in zeros:
        terms = np.exp(z + a * t - (z + a * t).real.max())
        assert abs(terms.sum()) < 1e-9
        assert abs(t) >= radius_ * (1 - 1e-12)
        assert abs(t.imag) >= strip
        inside = np.abs(half_mass - t.real) < spacing / 2
        nearby = np.abs(s - t.real) <= spacing
        assert not inside.any() or nearby.any()
        if nearby.any():
            assert abs(t.imag) >= height[nearby].min() * (1 - 1e-3)
    assert f"All {len(zeros)} zeros of the window" in caption(plot)


def test_a_zero_that_was_not_found_is_missed(monkeypatch):
    find = complex_zeros._zeros
    monkeypatch.setattr(complex_zeros, "_zeros", lambda *arguments: find(*arguments)[1:])
    assert "Of 4 zeros in the window 3 were found" in caption(complex_zeros.plot(points=61))


# --- taylor: against another's coefficients ---


def test_the_sums_are_those_of_the_coefficients_that_mpmath_finds():
    mpmath = pytest.importorskip("mpmath")
    z, a, labels, _ = radius_bounds.read()
    z, a, label = z[29].tolist(), a[29].tolist(), int(labels[29])

    def loss(t):
        terms = [mpmath.mpf(x) + mpmath.mpf(slope) * t for x, slope in zip(z, a, strict=True)]
        return mpmath.log(sum(map(mpmath.exp, terms))) - terms[label]

    with mpmath.workdps(60):
        c = mpmath.taylor(loss, 0, 8)
        plot = taylor.plot(order=8, steps=9)
        for _, t, value in rows_of(plot, "loss"):
            assert value == pytest.approx(float(loss(mpmath.mpf(t))), rel=1e-12)
        for n, t, value in rows_of(plot, "sum"):
            expected = sum(c[k] * mpmath.mpf(t) ** k for k in range(n + 1))
            assert value == pytest.approx(float(expected), rel=1e-9)
        for n, t, value in rows_of(plot, "error"):
            expected = sum(c[k] * mpmath.mpf(t) ** k for k in range(n + 1)) - loss(mpmath.mpf(t))
            assert value == pytest.approx(abs(float(expected)), rel=1e-6, abs=1e-12)


def test_errors_fall_inside_the_disc_and_grow_outside():
    plot = taylor.plot(order=48, steps=5)
    errors = {}
    for n, t, value in rows_of(plot, "error"):
        errors.setdefault(t, {})[n] = value
    radius_ = complex_zeros.certify(*(x[29].astype(float) for x in radius_bounds.read()[:2])).lower
    for t, by_order in errors.items():
        early, late = (max(by_order[n] for n in window) for window in (range(8, 16), range(40, 48)))
        assert (late < early) == (t < radius_)


# --- ladder: against certificates ---


def test_ratios_are_at_most_one_and_those_of_the_certificates():
    plot = radius_bounds.plot()
    z, a = radius_bounds.read()[:2]
    found = {}
    for bound, sample, value, exact, ratio, _ in plot.rows:
        assert 0 < ratio <= 1
        assert ratio == value / exact
        found.setdefault(sample, {})[bound] = ratio, exact
    assert len(found) == len(z)
    for by_bound in found.values():
        assert by_bound["spread"] <= by_bound["half_mass"] <= by_bound["variance"]
    for sample in (0, 29, 1000):
        certificate = complex_zeros.certify(z[sample], a[sample])
        ratio, exact = found[sample]["spread"]
        assert exact == pytest.approx(certificate.lower, rel=1e-12)
        spread = float(np.ptp(a[sample].astype(float)))
        assert ratio == pytest.approx(math.pi / spread / certificate.lower, rel=1e-12)


def test_the_curve_is_the_share_of_samples_with_at_most_the_ratio():
    rows = [row for row in radius_bounds.plot().rows if row[0] == "half_mass"]
    ratios = np.array([row[4] for row in rows])
    for *_, ratio, share in rows[::100]:
        assert share == np.mean(ratios <= ratio)


def test_samples_without_zeros_are_left_out_and_told(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, logits=np.zeros((3, 2)), slopes=np.array([[1.0, 1.0], [1.0, 0.0], [2.0, 0.0]]))
    plot = radius_bounds.plot(path)
    assert {row[1] for row in plot.rows} == {1, 2}
    assert "Left out: 1 without a finite exact radius" in caption(plot)


# --- radius: the log ---


def test_the_run_is_clipped_to_one_radius_when_the_rate_has_its_spike():
    plot = training_radius.plot()
    assert len(plot.rows) == training_radius.STEPS
    for step, tau, rho, r, factor, taken, r_taken in plot.rows:
        assert r == pytest.approx(tau / rho)
        assert taken == factor * tau
        assert r_taken <= 1
        if step in training_radius.SPIKED:
            assert factor < 1 < r
            assert r_taken == pytest.approx(1)


def test_the_radius_of_the_first_step_is_that_of_the_certificates():
    """All logits are 0 then, and the slopes are those of the update, which has norm tau."""
    rng = np.random.default_rng(0)
    labels = rng.integers(training_radius.CLASSES, size=training_radius.SAMPLES)
    centres = rng.normal(size=(training_radius.CLASSES, training_radius.FEATURES))
    inputs = centres[labels] + training_radius.NOISE * rng.normal(
        size=(training_radius.SAMPLES, training_radius.FEATURES)
    )
    target = np.eye(training_radius.CLASSES)[labels]
    update = (
        training_radius.RATE
        * inputs.T
        @ (target - 1 / training_radius.CLASSES)
        / training_radius.SAMPLES
    )
    tau = np.linalg.norm(update)
    slopes = inputs @ (update / tau)
    widest = np.argsort(np.ptp(slopes, axis=1))[-20:]  # the least radius is among these
    least = min(
        complex_zeros.certify(np.zeros(training_radius.CLASSES), slopes[i]).lower for i in widest
    )
    log = training_radius.trained()
    assert log.tau[0] == pytest.approx(tau)
    assert log.rho[0] == pytest.approx(least)


def test_a_log_is_read_in_each_format_as_the_clip_documents_it(tmp_path):
    records = [ClipRecord(0.5, 2.0, 0.25, 1.0), ClipRecord(3.0, math.inf, 0.0, 1.0)]
    with (tmp_path / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([ClipRecord._fields, *records])
    (tmp_path / "log.json").write_text(json.dumps([record.jsonable() for record in records]))
    columns = dict(zip(ClipRecord._fields, np.array(records).T, strict=True))
    np.savez(tmp_path / "log.npz", **columns)
    for ending in training_radius.ENDINGS:
        log = training_radius.read(tmp_path / f"log{ending}")
        assert [tuple(step) for step in zip(*log, strict=True)] == [tuple(r) for r in records]
        plot = training_radius.plot(tmp_path / f"log{ending}")
        assert "0 of 2 steps" in caption(plot)


def test_the_table_of_a_plot_is_a_log_again(tmp_path):
    training_radius.plot().write_csv(tmp_path / "x.csv")
    again = training_radius.read(tmp_path / "x.csv")
    for mine, theirs in zip(training_radius.trained(), again, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# --- ordinals: against the oracle ---


def test_every_finite_number_of_a_format_is_asked_in_order():
    for name, most, top in (
        ("float16", 31743, 65504.0),
        ("bfloat16", 32639, 2.0**127 * (2 - 2.0**-7)),
    ):
        fmt = ordinals.ARRAY_FORMATS[name]
        places = ordinals._ordinals(lookup("softmax"), fmt, None)
        x = ordinals._numbers(places, fmt).astype(float)
        assert len(x) == 2 * most + 1
        assert np.isfinite(x).all()
        assert (np.diff(x) > 0).all()
        assert x[-1] == -x[0] == top


def test_samples_of_a_wide_format_are_spread_over_its_bit_patterns():
    fmt = ordinals.ARRAY_FORMATS["float64"]
    places = ordinals._ordinals(lookup("sigmoid"), fmt, 1000)
    x = ordinals._numbers(places, fmt)
    assert (np.diff(x) > 0).all()
    assert x[0] < -1e300
    assert x[-1] > 1e300
    # As many below 1 in magnitude as beyond it, nearly: half of all exponents.
    assert np.mean(np.abs(x) < 1) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", enclosed())
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_errors_of_16_bits_are_those_of_the_oracle(name, dtype, monkeypatch):
    fmt = ordinals.ARRAY_FORMATS[dtype]
    definition = lookup(name)
    places = ordinals._ordinals(definition, fmt, 150)
    x = ordinals._numbers(places, fmt)
    pairs = np.stack([x, np.zeros_like(x)], axis=1).astype(np.float64)
    with np.errstate(all="ignore"):  # in binary64, then rounded, then spoilt here and there
        total = np.logaddexp(pairs[:, :1], 0)
        values = {
            "softmax": np.exp(pairs - total),
            "log_softmax": pairs - total,
            "logsumexp": total,
            "cross_entropy": total - pairs[:, :1],
        }[name]
        values = (values * np.where(np.arange(150) % 7, 1, 1.1)[:, None]).astype(fmt.dtype)
    values[3] = np.nan
    quick, *_ = ordinals._ulp_errors(definition, fmt, x, [values], ignore)
    monkeypatch.setattr(ordinals, "has_enclosure", lambda definition: False)
    slow, *_ = ordinals._ulp_errors(definition, fmt, x, [values], ignore)
    np.testing.assert_allclose(quick, slow, rtol=1e-9, atol=1e-9)
    assert np.isinf(slow[3])
    assert slow.max() > 1


def test_the_unshifted_softmax_fails_where_its_exponential_overflows_and_nowhere_else(drawn):
    plot, _ = drawn("ordinals")
    overflows = math.log(65520)  # the least real that rounds to infinity in float16
    for _, subject, x, _, bits in (row for row in plot.rows if row[0] == "input"):
        assert math.isinf(bits) == (subject == NAIVE and x > overflows), (subject, x)


def test_lines_are_the_median_and_the_maximum_of_blocks(drawn):
    plot, _ = drawn("ordinals")
    bits = np.array([row[4] for row in plot.rows if row[:2] == ("input", SHIFTED)])
    medians = [row[4] for row in plot.rows if row[:2] == ("median", SHIFTED)]
    maxima = [row[4] for row in plot.rows if row[:2] == ("maximum", SHIFTED)]
    assert len(medians) == len(maxima) == ordinals.BLOCKS
    assert max(maxima) == bits.max()
    parts = [bits[a:b] for a, b in itertools.pairwise(np.linspace(0, len(bits), 201).astype(int))]
    for part, median, maximum in zip(parts, medians, maxima, strict=True):
        assert maximum == max(part)
        assert sorted(part)[(len(part) - 1) // 2] == median


# --- speed: what is measured is what is drawn ---


def test_speed_shows_quartiles_per_element_and_the_limit_of_memory():
    candidate = {
        "name": "softproof",
        "seconds": [1e-6, 2e-6, 3e-6],
        "nanoseconds_per_element": 2.0,
        "share_of_limit": [0.1, 0.25, 0.5],
    }
    peer = {"name": "PyTorch", "seconds": [4e-6] * 3, "nanoseconds_per_element": 4.0}
    case = {
        "operation": "softmax",
        "dtype": "float32",
        "shape": [1, 1000],
        "threads": 1,
        "candidates": [candidate, peer],
    }
    about = {"machine": {"processor": "P", "processors": 2}, "date": "today"}
    plot = speed.draw([case, {**case, "shape": [10, 100]}], about, "softproof plot speed")
    assert plot.rows[0] == ("softmax", "softproof", 1000, *map(pytest.approx, (1.5, 2.0, 2.5)))
    assert plot.rows[2] == ("softmax", "PyTorch", 1000, *map(pytest.approx, (4.0, 4.0, 4.0)))
    assert plot.rows[4] == ("softmax", "memory limit", 1000, None, 0.5, None)


def test_speed_times_ours_and_the_named_peers_at_each_size(drawn):
    plot, _ = drawn("speed")
    assert {row[:3] for row in plot.rows if row[1] != "memory limit"} == {
        ("softmax", name, size) for name in ("softproof", "SciPy") for size in (256, 1024, 4096)
    }
    assert all(0 < row[3] <= row[4] <= row[5] for row in plot.rows if row[1] != "memory limit")


# --- collapse: the curves are tested where they are made ---


def test_the_plain_form_is_marked_as_zero_from_the_derived_gap_on(drawn):
    plot, _ = drawn("collapse")
    gap = 24 * math.log(2)
    for what, axes in zip(("loss", "gradient"), plot.figure.axes[:2], strict=True):
        column = plot.columns.index(what)
        lost = [row[1] for row in plot.rows if row[0] == PLAIN and row[column] == 0]
        assert lost
        assert min(lost) >= gap
        crosses = [
            line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())
        ]
        (xs,) = (line.get_xdata().tolist() for line in crosses)
        assert xs == lost
    ours = [row for row in plot.rows if row[0] == OURS and gap < row[1] < 87]
    assert all(row[2] > 0 and row[4] < 6 * 2.0**-23 for row in ours)


# --- consistency: against closed forms, and the bound itself ---


def test_curves_are_the_closed_forms_and_each_other_inverse():
    plot = h_consistency.plot([0.0, 1.0, 1.5], samples=1)
    closed = {
        0.0: lambda b: 1 - math.sqrt(1 - b * b),
        1.0: lambda b: sum((1 + x) / 2 * math.log1p(x) if x > -1 else 0 for x in (b, -b)),
    }
    for tau, b, y in rows_of(plot, "transform"):
        if tau in closed:
            assert y == pytest.approx(closed[tau](b), rel=1e-12, abs=1e-15)
    for tau, b, y in rows_of(plot, "gamma"):
        if tau in closed:
            assert closed[tau](b) == pytest.approx(y, rel=1e-9, abs=1e-15)
    # For 1 < tau <= 3/2 and n > 2 the least regret is that of two classes, (n / 2)^(tau-1) T_tau.
    transform = {b: y for tau, b, y in rows_of(plot, "transform") if tau == 1.5}
    for _, b, y in rows_of(plot, "infimum"):
        assert y == pytest.approx(1.5**0.5 * transform[b], rel=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_no_sampled_regret_passes_the_bound(classes):
    plot = h_consistency.plot(classes=classes, samples=60)
    tightest = {}
    for tau, b, y in rows_of(plot, "sample"):
        least = float(h_consistency.consistency_transform(b, tau, classes))
        assert y >= least * (1 - 1e-12) - 1e-14
        if b > 0:
            tightest[tau] = min(tightest.get(tau, math.inf), y / least)
    if classes == 2:  # where every distribution attains it
        assert all(ratio < 1 + 1e-9 for ratio in tightest.values())
