from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from hashgnn.config import load_recipe
from hashgnn.training import device
from hashgnn.training.device import repeatable, reused_memory, threads
from hashgnn.training.step_size import floats_of_step

# Pages that the kernel had to clear while a 40 MB tensor was made ten times, inside and outside. A process of
# its own, since what a long test run has left in the heap decides too.
FAULTS = """
import resource, torch
from hashgnn.training.device import reused_memory

def faults(n):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n):
        torch.zeros(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults(10)
with reused_memory():
    faults(2)
    print(faults(10), outside)
"""


def test_memory_of_a_step_is_used_again_by_the_next() -> None:
    if device._mallopt() is None:
        pytest.skip("this C library is not glibc")
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    inside, outside = map(int, done.stdout.split())
    assert inside <= 0.5 * outside


def test_processes_that_train_together_divide_the_threads_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_processors", lambda: 2)

    def of_blas() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(limits=2, user_api="blas"):
        before = of_blas()
        assert before
        with threads(1, 0):
            assert of_blas() == before
        for n_processes in (2, 3):
            with threads(1, 0, n_processes):
                assert set(of_blas()) == {1}
            assert of_blas() == before


# Megabytes that a process holds after tensors of 200 MB are gone, inside a block and after it.
RESIDENT = """
import torch
from hashgnn.training.device import reused_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 1_000_000

before = resident()
with reused_memory():
    tensors = [torch.zeros(10_000_000) for _ in range(5)]
    del tensors
    inside = resident()
print(inside - before, resident() - before)
"""


def test_memory_is_given_back_at_the_end_of_a_block() -> None:
    if device._mallopt() is None:
        pytest.skip("this C library is not glibc")
    done = subprocess.run([sys.executable, "-c", RESIDENT], capture_output=True, text=True, check=True)
    inside, after = map(int, done.stdout.split())
    assert inside > 100
    assert after < 0.3 * inside


def test_where_there_is_no_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_mallopt", lambda: None)
    with reused_memory():
        assert torch.zeros(3).sum() == 0


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_only_a_gpu_is_set_to_deterministic_sums_and_only_inside(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is as it was when the test is over
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before = torch.are_deterministic_algorithms_enabled()
    with pytest.raises(RuntimeError, match="inside"), repeatable(torch.device(kind)):
        assert torch.are_deterministic_algorithms_enabled() == (before or kind == "cuda")
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == (kind == "cuda")
        raise RuntimeError("inside")
    assert torch.are_deterministic_algorithms_enabled() == before
    assert torch.utils.deterministic.fill_uninitialized_memory


@pytest.mark.parametrize(
    ("available", "step_floats", "count"),
    [(8, 0, 1), (8, 499_999, 1), (8, 624_000, 2), (8, 100_000_000, 8), (1, 100_000_000, 1)],
)
def test_the_default_count_of_threads_fits_the_work_of_a_step(
    available: int, step_floats: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "available_processors", lambda: available)
    before = torch.get_num_threads()
    with threads(None, step_floats) as found:
        assert found == torch.get_num_threads() == count
    assert torch.get_num_threads() == before


def test_a_count_that_is_given_is_taken() -> None:
    with threads(3, 0) as found:
        assert found == torch.get_num_threads() == 3


@pytest.mark.parametrize(
    ("recipe", "floats"),
    [
        ("default", 9 * 1682 * 5 // 100),  # a hundredth of the users, and a twentieth of the items
        ("paper", (943 + 1682) * load_recipe("paper").embedding_dim),
    ],
)
def test_the_size_of_a_step_of_movielens_100k(recipe: str, floats: int) -> None:
    assert floats_of_step(load_recipe(recipe), 943, 1682) == floats
