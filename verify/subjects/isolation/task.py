"""A task and its candidate, in the process in which they run.

A module that is written for them (``verify/tasks/hosted.py``) makes one ``Hosted`` of what it is
told, and its methods are what the worker calls.  Sizes go by position first, then arrays.  The
candidate's process runs ``candidate`` and ``of_definition`` alone; what draws inputs and gives the
truth runs in another.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import linecache
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import to_native, to_numpy
from ..subject import NotApplicable
from .binding import Binding
from .task_source import with_sizes

SEED = 42  # that models are made from: parameters of both are the same numbers
EXACT, REFERENCE, CANDIDATE = "exact", "reference", "candidate"


class Hosted:
    """A task, its reference and its candidate.

    Parameters
    ----------
    problem
        The file of the task.
    model
        The name of its reference: a class whose objects are called, or a function.
    candidate
        The file of the candidate; "" where it is not run here.
    name
        Its name there.
    dtype
        The name of the format that models and inputs of real numbers are brought to.
    library, device
        What the arrays are.
    binding
        How the arguments of a definition become inputs of the candidate, the fields of a
        ``Binding``; None where it is of none.
    """

    def __init__(
        self,
        problem: str,
        model: str,
        candidate: str = "",
        name: str = "",
        *,
        dtype: str = "float32",
        library: str = "torch",
        device: str = "",
        binding: Mapping[str, Any] | None = None,
    ) -> None:
        self._problem, self._model = problem, model
        self._candidate, self._name = candidate, name
        self._dtype, self._library, self._device = dtype, library, device
        self._binding = Binding(**binding) if binding else None
        self._models: dict[tuple[str, tuple[int, ...], str], Any] = {}
        self._templates: dict[tuple[int, ...], list[Any]] = {}
        self._modules: dict[str, Any] = {}
        for folder in {str(Path(p).resolve().parent) for p in (problem, candidate) if p}:
            if folder not in sys.path:
                sys.path.append(folder)

    # --- what the task's process is asked ---

    def inputs(self, seed: Any, sizes: Any) -> Any:
        """Draw the inputs of the task from a seed, at some sizes; only arrays are given."""
        seed, sizes = _whole(seed), _whole(sizes)
        return tuple(np.array(to_numpy(x)) for x in self._inputs(sizes, seed[0]) if _is_array(x))

    def takes_init_inputs(self, sizes: Any) -> Any:
        """Whether its models are made from anything, which may have the sizes in it."""
        return np.array(bool(self._init_inputs(self._namespace(_whole(sizes), wide=False))))

    def plain(self, sizes: Any) -> Any:
        """What of a call is no array, as the bytes of JSON; none where JSON cannot hold it."""
        sizes = _whole(sizes)
        namespace = self._namespace(sizes, wide=False)
        is_made = isinstance(namespace[self._model], type)
        found = {
            "made_from": self._init_inputs(namespace) if is_made else None,
            "inputs": [None if _is_array(x) else x for x in self._inputs(sizes, SEED)],
        }
        try:
            text = json.dumps(found)
        except TypeError:
            text = ""
        return np.frombuffer(text.encode(), np.uint8).copy()

    def exact(self, sizes: Any, *arrays: Any) -> Any:
        """The reference in binary64."""
        return self._call(EXACT, _whole(sizes), arrays)

    def reference(self, sizes: Any, *arrays: Any) -> Any:
        """The reference in the format."""
        return self._call(REFERENCE, _whole(sizes), arrays)

    # --- what the candidate's process is asked ---

    def candidate(self, sizes: Any, *arrays: Any) -> Any:
        """The candidate in the format."""
        return self._call(CANDIDATE, _whole(sizes), arrays)

    def of_definition(self, *arguments: Any) -> Any:
        """The candidate, called with the arguments of a definition, in a batch."""
        assert self._binding is not None
        if any(getattr(argument, "requires_grad", False) for argument in arguments):
            raise NotApplicable("a task is of values, and is not differentiated")
        given = [np.array(to_numpy(argument)) for argument in arguments]
        results = []
        for part, sizes in self._binding.parts(given):
            inputs = [to_native(array, self._library, self._device) for array in part]
            result = self._call(CANDIDATE, tuple(sizes), inputs)
            if not _is_array(result):
                return result
            results.append(np.array(to_numpy(result)))
        return self._binding.joined(results, given)

    # --- how ---

    def _call(self, which: str, sizes: tuple[int, ...], arrays: Sequence[Any]) -> Any:
        model = self._made(which, sizes, self._format_of(arrays))
        given = iter(self._in_format(x, EXACT if which == EXACT else "") for x in arrays)
        template = self._plain_inputs(sizes, len(arrays))
        arguments = [next(given) if x is _ARRAY else x for x in template]
        with _without_gradients():
            _seed(SEED)
            result = model(*arguments)
        return tuple(result) if isinstance(result, list) else result

    def _format_of(self, arrays: Sequence[Any]) -> str:
        """The name of the format of real numbers in a call."""
        names = (str(x.dtype).removeprefix("torch.") for x in arrays)
        return next((name for name in names if "float" in name), self._dtype)

    def _made(self, which: str, sizes: tuple[int, ...], dtype: str) -> Any:
        """A model, made once; a function is one as it is."""
        key = (which, sizes, dtype)
        if key not in self._models:
            namespace = self._namespace(sizes, wide=which == EXACT)
            if which == CANDIDATE:
                found = getattr(self._candidate_module(), self._name)
            else:
                found = namespace[self._model]
            if isinstance(found, type):
                _seed(SEED)
                found = found(*self._init_inputs(namespace))
                if callable(getattr(found, "to", None)):
                    found = self._placed(found, which, dtype)
            self._models[key] = found
        return self._models[key]

    def _placed(self, model: Any, which: str, dtype: str) -> Any:
        """A model with its numbers in the format, on the device; exact ones in binary64."""
        torch = sys.modules["torch"]
        model = model.to(getattr(torch, dtype))
        if which == EXACT:
            model = model.to(torch.float64)
        return model.to(self._device) if self._device else model

    def _in_format(self, array: Any, which: str) -> Any:
        """An array of real numbers in binary64 where the exact result is asked for."""
        if which == EXACT:
            if self._library == "torch":
                return array.double() if array.dtype.is_floating_point else array
            return array.astype(np.float64) if array.dtype.kind not in "biu" else array
        return array

    def _plain_inputs(self, sizes: tuple[int, ...], count: int) -> list[Any]:
        """The inputs of a call, with _ARRAY in the places of arrays."""
        if sizes not in self._templates:
            plain = [_ARRAY] * count
            if self._binding is None:
                small = [_ARRAY if _is_array(x) else x for x in self._inputs(sizes, SEED)]
                plain = small if small.count(_ARRAY) == count else plain
            self._templates[sizes] = plain
        return self._templates[sizes]

    def _inputs(self, sizes: tuple[int, ...], seed: int) -> list[Any]:
        namespace = self._namespace(sizes, wide=False)
        _seed(seed)
        found = namespace["get_inputs"]()
        return list(found) if isinstance(found, list | tuple) else [found]

    @staticmethod
    def _init_inputs(namespace: Mapping[str, Any]) -> list[Any]:
        return list(namespace["get_init_inputs"]()) if "get_init_inputs" in namespace else []

    def _namespace(self, sizes: tuple[int, ...], *, wide: bool) -> dict[str, Any]:
        """The task's module at some sizes, run once."""
        key = json.dumps([sizes, wide])
        if key not in self._modules:
            source = Path(self._problem).read_text(encoding="utf-8")
            tree = with_sizes(source, sizes, wide=wide)
            name = f"task_{len(self._modules)}"
            spec = importlib.util.spec_from_loader(name, None)
            assert spec is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            module.__file__ = f"{self._problem} ({name})"
            text = ast.unparse(tree)
            linecache.cache[module.__file__] = (len(text), None, text.splitlines(True), name)
            exec(compile(text, module.__file__, "exec"), module.__dict__)
            self._modules[key] = module
        found: dict[str, Any] = self._modules[key].__dict__
        return found

    def _candidate_module(self) -> Any:
        """The candidate's module, from its file as it is."""
        if self._candidate not in self._modules:
            name = f"candidate_{Path(self._candidate).stem}"
            spec = importlib.util.spec_from_file_location(name, self._candidate)
            if spec is None or spec.loader is None:
                raise NotApplicable(f"{self._candidate} is no Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            self._modules[self._candidate] = module
        return self._modules[self._candidate]


_ARRAY = object()


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _whole(array: Any) -> tuple[int, ...]:
    """Whole numbers from an array of any library."""
    return tuple(int(x) for x in np.atleast_1d(to_numpy(array)))


def _seed(seed: int) -> None:
    """Seed what inputs and parameters are drawn from."""
    np.random.seed(seed % 2**32)  # noqa: NPY002  (what tasks of users draw from)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def _without_gradients() -> contextlib.AbstractContextManager[Any]:
    torch = sys.modules.get("torch")
    return contextlib.nullcontext() if torch is None else torch.no_grad()
