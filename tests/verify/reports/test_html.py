"""The HTML report: one file, complete without script or network, and what a browser makes of it."""

import base64
import hashlib
import json
import math
import random
import re
import runpy
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from softproof.verify.reports.html import html
from softproof.verify.reports.svg import WIDTH, distance, distribution, row_of_logits
from softproof.verify.reports.wording import FINDINGS, SYMBOLS

HELPERS = runpy.run_path(str(Path(__file__).parents[2] / "sample_report.py"))
sample, HOSTILE = HELPERS["sample"], HELPERS["HOSTILE"]
REPORT = sample()
RESULTS = REPORT["results"]
PAGE = html(REPORT)
FOUND = [r for r in RESULTS if r["status"] in FINDINGS]


# --- the text of the page ---


class Reader(HTMLParser):
    """Elements of a page with their attributes, and the text inside each script."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts = [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem == "script":
            name = self.elements[-1][1].get("id")
            self.scripts[name] = self.scripts.get(name, "") + data

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and attributes.items() <= a.items()]


READ = Reader(PAGE)


def loads(page):
    """What a page would load from elsewhere."""
    read = Reader(page)
    found = [a for t, a in read.elements if {"src", "srcset", "data", "poster"} & set(a)]
    found += read.all("link") + read.all("iframe") + read.all("object") + read.all("base")
    found += [a for a in read.all("a") if not a["href"].startswith("#")]
    found += [a for t, a in read.elements if t in ("use", "image")]
    found += re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket|EventSource", page)
    return found


def test_the_page_loads_nothing():
    page = html(REPORT | {"results": [r for r in RESULTS if HOSTILE not in r["subject"]]})
    assert loads(page) == []


@pytest.mark.parametrize(
    "addition",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="x.css">',
        "<style>p { background: url(x.png) }</style>",
        '<a href="https://example.org">x</a>',
    ],
)
def test_the_check_for_loads_finds_them(addition):
    assert loads(f"<p>{addition}</p>")


def test_the_policy_admits_its_own_script_and_style_and_nothing_else():
    (policy,) = READ.all("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.split(maxsplit=1) for rule in policy["content"].split("; "))
    style = re.search("<style>(.*?)</style>", PAGE, re.DOTALL)[1]

    def sha256(text):
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "style-src": sha256(style),
        "script-src": sha256(READ.scripts[None]),
    }


def test_the_page_holds_the_report():
    read = json.loads(READ.scripts["report"], parse_constant=pytest.fail)  # no NaN, no Infinity
    assert read == sample()


def test_text_of_the_report_makes_no_elements():
    assert len(READ.all("script")) == 2
    assert READ.all("img") == []
    assert not any(name.startswith("on") for _, a in READ.elements for name in a)


def test_what_looks_like_a_placeholder_stays_as_it_is():
    report = sample()
    report["versions"]["softproof"] = "{{script}}"
    assert "softproof {{script}}" in html(report)


def test_every_result_has_a_cell_that_leads_to_its_article():
    cells = [a for a in READ.all("a") if "data-status" in a]
    targets = [a["id"] for a in READ.all("article")]
    assert len(cells) == len(targets) == len(set(targets)) == len(RESULTS)
    assert sorted(a["href"] for a in cells) == sorted(f"#{t}" for t in targets)


def test_a_cell_says_its_status_by_symbol_and_in_words():
    for cell in READ.all("a"):
        if "data-status" in cell:
            symbol = SYMBOLS[cell["data-status"]]
            assert f": {cell['data-status']}. " in cell["aria-label"]
            assert re.search(re.escape(f'href="{cell["href"]}"') + f"[^>]*>{symbol}", PAGE)
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


def test_a_stored_report_makes_the_same_page():
    assert html(json.loads(READ.scripts["report"])) == PAGE


def test_errors_may_be_infinite_or_not_a_number_and_rows_of_any_length():
    for error in (None, math.nan, math.inf, 0.0, 5e-324, 1e308):
        for logits in ([], ["nan"], ["inf", "-inf"], ["0x1.fffffffffffffp+1023"] * 2, ["0x0p+0"]):
            report = sample()
            case = next(r for r in report["results"] if r["status"] == "fail")["failures"][0]
            case |= {"error": error, "logits": logits, "threshold": 1e-3, "index": 0}
            page = html(report)
            assert "nan" not in re.findall(r'(?:[xy]|width|height|d)="([^"]*)"', page)


def test_nothing_and_an_interrupted_run_are_no_success():
    assert "<h1>Nothing was checked</h1>" in html(REPORT | {"results": [], "subjects": []})
    passes = [r for r in RESULTS if r["status"] == "pass"]
    assert f"<h1>All {len(passes)} results passed</h1>" in html(REPORT | {"results": passes})
    page = html(REPORT | {"results": passes, "interrupted": True})
    assert "<h1>Interrupted: " in page
    assert "passed</h1>" not in page


# --- the drawings ---

SVG = "{http://www.w3.org/2000/svg}"


def drawn(svg):
    """The bars of a drawing as (x, width, height, classes), and the places of its other marks."""
    root = ElementTree.fromstring(svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"'))
    bars = [
        (float(r.get("x")), float(r.get("width")), float(r.get("height")), r.get("class").split())
        for r in root.iter(SVG + "rect")
    ]
    lines = [p.get("d") for p in root.iter(SVG + "path") if p.get("class") == "limit"]
    limits = [float(re.match(r"M([\d.]+)", d)[1]) for d in lines]
    errors = [float(c.get("cx")) for c in root.iter(SVG + "circle")]
    return bars, limits, errors, [t.text for t in root.iter(SVG + "text")]


def test_a_distribution_has_its_bars_in_order_and_the_threshold_between_them():
    counts = [[math.inf, 2], [0.5, 1000], [2.0, 10], [16.0, 1]]
    bars, (limit,), _, texts = drawn(distribution(counts, 4.0))
    bars = sorted(bars)
    heights = [height for _, _, height, _ in bars]
    assert heights[0] > heights[1] > heights[3] > heights[2] > 0
    assert ["beyond" in kinds for *_, kinds in bars] == [False, False, True, True]
    assert bars[1][0] < limit < bars[2][0]
    step = (bars[1][0] - bars[0][0]) / 2  # the bins of 0.5 and of 2 are two apart
    assert bars[2][0] - bars[1][0] == pytest.approx(3 * step, abs=0.2)
    assert {"1.0k", "10", "1", "2", "NaN, inf"} <= set(texts)


def test_one_error_among_a_million_is_seen():
    bars, *_ = drawn(distribution([[0.5, 10**6], [1024.0, 1]], None))
    assert min(height for _, _, height, _ in bars) >= 4


def test_a_distribution_over_the_whole_range_stays_inside():
    bars, *_ = drawn(distribution([[0.5, 1], [2.0**1023, 1], [math.inf, 1]], 2.0))
    assert all(x >= 0 and width > 0 and x + width <= WIDTH for x, width, _, _ in bars)


def test_the_row_marks_the_index_and_the_infinite():
    case = HELPERS["failure"](logits=["0x1p+0", "-inf", "0x1p+2", "nan"], index=2, label=0)
    bars, _, _, texts = drawn(row_of_logits(case))
    assert [kinds for *_, kinds in bars] == [["bar"], ["bar", "infinite"], ["bar", "beyond"]]
    assert bars[2][2] == pytest.approx(4 * bars[0][2], rel=0.1)
    assert {"index 2", "label 0", "NaN"} <= set(texts)


def test_a_long_row_is_cut_around_the_index():
    case = HELPERS["failure"](logits=[float(i).hex() for i in range(5000)], index=4000)
    bars, *_, texts = drawn(row_of_logits(case))
    assert len(bars) < 200
    assert "index 4000" in texts
    assert sum("beyond" in kinds for *_, kinds in bars) == 1
    page = html(REPORT | {"results": [FOUND[0] | {"failures": [case]}]})
    assert ">4000</td>" in page
    assert ">3000</td>" not in page


@pytest.mark.parametrize("error", [5.0, 1e9, math.inf, None])
def test_an_error_stands_beyond_its_threshold(error):
    _, (limit,), (mark,), _ = drawn(distance(HELPERS["failure"](error=error, threshold=4.0)))
    assert limit < mark <= WIDTH


# --- in a browser ---

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} found: apt-get install {BROWSERS[0]}")
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with api.sync_playwright() as playwright:
        # Its sandbox refuses to run as root, as in a container.
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(PAGE, encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """A function that opens a page; at the end it must have been silent and have asked nobody."""
    contexts, noise = [], []

    def note(event):
        text = str(getattr(event, "text", event))
        noise.append(text)

    def open_page(url=address, width=1400, height=900, **options):
        size = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=size, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.on("console", note)
        page.on("pageerror", note)
        page.on("request", lambda r: r.url.split("#")[0] != address and noise.append(r.url))
        page.goto(url)
        return page

    open_page.noise = noise
    yield open_page
    for context in contexts:
        context.close()
    assert noise == []


def cell(page, subject, suite, dtype="float32"):
    return page.locator(
        f'tr[data-name="{subject}"] td[data-suite="{suite}"][data-dtype="{dtype}"] a'
    )


def anchor(page, subject, suite):
    return cell(page, subject, suite).get_attribute("href")


def names(page):
    """The subjects in sight, in their order."""
    rows = page.locator("tr[data-name]:visible")
    return rows.evaluate_all("rows => rows.map(r => r.dataset.name)")


def overflow(page):
    """How far the page is wider than the screen, in pixels."""
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


# WCAG 2.2: relative luminance and contrast of each text in sight with what lies behind it.
CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = (color) => {
    const [r, g, b] = channels(color).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const clear = (color) => channels(color).length === 4 && channels(color)[3] === 0;
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (!clear(color)) return color;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? "rgb(0,0,0)" : "rgb(255,255,255)";
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const texts = [...element.childNodes].filter((n) => n.nodeType === 3);
    const text = texts.map((n) => n.data).join("").trim();
    if (!text || !element.checkVisibility() || element.closest("option, script")) continue;
    const style = getComputedStyle(element);
    const inks = [element.closest("svg") ? style.fill : style.color, behind(element)];
    const [dark, light] = inks.map(luminance).sort((a, b) => a - b);
    found.push([(light + 0.05) / (dark + 0.05), text.slice(0, 40)]);
  }
  return found;
}"""


