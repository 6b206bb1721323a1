"""``ExportVerbs``: a model as files for people and for programs in other languages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from hashgnn.exporting import export_onnx, write_item_table
from hashgnn.state import ModelState


class ExportVerbs(ABC):
    """The verbs of a model that write it for others to read."""

    @property
    @abstractmethod
    def state_(self) -> ModelState:
        """The fitted or loaded state."""

    def card(self, *, license: str | None = None, card_notes: str | None = None) -> str:
        """Return the model card: Markdown for people, which :meth:`save` writes as ``model_card.md``.

        ``license`` and ``card_notes`` are as for :meth:`save`.
        """
        return self._with_texts(self.state_, license, card_notes).card()

    @staticmethod
    def _with_texts(state: ModelState, license: str | None, card_notes: str | None) -> ModelState:
        """Return a state with another licence and other notes, where they are given."""
        if license is None and card_notes is None:
            return state
        return replace(
            state,
            license=state.license if license is None else license,
            card_notes=state.card_notes if card_notes is None else card_notes,
        )

    def export_onnx(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write an ONNX file that turns histories into float queries and packed codes (extra ``onnx``).

        It computes what :meth:`fold_in_users` does, in any language that has an ONNX runtime.

        ============ ========================= ==============================================================
        input        shape, dtype              values
        ============ ========================= ==============================================================
        ``items``    (batch, length), int64    positions of items, rows filled up with -1
        ``weights``  (batch, length), float32  of their interactions, around 1; only where the training data
                                               had weights that the encoder uses
        ``features`` (batch, columns), float32 only where the model has side features of users
        ============ ========================= ==============================================================

        Both axes of ``items`` may have any length. Without ``weights`` an item that is repeated counts once.
        The outputs are ``query``, float32 of shape (batch, width): its inner product with an item's embedding
        is the score of float search; and ``code``, uint8 of shape (batch, n_bits / 8), most significant bit first.
        The metadata of the file names width, bit order, items and the SHA-256 of their ids.

        Tables of more than 2 GB, which no such file holds, lie in a file next to it, ``NAME.DIGEST.data``. Runtimes open
        it by themselves, so keep both in one folder.

        Parameters
        ----------
        path : str or Path
        overwrite : bool, default=False
            Replace a file at ``path``.

        Raises
        ------
        ParameterError
            If there is a file at ``path``, or the encoder's rule has no ONNX form.
        MissingExtraError
            If the package onnx is not installed.
        StorageError
            If the file cannot be written.

        See Also
        --------
        export_items : the positions, ids and codes of the items.
        """
        export_onnx(self.state_, path, overwrite=overwrite)

    def export_items(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write position, id and code of every item to one CSV or parquet file, in the order of the positions.

        Columns are ``position``, ``item_id``, ``code`` (bytes; hex digits in CSV) and, where the model has an
        item bias, ``penalty`` and ``bias``. A search orders items by ``distance + penalty``; the score is
        ``n_bits - 2 * distance + bias``.

        Parameters
        ----------
        path : str or Path
            Ends in ``.csv`` or ``.parquet``.
        overwrite : bool, default=False
            Replace a file at ``path``.

        Raises
        ------
        ParameterError
            If there is a file at ``path``, or its name ends otherwise.
        StorageError
            If the file cannot be written.
        """
        write_item_table(self.state_, path, overwrite=overwrite)
