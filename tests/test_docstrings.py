"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil

import pytest
import softproof.derivations
import softproof.kernels
import softproof.verify

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


def needs_a_framework(name):
    return name.endswith("_forms") or ".frameworks." in name


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    if needs_a_framework(name):
        library = name.rpartition(".")[2].partition("_")[0].replace("onnx", "onnxruntime")
        pytest.importorskip(library, reason=f"{library} is not installed")
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


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
