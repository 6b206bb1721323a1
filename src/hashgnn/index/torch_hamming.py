"""Exact Hamming search with torch: on a GPU where there is one, with the answers of the scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._extras import require
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import check_k, check_queries
from hashgnn.index.base import CandidateIndex
from hashgnn.index.candidate_filter import CandidateFilter
from hashgnn.index.matches import Matches

Array = np.ndarray[Any, Any]

_SCORES = 1 << 26  # scores that are held at a time


class TorchHammingIndex(CandidateIndex):
    """Exact search by products of signs, which is what a GPU does best.

    Signs are kept in half precision on a GPU, in float32 elsewhere: two bytes (four) a bit, so this is for
    catalogues that fit. Products of up to 1024 signs are exact in both, as the sums are kept in float32.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    device : str, default="cuda"
        Where torch keeps the signs and multiplies.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    ParameterError
        If torch does not have the device.
    """

    lacks = frozenset({"float queries", "lists", "changes", "saving"})

    def __init__(
        self, codes: BinaryCodes, item_bias: ItemBias | None = None, *, device: str = "cuda"
    ) -> None:
        torch = require("torch", extra="train", purpose="TorchHammingIndex")
        if item_bias is not None and len(item_bias) != len(codes):
            raise ParameterError(f"item_bias must have one value a code, {len(codes)}, got {len(item_bias)}")
        try:
            self._device = torch.device(device)
            torch.empty(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ParameterError(
                f"device must be one that torch has here, got {device!r}: {reason}"
            ) from None
        self._torch = torch
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        self._signs = torch.from_numpy(codes.signs()).to(self._device, self._dtype)
        self._penalty = None
        if item_bias is not None:
            self._penalty = torch.from_numpy(item_bias.penalty.astype(np.int64)).to(self._device)
        self._top = 0.0 if item_bias is None else item_bias.top
        self._n_bits = codes.n_bits

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._n_bits

    def __len__(self) -> int:
        return len(self._signs)

    def search(
        self,
        queries: BinaryCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`.

        Queries must be codes, and only the ``allowed`` mask of a filter is taken. ``n_threads`` is torch's
        own business.
        """
        codes = check_queries(queries, self._n_bits)
        if not isinstance(codes, BinaryCodes):
            raise ParameterError(
                "queries must be BinaryCodes for a TorchHammingIndex, got an array of floats"
            )
        size = check_k(k, len(self))
        check_int("n_threads", n_threads, minimum=1)
        allowed = self._allowed(candidates)
        step = max(1, _SCORES // len(self))
        parts = [
            self._block(codes[start : start + step], size, allowed, biased=biased)
            for start in range(0, len(codes), step)
        ] or [(np.empty((0, size), np.int64), np.empty((0, size), np.int64), np.empty((0, size), np.int64))]
        keys, positions, penalties = (np.concatenate(column) for column in zip(*parts, strict=True))
        found = keys < self._far
        top = self._top if biased else 0.0
        return Matches(
            np.where(found, positions, -1),
            np.where(found, self._n_bits + top - 2 * keys, -np.inf).astype(np.float32),
            np.where(found, keys - penalties, -1).astype(np.int32),
            found.sum(axis=1),
        )

    @property
    def _far(self) -> int:
        return self._n_bits + 256  # above every distance with a penalty

    def _allowed(self, candidates: CandidateFilter | None) -> Any:
        if candidates is None:
            return None
        if candidates.block is not None or candidates.allow is not None:
            raise ParameterError("candidates must have no lists for a TorchHammingIndex, only allowed")
        if candidates.allowed is None:
            return None
        if len(candidates.allowed) != len(self):
            raise ParameterError(
                f"allowed must have one entry a code, {len(self)}, got {len(candidates.allowed)}"
            )
        return self._torch.from_numpy(candidates.allowed).to(self._device)

    def _block(self, codes: BinaryCodes, k: int, allowed: Any, *, biased: bool) -> tuple[Array, Array, Array]:
        torch = self._torch
        queries = torch.from_numpy(codes.signs()).to(self._device, self._dtype)
        products = (queries @ self._signs.T).to(torch.int64)
        keys = (self._n_bits - products) // 2
        if biased and self._penalty is not None:
            keys += self._penalty
        if allowed is not None:
            keys[:, ~allowed] = self._far
        # The position joins the key: all keys differ, and ties go to the smaller position by themselves.
        joined = keys * len(self) + torch.arange(len(self), device=self._device)
        best = torch.topk(joined, k, dim=1, largest=False, sorted=True).values
        positions, values = best % len(self), torch.div(best, len(self), rounding_mode="floor")
        penalties = torch.zeros_like(positions)
        if biased and self._penalty is not None:
            penalties = self._penalty[positions]
        return values.cpu().numpy(), positions.cpu().numpy(), penalties.cpu().numpy()
