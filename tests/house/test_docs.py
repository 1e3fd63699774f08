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

ROOT = Path(__file__).parents[2]

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "notebooks")
    build_docs = importlib.import_module("build_docs")

PACKAGES = (softproof.kernels, softproof.derivations, softproof.verify)


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]


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


def test_the_documentation(tmp_path):
    """One test, since the pages take ten seconds to build and each worker would build its own."""
    output = tmp_path / "docs"
    skipped = build_docs.build(output, tmp_path, fast=True)
    texts = {path: path.read_text(encoding="utf-8") for path in output.rglob("*.html")}
    pages = {path: Page(text) for path, text in texts.items()}

    # Each public function has its place on the page of its module.
    names = list(public_names())
    assert len(names) > 300
    missing = [
        f"{module}.{name}"
        for module, name in names
        if module not in skipped
        and name not in pages[output / "reference" / f"{module.replace('.', '/')}.html"].places
    ]
    assert not missing
    # Only modules of frameworks that are not installed have no page.
    assert all("No module named" in why for why in skipped.values()), skipped
    # What a page says of a function is its docstring, and examples are code.
    kernels = texts[output / "reference/softproof/kernels.html"]
    assert "Bound, per sample, the step length at which the loss leaves its Taylor" in kernels
    assert '<span class="gp">&gt;&gt;&gt; </span>' in kernels

    # No link inside is dead, and the index leads to every part.
    assert len(pages) > 100
    assert not dead_links(pages)
    assert set(build_docs.SECTIONS) <= set(pages[output / "index.html"].links)

    # Lessons, tables and commands are there.
    assert "What breaks a softmax?" in texts[output / "lessons.html"]
    assert "softproof.kernels:two_pass" in texts[output / "conformance.html"]
    assert "popoviciu" in pages[output / "claims.html"].places
    assert "softproof radius" in texts[output / "commands.html"]

    # Nothing is fetched from a network.
    for path, text in texts.items():
        assert not re.search(r'src="\w*:?//|@import|<link[^>]+href="\w*:?//', text), path


def test_a_dead_link_is_found(tmp_path):
    text = (
        '<a href="b.html">b</a> <a href="#here">here</a> <a href="#there">there</a><p id="there">'
    )
    (tmp_path / "a.html").write_text(text)
    assert dead_links({tmp_path / "a.html": Page(text)}) == [
        ("a.html", "b.html"),
        ("a.html", "#here"),
    ]


# --- how it is built ---


def test_a_lesson_that_is_not_built_is_asked_for(tmp_path, capsys):
    with pytest.raises(SystemExit):
        build_docs.main(["--notebooks", str(tmp_path), "--output", str(tmp_path / "docs")])
    assert "run `make notebooks` first" in capsys.readouterr().err


def test_a_command_that_fails_ends_the_build():
    with pytest.raises(RuntimeError, match="no_such_function"):
        build_docs.softproof("verify", "no_such_function")
