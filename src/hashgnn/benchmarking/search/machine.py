"""A description of the machine of a measurement."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from hashgnn.benchmarking.search.gpu import gpu_name, has_gpu
from hashgnn.index.instructions import instruction_set

# By the beginning of an engine's name.
_PACKAGES = {
    "rabitqlib": "rabitqlib",
    "svs": "scalable-vs",
    "scann": "scann",
    "turbovec": "turbovec",
    "faiss": "faiss-cpu",
    "zvec": "zvec",
    "hnswlib": "hnswlib",
    "usearch": "usearch",
    "torch": "torch",
    "gpu": "torch",
}


def machine(n_threads: int) -> str:
    """Return the processor, how many there are, its instruction set, threads used, the load at this moment, the GPU."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    gpu = f", {gpu_name()}" if has_gpu() else ""
    return (
        f"{_processor()}, {os.cpu_count()} processors, {_instructions()}, {n_threads} threads used{load}{gpu}"
    )


def versions(engines: Iterable[str]) -> dict[str, str]:
    """Return the versions of hashgnn, NumPy and the libraries of some engines."""
    packages = {"hashgnn", "numpy"} | {
        package for name in engines for start, package in _PACKAGES.items() if name.startswith(start)
    }
    found = {}
    for package in sorted(packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # a source tree on the path, never installed
            found[package] = "source"
    return found


def vendor() -> str:
    """Return who made the processor, as it says itself; empty where that cannot be read."""
    return _facts().get("vendor_id", "")


def _instructions() -> str:
    return f"{instruction_set()}{' with bit counting' if has_instructions('avx512_vpopcntdq') else ''}"


def has_instructions(name: str) -> bool:
    """Return whether the processor says that it has an instruction set; False where that cannot be read."""
    return name in _facts().get("flags", "").split()


def _facts() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, value in fields.items()}


def _processor() -> str:
    named = _facts()
    parts = [named.get("model name", platform.machine())]
    if "cpu family" in named:
        parts.append(f"family {named['cpu family']} model {named.get('model', '?')}")
    return " ".join(parts)