def faint(page):
    """The texts in sight that have not the contrast 4.5 of WCAG level AA."""
    contrasts = page.evaluate(CONTRASTS)
    assert contrasts
    return [(round(ratio, 2), text) for ratio, text in contrasts if ratio < 4.5]


def test_all_results_are_shown(opened):
    page = opened()
    assert page.title() == "softproof: 18 of 161 results failed"
    assert page.locator(".matrix a.cell:visible").count() == len(RESULTS)
    assert len(names(page)) == len({(r["definition"], r["subject"]) for r in RESULTS})
    assert page.locator("#findings article:visible").count() == len(FOUND)
    assert page.get_by_text("onnxruntime is not installed").is_visible()


def test_a_cell_opens_its_worst_case(opened):
    page = opened()
    cell(page, "mine.ops:fast_softmax", "accuracy").click()
    dialog = page.locator("dialog[open]")
    text = dialog.inner_text()
    for part in (
        "12 violations in 4,000 checks",
        "Worst case: value beyond its error bound",
        "-0x1.5ap+6",
        "-86.5",
        "0x0p+0 (0) at index 1",
        "0x1.b4c902p-125 (4.01123843e-38)",
        "2^26 ulp",
        "3.5 ulp",
        "a-priori bound",
        "softproof verify softmax --subject mine.ops:fast_softmax",
        "accumulator=float32",
    ):
        assert part in text
    assert dialog.locator("svg[aria-label^='Error distribution']").is_visible()
    assert dialog.locator("svg[aria-label^='The 5 logits'] rect").count() == 5
    assert page.url.endswith(anchor(page, "mine.ops:fast_softmax", "accuracy"))


