"""Every example in a docstring runs and prints what it says."""

import ast
import doctest
import importlib
import inspect
import linecache
import pkgutil
import re
import textwrap

import numpy
import pytest
import softproof.derivations
import softproof.kernels
import softproof.verify
from softproof.derivations import Definition

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PACKAGES = (softproof.kernels, softproof.derivations, softproof.verify)
MODULES = [
    name
    for package in PACKAGES
    for name in (
        package.__name__,
        *(m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")),
    )
]


# By the first word of a module's name; a new one must be entered, lest its examples be skipped.
LIBRARIES = {
    "torch": "torch",
    "jax": "jax",
    "optax": "optax",
    "onnx": "onnxruntime",
    "sklearn": "sklearn",
    "entmax": "entmax",
    "openvino": "openvino",
    "litert": "ai_edge_litert",
    "mnn": "MNN",
    "triton": "triton",
}


def needs_a_framework(name):
    return name.endswith(("_forms", ".triton_kernels")) or ".frameworks." in name


def examples_of_definitions(module):
    """How many examples of the definitions of a module failed, and were run."""
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for name, known in vars(module).items():
        if isinstance(known, Definition) and known.formula.__module__ == module.__name__:
            text = inspect.getdoc(known.formula) or ""
            runner.run(doctest.DocTestParser().get_doctest(text, {}, name, module.__file__, 0))
    return runner.summarize()


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    if needs_a_framework(name):
        library = LIBRARIES[name.rpartition(".")[2].split("_")[0]]
        pytest.importorskip(library, reason=f"{library} is not installed")
    module = importlib.import_module(name)
    linecache.clearcache()  # each example has doctest look at all files that are in there
    failed, attempted = doctest.testmod(module, optionflags=FLAGS)
    of_definitions = examples_of_definitions(module)
    assert failed + of_definitions.failed == 0
    # doctest looks in no docstring of a variable, nor in those of what hides behind a decorator.
    assert attempted + of_definitions.attempted == len(
        re.findall(r"^\s*>>>", inspect.getsource(module), re.MULTILINE)
    )


def test_there_are_examples_at_all():
    finder = doctest.DocTestFinder()
    counts = {
        package.__name__: sum(
            len(test.examples)
            for name in MODULES
            if name.startswith(package.__name__) and not needs_a_framework(name)
            for test in finder.find(importlib.import_module(name))
        )
        for package in PACKAGES
    }
    assert min(counts.values()) >= 10, counts


# --- code that is no session: indented in a docstring ---


def code_blocks(name):
    """Indented Python of a module's docstrings, without a prompt: an import, a call, a function."""
    for node in ast.walk(ast.parse(inspect.getsource(importlib.import_module(name)))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        text = ast.get_docstring(node) or ""
        for block in re.findall(r"(?:^|\n)((?:(?: {4,}.*| *)(?:\n|$))+)", text):
            code = textwrap.dedent(block).strip("\n")
            if ">>>" not in code and is_python(code):
                yield code


def is_python(code):
    try:
        statements = ast.parse(code).body
    except SyntaxError:
        return False
    return any(not isinstance(s, ast.Expr) or isinstance(s.value, ast.Call) for s in statements)


RUN_BELOW = (
    "softproof.derivations.definition",
    "softproof.kernels.runtime.tuning",
    "softproof.verify.subjects.registration",
)
# The same lines stand in a session of the README, which runs them in a test suite.
RUN_FOR_THE_README = ("softproof.verify.pytest_plugin",)


def test_no_other_module_shows_code_that_is_not_run():
    shown = {n for n in MODULES if not needs_a_framework(n) and list(code_blocks(n))}
    assert shown == {*RUN_BELOW, *RUN_FOR_THE_README}


def test_the_definition_shown_is_one(monkeypatch):
    from softproof.derivations import definition, prove, signature
    from softproof.derivations.proofs import facts

    monkeypatch.setattr(definition, "REGISTRY", {})
    scope = {**vars(definition), **vars(facts), **vars(signature)}
    for code in code_blocks("softproof.derivations.definition"):
        exec(code, scope)
    assert all(proof.proven for proof in prove(scope["sigmoid"]))


def test_the_registration_shown_makes_a_subject(monkeypatch):
    from softproof.verify.subjects import contract, registration

    monkeypatch.setattr(registration, "REGISTERED", [])
    scope = {**vars(contract), **vars(registration), "np": numpy, "__name__": "mine"}
    (code,) = code_blocks("softproof.verify.subjects.registration")
    exec(code, scope)
    (made,) = registration.REGISTERED
    assert (made.id, made.definition) == ("mine:softplus_naive", "softplus")
    assert scope["softplus_naive"](0.0) == pytest.approx(numpy.log(2))


def test_the_tuning_shown_sets_what_the_kernels_read(monkeypatch):
    from softproof.kernels.runtime import tuning

    monkeypatch.setattr(tuning, "STREAM_BYTES", tuning.STREAM_BYTES)  # restored afterwards
    (code,) = code_blocks("softproof.kernels.runtime.tuning")
    exec(code, {})
    assert tuning.STREAM_BYTES == 8 << 20
