"""Files are written whole or not at all, and what cannot be written keeps no other file back."""

import contextlib
import json
import os
import resource
import stat
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from softproof.verify.cli.main import app
from softproof.verify.plots.plot import Plot
from softproof.verify.reports.strict_json import write_json
from softproof.verify.reports.whole_files import write_each, write_whole
from typer.testing import CliRunner


@contextlib.contextmanager
def files_of_at_most(size):
    """As a full disk: the system refuses what a file has beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def figure(path):
    axes = Figure().subplots()
    axes.plot(range(100))
    Plot(axes.figure, "softproof plot", ("x",), [(1.5,)] * 20_000).save(path)


def table(path):
    Plot(Figure(), "softproof plot", ("x",), [(1.5,)] * 20_000).write_csv(path)


WRITERS = {
    "text": ("a.txt", lambda path: write_whole(path, "1.5 " * 20_000)),
    "json": ("a.json", lambda path: write_json({"x": [1.5] * 20_000}, path)),
    "figure": ("a.png", figure),
    "table": ("a.csv", table),
}


def check_whole_or_not_at_all(name, write, folder):
    path = folder / name
    for before in (None, "what was there"):
        if before is not None:
            path.write_text(before)
        with files_of_at_most(4096), pytest.raises(OSError, match=name):
            write(path)
        assert os.listdir(folder) == ([] if before is None else [name])
        assert before is None or path.read_text() == before
    write(path)
    assert path.stat().st_size > 4096
    assert os.listdir(folder) == [name]


@pytest.mark.parametrize(("name", "write"), WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_the_old_file_and_names_it(name, write, tmp_path):
    check_whole_or_not_at_all(name, write, tmp_path)


def test_writing_in_place_is_caught(tmp_path):
    with pytest.raises(AssertionError):
        check_whole_or_not_at_all("a.txt", lambda p: p.write_text("1.5 " * 20_000), tmp_path)


def test_the_other_files_are_written_and_all_that_failed_are_named(tmp_path):
    def to(name, size):
        return tmp_path / name, lambda path: write_whole(path, "1" * size)

    with files_of_at_most(4096), pytest.raises(OSError, match=r"a.txt'\n.*c.txt'$"):
        write_each(to("a.txt", 5000), to("b.txt", 10), (None, write_whole), to("c.txt", 5000))
    assert os.listdir(tmp_path) == ["b.txt"]


def test_the_reports_of_a_command_are_written_whole_or_not_at_all(tmp_path):
    from tests.sample_report import sample

    stored, page, xml = (tmp_path / name for name in ("report.json", "page.html", "junit.xml"))
    write_json(sample(), stored)
    arguments = ["report", str(stored), "--html", str(page), "--junit", str(xml)]
    with files_of_at_most(200_000):
        ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 2
    assert "page.html" in ran.stderr
    assert "junit.xml" not in ran.stderr
    assert not page.exists()
    assert xml.read_text().endswith("</testsuites>\n")


def test_a_plot_that_cannot_be_written_does_not_keep_its_numbers_back(tmp_path, monkeypatch):
    def drawn(*_, **__):
        figure = Figure()
        figure.subplots().plot(range(100))
        return Plot(figure, "softproof plot ladder", ("x",), [(1.5,)])

    monkeypatch.setattr("softproof.verify.plots.radius_bounds.plot", drawn)
    output, data = tmp_path / "a.png", tmp_path / "a.csv"
    arguments = ["plot", "ladder", "--output", str(output), "--data", str(data)]
    with files_of_at_most(4096):
        ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 2, ran.output
    assert "a.png" in ran.stderr
    assert not output.exists()
    assert data.read_text() == "# softproof plot ladder\nx\n1.5\n"


def test_permissions_and_links_stay(tmp_path):
    path, link = tmp_path / "a.txt", tmp_path / "link.txt"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    write_whole(link, "after")
    assert link.is_symlink()
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "new.txt", "new")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o640


def test_what_is_no_regular_file_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json({"x": 1}, pipe)
        assert json.loads(os.read(reader, 100)) == {"x": 1}
    finally:
        os.close(reader)
    write_whole("/dev/null", "nothing")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such/a.txt"):
        write_whole(Path(tmp_path / "no such" / "a.txt"), "text")