def test_every_cell_opens(opened):
    page = opened()
    for i in range(0, len(RESULTS), 12):
        link = page.locator(".matrix a.cell").nth(i)
        link.click()
        heading = page.locator("dialog[open] h3").inner_text()
        assert all(part in heading for part in link.get_attribute("aria-label").split(": ")[0][:9])
        page.get_by_role("button", name="Close").click()
        assert not page.locator("dialog[open]").count()


def test_an_address_with_a_cell_opens_it(opened, address):
    link = anchor(opened(), "mine.ops:tiled_softmax", "accuracy")
    page = opened(address + link)
    assert "only in its batch" in page.locator("dialog[open]").inner_text()


def test_previous_and_next_walk_through_the_findings(opened):
    page = opened()
    page.locator('a.cell[data-status="fail"]').first.click()
    seen = [page.url]
    for _ in range(len(FOUND) + 3):
        page.get_by_role("button", name="Next").click()
        seen.append(page.url)
    assert len(set(seen)) == len(FOUND)
    page.get_by_role("button", name="Previous").click()
    assert page.url == list(dict.fromkeys(seen))[-2]


def chosen(status=None, dtype=None, suite=None, definition=None):
    """The subjects that the filters must leave."""
    wanted = {"status": status, "dtype": dtype, "suite": suite, "definition": definition}
    return {r["subject"] for r in RESULTS if all(v is None or r[k] == v for k, v in wanted.items())}


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": "fail"},
        {"status": "fixed"},
        {"dtype": "bfloat16"},
        {"suite": "gradient"},
        {"definition": "logsumexp"},
        {"status": "fail", "dtype": "float64"},
        {"status": "fail", "suite": "overflow", "definition": "softmax"},
    ],
    ids=str,
)
def test_filters_leave_what_fits(opened, wanted):
    page = opened()
    for name, value in wanted.items():
        page.locator(f"select[name={name}]").select_option(value)
    assert set(names(page)) == chosen(**wanted)
    fitting = [r for r in FOUND if all(r[k] == v for k, v in wanted.items())]
    assert page.locator("#findings article:visible").count() == len(fitting)
    total = len({r["subject"] for r in RESULTS})
    assert page.locator("output").inner_text() == f"{len(chosen(**wanted))} of {total} subjects"
    for field in ("suite", "dtype"):
        if field in wanted:
            cells = page.locator(f".matrix td[data-{field}]:visible")
            values = cells.evaluate_all(f"cells => cells.map(c => c.dataset.{field})")
            assert set(values) == {wanted[field]}
    page.get_by_role("button", name="Reset").click()
    assert len(names(page)) == total


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("FAST_", {"mine.ops:fast_softmax"}),
        ("segmentation fault", {"mine.ops:tiled_softmax"}),
        ("no such text", set()),
    ],
)
def test_text_finds_subjects_and_messages(opened, text, subjects):
    page = opened()
    page.get_by_label("find", exact=True).fill(text)
    assert set(names(page)) == subjects


