"""Build the documentation into static pages: guide, commands, reference, lessons, tables.

    python notebooks/build_docs.py [--fast] [--notebooks FOLDER] [--output FOLDER]

The lessons are those that `build_notebooks.py` has executed; the tables are made here, by the
commands of softproof. With `--fast` the lessons may lack their outputs, the tables have a few rows,
and the reference cannot be searched. No network is needed, neither here nor by readers.

Needs pdoc and nbconvert: `pip install '.[docs]'`.
"""

import argparse
import importlib
import itertools
import json
import operator
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import build_notebooks
import jinja2
import markdown2
import nbformat
import pdoc
import pdoc.render
import pdoc.render_helpers
import typer
from markupsafe import Markup
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from typer.cli import get_docs_for_click

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "build" / "docs"
PACKAGES = ("softproof.kernels", "softproof.derivations", "softproof.verify")
MARKDOWN = ["fenced-code-blocks", "tables", "header-ids", "cuddled-lists", "code-friendly"]

SECTIONS = {
    "index.html": "softproof",
    "guide.html": "Guide",
    "lessons.html": "Lessons",
    "commands.html": "Commands",
    "reference/index.html": "Reference",
    "conformance.html": "Conformance",
    "claims.html": "Claims",
}


# --- pages ---

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - softproof</title>
<link rel="stylesheet" href="{root}style.css">
</head>
<body>
<nav>{sections}</nav>
<main>
{body}
</main>
</body>
</html>
"""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #212529; margin: 0; }
nav { display: flex; flex-wrap: wrap; gap: 0 1.2em; padding: .7em 1.2em;
      background: #f7f7f7; border-bottom: 1px solid #ddd; }
nav a[aria-current] { font-weight: bold; color: inherit; text-decoration: none; }
main { max-width: 56em; margin: 0 auto; padding: 1em 1.2em 4em; }
a { color: #0072b2; }
h1, h2, h3 { line-height: 1.2; margin: 1.6em 0 .5em; }
h1 { margin-top: .5em; }
pre, code { font: 13.5px/1.45 ui-monospace, Menlo, Consolas, monospace; }
code { background: #f4f4f4; padding: .1em .25em; }
h1 code, h2 code, h3 code { font-size: inherit; background: none; padding: 0; }
pre { background: #f7f7f7; padding: .7em .9em; overflow-x: auto; border-radius: 3px; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #ddd; padding: .3em .6em; text-align: left; vertical-align: top; }
th { background: #f7f7f7; }
img { max-width: 100%; }
.output pre { background: none; border-left: 3px solid #ddd; border-radius: 0; }
.anchor-link { visibility: hidden; text-decoration: none; padding-left: .3em; }
:hover > .anchor-link { visibility: visible; }
"""


def write_page(output: Path, name: str, body: str, title: str) -> None:
    """Write one page below the output folder, with links to all sections."""
    root = "../" * name.count("/")

    def link(target: str, text: str) -> str:
        current = ' aria-current="page"' if target == name else ""
        return f'<a href="{root}{target}"{current}>{text}</a>'

    sections = " ".join(link(target, text) for target, text in SECTIONS.items())
    path = output / name
    path.parent.mkdir(parents=True, exist_ok=True)
    page = PAGE.format(title=escape(title), root=root, sections=sections, body=body)
    path.write_text(page, encoding="utf-8")


def html(markdown: str) -> str:
    """Markdown, with tables and fenced code, as HTML."""
    return str(markdown2.markdown(markdown, extras=MARKDOWN))


# --- guide and commands ---


GUIDE = {
    "README.md": "guide.html",
    **{
        f"notebooks/pages/{name}.md": f"guide/{name}.html"
        for name in (
            "verifying",
            "gate",
            "found_anew",
            "functions_of_arrays",
            "audit",
            "step_radii",
            "formulas_and_plots",
            "kernels",
            "claims",
            "standards",
            "catalogue",
            "what_breaks_first",
        )
    },
    "CONTRIBUTING.md": "guide/contributing.html",
    "CHANGELOG.md": "guide/changelog.html",
}


def write_guide(output: Path) -> None:
    """Write the README and the pages that it leads to; their links lead to each other's pages."""
    for name, page in GUIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for target, target_page in GUIDE.items():
            source = os.path.relpath(ROOT / target, (ROOT / name).parent)
            link = os.path.relpath(target_page, Path(page).parent)
            text = re.sub(rf"\]\({re.escape(source)}(?=[)#])", f"]({link}", text)
        title = text.splitlines()[0].removeprefix("# ")
        write_page(output, page, html(text), title)


