"""What a measurement depends on but does not show: the machine, the versions, the environment."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import psutil

from .limits import second_level_cache
from .peers import versions

VARIABLES = ("OMP_", "GOMP_", "KMP_", "MKL_", "MALLOC_", "GLIBC_TUNABLES", "THP_", "XLA_", "NUMBA_")


def machine() -> dict[str, Any]:
    """The processor, its caches and memory, the system, its C library and pages, for JSON.

    >>> machine()["machine"] == f"{platform.machine()} {platform.system()}"
    True
    """
    return {
        "machine": f"{platform.machine()} {platform.system()}",
        "processor": processor(),
        "processors": os.cpu_count(),
        "second_level_cache_bytes": second_level_cache(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": os.getloadavg()[0],
        "c_library": " ".join(platform.libc_ver()).strip(),
        "transparent_huge_pages": _huge_pages(),
        "environment": {k: v for k, v in os.environ.items() if k.startswith(VARIABLES)},
    }


def about() -> dict[str, Any]:
    """`machine`, `versions`, the `date` in UTC and the `command`, for JSON."""
    return {
        "command": command(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": {"python": platform.python_version(), **versions()},
    }


def command() -> str:
    """The command line that runs this process."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def processor() -> str:
    """The name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _huge_pages() -> str | None:
    """The chosen mode of Linux's transparent huge pages: always, madvise or never."""
    try:
        modes = Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text(encoding="ascii")
    except OSError:
        return None
    return modes.partition("[")[2].partition("]")[0]
