"""``Recommender``: the public verbs of every recommender, whatever answers behind them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Unpack

from hashgnn._types import Array, Frame, Id, IdLists, Ids, OnUnknown
from hashgnn.answering.queries import EncodedEntities
from hashgnn.data import HistoryWeighting, InteractionsLike
from hashgnn.ranking import Matches
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.rules import RuleOptions


class Recommender(ABC):
    """Recommends items to users, in external ids.

    A second kind of recommender, such as an external engine, implements these verbs and passes the suite
    :class:`hashgnn.testing.recommender.RecommenderContract`. Every method may be called from many threads
    at the same time.
    """

    @property
    @abstractmethod
    def search_ways(self) -> tuple[str, ...]:
        """The search ways of this recommender."""

    @property
    @abstractmethod
    def user_ids(self) -> Array:
        """External ids of the users, in index order, shape (n_users,)."""

    @property
    @abstractmethod
    def item_ids(self) -> Array:
        """External ids of the items, in index order, shape (n_items,). Ties go to the item that comes first."""

    @abstractmethod
    def recommend(
        self,
        user_ids: Ids,
        k: int = 10,
        *,
        search: str = "hierarchical",
        filter_seen: bool = True,
        allow: Ids | IdLists | Mapping[Id, Ids] | None = None,
        block: Ids | IdLists | Mapping[Id, Ids] | None = None,
        since_training: InteractionsLike | None = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
        on_unknown: OnUnknown = "error",
        oversampling: int = 5,
        n_threads: int = 1,
        **rules: Unpack[RuleOptions],
    ) -> Recommendations:
        """Rank items for users.

        Parameters
        ----------
        user_ids : list of n ids
        k : int, default=10
            Results a user. More than there are items is cut to their number, with a warning.
        search : str, default="hierarchical"
            A search way of :attr:`search_ways`.
        filter_seen : bool, default=True
            Leave out what the user interacted with, in training or since.
        allow, block : list of item ids, list of n lists of item ids, or mapping of user to list, optional
            Only these items, or none of these; one list for all users, or one for each. Unknown ids in
            ``block`` are ignored; in ``allow`` they are an error with ``on_unknown="error"``, else ignored.
            A mapping for ``allow`` names every user; for ``block`` a user who is not in it has no list.
        since_training : Interactions or data frame, optional
            What users interacted with since the training. A user who is in it is folded in from all that is
            known of them. Unknown items are left out.
        history_weighting : HistoryWeighting or mapping, optional
            Fold such a user in from what is in ``since_training`` alone, the newest most: the last session, the
            last items, or all with weights that fall with their places or ages. It needs the times of
            ``since_training``. Users without anything there keep their trained code.
        on_unknown : {"error", "skip", "popular", "fold_in"}, default="error"
            A user who is not in the training data: raise, leave the row out, give the items that most users
            have interacted with, or fold in the interactions of ``since_training`` (popular items where
            there are none). The score of a popular item is the number of its users.
        oversampling : int, default=5
            Hierarchical search re-ranks ``k * oversampling`` candidates.
        n_threads : int, default=1
            Threads of the search over codes; products of floats use those of NumPy's BLAS.
        **rules
            ``where``, ``boost``, ``max_per``, ``diversity`` and ``now``: see :class:`hashgnn.rules.RuleOptions`.
            All but ``diversity`` need a table of items (:meth:`HashGNN.with_item_table`).

        Returns
        -------
        Recommendations
            One row a user, in the order of ``user_ids``. With rules, ``effects`` says what each of them did.

        Raises
        ------
        UnknownIdError
            If a user is unknown and ``on_unknown="error"``.
        ParameterError
            If another argument breaks its rule.

        Warns
        -----
        ResultWarning
            If nothing is left to recommend to some users, whose ``counts`` are 0, or ``k`` was cut.

        See Also
        --------
        recommend_for_history : For people who were not in training.
        hashgnn.recommender.HashGNN.recommend_all : For all users, into files.

        Examples
        --------
        >>> from hashgnn.testing.states import random_state
        >>> from hashgnn import HashGNN
        >>> model = HashGNN.from_state(random_state())
        >>> model.recommend(["u3", "u4"], k=5)
        Recommendations(n=2, k=5, results=10)
        """

    @abstractmethod
    def recommend_for_history(
        self,
        histories: IdLists,
        k: int = 10,
        *,
        user_features: Frame | None = None,
        timestamps: Any = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
        search: str = "hierarchical",
        filter_seen: bool = True,
        allow: Ids | IdLists | None = None,
        block: Ids | IdLists | None = None,
        on_unknown: OnUnknown = "error",
        oversampling: int = 5,
        n_threads: int = 1,
        **rules: Unpack[RuleOptions],
    ) -> Recommendations:
        """Rank items for users by what they have interacted with: fold-in, no retraining.

        Parameters
        ----------
        histories : list of n lists of item ids
        user_features : data frame of n rows, optional
            Side features of the same users, in the columns that the model was fitted with.
        timestamps : list of n lists of numbers, optional
            Seconds, one for each item, for ``history_weighting``. Without them a history is from the oldest item
            to the newest.
        history_weighting : HistoryWeighting or mapping, optional
            Which items of a history count, and how much: ``{"last_n": 20}``, ``{"position_half_life": 5}``,
            ``{"age_half_life": "7d"}``, ``{"session": "30m"}``. All items of a history are still seen.
        on_unknown : {"error", "skip", "popular", "fold_in"}, default="error"
            Items that are not in the training data: raise, or leave them out of the history. A history in
            which nothing is left is an error, left out of the answer, or gets popular items (the last two).
        k, search, filter_seen, allow, block, oversampling, n_threads, **rules
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

        See Also
        --------
        recommend : For users of the training data.
        fold_in_users : The codes and embeddings of histories.
        """

    @abstractmethod
    def similar_items(
        self,
        item_ids: Id | Ids,
        k: int = 10,
        *,
        search: str = "hierarchical",
        oversampling: int = 5,
        n_threads: int = 1,
        **rules: Unpack[RuleOptions],
    ) -> Recommendations:
        """Rank the items most similar to some items, which are themselves left out.

        No item bias is added, and floats are compared by cosine: popularity does not make items similar.

        Parameters
        ----------
        item_ids : an item id, or list of n ids
        k : int, default=10
        search : {"hamming", "asymmetric", "hierarchical", "float"}, default="hierarchical"
        oversampling, n_threads, **rules
            As in :meth:`recommend`.

        Returns
        -------
        Recommendations
            One row an item; a table of them has the columns ``item_id`` and ``similar_item_id``.

        Raises
        ------
        UnknownIdError
            If an item is unknown.

        Warns
        -----
        ResultWarning
            If ``k`` is larger than the number of items, to which it is cut.

        See Also
        --------
        similar_users : The same for users.
        """

    @abstractmethod
    def similar_users(
        self,
        user_ids: Id | Ids,
        k: int = 10,
        *,
        search: str = "hierarchical",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        """Rank the users most similar to some users; as :meth:`similar_items`."""

    @abstractmethod
    def encode(self, *, user_ids: Ids | None = None, item_ids: Ids | None = None) -> EncodedEntities:
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

    @abstractmethod
    def fold_in_users(
        self,
        histories: IdLists | None = None,
        *,
        user_features: Frame | None = None,
        timestamps: Any = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
    ) -> EncodedEntities:
        """Return codes and embeddings of new users from their items, their side features, or both.

        Parameters
        ----------
        histories : list of n lists of item ids, optional
        user_features : data frame of n rows, optional
        timestamps, history_weighting
            As for :meth:`recommend_for_history`.

        See Also
        --------
        recommend_for_history : Ranked items for histories.
        encode : The codes of known users and items.
        """

    @abstractmethod
    def fold_in_items(
        self, audiences: IdLists | None = None, *, item_features: Frame | None = None
    ) -> EncodedEntities:
        """Return codes, embeddings and bias of new items from their users, their side features, or both.

        The bias is that of trained items with as many users; without users it is the mean. It has the top of
        the trained ones, so that ``index.add(new.codes, new.bias)`` takes it.

        Parameters
        ----------
        audiences : list of n lists of user ids, optional
        item_features : data frame of n rows, optional

        See Also
        --------
        fold_in_users : The same for users.
        hashgnn.index.MutableIndex.add : Puts new codes into an index.
        """

    @abstractmethod
    def search_block(
        self, user_index: Array, search: str, k: int = 10, *, oversampling: int = 5, n_threads: int = 1
    ) -> Matches:
        """Return the best unseen items of some users as positions: the answer of :meth:`recommend` without ids.

        Parameters
        ----------
        user_index : ndarray of shape (b,), int64
            Positions in :attr:`user_ids`.
        search : str
        k, oversampling, n_threads : int
            As in :meth:`recommend`.
        """

    @abstractmethod
    def bytes_per_item(self, search: str) -> float:
        """Return how many bytes of each item a search way reads: code, bias, float32 embedding."""
