"""``FreshItems``: a model that knows items which came after its training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

import numpy as np

from hashgnn._checks import check_choice, quote_some
from hashgnn._types import Frame, IdLists, Ids
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import lists_of_ids
from hashgnn.config import ModelConfig
from hashgnn.data.features import feature_columns
from hashgnn.data.grown_ids import readable_ids
from hashgnn.data.id_lists import as_list
from hashgnn.errors import ParameterError
from hashgnn.ranking import IndexLists
from hashgnn.rules import ItemAttributes


class FreshItems(ABC):
    """The verb of a model that takes in new items without training."""

    config: ModelConfig
    index_recall: float
    _model: FittedModel | None
    _items: ItemAttributes | None

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The model in internal indices."""

    def add_items(
        self,
        item_ids: Ids,
        audiences: IdLists | None = None,
        *,
        item_features: Frame | None = None,
        attributes: Frame | None = None,
        on_known: Literal["error", "skip"] = "error",
        on_unknown: Literal["error", "skip"] = "error",
    ) -> Self:
        """Return a model that also has these new items; this one stays as it is.

        A new item gets its code, embedding and bias from its first users, its side features, or both, as
        :meth:`~hashgnn.recommender.Recommender.fold_in_items` does. It is then an item like any other: it is
        recommended, found as similar, counts in histories, and is saved. Its users have seen it. Codes, floats
        and bias of the known items stay bit for bit, and no index is built again: on 100,000 items one more
        takes about a millisecond, the first time some ten.

        Parameters
        ----------
        item_ids : list of n ids
            Of the kind of the model's item ids, each once.
        audiences : list of n lists of user ids, optional
            The first users of each. An item without any, and without features, looks like the mean of all items.
        item_features : data frame of n rows, optional
            Where the model was trained with item features. A frame, or a list of dicts.
        attributes : data frame of n rows, optional
            Their rows in the table of items, which rules look at: columns of that table, each optional. A frame, or a
            list of dicts. What is not given is a missing value.
        on_known : {"error", "skip"}, default="error"
            Items that the model has already: raise, or leave them as they are.
        on_unknown : {"error", "skip"}, default="error"
            Users that the model does not have: raise, or leave them out.

        Returns
        -------
        Self
            This object itself where every item is known.

        Raises
        ------
        ParameterError
            If an id is of another kind, empty, twice or known, the rows do not fit, or an attribute is no column of
            the table of items or of another type.
        DataError
            If a feature is missing or of another type than in training.
        UnknownIdError
            If a user is unknown and ``on_unknown="error"``.

        Notes
        -----
        What a new item adds to a history is the least-squares map of its embedding to what the trained items
        add; with the ``history`` encoder and no input table it is the embedding itself. :meth:`update` with the
        item's interactions trains it.

        Examples
        --------
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> model = HashGNN.from_state(random_state())
        >>> newer = model.add_items(["new"], [["u1", "u2", "u3"]])
        >>> "new" in newer.recommend(["u0"], k=31).lists()[0], newer.similar_items("new", k=2).lists()
        (True, [['i24', 'i16']])
        """
        check_choice("on_known", on_known, ("error", "skip"))
        check_choice("on_unknown", on_unknown, ("error", "skip"))
        state = self.fitted.state
        ids = readable_ids(state.items.ids, as_list("item_ids", item_ids, in_order=True), "item ids")
        if audiences is None and item_features is None:
            raise ParameterError("add_items needs audiences or item_features, got neither")
        rows = [[]] * len(ids) if audiences is None else as_list("audiences", audiences, of_lists=True)
        if len(rows) != len(ids):
            raise ParameterError(f"audiences must have one list per item, {len(ids)}, got {len(rows)}")
        features = feature_columns("item_features", state.items.features, item_features, rows)
        remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
        given = self._attribute_rows(attributes, len(ids))
        users = lists_of_ids(state.users.ids, "user ids", "audiences", rows, remedy=remedy)
        known = state.items.ids.index_of(ids, on_unknown="skip") >= 0 if ids else np.zeros(0, bool)
        if known.any() and on_known == "error":
            listed = quote_some([ids[place] for place in np.flatnonzero(known).tolist()])
            raise ParameterError(
                f"{int(known.sum())} of {len(ids)} item ids are in the model already: {listed}; "
                'pass on_known="skip" to leave them as they are'
            )
        new = np.flatnonzero(~known)
        if not len(new):
            return self
        return self._with_items(
            [ids[place] for place in new.tolist()],
            users[new],
            None if features is None else features[new],
            [given[place] for place in new.tolist()],
        )

    @property
    @abstractmethod
    def item_attributes(self) -> ItemAttributes | None:
        """The table of items that rules look at."""

    def _attribute_rows(self, attributes: Any, n_items: int) -> list[dict[str, Any]]:
        """Return the attributes of new items as the table of items keeps them."""
        if attributes is None:
            return [{}] * n_items
        table = self.item_attributes
        if table is None:
            raise ParameterError(
                "attributes need a table of items, and this model has none; attach one with with_item_table"
            )
        return table.read_rows(attributes, n_items)

    def _with_items(
        self, ids: list[Any], audiences: IndexLists, features: Any, attributes: list[dict[str, Any]]
    ) -> Self:
        items = self.fitted.fold_in_items(audiences, features)
        grown = self.fitted.with_items(ids, items, audiences)
        training = dict(grown.state.training)
        before = training.get("n_added_items")
        training["n_added_items"] = (before if isinstance(before, int) else 0) + len(ids)
        grown.state = replace(
            grown.state,
            training=training,
            checksum=None,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        model = type(self).__new__(type(self))
        model.config, model.index_recall, model._model = self.config, self.index_recall, grown
        model._items = None
        table = self.item_attributes
        if table is not None:
            model._items = table.of_size(grown.state.items.ids)
            model._items.put(np.arange(len(table), len(model._items)), attributes)
        return model
