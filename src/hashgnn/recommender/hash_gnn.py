"""``HashGNN``: what users hold."""

from __future__ import annotations

from typing import Any

from hashgnn._types import Array
from hashgnn.errors import ParameterError
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.ranking import Matches
from hashgnn.recommender.encoded import Encoded
from hashgnn.recommender.learned import Learned
from hashgnn.recommender.recommendations import Recommendations


class HashGNN(Learned):
    """A recommender that finds items by learned hash codes.

    The settings are checked here, before any data is read. A fitted model is never changed: every method
    but :meth:`fit` may be called from many threads at once. Only :meth:`fit` and :meth:`update` import torch.

    Every method that ranks takes a *search way*:

    ============== ==================================================== ==============================
    way            score                                                reads of an item, 128 bits
    ============== ==================================================== ==============================
    hamming        n_bits - 2 * distance of the codes                   16 bytes
    biased         the same + the item bias                             17 bytes
    asymmetric     float query (what the bits are the signs of, each    17 bytes
                   over its spread, as long as a code, in sixteen
                   levels) · signs of the item code + item bias
    hierarchical   the best ``k * oversampling`` by biased code          17 bytes; floats of those few
                   (hamming, where there is no bias), re-ranked by
                   the inner product of the embeddings
    float          inner product of the embeddings, over all items      4 bytes a dimension
    ============== ==================================================== ==============================

    ``hierarchical`` is the default: it keeps nearly all of the quality of ``float`` at nearly the cost of
    ``biased``. Ties go to the item that comes first in ``item_ids``.

    Parameters
    ----------
    n_bits : int or None, default=None
        Width of a code, a positive multiple of 8; ``None`` is the recipe's.
    recipe : str or Path, default="default"
        ``"default"``, ``"paper"``, ``"authors"``, or a TOML file.
    **settings
        Settings of :class:`~hashgnn.config.ModelConfig` that replace the recipe's. A section is a config
        object, a mapping or a name, as in ``encoder={"name": "gat", "heads": 2}, optimizer={"epochs": 5}``.

    Attributes
    ----------
    config : ModelConfig
    state_ : ModelState
        What was fitted or loaded.

    Raises
    ------
    ParameterError
        If the recipe or a setting is unknown, a setting does not apply, or a value breaks its rule.
    """

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The search ways of this model; ``biased`` is among them if it has an item bias."""
        return self._model.items_for_users.ways

    @property
    def item_index(self) -> HammingIndex | InvertedFile:
        """The index over the items' codes that searches use, built when it is first asked for.

        It is shared with the model, which stays as it is: do not add to it, make one of your own.
        """
        return self._model.item_index

    def recommend(
        self,
        user_ids: Any,
        k: int = 10,
        *,
        search: str = "hierarchical",
        filter_seen: bool = True,
        allow: Any = None,
        block: Any = None,
        on_unknown: str = "error",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        """Rank items for users of the training data.

        Parameters
        ----------
        user_ids : list of n ids
        k : int, default=10
            Results a user, at most the number of items.
        search : str, default="hierarchical"
            A search way of :attr:`search_ways`.
        filter_seen : bool, default=True
            Leave out what the user interacted with in training.
        allow, block : list of item ids, or list of n lists of item ids, optional
            Only these items, or none of these; one list for all users, or one for each. Ids in ``block`` that
            the model does not know are ignored; in ``allow`` they are an error unless ``on_unknown`` differs.
        on_unknown : {"error", "skip", "popular"}, default="error"
            A user who is not in the training data: raise, leave the row out, or give the items that most
            users have interacted with, the score being the number of those users.
        oversampling : int, default=5
            Hierarchical search re-ranks ``k * oversampling`` candidates.
        n_threads : int, default=1
            Threads of the search over codes; products of floats use those of NumPy's BLAS.

        Returns
        -------
        Recommendations
            One row a user, in the order asked.

        Raises
        ------
        UnknownIdError
            If a user is unknown and ``on_unknown="error"``.
        ParameterError
            If another argument breaks its rule.

        Warns
        -----
        ResultWarning
            If nothing is left to recommend to some users; their ``counts`` are 0.
        """
        model = self._model
        options = model.items_for_users.options(k, search, oversampling, n_threads)
        rows = model.rows_of_users(user_ids, on_unknown)
        return model.answer(rows, options, filter_seen, allow, block, strict=on_unknown == "error")

    def recommend_for_history(
        self,
        histories: Any,
        k: int = 10,
        *,
        user_features: Any = None,
        search: str = "hierarchical",
        filter_seen: bool = True,
        allow: Any = None,
        block: Any = None,
        on_unknown: str = "error",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        """Rank items for users by what they have interacted with: fold-in, no retraining.

        Parameters
        ----------
        histories : list of n lists of item ids
        user_features : data frame of n rows, optional
            Side features of the same users, in the columns that the model was fitted with.
        on_unknown : {"error", "skip", "popular"}, default="error"
            Items that are not in the training data: raise, or leave them out of the history. A history in
            which nothing is left is an error, left out of the answer, or gets popular items.
        k, search, filter_seen, allow, block, oversampling, n_threads
            As in :meth:`recommend`.

        Returns
        -------
        Recommendations
            ``query_ids`` are the places of the rows in ``histories``; in a table, the column ``history``.

        Raises
        ------
        UnknownIdError
            If an item is unknown and ``on_unknown="error"``.
        ParameterError
            If a history is empty and ``on_unknown="error"``, or another argument breaks its rule.
        """
        model = self._model
        options = model.items_for_users.options(k, search, oversampling, n_threads)
        rows = model.rows_of_histories(histories, on_unknown, user_features)
        return model.answer(rows, options, filter_seen, allow, block, strict=on_unknown == "error")

    def similar_items(
        self,
        item_ids: Any,
        k: int = 10,
        *,
        search: str = "hierarchical",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        """Rank the items most alike to some items, which are themselves left out.

        No item bias is added, and floats are compared by cosine: popularity does not make things alike.

        Parameters
        ----------
        item_ids : an item id, or list of n ids
        k : int, default=10
        search : {"hamming", "asymmetric", "hierarchical", "float"}, default="hierarchical"
        oversampling, n_threads
            As in :meth:`recommend`.

        Returns
        -------
        Recommendations
            One row an item; a table of them has the columns ``item_id`` and ``similar_item_id``.

        Raises
        ------
        UnknownIdError
            If an item is unknown.
        """
        return self._model.similar("item", item_ids, k, search, oversampling, n_threads)

    def similar_users(
        self,
        user_ids: Any,
        k: int = 10,
        *,
        search: str = "hierarchical",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        """Rank the users most alike to some users; as :meth:`similar_items`."""
        return self._model.similar("user", user_ids, k, search, oversampling, n_threads)

    def encode(self, *, user_ids: Any = None, item_ids: Any = None) -> Encoded:
        """Return the codes and embeddings of users or of items of the training data.

        Parameters
        ----------
        user_ids, item_ids : list of n ids
            One of the two.

        Raises
        ------
        UnknownIdError
            If an id is unknown; see :meth:`fold_in_users` and :meth:`fold_in_items`.
        """
        if (user_ids is None) == (item_ids is None):
            raise ParameterError("encode needs either user_ids or item_ids, got both or none")
        side = "item" if user_ids is None else "user"
        return self._model.encode(side, item_ids if user_ids is None else user_ids)

    def fold_in_users(self, histories: Any, *, user_features: Any = None) -> Encoded:
        """Return codes and embeddings of new users from the items they interacted with.

        Parameters
        ----------
        histories : list of n lists of item ids
            An empty list leaves the side features alone to speak.
        user_features : data frame of n rows, optional
        """
        return self._model.fold_in("user", histories, user_features)

    def fold_in_items(self, audiences: Any = None, *, item_features: Any = None) -> Encoded:
        """Return codes, embeddings and bias of new items from their users, their side features, or both.

        The bias is that of trained items with as many users; without users it is the mean. It has the top of
        the trained ones, so that ``index.add(new.codes, new.bias)`` takes it.

        Parameters
        ----------
        audiences : list of n lists of user ids, optional
        item_features : data frame of n rows, optional
        """
        return self._model.fold_in("item", audiences, item_features)

    def score_block(self, user_index: Array, search: str, k: int = 10, *, oversampling: int = 5) -> Array:
        """Return the score of every item for some users, for evaluation.

        Parameters
        ----------
        user_index : ndarray of shape (b,), int64
            Internal indices.
        search : str
        k, oversampling : int
            Hierarchical search scores the best ``k * oversampling`` unseen items by code, and no others.

        Returns
        -------
        ndarray of shape (b, n_items), float32
            Higher is better, -inf where an item is no candidate. Seen items are scored like others, except
            by hierarchical search.
        """
        return self._model.score_block(user_index, search, k, oversampling)

    def search_block(
        self, user_index: Array, search: str, k: int = 10, *, oversampling: int = 5, n_threads: int = 1
    ) -> Matches:
        """Return the best unseen items of some users as positions: what :meth:`recommend` does inside.

        Returns
        -------
        Matches
            ``positions`` (b, k) int64, ``scores`` (b, k) float32 and ``counts`` (b,) int64.
        """
        return self._model.search_block(user_index, search, k, oversampling, n_threads)

    def bytes_per_item(self, search: str) -> float:
        """Return how many bytes of each item a search way needs: code, bias, float32 embedding."""
        return self._model.items_for_users.bytes_per_entry(search)
