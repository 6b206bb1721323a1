"""``ExplainVerb``: the verb of a model that says why an item is recommended to a user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn._types import Frame, Id, Ids, OnUnknown
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import Queries, items_of_interactions, lists_of_ids
from hashgnn.answering.reasons import Reasons, note_of, reasons_of
from hashgnn.data import IdMap, InteractionsLike
from hashgnn.data.features import feature_columns
from hashgnn.errors import ParameterError
from hashgnn.recommender.explanation import Explanation

MAX_REASONS = 1000


class ExplainVerb(ABC):
    """The verb of a model that explains its scores."""

    @property
    @abstractmethod
    def fitted(self) -> FittedModel:
        """The model in internal indices."""

    def explain(
        self,
        user_or_history: Id | Ids,
        item_ids: Id | Ids,
        reasons: int = 3,
        *,
        search: str = "hierarchical",
        since_training: InteractionsLike | None = None,
        user_features: Frame | None = None,
        on_unknown: OnUnknown = "error",
    ) -> Explanation:
        """Say which items of a user's history an item is recommended because of.

        By the encoder ``history`` a user is a sum over the items of the history, and so is a score: each of them has
        a part of it, and the parts and a rest add up to it exactly. The same holds for users that the rules
        ``lightgcn``, ``mf``, ``gcn`` and ``gat`` of one layer fold in. In all other cases the score is no such sum,
        and the result has the items of the history most similar to the item instead, and says so.

        Parameters
        ----------
        user_or_history : an id, or a list of item ids
            A user of the model, or what anybody has interacted with.
        item_ids : an item id, or list of n ids
        reasons : int, default=3
            Reasons of each item; fewer where the history is shorter.
        search : str, default="hierarchical"
            The search way whose scores are explained. By codes a bit counts for those items of the history that
            pulled it the way it went.
        since_training : Interactions or data frame, optional
            As for :meth:`recommend`, for a user.
        user_features : data frame of one row, optional
            As for :meth:`recommend_for_history`, for a history.
        on_unknown : {"error", "skip", "popular", "fold_in"}, default="error"
            As for :meth:`recommend` and :meth:`recommend_for_history`. A user who is skipped has an empty result.

        Returns
        -------
        Explanation

        Raises
        ------
        UnknownIdError
            If an item, or with ``on_unknown="error"`` the user or an item of the history, is unknown.
        ParameterError
            If another argument breaks its rule.

        Examples
        --------
        >>> from hashgnn import HashGNN
        >>> from hashgnn.testing.states import random_state
        >>> model = HashGNN.from_state(random_state())
        >>> found = model.explain(["i1", "i2"], "i4")
        >>> bool(abs(found.values.sum() + found.others[0] + found.rest[0] - found.scores[0]) < 1e-6)
        True
        """
        state = self.fitted.state
        check_int("reasons", reasons, minimum=1, maximum=MAX_REASONS)
        items = state.items.ids.as_list("item_ids", item_ids)
        index = state.items.ids.look_up(
            items, "item ids", remedy="explain knows those of the training data only"
        )
        query_id, user = None, -1
        if _is_history(state.users.ids, user_or_history):
            if since_training is not None:
                raise ParameterError("since_training must be None with a history, which says everything")
            queries = self._queries_of_history(user_or_history, user_features, on_unknown)
        else:
            if user_features is not None:
                raise ParameterError("user_features must be None with a user id; pass them with a history")
            query_id, user, queries = self._queries_of_user(user_or_history, since_training, on_unknown)
        if not len(queries):
            found = _nothing()
        else:
            found = reasons_of(self.fitted, queries, 0, index, search, user_index=user)
        return Explanation.from_reasons(
            found,
            reasons,
            state.items.ids,
            query_id=query_id,
            search=search,
            note=note_of(self.fitted, found),
        )

    def _queries_of_user(
        self, user: Any, since_training: InteractionsLike | None, on_unknown: OnUnknown
    ) -> tuple[Any, int, Queries]:
        """Return the user's id, place and row."""
        users, items = self.fitted.state.users.ids, self.fitted.state.items.ids
        named = users.read([user], "user ids")
        remedy = "pass a list of item ids to explain a history" if on_unknown == "error" else None
        index = users.look_up(named, "user ids", remedy=remedy)
        new = None
        if since_training is not None:
            new = items_of_interactions(users, items, named, since_training)
        queries = self.fitted.queries_of_users(index, since_training=new, on_unknown=on_unknown)
        return named[0], int(index[0]), queries

    def _queries_of_history(
        self, history: Any, user_features: Frame | None, on_unknown: OnUnknown
    ) -> Queries:
        state = self.fitted.state
        rows = [history]
        features = feature_columns("user_features", state.users.features, user_features, rows)
        remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
        lists = lists_of_ids(state.items.ids, "item ids", "histories", rows, remedy=remedy)
        return self.fitted.queries_of_histories(lists, features=features, on_unknown=on_unknown)


def _is_history(users: IdMap, value: Any) -> bool:
    """Say whether a value is a list of items; a tuple is an id where those of users may be tuples."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return False
    return not (isinstance(value, tuple) and users.kind in ("tuple", "other"))


def _nothing() -> Reasons:
    none = np.zeros(0, np.int64)
    return Reasons("popularity", none, np.zeros(0), none, np.zeros((0, 0)), np.zeros(0))
