"""Describe the machine, and measure the memory and the garbage collection of this process."""

import gc
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

_PACKAGES = ("sessiondex", "pydantic", "pydantic-core")


def machine() -> dict[str, str | int | float]:
    """Return the processor, its cores, the memory in GB and the operating system."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "memory_gb": _memory_gb(),
        "os": platform.system(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of the library and of pydantic."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, **{package: version(package) for package in _PACKAGES}}


def resident_bytes() -> int | None:
    """Return the resident memory of this process, or `None` where the system is not Linux."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def full_collection() -> float:
    """Return the milliseconds of a full garbage collection: the median of three, after one that is not counted."""
    gc.collect()
    took = []
    for _ in range(3):
        start = perf_counter()
        gc.collect()
        took.append((perf_counter() - start) * 1000)
    return round(statistics.median(took), 3)


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine() or "unknown"


def _memory_gb() -> float:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf, other systems have other names
        return 0.0
