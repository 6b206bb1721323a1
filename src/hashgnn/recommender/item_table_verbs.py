"""``ItemTableVerbs``: a model with a table of items, which rules look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from hashgnn._types import Frame
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.config import ModelConfig
from hashgnn.rules import ItemAttributes
from hashgnn.state import ModelState
from hashgnn.state.at_address import local_folder


class ItemTableVerbs(ABC):
    """The table of items of a model: given to it, or kept in its folder."""

    config: ModelConfig
    index_recall: float
    _model: FittedModel | None
    _items: ItemAttributes | None
    _path: Path | str | None
    _has_own_table: bool

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The model in internal indices."""

    @property
    @abstractmethod
    def state_(self) -> ModelState:
        """The fitted or loaded state."""

    def with_item_table(
        self, table: Frame | str | Path | ItemAttributes, *, item_id: str = "item_id"
    ) -> Self:
        """Return this model with a table of items, which rules look at and :meth:`save` keeps.

        Parameters
        ----------
        table : data frame, str, Path or ItemAttributes
            A row an item: its id, and columns of true and false, numbers, times, text, categories or lists of text.
            Values may be missing, and so may items; rows of other items are left out. A path is that of a file of
            parquet, CSV, JSON lines or Arrow. Attributes are taken as they are now.
        item_id : str, default="item_id"
            The column of ids.

        Raises
        ------
        DataError
            If there is no such column, an item comes twice, or no row is of an item of the model.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> prices = pa.table({"item_id": ["i1", "i2", "i3"], "price": [10, 20, 30]})
        >>> model = HashGNN.from_state(random_state()).with_item_table(prices)
        >>> sorted(model.recommend(["u3"], k=5, where="price < 25", filter_seen=False).lists()[0])
        ['i1', 'i2']
        """
        fitted, ids = self.fitted, self.state_.items.ids
        model = type(self).__new__(type(self))
        model.config, model.index_recall, model._model = self.config, self.index_recall, fitted
        model._path, model._has_own_table = self._path, True
        if isinstance(table, str | Path):
            model._items = ItemAttributes.read(table, ids, id_column=item_id)
        elif isinstance(table, ItemAttributes):
            model._items = table.of_items(ids)
        else:
            model._items = ItemAttributes.of(table, ids, id_column=item_id)
        return model

    @property
    def item_attributes(self) -> ItemAttributes | None:
        """The table of items that rules look at, None without one; its :meth:`ItemAttributes.update` changes values.

        That of :meth:`with_item_table`, else ``item_metadata.parquet`` in the folder that the model was loaded from.
        """
        if self._items is None and self._path is not None:
            self._items = ItemAttributes.of_folder(local_folder(self._path), self.state_.items.ids)
        return self._items