def write_commands(output: Path) -> None:
    """Write the help of all commands as a page."""
    from softproof.verify.cli.main import app

    command = typer.main.get_command(app)
    context = command.make_context("softproof", [], resilient_parsing=True)
    text = get_docs_for_click(obj=command, ctx=context, name="softproof")
    write_page(output, "commands.html", html(text), "Commands")


# --- reference ---

# pdoc lists the submodules that a package's __all__ names; ours names what people import.
TEMPLATES = {
    "module.html.jinja2": """
{% extends "default/module.html.jinja2" %}
{% block module_list_link %}
  {% set up = "../" * module.modulename.count(".") %}
  <a class="pdoc-button module-list-button" href="{{ up }}index.html">All modules</a>
  <a class="pdoc-button module-list-button" href="{{ up }}../index.html">softproof</a>
{% endblock %}
{% block nav_submodules %}
  {% set inside = module.modulename ~ "." %}
  {% set below = all_modules.values() | selectattr("modulename", "below", inside) | list %}
  {% if below %}
    <h2>Submodules</h2>
    <ul>
      {% for m in below %}
        <li><a href="{{ module.name }}/{{ m.name }}.html">{{ m.name }}</a></li>
      {% endfor %}
    </ul>
  {% endif %}
{% endblock %}
{% block attribution %}{% endblock %}
""",
    "index.html.jinja2": """
{% set root_module_name = false %}
{% extends "default/index.html.jinja2" %}
{% block title %}Reference - softproof{% endblock %}
{% block logo %}<a href="../index.html">softproof</a>{% endblock %}
""",
}


def module_names() -> Iterator[str]:
    """All modules, packages before what is in them."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield name
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            yield module.name


@jinja2.pass_context
def link(context: jinja2.runtime.Context, spec: tuple[str, str], text: str | None = None) -> str:
    """Link as pdoc does, but not to what is private, which is on no page: a base class, say."""
    if any(part.startswith("_") and part != "__init__" for part in spec[1].split(".")):
        return str(Markup.escape(text or spec[1]))
    return pdoc.render_helpers.link(context, spec, text)


def write_reference(output: Path, *, search: bool = True) -> dict[str, str]:
    """Write a page for every module; return why some have none: they import what is missing."""
    pdoc.render.configure(docformat="numpy", show_source=False, search=search)
    environment = pdoc.render.env
    environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader(TEMPLATES), environment.loader])
    environment.filters["link"] = link
    environment.tests["below"] = lambda name, inside: (
        name.startswith(inside) and "." not in name.removeprefix(inside)
    )
    modules: dict[str, pdoc.doc.Module] = {}
    skipped = {}
    with warnings.catch_warnings():
        # Types of fields that another module imported under a name of its own: shown as written.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        for name in module_names():
            try:
                modules[name] = pdoc.doc.Module.from_name(name)
            except RuntimeError as error:
                skipped[name] = str(error.__cause__ or error).strip().splitlines()[-1]
        for name, module in modules.items():
            page = output / "reference" / f"{name.replace('.', '/')}.html"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
        index = pdoc.render.html_index(modules)
        (output / "reference" / "index.html").write_text(index, encoding="utf-8")
        if search:
            data = pdoc.render.search_index(modules)
            (output / "reference" / "search.js").write_text(data, encoding="utf-8")
    return skipped


# --- lessons ---


def write_lessons(output: Path, notebooks: Path, *, fast: bool = False) -> None:
    """Write the executed lessons as pages, and a page that lists them.

    FileNotFoundError for a lesson that is not built, unless fast: it is then shown as it is read.
    """
    exporter = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True
    )
    titles = {}
    for lesson in build_notebooks.LESSONS:
        built = notebooks / f"{lesson.stem}.ipynb"
        if built.exists():
            notebook = nbformat.read(built, as_version=4)
        elif fast:
            notebook = build_notebooks.read(lesson)
        else:
            raise FileNotFoundError(f"{built} is not there: run `make notebooks` first")
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(".ipynb)", ".html)")
        titles[lesson.stem] = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
        body, _ = exporter.from_notebook_node(notebook)
        write_page(output, f"lessons/{lesson.stem}.html", body, titles[lesson.stem])
    items = "".join(
        f'<li value="{title[0]}"><a href="lessons/{stem}.html">{escape(title[3:])}</a></li>\n'
        for stem, title in titles.items()
    )
    told = "Notebooks, one for each question, executed when these pages were made."
    write_page(output, "lessons.html", f"<h1>Lessons</h1><p>{told}</p><ol>{items}</ol>", "Lessons")


# --- tables ---


def softproof(*words: str | Path) -> None:
    """Run a command, whose findings are no failure: they are what a table is for.

    RuntimeError, with what it said, when it fails.
    """
    code = "from softproof.verify.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, 1):
        raise RuntimeError(f"softproof {words[0]}: {result.stdout}{result.stderr}")


def write_conformance(output: Path, *, fast: bool = False) -> None:
    """Write the page of `softproof verify --html`: all built-in subjects, or a few rows of two."""
    few = ("softmax", "--subject", "*:softmax_shifted", "--subject", "*:two_pass", "--row=1,2")
    softproof("verify", *(few if fast else ()), "--html", output / "conformance.html")


def write_claims(output: Path, *, fast: bool = False) -> None:
    """Write the table of what the papers claim, as `softproof claims --json` settles it."""
    few = ("popoviciu", "zero_free_strip")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "claims.json"
        softproof("claims", *(few if fast else ()), "--json", file)
        claims = json.loads(file.read_text(encoding="utf-8"))["claims"]
    body = ["<h1>What the papers claim, and what came of it</h1>"]
    for paper, entries in itertools.groupby(claims, key=operator.itemgetter("paper")):
        rows = "\n".join(map(_claim_row, entries))
        body.append(f"<h2>{escape(paper)}</h2>\n<table>\n{CLAIM_HEADING}\n{rows}\n</table>")
    write_page(output, "claims.html", "\n".join(body), "Claims")


CLAIM_HEADING = "<tr><th>statement</th><th>verdict</th><th>evidence</th><th>again by</th></tr>"


def _claim_row(claim: dict[str, Any]) -> str:
    cases = f" in {claim['cases']} cases" if claim["cases"] else ""
    source = f"{claim['kind']}: {claim['place']}"
    cells = (
        f"{escape(claim['statement'])} <small>({escape(source)})</small>",
        f"<b>{escape(claim['outcome'])}</b>{cases}<br><small>{escape(claim['method'])}</small>",
        escape(claim["evidence"]),
        f"<code>{escape(claim['command'])}</code>",
    )
    return f'<tr id="{claim["name"]}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


# --- all of it ---

INDEX = """
# softproof

