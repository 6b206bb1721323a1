"""One version of a model: opened, checked, tried out, and ready to answer."""

from __future__ import annotations

import mmap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hashgnn._files import sha256_file
from hashgnn._types import Array
from hashgnn.artifact import MANIFEST, open_artifact
from hashgnn.codes import BinaryCodes
from hashgnn.codes.health import CodeHealth, code_health
from hashgnn.errors import ArtifactDamagedError, ArtifactError, HashGNNError
from hashgnn.ranking import CandidateFilter
from hashgnn.recommender import HashGNN
from hashgnn.recommender.encoded import trained
from hashgnn.recommender.fitted import Fitted
from hashgnn.serving.item_ids import IdTexts
from hashgnn.serving.item_metadata import FILE_NAME, ItemMetadata, Texts
from hashgnn.state import ModelState, load_state

_HEALTH_CODES = 100_000
_METADATA_ID = "item_id"


@dataclass(frozen=True, eq=False)
class Version:
    """A model that answers, with all that an answer needs.

    Attributes
    ----------
    name : str
        Of its folder.
    checksum : str
        Of its manifest: two versions with one checksum are equal.
    created : str
        When it was saved, UTC, ISO 8601.
    loaded : float
        When it was opened, seconds since 1970.
    fitted : Fitted
    metadata : ItemMetadata or None
    mark : tuple of str
        What :func:`folder_mark` gave for its folder.
    """

    name: str
    checksum: str
    created: str
    fitted: Fitted
    metadata: ItemMetadata | None
    mark: tuple[str, str]
    loaded: float = field(default_factory=time.time)

    @property
    def state(self) -> ModelState:
        """The model's tables."""
        return self.fitted.state

    @property
    def created_seconds(self) -> float:
        """When it was saved, seconds since 1970."""
        return datetime.fromisoformat(self.created).timestamp()

    @property
    def loaded_text(self) -> str:
        """When it was opened, UTC, ISO 8601."""
        return datetime.fromtimestamp(self.loaded, UTC).isoformat(timespec="seconds")

    @cached_property
    def item_texts(self) -> IdTexts:
        """External item ids as JSON text."""
        return IdTexts(self.state.item_ids)

    @cached_property
    def popular(self) -> Array:
        """Items from the most to the least popular, (n_items,) int64; ties go to the smaller position."""
        return np.argsort(-self.fitted.popularity, kind="stable")

    def find_items(self, query: str, limit: int) -> Array:
        """Return the positions of items whose metadata or id holds the words of a query, at most ``limit``.

        What begins with the query comes first, then the others; more popular items first. An empty query
        gives the most popular items.
        """
        if not query:
            return self.popular[:limit]
        holds, begins = (self.metadata or self._id_text).search(query)
        if not len(holds) and self.metadata is not None:
            holds, begins = self._id_text.search(query)
        popularity = self.fitted.popularity[holds]
        order = np.lexsort((holds, -popularity, ~np.isin(holds, begins)))
        found: Array = holds[order[:limit]]
        return found

    @cached_property
    def _id_text(self) -> Texts:
        """The ids as text, to search where there is no metadata."""
        return Texts([str(value) for value in self.state.item_ids.ids.tolist()])

    @cached_property
    def code_health(self) -> dict[str, CodeHealth]:
        """Health of the codes of users and of items, of an even sample where there are very many."""
        tables = {"user_codes": self.state.user_codes, "item_codes": self.state.item_codes}
        return {name: code_health(_sample(codes)) for name, codes in tables.items() if len(codes)}


def open_version(
    path: Path,
    *,
    items: Path | None = None,
    item_id: str = _METADATA_ID,
    verify: bool = True,
    index_recall: float = 1.0,
    n_threads: int = 1,
) -> Version:
    """Open a saved model, compare its checksums and ask it a question.

    Parameters
    ----------
    path : Path
    items : Path, optional
        Parquet file of item metadata; without one, ``item_metadata.parquet`` in the model's folder is used.
    item_id : str
        Its column of item ids.
    verify : bool, default=True
        Compare the checksum of every file; ``False`` compares the sizes.
    index_recall : float, default=1.0
        As for :meth:`HashGNN.load`; lists are built here.
    n_threads : int, default=1
        That compare checksums, beside the one that opens.

    Raises
    ------
    ArtifactError
        If the folder is no model, is damaged, or fails its self-test.
    DataError
        If the metadata cannot be used.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="opening") as beside:
        # Comparing checksums takes about as long as all the rest; a damaged file fails either way.
        checksums = beside.submit(open_artifact, path.resolve(), verify=verify, n_threads=n_threads)
        try:
            version = _open(path, items, item_id, index_recall)
        except HashGNNError:
            checksums.result()
            raise
        artifact = checksums.result()
    if artifact.checksum != version.checksum:
        raise ArtifactError(f"{path}: was replaced while it was opened; reload once more")
    _drop_pages(version.state)
    return version


def _open(path: Path, items: Path | None, item_id: str, index_recall: float) -> Version:
    folder, mark = path.resolve(), folder_mark(path)
    artifact = open_artifact(folder, verify=False)
    fitted = Fitted(load_state(folder, verify=False), index_recall)
    if folder_mark(folder) != mark:
        raise ArtifactError(f"{path}: was replaced while it was opened; reload once more")
    source = items if items is not None else folder / FILE_NAME
    metadata = None
    if items is not None or source.exists():
        metadata = ItemMetadata.read(source, item_id, fitted.state.item_ids)
    version = Version(folder.name, artifact.checksum, artifact.created, fitted, metadata, mark)
    _self_test(path, version)
    return version


def folder_mark(folder: Path) -> tuple[str, str]:
    """Return where a folder really is and the digest of its manifest; another version differs in one of them.

    Raises
    ------
    ArtifactError
        If there is no manifest that can be read.
    """
    try:
        real = folder.resolve(strict=True)
        return str(real), sha256_file(real / MANIFEST)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "its links go in a circle"
        raise ArtifactError(f"{folder}: holds no model that can be read, {reason}") from None


def _self_test(path: Path, version: Version) -> None:
    """Ask for the best item of a user and of a history, by every way that reads codes."""
    fitted = version.fitted
    state = fitted.state
    if not state.n_items:
        raise ArtifactError(f"{path}: holds no items, so there is nothing to recommend")
    try:
        space = fitted.items_for_users  # makes the index: no request shall wait for it
        if state.n_users:
            queries = trained(state, "user", np.zeros(1, np.int64))
            for way in ("hamming", "hierarchical"):
                found = space.search(queries, space.options(1, way), CandidateFilter())
                if not (found.counts == 1).all() or not np.isfinite(found.scores).all():
                    raise ArtifactDamagedError(f"{path}: its self-test by {way} search gave no finite score")
        folded = HashGNN.from_state(state).fold_in_users([state.item_ids.ids[:1].tolist()])
        if not np.isfinite(folded.embeddings).all():
            raise ArtifactDamagedError(f"{path}: its self-test by fold-in gave no finite embedding")
    except ArtifactError:
        raise
    except HashGNNError as error:
        raise ArtifactDamagedError(f"{path}: failed its self-test, {error}") from error


def _drop_pages(state: ModelState) -> None:
    """Give back the pages of the tables that opening has read once; what is used comes back from the cache."""
    tables = [state.user_embeddings, state.item_embeddings, *state.fold_in.arrays.values()]
    for table in tables:
        owner: Any = table
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)


def _sample(codes: BinaryCodes) -> BinaryCodes:
    return codes[:: max(1, len(codes) // _HEALTH_CODES)]
