"""No code asks what a definition is called: what holds of it is declared with it.

A function added to the catalogue is then complete where it is declared, and no list of names
elsewhere has to be found and mended.  Names are looked for in comparisons, in dictionaries and in
constants that something is looked up in.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from softproof.derivations import REGISTRY

ROOT = Path(__file__).parents[2]
NAMES = frozenset(REGISTRY)

# Where names are what the code is about.
OF_NAMES = (
    "derivations/catalogue",
    "derivations/claims",
    "derivations/step_radius/activation_singularities.py",  # also of functions of no definition
    "verify/claims",
    "verify/power",
    "verify/subjects/built_in",
    "verify/subjects/implementations",
    "verify/bench/problems.py",  # what is timed
    "verify/bench/peers.py",  # and what other libraries call it
)


def modules() -> Iterator[Path]:
    for floor in ("derivations", "verify"):
        for path in sorted((ROOT / floor).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            if not any(place == at or place.startswith(f"{at}/") for at in OF_NAMES):
                yield path


def names_in(node: ast.expr | None) -> set[str]:
    """The names of definitions in a string, or in a tuple, list or set of strings."""
    if isinstance(node, ast.Constant):
        return {node.value} & NAMES if isinstance(node.value, str) else set()
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return set().union(*map(names_in, node.elts))
    if isinstance(node, ast.Call) and len(node.args) == 1:  # frozenset(("softmax", ...))
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        return names_in(node.args[0]) if called in {"set", "frozenset", "tuple", "list"} else set()
    return set()


def name_tests(source: str) -> list[str]:
    """What of a module depends on the name of a definition, with line numbers."""
    tree = ast.parse(source)
    constants = {
        target.id: names_in(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and names_in(node.value)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            known = set().union(*map(names_in, sides))
            for side in sides:
                known |= constants.get(side.id, set()) if isinstance(side, ast.Name) else set()
            what = "is compared"
        elif isinstance(node, ast.Dict):
            known = set().union(*map(names_in, node.keys))
            what = "is a key"
        elif isinstance(node, ast.MatchValue):
            known, what = names_in(node.value), "is matched"
        else:
            continue
        found += [f"line {node.lineno}: {name!r} {what}" for name in sorted(known)]
    return found


@pytest.mark.parametrize("path", [*modules()], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_code_tests_the_name_of_a_definition(path):
    assert name_tests(path.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        'if definition.name == "softmax": pass',
        'if "softmax" != definition.name: pass',
        'quick = subject.definition in ("log_softmax", "logsumexp")',
        'quick = name in {"softmax"}',
        'quick = name in frozenset(["softmax"])',
        'FAST = ("softmax", "other")\nquick = definition.name in FAST',
        'FAST: tuple[str, ...] = ("softmax",)\ndef f(name): return name not in FAST',
        'TABLE = {"cross_entropy": 1}',
        'def f(name): return {"sigmoid": 1}.get(name)',
        'match name:\n    case "sigmoid" | "softplus":\n        pass',
    ],
)
def test_planted_tests_of_a_name_are_found(planted):
    assert name_tests(planted)


@pytest.mark.parametrize(
    "innocent",
    [
        'softmax = lookup("softmax")',
        '@error_bound("softmax", form="shifted")\ndef softmax(z, model): pass',
        'def plot(name: str = "softmax"): pass',
        'if suite == "collapse" and name in ("accuracy", "layouts"): pass',
        'FIRST = ("softmax",)\nif suite == FIRST_SUITE: pass',
        "if definition.elementwise: pass",
        'TABLE = {"float16": 1}',
    ],
)
def test_other_code_is_left_alone(innocent):
    assert name_tests(innocent) == []


def test_the_places_of_names_exist():
    assert [at for at in OF_NAMES if not (ROOT / at).exists()] == []