def worst(rows):
    return [max(r["worst"] for r in RESULTS if r["subject"] == name) for name in rows]


def test_sorting_brings_the_worst_to_the_top_within_definitions_too(opened):
    page = opened()
    before = names(page)
    page.get_by_role("button", name="sort by worst ulp").click()
    order = names(page)
    definition = {r["subject"]: r["definition"] for r in RESULTS}
    groups = list(dict.fromkeys(definition[name] for name in order))
    heads = []
    for group in groups:
        values = worst([name for name in order if definition[name] == group])
        assert values == sorted(values, reverse=True)
        heads.append(values[0])
    assert heads == sorted(heads, reverse=True)
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.get_by_role("button", name="sort by worst ulp").click()
    assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    assert worst(names(page))[0] == min(worst(order))
    page.get_by_role("button", name="sort by subject").click()
    softmax = [n for n in names(page) if definition[n] == "softmax"]
    assert softmax == sorted(softmax)
    page.get_by_role("button", name="Reset").click()
    assert not page.locator("[aria-sort]").count()
    assert names(page) == before


def test_the_keyboard_suffices(opened):
    page = opened()
    first = page.locator(".matrix a.cell").first
    focus = "document.activeElement.getAttribute('aria-label')"
    page.locator(".matrix button").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate(focus) == first.get_attribute("aria-label")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    there = page.evaluate(focus)
    assert there.startswith("softproof.kernels:online, accuracy, bfloat16")
    page.keyboard.press("Enter")
    assert "softproof.kernels:online" in page.locator("dialog[open] h3").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("dialog[open]").count()
    assert page.evaluate(focus) == there
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_command_is_copied(opened):
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    cell(page, "mine.ops:tiled_softmax", "accuracy").click()
    page.locator("dialog[open]").get_by_role("button", name="Copy").click()
    page.get_by_text("Copied").wait_for()
    (case,) = next(r for r in FOUND if r["subject"] == "mine.ops:tiled_softmax")["failures"]
    assert page.evaluate("navigator.clipboard.readText()") == case["reproduce"]