The toolkit that proves softmax code right: exact definitions, arbitrary-precision oracles,
checked kernels, safe step radii.

| you want | go to |
|---|---|
| to check a softmax, log-softmax, log-sum-exp or cross-entropy of yours | the [guide](guide.html), and lesson [Prove your own kernel](lessons/7_prove_your_own_kernel.html) |
| to check any other function, of which you write the formula down | lesson [From a formula to a verdict](lessons/8_from_a_formula_to_a_verdict.html) |
| to know what a test of yours cannot see | the [grade of a check](guide/audit.html), and lesson [What your test cannot see](lessons/9_what_your_test_cannot_see.html) |
| to see which implementations are right, and where they fail | the [conformance table](conformance.html) |
| to see which statements of the papers hold | the [table of claims](claims.html) |
| to understand what goes wrong, and why | the [lessons](lessons.html), from [What breaks a softmax?](lessons/1_what_breaks_a_softmax.html) |
| to know how far a training step may go | lessons [Ghosts](lessons/3_ghosts.html) and [How far may this step go?](lessons/4_how_far_may_this_step_go.html) |
| fast kernels with proven error bounds | [softproof.kernels](reference/softproof/kernels.html) |
| a gradient, a proof, a singularity | [softproof.derivations](reference/softproof/derivations.html) |
| oracles, suites, plots, benchmarks from Python | [softproof.verify](reference/softproof/verify.html) |
| a command and its options | the [commands](commands.html) |
"""  # noqa: E501


def build(output: Path, notebooks: Path, *, fast: bool = False) -> dict[str, str]:
    """Write all pages; return the modules that have none, and why."""
    output.mkdir(parents=True, exist_ok=True)
    code = HtmlFormatter(style="default").get_style_defs([".highlight", ".codehilite"])
    (output / "style.css").write_text(f"{STYLE}{code}\n", encoding="utf-8")
    write_page(output, "index.html", html(INDEX), "softproof")
    write_guide(output)
    write_commands(output)
    write_lessons(output, notebooks, fast=fast)
    skipped = write_reference(output, search=not fast)
    write_conformance(output, fast=fast)
    write_claims(output, fast=fast)
    return skipped


def main(words: Sequence[str] | None = None) -> None:
    """Build, and say where the pages are; `words` as on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fast", action="store_true", help="small tables, lessons as they are")
    parser.add_argument("--notebooks", type=Path, default=build_notebooks.OUTPUT, metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER")
    arguments = parser.parse_args(words)
    try:
        skipped = build(arguments.output, arguments.notebooks, fast=arguments.fast)
    except FileNotFoundError as error:
        parser.error(str(error))
    for name, why in skipped.items():
        print(f"no page for {name}: {why}")
    print(f"wrote {arguments.output / 'index.html'}")


if __name__ == "__main__":
    main()
