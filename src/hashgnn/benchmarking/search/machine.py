"""A description of the machine of a measurement."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from hashgnn.benchmarking.search.gpu import gpu_name, has_gpu


def machine(n_threads: int) -> str:
    """Return the processor, how many there are, how many threads are used, the load at this moment, and the GPU."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    gpu = f", {gpu_name()}" if has_gpu() else ""
    return f"{_processor()}, {os.cpu_count()} processors, {n_threads} threads used{load}{gpu}"


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
