"""What benchmarks print: the machine that they ran on, their results, and how far they are."""

import json
import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path


def machine() -> dict[str, object]:
    """Processor, cores that this process may use, versions; printed with every result."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": cores,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{package: version(package) for package in ("numba", "numpy")},
    }


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(what: str, **values: object) -> None:
    """One line of the result."""
    print(json.dumps({"what": what, **values}), flush=True)


def progress(text: str) -> None:
    """One line for who waits."""
    print(text, file=sys.stderr, flush=True)
