from __future__ import annotations

import resource
import sys

import pytest
import torch

from hashgnn.training import device
from hashgnn.training.device import reused_memory


def faults_of(n_steps: int) -> int:
    """Pages that the kernel had to clear while a 40 MB tensor was made ``n_steps`` times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_steps):
        torch.zeros(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc alone is told to keep memory")
def test_memory_of_a_step_is_used_again_by_the_next() -> None:
    if device._mallopt() is None:
        pytest.skip("this C library is not glibc")
    with reused_memory():
        faults_of(2)
        inside = faults_of(10)
    assert inside < 0.2 * faults_of(10)


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_mallopt", lambda: None)
    with reused_memory():
        assert torch.zeros(3).sum() == 0
