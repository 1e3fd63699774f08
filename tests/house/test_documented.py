"""Public functions say what they take, return and raise, and no docstring is a riddle.

Demanded room by room: those of ROOMS are done, and a room that is added here stays so. (The public
kernels, of which more is demanded, have `tests/kernels/runtime/test_documented.py`.)
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ROOMS = (
    "derivations/arithmetic",
    "derivations/check_certificate.py",
    "derivations/claims",
    "derivations/definition.py",
    "derivations/error_bounds",
    "derivations/h_consistency",
    "derivations/page",
    "derivations/proofs",
    "derivations/running_error",
    "derivations/signature.py",
    "derivations/step_radius",
    "verify/audit",
    "verify/bench",
    "verify/cases",
    "verify/catalogue",
    "verify/claims",
    "verify/cli",
    "verify/gate",
    "verify/inputs",
    "verify/oracle",
    "verify/plots",
    "verify/power",
    "verify/pytest_plugin.py",
    "verify/register",
    "verify/reports",
    "verify/runs",
    "verify/studies",
    "verify/subjects",
    "verify/suites",
    "verify/testing.py",
)

# Functions that are called by nobody but a registry: what they take and return is said there.
REGISTRIES = {
    "claim",
    "error_bound",
    "gradient_bound",
    "product_bound",
    "right_class_bound",
    "shared_error",
}
# Or by a table, with these parameters: `suites.Suite`, `suites.invariance.CHECKS`,
# `inputs.families` and `subjects.layouts.lay_out` say what.
BY_A_TABLE = {
    ("array",),
    ("rng", "fmt", "rows"),
    ("fmt", "rows"),
    ("definition", "fmt"),
    ("subject", "definition", "fmt"),
    ("subject", "definition", "fmt", "batch"),
    ("fact", "at"),
}
# Implementations of definitions, wrapped or wrong on purpose, are called by subjects alone:
# `subjects.subject.Subject` says with what, and the docstring of the module which keywords there
# are besides.  Each says in a line what it is, or what is wrong with it.
IMPLEMENTATIONS = (
    "verify/power/broken*.py",
    "verify/subjects/implementations/*.py",
    "verify/subjects/implementations/engines/*.py",
    "verify/subjects/triton_kernels.py",
)
FEWEST_WORDS = 4  # of a first sentence

Documented = ast.FunctionDef | ast.ClassDef


def modules() -> Iterator[Path]:
    for room in ROOMS:
        path = ROOT / room
        yield from [path] if path.suffix else sorted(path.rglob("*.py"))


def public(tree: ast.Module) -> Iterator[tuple[Documented, bool]]:
    """The public functions and classes of a module, and the methods of these; is it a method?"""
    for node in tree.body:
        if isinstance(node, Documented) and not node.name.startswith("_"):
            yield node, False
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, Documented) and not inner.name.startswith("_"):
                    yield inner, True


def decorators(node: Documented) -> set[str]:
    called = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
    return {d.id for d in called if isinstance(d, ast.Name)}


def is_implementation(path: Path) -> bool:
    return any(path.match(pattern) for pattern in IMPLEMENTATIONS)


def is_registered(function: ast.FunctionDef) -> bool:
    names = tuple(argument.arg for argument in function.args.args)
    return bool(decorators(function) & REGISTRIES) or names in BY_A_TABLE


def is_command(function: ast.FunctionDef) -> bool:
    """Whether it is a command: its `--help` says what each option is."""
    called = (d.func for d in function.decorator_list if isinstance(d, ast.Call))
    return any(isinstance(d, ast.Attribute) and d.attr == "command" for d in called)


def is_operation(function: ast.FunctionDef) -> bool:
    """Whether it makes a number of numbers with running errors: its types say what they are."""
    kinds = [x.annotation for x in function.args.args] + [function.returns]
    return all(isinstance(kind, ast.Name) and kind.id == "RunningNumber" for kind in kinds)


def raises(function: ast.FunctionDef) -> bool:
    """Whether the body itself raises, rather than a function that it calls or defines."""
    inner = {
        node
        for defined in ast.walk(function)
        if isinstance(defined, ast.FunctionDef) and defined is not function
        for node in ast.walk(defined)
    }
    return any(isinstance(n, ast.Raise) and n not in inner for n in ast.walk(function))


def section(text: str, *titles: str) -> str | None:
    """The text of a section, None where the docstring has none of this title."""
    for title in titles:
        found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n[A-Z]\w+\n-+\n|\Z)", text, re.M | re.S)
        if found:
            return found[1]
    return None


def missing(function: ast.FunctionDef) -> list[str]:
    """What the docstring of a function does not say."""
    text = ast.get_docstring(function) or ""
    a = function.args
    arguments = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    arguments += [x.arg for x in (a.vararg, a.kwarg) if x is not None]
    headings = re.findall(r"^(\S.*)$", section(text, "Parameters") or "", re.M)
    named = {name for heading in headings for name in re.findall(r"\w+", heading)}
    found = [name for name in arguments if name not in named]
    returns = function.returns
    is_none = isinstance(returns, ast.Constant) and returns.value is None
    if arguments and not is_none and section(text, "Returns", "Yields") is None:
        found.append("Returns")
    if raises(function) and section(text, "Raises") is None:
        found.append("Raises")
    return found


def is_riddle(text: str) -> bool:
    """Whether the first sentence is none that a stranger understands where it stands."""
    first = " ".join(text.partition("\n\n")[0].split())
    return (
        len(first.split()) < FEWEST_WORDS
        or not first.rstrip(")").endswith((".", "?", ":"))
        or first.startswith(("The same", "Its ", "As "))
    )


@pytest.mark.parametrize("path", [*modules()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_functions_say_what_they_take_return_and_raise(path):
    found = {
        node.name: missing(node)
        for node, is_method in public(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and not is_method
        if not (is_registered(node) or is_implementation(path))
        if not (is_command(node) or is_operation(node))
    }
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("path", [*modules()], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_docstring_is_a_riddle(path):
    tree = ast.parse(path.read_text())
    texts = {node.name: ast.get_docstring(node) or "" for node, _ in public(tree)}
    assert [f"{name}: {text}" for name, text in texts.items() if is_riddle(text)] == []


def test_the_rooms_exist():
    assert [room for room in ROOMS if not (ROOT / room).exists()] == []


# --- the checks themselves ---

COMPLETE = '''
def f(x: int, *rest: int, flag: bool = False) -> int:
    """Add some integers to the first one.

    Parameters
    ----------
    x, *rest
        Integers.
    flag
        Whether negative ones are refused.

    Returns
    -------
    int
        The sum.

    Raises
    ------
    ValueError
        If one is refused.
    """
    if flag:
        raise ValueError
    return x
'''


def function(source: str) -> ast.FunctionDef:
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    return node


def test_a_complete_docstring_is_left_alone():
    assert missing(function(COMPLETE)) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("    x, *rest\n", "    x\n", ["rest"]),
        ("    flag\n", "    the_flag\n", ["flag"]),
        ("    Returns\n    -------\n", "    What comes back\n    ---------------\n", ["Returns"]),
        ("    Raises\n    ------\n", "", ["Raises"]),
    ],
)
def test_what_is_missing_is_found(old, new, what):
    assert old in COMPLETE
    assert missing(function(COMPLETE.replace(old, new))) == what


def test_nothing_is_demanded_of_what_is_not_there():
    assert missing(function('def f() -> int:\n    """Return the largest number."""')) == []
    assert missing(function('def f(x) -> None:\n    """Print."""')) == ["x"]


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("def f(a: RunningNumber, b: RunningNumber) -> RunningNumber: ...", True),
        ("def f(a: RunningNumber, axis: int) -> RunningNumber: ...", False),
        ("def f(a: RunningNumber) -> float: ...", False),
        ("def f(a) -> RunningNumber: ...", False),
    ],
)
def test_operations_are_told_by_their_types(source, is_one):
    assert is_operation(function(source)) is is_one


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("verify/power/broken_layouts.py", True),
        ("verify/subjects/implementations/textbook.py", True),
        ("verify/power/measure.py", False),
        ("verify/subjects/layouts.py", False),
    ],
)
def test_implementations_are_told_from_what_calls_them(path, is_one):
    assert (ROOT / path).exists()
    assert is_implementation(ROOT / path) is is_one


@pytest.mark.parametrize("text", ["h.", "For JSON.", "In balls.", "The same of the gradient.", ""])
def test_riddles_are_found(text):
    assert is_riddle(text)


@pytest.mark.parametrize(
    "text",
    ["The residual is 0.", "Whether a claim is proven.", "Return what a file holds.\n\nMore."],
)
def test_sentences_are_left_alone(text):
    assert not is_riddle(text)
