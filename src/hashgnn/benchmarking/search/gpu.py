"""Searches on a GPU: ours, and the product of floats that users have today."""

from __future__ import annotations

import importlib.util
from typing import Any

from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.benchmarking.search.contract import Built, Engine, Rows, Threads, writable
from hashgnn.benchmarking.search.workload import Workload
from hashgnn.index import CandidateFilter, TorchHammingIndex

_PRODUCTS = 1 << 28  # scores held at a time


def has_gpu() -> bool:
    """Return whether torch is installed and finds a GPU."""
    return importlib.util.find_spec("torch") is not None and bool(_torch().cuda.is_available())


def gpu_name() -> str:
    """Return the name of torch's first GPU."""
    name: str = _torch().cuda.get_device_name(0)
    return name


def _torch() -> Any:
    return require("torch", extra="train", purpose="a search on a GPU")


def _signs(data: Workload, k: int, threads: Threads) -> Built:
    return _hamming(data, packed=False)


def _packed(data: Workload, k: int, threads: Threads) -> Built:
    return _hamming(data, packed=True)


def _hamming(data: Workload, *, packed: bool) -> Built:
    index = TorchHammingIndex(data.item_codes, packed=packed)

    def search(rows: Rows, k: int, candidates: CandidateFilter | None = None) -> Array:
        return index.search(data.query_codes[rows], k, candidates=candidates).positions

    search(slice(0, 1), 1)  # the first call loads kernels that later calls use
    return Built(search, index.nbytes, "codes", search_filtered=search)


def _matmul(data: Workload, k: int, threads: Threads) -> Built:
    torch = _torch()
    items = torch.from_numpy(writable(data.items)).to("cuda", torch.float16)

    def search(rows: Rows, size: int) -> Array:
        chosen = torch.from_numpy(writable(data.queries[rows])).to("cuda", torch.float16)
        step = max(1, _PRODUCTS // len(items))
        parts = [
            torch.topk(chosen[start : start + step] @ items.T, size, dim=1).indices
            for start in range(0, len(chosen), step)
        ]
        positions: Array = torch.cat(parts).cpu().numpy()
        return positions

    search(slice(0, 1), 1)
    return Built(search, items.numel() * items.element_size(), "floats")


GPU_ENGINES = (
    Engine("gpu-hamming", "gpu-hamming", _signs, needs_gpu=True, is_ours=True),
    Engine("gpu-hamming-packed", "gpu-hamming", _packed, needs_gpu=True, is_ours=True),
)
GPU_PEERS = (Engine("gpu-matmul", "gpu-hamming", _matmul, needs_gpu=True),)
