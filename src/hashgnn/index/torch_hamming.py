"""Exact Hamming search with torch: on a GPU where there is one, with the answers of the scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._extras import require
from hashgnn._types import Array
from hashgnn.codes import BinaryCodes, ItemBias
from hashgnn.errors import ParameterError
from hashgnn.index._arguments import check_filter, check_k, check_queries, search_arguments
from hashgnn.index.base import CandidateIndex
from hashgnn.index.stores.embedded_codes import EmbeddedCodes
from hashgnn.index.stores.penalties import check_bias_length
from hashgnn.ranking import CandidateFilter, IndexLists, Matches

_LARGEST_GROUP = 1024
_NOTHING = -4096.0  # the score of what may not be returned: below every other, and exact in half precision
_SMALL = 1 << 19  # places that fit a key of 32 bits together with a distance; these sort in half the time


class TorchHammingIndex(CandidateIndex):
    """Exact search by products of signs, the fastest operation of a GPU.

    The score of a code is ``n_bits - 2 · (distance + penalty)``, a whole number within ±2048, so half precision
    holds it exactly. The best ``k`` lie in the ``k`` groups of neighbouring codes with the best maxima. So only
    these maxima and groups are sorted, never a whole row of scores.

    Parameters
    ----------
    codes : BinaryCodes of shape (n_codes, n_bits)
    item_bias : ItemBias of length n_codes, or None, default=None
    device : str, default="cuda"
        Where torch keeps the codes and multiplies.
    packed : bool, default=False
        Keep one bit for each bit and unpack a tile of codes at a time, which slows single queries and small
        batches. Otherwise signs are kept, two bytes per bit on a GPU and four elsewhere.
    codes_per_tile, queries_per_block : int, default=1048576, 256
        What is multiplied at once: smaller ones take less memory. A tile is a multiple of 1,024 codes.

    Attributes
    ----------
    nbytes : int
        What the device keeps between searches. At 128 bits and a hundred results a search needs one to two
        gigabytes more while it runs. Wider packed codes and a larger ``k`` need more.

    Raises
    ------
    MissingExtraError
        If torch is not installed.
    ParameterError
        If torch does not have the device.

    Notes
    -----
    Why ``k`` groups are enough: order codes by score, ties by position, so that no two are equal, and groups
    of neighbours by their first. A code among the best ``k`` has fewer than ``k`` codes before it, so fewer than
    ``k`` groups begin before its own.
    """

    unsupported = frozenset({"float queries", "changes", "saving", "sending"})

    def __init__(
        self,
        codes: BinaryCodes,
        item_bias: ItemBias | None = None,
        *,
        device: str = "cuda",
        packed: bool = False,
        codes_per_tile: int = 1 << 20,
        queries_per_block: int = 256,
    ) -> None:
        torch = require("torch", extra="train", purpose="TorchHammingIndex")
        check_bias_length(item_bias, len(codes))
        self._tile = check_int(
            "codes_per_tile", codes_per_tile, minimum=_LARGEST_GROUP, multiple_of=_LARGEST_GROUP
        )
        self._block = check_int("queries_per_block", queries_per_block, minimum=1)
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
        self._n_codes, self._n_bits = len(codes), codes.n_bits
        # Rows up to a multiple of every group's size, so that groups are views.
        self._n_rows = -(-len(codes) // _LARGEST_GROUP) * _LARGEST_GROUP
        rows = torch.zeros(self._n_rows, codes.n_bits // 8, dtype=torch.uint8, device=self._device)
        rows[: len(codes)] = torch.from_numpy(np.array(codes.packed)).to(self._device)
        every_byte = BinaryCodes(np.arange(256, dtype=np.uint8)[:, None]).signs()
        self._signs_of_bytes = torch.from_numpy(every_byte).to(self._device, self._dtype)
        # Eight halves are sixteen bytes: looked up as one number, a byte's signs are one load.
        self._as_numbers = self._signs_of_bytes.element_size() == 2
        if self._as_numbers:
            self._signs_of_bytes = self._signs_of_bytes.view(torch.complex128).flatten()
        self._packed = packed
        if packed:
            self._rows = rows
        else:
            parts = [self._unpacked(rows[tile]) for tile in self._tiles()]
            self._rows = torch.cat(parts) if parts else rows
        self._penalty: Array | None = None
        if item_bias is not None:
            self._penalty = item_bias.penalty.astype(np.int64)
            twice = torch.zeros(self._n_rows, dtype=self._dtype, device=self._device)
            twice[: len(codes)] = torch.from_numpy(2 * self._penalty).to(self._device, self._dtype)
            self._twice_penalty = twice
        self._top = 0.0 if item_bias is None else item_bias.top

    @property
    def n_bits(self) -> int:
        """Width of the stored codes."""
        return self._n_bits

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        kept = [self._rows] if self._penalty is None else [self._rows, self._twice_penalty]
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    def __len__(self) -> int:
        return self._n_codes

    def search(
        self,
        queries: BinaryCodes | EmbeddedCodes | Array,
        k: int,
        *,
        candidates: CandidateFilter | None = None,
        biased: bool = True,
        n_threads: int = 1,
    ) -> Matches:
        """Find the ``k`` best codes for each query; see :meth:`CandidateIndex.search`.

        Queries must be codes. Torch chooses its threads by itself, whatever ``n_threads`` says.
        """
        codes = check_queries(queries, self._n_bits)
        if not isinstance(codes, BinaryCodes):
            raise ParameterError(
                "queries must be BinaryCodes for a TorchHammingIndex, got an array of floats"
            )
        size = check_k(k, len(self))
        options = search_arguments(size, n_threads, candidates, biased=False, top=None)
        options.check_filter(len(codes), len(self))
        limits = _Limits.of(check_filter(candidates), len(self), self._torch, self._device)
        biased = biased and self._penalty is not None
        best = self._best(codes, size, limits, biased=biased)
        values, positions = best // self._n_rows, best % self._n_rows
        found = values < (self._n_bits - int(_NOTHING)) // 2
        distances = values
        if biased:
            assert self._penalty is not None
            distances = values - self._penalty[np.where(found, positions, 0)]
        top = self._top if biased else 0.0
        return Matches(
            np.where(found, positions, -1),
            np.where(found, self._n_bits + top - 2 * values, -np.inf).astype(np.float32),
            found.sum(axis=1),
            np.where(found, distances, -1).astype(np.int32),
        )

    def _best(self, codes: BinaryCodes, k: int, limits: _Limits, *, biased: bool) -> Array:
        """Return, (n_queries, k) int64 in rising order, ``(distance + penalty) · n_rows + position``."""
        torch = self._torch
        if not len(codes):
            return np.empty((0, k), np.int64)
        signs = torch.from_numpy(codes.signs()).to(self._device, self._dtype)
        blocks = [slice(start, start + self._block) for start in range(0, len(codes), self._block)]
        found: list[list[Any]] = [[] for _ in blocks]
        for tile in self._tiles():
            rows = self._unpacked(self._rows[tile]) if self._packed else self._rows[tile]
            for block, parts in zip(blocks, found, strict=True):
                scores = signs[block] @ rows.T
                if biased:
                    scores -= self._twice_penalty[tile]
                scores = limits.applied(scores, block, tile)
                parts.append(self._best_of_tile(scores, min(k, scores.shape[1]), tile.start))
        whole = [
            parts[0] if len(parts) == 1 else torch.topk(torch.cat(parts, dim=1), k, largest=False).values
            for parts in found
        ]
        result: Array = torch.cat(whole).cpu().numpy()
        return result

    def _best_of_tile(self, scores: Any, k: int, start: int) -> Any:
        torch = self._torch
        n_queries, n = scores.shape
        size = _group_size(n, k)
        groups = scores.view(n_queries, n // size, size)
        tops = self._joined(groups.amax(dim=2))
        chosen = torch.topk(tops, min(k, tops.shape[1]), largest=False, sorted=False).values % tops.shape[1]
        # In rising order: places among the chosen are in the order of positions.
        chosen = torch.sort(chosen, dim=1).values.to(torch.int64)
        left = groups.gather(1, chosen.unsqueeze(2).expand(-1, -1, size)).flatten(1)
        keys = torch.topk(self._joined(left), k, largest=False).values.to(torch.int64)
        values, places = torch.div(keys, left.shape[1], rounding_mode="floor"), keys % left.shape[1]
        positions = start + chosen.gather(1, places // size) * size + places % size
        return values * self._n_rows + positions

    def _joined(self, scores: Any) -> Any:
        """Return a key for each entry, ``value · n_columns + column``: no two of a row are equal."""
        torch, n = self._torch, scores.shape[1]
        dtype = torch.int32 if n <= _SMALL else torch.int64
        values = (self._n_bits - scores.to(dtype)) >> 1
        return values * n + torch.arange(n, dtype=dtype, device=self._device)

    def _tiles(self) -> Iterator[slice]:
        for start in range(0, self._n_rows, self._tile):
            yield slice(start, min(start + self._tile, self._n_rows))

    def _unpacked(self, rows: Any) -> Any:
        """Return the signs of packed rows, (n, n_bits)."""
        if self._as_numbers:
            return self._signs_of_bytes[rows.to(self._torch.int64)].view(self._dtype)
        embedding = self._torch.nn.functional.embedding
        return embedding(rows.to(self._torch.int32), self._signs_of_bytes).flatten(1)


class _Limits:
    """A filter on the device: what sets scores to nothing."""

    def __init__(self, n_codes: int, outside: Any, block: Any, allow: Any) -> None:
        self._n_codes, self._outside, self._block, self._allow = n_codes, outside, block, allow

    @classmethod
    def of(cls, candidates: CandidateFilter, n_codes: int, torch: Any, device: Any) -> _Limits:
        """Return a filter that was checked."""

        def pairs(lists: IndexLists | None) -> Any:
            if lists is None:
                return None
            return tuple(
                torch.from_numpy(part).to(device) for part in (lists.rows, lists.indices.astype(np.int64))
            )

        outside = None
        if (allowed := candidates.allowed) is not None:
            outside = torch.from_numpy(~allowed).to(device)
        return cls(n_codes, outside, pairs(candidates.block_per_query), pairs(candidates.allow_per_query))

    def applied(self, scores: Any, block: slice, tile: slice) -> Any:
        """Return scores of a block of queries and a tile of codes with nothing where the filter says so."""
        if self._allow is not None:
            places = _inside(self._allow, block, tile)
            listed = scores.new_full(scores.shape, _NOTHING)
            listed[places] = scores[places]
            scores = listed
        if self._block is not None:
            scores[_inside(self._block, block, tile)] = _NOTHING
        scores[:, self._n_codes - tile.start :] = _NOTHING  # rows that only fill the groups
        if self._outside is not None:
            kept = scores[:, : self._n_codes - tile.start]
            kept.masked_fill_(self._outside[tile], _NOTHING)
        return scores


def _inside(pairs: Any, block: slice, tile: slice) -> Any:
    """Return the pairs of a query and a position that fall into a block and a tile, counted from its corner."""
    owner, positions = pairs
    kept = (owner >= block.start) & (owner < block.stop) & (positions >= tile.start) & (positions < tile.stop)
    return owner[kept] - block.start, positions[kept] - tile.start


def _group_size(n_codes: int, k: int) -> int:
    """Return a power of two near sqrt(n / k): as many tops to sort as codes in the groups that are left."""
    size = 8
    while size < _LARGEST_GROUP and 2 * size * size * k < n_codes:
        size *= 2
    return size