def test_the_report_is_saved_as_json(opened):
    page = opened()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the report as JSON").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail) == sample()
    opened.noise[:] = [line for line in opened.noise if not line.startswith("blob:")]


def test_hostile_text_is_shown_and_does_nothing(opened):
    page = opened()
    page.locator('tr[data-definition="cross_entropy"], a[aria-label*="hacked"]').last.click()
    page.keyboard.press("Escape")
    page.locator('a.cell.fail[aria-label*="hacked"]').click()
    assert "<script>window.hacked = 1</script>" in page.locator("dialog[open] h4").inner_text()
    assert page.evaluate("window.hacked") is None


# Elements in sight that scroll up and down in themselves.
SCROLLERS = """() => [...document.querySelectorAll("body, body *")].filter((e) =>
  ["auto", "scroll"].includes(getComputedStyle(e).overflowY) && e.checkVisibility()
  && e.scrollHeight > e.clientHeight + 1).map((e) => e.className)"""


def test_only_one_thing_scrolls_at_a_time(opened):
    page = opened(height=400)
    assert page.evaluate(SCROLLERS) == []
    cell(page, "softproof.verify.textbook:softmax_naive", "overflow").click()
    assert page.evaluate(SCROLLERS) == ["content"]
    assert page.evaluate("getComputedStyle(document.documentElement).overflowY") == "hidden"
    page.keyboard.press("Escape")
    assert page.evaluate("getComputedStyle(document.documentElement).overflowY") != "hidden"


def test_headings_and_subjects_stay_in_sight_while_the_page_scrolls(opened):
    page = opened(width=700 + 60, height=300)
    last = page.locator("tr[data-name]").last
    last.scroll_into_view_if_needed()
    page.evaluate("scrollBy(200, 0)")
    assert page.evaluate("scrollX") > 0
    assert page.locator(".matrix thead th[data-sort=name]").bounding_box()["y"] == 0
    assert last.locator("th").bounding_box()["x"] == 0


