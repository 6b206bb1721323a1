"""Processors of this process: how many it may use, and what its threads do while they wait."""

from __future__ import annotations

import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# Each says how long a thread of OpenMP spins before it sleeps.
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def wait_passively() -> None:
    """Let OpenMP's threads sleep while they wait; call it before torch or another user of OpenMP is loaded.

    Threads that spin take the processor from the thread they wait for, wherever other processes run too. OpenMP
    reads its variables once, when it is loaded: afterwards this changes child processes only. Nothing happens
    where one of the variables is set already.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ["KMP_BLOCKTIME"] = "0"


def available_processors() -> int:
    """Return how many processors this process may use, at least 1.

    The fewest of those that it may run on, the quota of its container, and ``OMP_NUM_THREADS``.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_quota()
    if quota is not None:
        found = min(found, math.ceil(quota))
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdigit():
        found = min(found, int(wanted))
    return max(1, found)


def processor_quota(groups: Path = _GROUPS, membership: Path = _MEMBERSHIP) -> float | None:
    """Return the processors' worth of time that the control groups of Linux allow; ``None`` without a limit.

    Parameters
    ----------
    groups : Path
        Where the control groups are mounted.
    membership : Path
        The file that names the groups of this process.
    """
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups / "cpu" if controllers else groups
        # A limit of a parent holds too. In a container the path may be one of the host, which is not there.
        inside = root / path.lstrip("/")
        folders = [inside, *inside.parents] if inside.is_dir() else [root]
        limits += [_limit(folder) for folder in folders if folder == root or root in folder.parents]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(folder: Path) -> float | None:
    """Return the quota of one group, of either version of control groups."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8").strip()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None  # no file, or "max"
