"""Candidates for the gate: right ones, wrong ones, and tricks that graders have met."""

import gc
import json
import os
import signal
import sys
import threading
import time

import numpy as np

MOST_LOOKS = 6
DUMP = "SOFTPROOF_TEST_DUMP"  # names the file that ``looks_around`` writes


def right(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=-1, keepdims=True)


def without_maximum(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def summed_in_the_format(x):
    """The sum is kept in the format of the input, one term after the other."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True, initial=-np.inf))
    total = np.zeros((*x.shape[:-1], 1), x.dtype)
    for k in range(x.shape[-1]):
        total = total + e[..., k : k + 1]
    return e / total


def zeros(x):
    return np.zeros_like(x)


def raises(x):
    raise ValueError("not today")


def of_another_dtype(x):
    return right(x).astype(np.float64)


def rms_norm(x, gain, eps=1e-6):
    wide = x.astype(np.float64)
    mean = np.mean(wide * wide, axis=-1, keepdims=True)
    return (wide / np.sqrt(mean + eps) * gain).astype(x.dtype)


def eps_ignored(x, gain, eps=1e-6):
    return rms_norm(x, gain)


# --- tricks ---

_state = {}


def returns_the_previous_result(x):
    before = _state.get("result")
    _state["result"] = right(x)
    return _state["result"] if before is None or before.shape != x.shape else before


def remembers_by_address(x):
    key = (x.__array_interface__["data"][0], x.shape)
    return _state.setdefault(key, right(x))


def remembers_by_shape(x):
    return _state.setdefault(x.shape, right(x))


def zeros_its_input(x):
    result = right(x)
    x[...] = 0
    return result


def exits(x):
    if x.shape[-1] > 5:
        os._exit(0)
    return right(x)


def never_returns(x):
    while x.shape[-1] > 5:
        pass
    return right(x)


def fills_its_result_later(x):
    result = np.zeros_like(x)

    def fill():
        time.sleep(0.002)
        result[...] = right(x)

    threading.Thread(target=fill).start()
    return result


def leaves_the_last_unwritten(x):
    """What was in the memory of its buffer stands at the end of each row."""
    result = np.empty_like(x)
    result[..., :-1] = right(x)[..., :-1]
    if "warm" not in _state.setdefault(x.tobytes(), set()):  # as a first call may look right
        _state[x.tobytes()].add("warm")
        result[..., -1:] = right(x)[..., -1:]
    return result


def finds_its_result_in_freed_memory(x):
    """Right where the result of the call before, on the same input, was freed and not used."""
    key = x.tobytes()
    if key in _state:
        return np.empty_like(x)
    _state[key] = True
    return right(x)


def kills_its_parent(x):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(5)
    return right(x)


def poisons_libraries(x):
    """Wrong, and so is NumPy for whoever comes after in this process."""
    np.exp = np.zeros_like
    np.sum = np.zeros_like
    sys.modules["candidates"].right = raises
    os.environ["PYTHONPATH"] = "/nowhere"
    sys.path[:] = []
    return np.zeros_like(x)


def looks_around(x):
    """Write down all that can be seen from here: frames, objects, the command line, modules."""
    _state["looks"] = _state.get("looks", 0) + 1
    if _state["looks"] > MOST_LOOKS:
        return right(x)
    frame, seen = sys._getframe(), []
    while frame is not None:
        seen.append({name: repr(value) for name, value in frame.f_locals.items() if name != "seen"})
        frame = frame.f_back
    numbers = [n for each in gc.get_objects() if type(each) is dict for n in each.values()]
    with open(os.environ[DUMP], "a") as file:
        found = {
            "frames": seen,
            "integers": [str(n) for n in numbers if type(n) is int],
            "argv": sys.argv,
            "environment": dict(os.environ),
            "modules": list(sys.modules),
        }
        file.write(json.dumps(found) + "\n")
    return right(x)


def rms_norm_remembers_by_address(x, gain, eps=1e-6):
    key = (x.__array_interface__["data"][0], x.shape)
    return _state.setdefault(key, rms_norm(x, gain, eps))


def rms_norm_of_the_first_case(x, gain, eps=1e-6):
    """Right when a shape comes for the first time, afterwards with the mean of the first case."""
    if x.shape not in _state:
        _state[x.shape] = True
        return rms_norm(x, gain, eps)
    mean = np.mean(x[:1] * x[:1], axis=-1, keepdims=True)
    return x / np.sqrt(mean + x.dtype.type(eps)) * gain


def poisons_torch(x):
    import torch

    torch.softmax = torch.exp = torch.Tensor.softmax = torch.zeros_like
    return torch.zeros_like(x)


def right_in_torch(x):
    import torch

    return torch.softmax(x, -1)
