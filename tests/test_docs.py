"""The documentation: every public name has its place, no link inside it is dead."""

import importlib
import inspect
import pkgutil
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import softproof.derivations
import softproof.kernels
import softproof.verify

ROOT = Path(__file__).parents[1]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "notebooks")
    build_docs = importlib.import_module("build_docs")

PACKAGES = (softproof.kernels, softproof.derivations, softproof.verify)


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    output = tmp_path_factory.mktemp("docs")
    skipped = build_docs.build(output, tmp_path_factory.mktemp("notebooks"), fast=True)
    return output, skipped


@pytest.fixture(scope="module")
def pages(built):
    output, _ = built
    return {path: Page(path) for path in output.rglob("*.html")}


def dead_links(pages):
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.is_file() or (place and place not in pages[target].places):
                dead.append((path.name, link))
    return dead


def public_names():
    """Every public function and class with its page: where it is written, and where exported."""
    for package in PACKAGES:
        walked = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        for name in (package.__name__, *(module.name for module in walked)):
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue  # of a framework that is not installed
            exported = set(getattr(module, "__all__", ()))
            for attribute, value in vars(module).items():
                written_here = getattr(value, "__module__", None) == name
                is_documented = inspect.isclass(value) or inspect.isroutine(inspect.unwrap(value))
                if attribute.startswith("_") or not is_documented:
                    continue
                if attribute in exported or (written_here and not exported):
                    yield name, attribute


# --- what is there ---


def test_each_public_function_has_a_place_on_the_page_of_its_module(built, pages):
    output, skipped = built
    names = list(public_names())
    assert len(names) > 300
    missing = [
        f"{module}.{name}"
        for module, name in names
        if module not in skipped
        and name not in pages[output / "reference" / f"{module.replace('.', '/')}.html"].places
    ]
    assert not missing


def test_what_a_page_says_of_a_function_is_its_docstring(built):
    output, _ = built
    page = (output / "reference/softproof/kernels.html").read_text(encoding="utf-8")
    assert "Bound, per sample, the step length at which the loss leaves its Taylor series" in page
    assert '<span class="gp">&gt;&gt;&gt; </span>' in page  # examples are code


def test_only_modules_of_missing_frameworks_have_no_page(built):
    _, skipped = built
    assert all("No module named" in why for why in skipped.values()), skipped


def test_no_internal_link_is_dead(pages):
    assert len(pages) > 100
    dead = dead_links(pages)
    assert not dead, dead


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html">b</a> <a href="#here">here</a>')
    assert dead_links({path: Page(path) for path in tmp_path.glob("*.html")}) == [
        ("a.html", "b.html"),
        ("a.html", "#here"),
    ]


def test_the_index_leads_to_every_part(built, pages):
    output, _ = built
    for link in build_docs.SECTIONS:
        assert link in pages[output / "index.html"].links


def test_the_lessons_and_the_tables_are_there(built, pages):
    output, _ = built
    assert "What breaks a softmax?" in (output / "lessons.html").read_text(encoding="utf-8")
    assert "softproof.kernels:two_pass" in (output / "conformance.html").read_text("utf-8")
    assert "popoviciu" in pages[output / "claims.html"].places
    assert "softproof radius" in (output / "commands.html").read_text("utf-8")


def test_nothing_is_fetched_from_a_network(built):
    output, _ = built
    for path in output.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r'src="\w*:?//|@import|<link[^>]+href="\w*:?//', text), path


# --- how it is built ---


def test_a_lesson_that_is_not_built_is_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit):
        build_docs.main(["--notebooks", str(tmp_path), "--output", str(tmp_path / "docs")])
    assert "run `make notebooks` first" in capsys.readouterr().err


def test_a_command_that_fails_ends_the_build():
    with pytest.raises(RuntimeError, match="no_such_function"):
        build_docs.softproof("verify", "no_such_function")
