"""The house: imports go only downward, and folders are rooms of a size that can be overseen."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FLOORS = ("kernels", "derivations", "verify")

# The rooms of each floor from bottom to top: a room imports from those before it, and from itself.
# A room is a folder, or a module that stands beside the folders.
ROOMS = {
    "kernels": (
        "runtime arithmetic softmax_family softmax_alternatives losses activations step_radius "
        "h_consistency training frameworks error_bounds __init__"
    ),
    "derivations": (
        "signature definition arithmetic choices proofs catalogue evaluation error_bounds "
        "running_error step_radius h_consistency check_certificate page __init__ claims"
    ),
    "verify": (
        "oracle inputs cases register subjects subjects/isolation subjects/implementations "
        "subjects/built_in suites runs power audit studies reports plots bench testing gate tasks "
        "pytest_plugin claims catalogue cli __init__"
    ),
}
MOST_MODULES = 16  # in one folder
# Each is imported by the function that needs it, or is itself imported so.
WITH_FRAMEWORKS = ("arrays.py", "differentiate.py", "triton_kernels.py")

# What a floor must not import: floors above it, its neighbour, and libraries that are not its own.
FORBIDDEN = {
    "kernels": {"derivations", "verify", "sympy", "mpmath", "flint", "hypothesis", "matplotlib"},
    "derivations": {"kernels", "verify", "numba", "matplotlib", "scipy"},
    "verify": {"tests", "notebooks", "pytest", "hypothesis"},
}


def modules(floor: str) -> list[Path]:
    return sorted((ROOT / floor).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The first component below ``softproof``, or else of the absolute name, of each import."""
    package = ("softproof", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            # `from .. import kernels` names a floor only in its aliases.
            names = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            yield name.removeprefix("softproof.").split(".")[0]


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_only_downward(floor):
    for path in modules(floor):
        allowed = {"pytest"} if path.stem == "pytest_plugin" else set()
        wrong = set(imports(path)) & FORBIDDEN[floor] - allowed
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def room(path: Path, floor: str) -> int:
    """The place of a module's room among those of its floor."""
    rooms = ROOMS[floor].split()
    inside = path.relative_to(ROOT / floor).with_suffix("")
    for name in ("/".join(inside.parts[:2]), inside.parts[0]):
        if name in rooms:
            return rooms.index(name)
    raise AssertionError(f"{path.relative_to(ROOT)} is in no room: add its folder to ROOMS")


def imported_modules(path: Path) -> Iterator[Path]:
    """The files of the checkout that a module imports by relative imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                candidates = (
                    base / f"{alias.name}.py",
                    base / alias.name / "__init__.py",
                    base.with_suffix(".py"),
                    base / "__init__.py",
                )
                yield next(file for file in candidates if file.exists())


@pytest.mark.parametrize("floor", FLOORS)
def test_the_rooms_of_a_floor_import_only_those_below_them(floor):
    for path in modules(floor):
        for target in imported_modules(path):
            if target.is_relative_to(ROOT / floor):
                assert room(target, floor) <= room(path, floor), (
                    f"{path.relative_to(ROOT)} imports {target.relative_to(ROOT)}"
                )


@pytest.mark.parametrize("floor", FLOORS)
def test_a_folder_can_be_overseen(floor):
    for folder in {path.parent for path in modules(floor)}:
        names = [path.name for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(names) <= MOST_MODULES, f"{folder.relative_to(ROOT)} holds {len(names)} modules"


def test_the_folders_of_the_tests_are_those_of_the_packages():
    tests = ROOT / "tests"
    apart = {tests, tests / "house", tests / "notebooks"}
    for path in tests.rglob("test_*.py"):
        if path.parent not in apart:
            assert (ROOT / path.parent.relative_to(tests)).is_dir(), path


def test_the_floor_check_sees_relative_and_absolute_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    module = tmp_path / "kernels" / "bad.py"
    module.parent.mkdir()
    for line in (
        "from ..verify import oracle",
        "from .. import verify",
        "import softproof.verify.oracle.truth",
        "from softproof.verify.oracle.truth import truth",
        "def f():\n    from ..verify.runs.plan import plan",
    ):
        module.write_text(line)
        assert "verify" in set(imports(module)), line


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_inside_the_package_are_relative(floor):
    for path in modules(floor):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith("softproof"), path


def test_every_folder_with_modules_is_a_package():
    for floor in FLOORS:
        for path in modules(floor):
            assert (path.parent / "__init__.py").exists(), path


def test_every_imported_library_is_declared():
    def names(requirements):
        return {re.split(r"[<>=\[ ;]", r)[0].lower().replace("-", "_") for r in requirements}

    needed = names(PYPROJECT["project"]["dependencies"])
    extras = PYPROJECT["project"]["optional-dependencies"]
    frameworks = names(extras["frameworks"]) | names(extras["cuda"])

    def optional(path):
        if path.parent.name == "frameworks":
            return frameworks
        if "implementations" in path.parts or path.name in WITH_FRAMEWORKS:
            return frameworks
        if path.parent.name == "bench":
            return names(extras["bench"])
        if path.name == "mcp_server.py":
            return names(extras["mcp"])
        return {"pytest"} if path.stem == "pytest_plugin" else set()

    distributions = {
        "MNN": "mnn",
        "flint": "python_flint",
        "sklearn": "scikit_learn",
        "cupy": "cupy_cuda12x",
    }
    ours = {*FLOORS, "softproof", ""}
    for floor in FLOORS:
        for path in modules(floor):
            declared = needed | optional(path)
            for library in set(imports(path)) - set(sys.stdlib_module_names) - ours:
                distribution = distributions.get(library, library)
                assert distribution in declared, f"{path} imports {library}"


def test_the_top_level_is_the_one_that_was_fixed():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("not a git checkout: the list of tracked files is not to be had")
    folders = {name.split("/")[0] for name in tracked.stdout.split("\n") if "/" in name}
    assert {f for f in folders if not f.startswith(".")} == {*FLOORS, "notebooks", "tests"}


def test_kernels_can_be_imported_from_the_checkout_under_their_bare_name():
    code = "import kernels; print(float(kernels.softmax([0.0, 0.0])[0]))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "0.5"