# Pairs of texts of one drawing of which the one covers the other.
COVERED = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((t) => [t.textContent, t.getBBox()]);
  return texts.flatMap(([name, a], i) => texts.slice(i + 1).filter(([, b]) =>
    Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) > 0.5
    && Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) > 2.5
  ).map(([other]) => [name, other]));
})"""


def drawings(rng):
    """Distributions and cases of all kinds."""
    for _ in range(100):
        edges = sorted(rng.sample(range(-1, 40), rng.choice((1, 3, 9, 30))))
        errors = [(2.0**k, int(10 ** rng.uniform(0, 6))) for k in edges]
        errors += [(math.inf, 3)] if rng.random() < 0.4 else []
        yield distribution(errors, rng.choice((None, 0.5, 3.5, 2.0 ** rng.uniform(-1, 20))))
        logits = [
            rng.gauss(rng.choice((-9, 0, 9)), 4).hex() for _ in range(rng.choice((1, 8, 200)))
        ]
        logits = [rng.choice(("nan", x)) if rng.random() < 0.3 else x for x in logits]
        place, other = rng.randrange(len(logits)), rng.randrange(len(logits))
        case = HELPERS["failure"](logits=logits, index=place, label=rng.choice((place, other)))
        yield row_of_logits(case)
        yield distance(case | {"error": rng.choice((math.inf, 2.0 ** rng.uniform(2, 40)))})


def test_the_texts_of_a_drawing_do_not_cover_each_other(opened):
    page = opened()
    page.locator("#others > summary").click()
    assert page.locator("svg").count() > 100
    assert page.evaluate(COVERED) == []
    # (By the script: the page's policy forbids nothing to the test.)
    page.evaluate(
        "html => { document.body.innerHTML = html; }", "".join(drawings(random.Random(0)))
    )
    assert page.locator("svg").count() == 300
    assert page.evaluate(COVERED) == []


def test_a_refused_cell_says_why(opened):
    page = opened()
    refused = page.locator("a.cell.refused")
    assert refused.count() == 8
    for link in refused.all():
        assert link.inner_text() == "⊘ form"
        assert "preflight: result has dtype float64, expected float32" in link.get_attribute(
            "title"
        )
    reason = page.locator('tr[data-name="mine.ops:log_softmax"] .reason')
    assert reason.inner_text() == "refused: preflight: result has dtype float64, expected float32"


def test_a_phone_needs_no_sideways_scrolling(opened):
    page = opened(width=360, height=740, is_mobile=True, has_touch=True)
    assert overflow(page) <= 0
    sizes = page.locator(".matrix a.cell:visible").evaluate_all(
        "cells => cells.map(c => c.getBoundingClientRect()).map(r => [r.left, r.right, r.height])"
    )
    assert len(sizes) == len(RESULTS)
    assert all(left >= 0 and right <= 360 and height >= 44 for left, right, height in sizes)
    for link in page.locator("a.cell.fail").all():
        link.tap()
        assert overflow(page) <= 0
        wide = page.locator("dialog .content").evaluate("e => e.scrollWidth - e.clientWidth")
        assert wide <= 0
        page.get_by_role("button", name="Close").tap()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened, scheme):
    page = opened(color_scheme=scheme)
    page.locator("#others > summary").click()
    assert faint(page) == []
    cell(page, "mine.ops:fast_softmax", "accuracy").click()
    assert faint(page) == []


def test_print_shows_every_case_in_full(opened):
    page = opened()
    page.emulate_media(media="print")
    for width in (1047, 703):  # A4 across and upright, less the margins
        page.set_viewport_size({"width": width, "height": 1000})
        commands = page.locator("#findings .case pre").evaluate_all(
            "all => all.filter(e => e.checkVisibility() && e.clientHeight >= e.scrollHeight - 1 &&"
            " e.clientWidth >= e.scrollWidth - 1 && e.clientHeight > 0).map(e => e.textContent)"
        )
        told = [r for r in FOUND if r["status"] != "refused"]
        cases = [c for r in told for c in r["failures"]]
        assert {c["reproduce"] for c in cases} <= set(commands)
        snippets = sum(bool(c["snippet"]) for c in cases)
        assert len(commands) == len(cases) + snippets + 1  # a refusal is told once
        clipped = page.locator(".logits, .scroll").evaluate_all(
            "all => all.filter(e => e.clientHeight < e.scrollHeight - 1).length"
        )
        assert clipped == 0
        for hidden in ("#filters", "dialog", "#others", ".copy", "#save"):
            assert page.locator(hidden).first.is_hidden()
    page.set_viewport_size({"width": 1047, "height": 1000})
    assert page.locator(".matrix").evaluate("e => e.scrollWidth") <= 1047
    assert page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n") > 2


def test_seven_suites_by_four_formats_fit_on_paper(opened, tmp_path):
    formats, suites = (
        ("float16", "bfloat16", "float32", "float64"),
        [f"suite-{i}" for i in range(7)],
    )
    found = {"violations": 12345, "status": "fail"}
    found["failures"] = [HELPERS["failure"]()]
    results = [RESULTS[0] | found | {"dtype": d, "suite": s} for d in formats for s in suites]
    path = tmp_path / "wide.html"
    path.write_text(html(REPORT | {"results": results}), encoding="utf-8")
    page = opened(path.as_uri(), width=1047)
    opened.noise.remove(path.as_uri())
    page.emulate_media(media="print")
    assert page.locator(".matrix").evaluate("e => e.scrollWidth") <= 1047
    assert page.locator('th[scope="row"]').evaluate("e => e.clientWidth") >= 90
    assert overflow(page) <= 0


def test_without_a_script_all_is_there(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".matrix a.cell:visible").count() == len(RESULTS)
    assert page.locator("#findings article:visible").count() == len(FOUND)
    assert page.locator("button:visible, select:visible, dialog:visible").count() == 0
    cell(page, "softproof.kernels:two_pass", "accuracy").click()  # opens the list of passes
    link = anchor(page, "softproof.kernels:two_pass", "accuracy")
    assert page.locator(f'article[id="{link[1:]}"]').is_visible()


def test_the_measures_see_what_they_must(opened, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><p style='width: 500px; color: #999'>faint and wide</p>"
        "<img src='missing.png'><script>undefined.x</script>"
    )
    page = opened(bad.as_uri(), width=360)
    assert overflow(page) > 0
    assert [text for _, text in faint(page)] == ["faint and wide"]
    assert len(opened.noise) >= 3  # the page, the picture, the error
    opened.noise.clear()
