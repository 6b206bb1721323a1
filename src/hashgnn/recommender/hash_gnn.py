"""``HashGNN``: the recommender that finds items by learned hash codes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np

from hashgnn._addresses import address_of, path_of
from hashgnn._checks import quote_some
from hashgnn._types import Array, Frame, Id, IdLists, Ids, OnUnknown
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.answering.queries import (
    EncodedEntities,
    Queries,
    RecentInteractions,
    choice_of_ids,
    items_of_interactions,
    lists_by_user,
    lists_of_ids,
    weights_of_histories,
)
from hashgnn.answering.ruled_search import RuleEffects, recommend_with_rules, similar_items_with_rules
from hashgnn.answering.search_ways import SearchOptions
from hashgnn.data import (
    HistoryWeighting,
    InteractionsLike,
    Weighting,
)
from hashgnn.data.features import feature_columns
from hashgnn.data.id_lists import as_list
from hashgnn.engines import EngineIndex
from hashgnn.errors import NotFittedError, ParameterError, ResultWarning
from hashgnn.index import HammingIndex, InvertedFile
from hashgnn.ranking import CandidateFilter, Matches
from hashgnn.recommender._notebook import model_html
from hashgnn.recommender.base import Recommender
from hashgnn.recommender.batch_verbs import BatchVerbs
from hashgnn.recommender.explain_verb import ExplainVerb
from hashgnn.recommender.export_verbs import ExportVerbs
from hashgnn.recommender.fresh_items import FreshItems
from hashgnn.recommender.item_table_verbs import ItemTableVerbs
from hashgnn.recommender.parameters import Parameters
from hashgnn.recommender.recommendations import Recommendations
from hashgnn.recommender.training_verbs import TrainingVerbs
from hashgnn.rules import ItemAttributes, RuleOptions, Rules
from hashgnn.state import ModelState, load_state, save_state


class HashGNN(
    ItemTableVerbs, TrainingVerbs, BatchVerbs, ExplainVerb, ExportVerbs, FreshItems, Parameters, Recommender
):
    """A recommender that finds items by learned hash codes.

    The settings are checked here, before any data is read. A fitted model is never changed: every method
    but :meth:`fit` may be called from many threads at once. Only :meth:`fit` and :meth:`update` import torch.

    Every method that ranks takes a *search way*:

    ============== ==================================================== ==============================
    way            score                                                reads of an item, 128 bits
    ============== ==================================================== ==============================
    hamming        n_bits - 2 * distance of the codes                   16 bytes
    biased         the same + the item bias                             17 bytes
    asymmetric     float query (the activations of the hash layer,      17 bytes
                   normalised per bit, scaled to the norm of a code
                   and quantised to 4 bits) · signs of the item code
                   + item bias
    hierarchical   the best ``k * oversampling`` by biased code          17 bytes; floats of those few
                   (hamming, where there is no bias), re-ranked by
                   the inner product of the embeddings
    float          inner product of the embeddings, over all items      4 bytes per dimension
    ============== ==================================================== ==============================

    ``hierarchical`` is the default: it keeps nearly all of the quality of ``float`` at nearly the cost of
    ``biased``. Ties go to the item that comes first in ``item_ids``.

    Parameters
    ----------
    n_bits : int or None, default=None
        Width of a code, a positive multiple of 8; ``None`` is the recipe's.
    recipe : str or Path, default="default"
        ``"default"``, ``"paper"``, ``"authors"``, or a TOML file.
    index_recall : float, default=1.0
        Share of the exact best items by code that a search shall find, in ``(0, 1]``. Below 1, more than half
        a million items are put into lists after :meth:`fit` or before :meth:`save`, and a search reads the
        nearest of them (:func:`hashgnn.index.build_index`).
    **settings
        Settings of :class:`~hashgnn.config.ModelConfig` that replace the recipe's. A section is a config
        object, a mapping or a name, as in ``encoder={"name": "gat", "heads": 2}, optimizer={"epochs": 5}``.

    Attributes
    ----------
    config : ModelConfig
        Of the next :meth:`fit`.
    state_ : ModelState
        The fitted or loaded state.

    Raises
    ------
    ParameterError
        If the recipe or a setting is unknown, a setting does not apply, or a value breaks its rule.

    See Also
    --------
    hashgnn.evaluate : How good a fitted model is.
    hashgnn.load_recipe : The settings that a recipe stands for.
    hashgnn.baselines.fit_baseline : Models without codes, to compare with.
    """

    def __init__(
        self,
        n_bits: int | None = None,
        recipe: str | Path = "default",
        *,
        index_recall: float = 1.0,
        **settings: Any,
    ) -> None:
        self._params = {"n_bits": n_bits, "recipe": recipe, "index_recall": index_recall}
        self.set_params(**settings)
        self._model: FittedModel | None = None
        self._items: ItemAttributes | None = None

    @classmethod
    def from_state(
        cls,
        state: ModelState,
        *,
        index_recall: float | None = None,
        bytes_per_item: float | None = None,
        engine: str | None = None,
    ) -> Self:
        """Return a model that holds a state made elsewhere; the other arguments are those of :meth:`load`."""
        model = cls.__new__(cls)
        model.config = state.config
        opened = None if engine is None else EngineIndex.open(engine, state.checksum)
        model._model = FittedModel(state, index_recall, opened, bytes_per_item)
        model.index_recall = model._model.index_recall
        model._items = None
        return model

    def save(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        license: str | None = None,
        card_notes: str | None = None,
    ) -> None:
        """Write the model and its item index to a folder, which appears whole or not at all.

        The index is made first where it was not yet: with ``index_recall`` below 1, lists of many items are
        clustered and tuned here, and not when the model is loaded.

        Parameters
        ----------
        path : str or Path
            A folder, or an address such as ``s3://bucket/models/v1`` (extra ``cloud``). At an address the files
            are uploaded aside and the manifest comes last.
        overwrite : bool, default=False
            Replace a saved model at ``path``. A folder that is something else is never replaced.
        license, card_notes : str, optional
            Licence of the model, and Markdown notes, for the file ``model_card.md``; ``None`` keeps those that
            the model was loaded with.

        Raises
        ------
        ArtifactError
            If something that may not be replaced stands at ``path``.
        ParameterError
            If ``license`` or ``card_notes`` is too long or no plain text.
        StorageError
            If writing failed, as on a full disk; ``path`` is as it was.
        """
        items = self.item_attributes
        write = None if items is None else items.save
        state = self._with_texts(self.fitted.indexed_state, license, card_notes)
        save_state(state, path, overwrite=overwrite, more=write)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        mmap: bool = True,
        verify: bool = False,
        index_recall: float | None = None,
        bytes_per_item: float | None = None,
        engine: str | None = None,
        cache_dir: str | Path | None = None,
    ) -> Self:
        """Open a saved model; torch is not needed.

        Parameters
        ----------
        path : str or Path
            A folder, or an address such as ``s3://bucket/models/v1`` or ``https://…`` (extra ``cloud``), whose
            files are copied to the cache and compared with their checksums.
        mmap : bool, default=True
            Leave the arrays on disk, shared between processes, until they are used.
        verify : bool, default=False
            Compare the checksum of every file, which reads them all. ``False`` compares the checksum of the
            manifest and the sizes of the files.
        index_recall : float, optional
            Share of the exact best items by code that a search shall find, in ``(0, 1]``. ``None`` is what
            the model was saved with. Another value builds an index when it is first searched; below 1, more
            than half a million items are put into lists, which takes seconds
            (:func:`hashgnn.index.build_index`).
        bytes_per_item : float, optional
            Memory that hierarchical search for users may take. Items are then ranked by rows of 2, 3, 4 or 8 bits an
            entry, which take what codes leave of it, and floats stay on disk: they rank the last few where the
            rows alone do not find ``index_recall`` of what floats would. ``None`` is what the model was saved
            with. Another value rounds every embedding when it is first searched
            (:func:`hashgnn.index.hierarchical_within`).
        engine : str, optional
            URL of an engine that holds the items of this very version, such as
            ``postgresql://host/db?table=items`` (:func:`hashgnn.engines.export_model`). It then answers what is
            searched by codes: ``hamming``, ``biased``, and the candidates of ``hierarchical``.
        cache_dir : str or Path, optional
            Where a model at an address is copied to; ``None`` takes ``HASHGNN_CACHE``, else the user's cache
            folder. A model that is there already, by the checksum of its manifest, is not copied again.

        Raises
        ------
        ParameterError
            If ``index_recall`` or ``bytes_per_item`` is out of its range.
        ArtifactError
            If the folder is missing, is not a saved model, was damaged or edited, or is of a later version.
        EngineError
            If the engine cannot be reached, or does not hold all of this version.
        """
        state = load_state(path, mmap=mmap, verify=verify, cache_dir=cache_dir)
        model = cls.from_state(state, index_recall=index_recall, bytes_per_item=bytes_per_item, engine=engine)
        model._path = address_of(path) or path_of(path).absolute()
        return model

    @property
    def fitted(self) -> FittedModel:
        """The model in internal indices, which answers.

        Raises
        ------
        NotFittedError
            If neither :meth:`fit` nor :meth:`load` was called.
        """
        if self._model is None:
            raise NotFittedError("HashGNN is not fitted; call fit() or load() first")
        return self._model

    @property
    def state_(self) -> ModelState:
        """The fitted or loaded state."""
        return self.fitted.state

    @property
    def user_ids(self) -> Array:
        """External ids of the users of the training data, in index order, shape (n_users,)."""
        return self.state_.users.ids.ids

    @property
    def item_ids(self) -> Array:
        """External ids of the items of the training data, in index order, shape (n_items,)."""
        return self.state_.items.ids.ids

    @property
    def weighting(self) -> Weighting | None:
        """The weights of events and ages in the training data; ``None`` where neither counted.

        It weighs other interactions the same: ``read_interactions(path, weighting=model.weighting)``.
        """
        return self.state_.weighting

    @property
    def search_ways(self) -> tuple[str, ...]:
        """The search ways of this model; ``biased`` is among them if it has an item bias."""
        return self.fitted.items_for_users.names

    @property
    def item_index(self) -> HammingIndex | InvertedFile:
        """The index over the items' codes that searches use.

        It is shared with the model, which stays as it is: do not add to it, make one of your own.
        """
        return self.fitted.item_index

    @property
    def engine_index(self) -> EngineIndex | None:
        """The index in an engine that searches by code use; None without ``engine``."""
        return self.fitted.engine_index

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
        fitted, state = self.fitted, self.state_
        options = fitted.items_for_users.options(k, search, oversampling, n_threads)
        users = state.users.ids.read(as_list("user_ids", user_ids), "user ids")
        remedy = 'pass on_unknown="skip" or use recommend_for_history' if on_unknown == "error" else None
        index = state.users.ids.look_up(users, "user ids", remedy=remedy)
        new = None
        if since_training is not None:
            new = items_of_interactions(state.users.ids, state.items.ids, users, since_training)
        weighting, recent = HistoryWeighting.of(history_weighting), None
        if weighting is not None:
            recent = RecentInteractions(state.users.ids, state.items.ids, since_training, weighting).weights(
                users
            )
        queries = fitted.queries_of_users(index, since_training=new, recent=recent, on_unknown=on_unknown)
        if isinstance(allow, Mapping):
            allow = lists_by_user(state.users.ids, "allow", allow, users, may_miss=False)
        if isinstance(block, Mapping):
            block = lists_by_user(state.users.ids, "block", block, users, may_miss=True)
        candidates = self._candidates(queries, filter_seen, allow, block, on_unknown)
        found, effects = self._ranked(queries, options, candidates, rules)
        query_ids = state.users.ids.as_array([users[place] for place in queries.places])
        _warn_of_empty_rows(found, query_ids)
        return Recommendations.from_matches(found, query_ids, state.items.ids, effects=effects)

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
        fitted, state = self.fitted, self.state_
        options = fitted.items_for_users.options(k, search, oversampling, n_threads)
        rows = as_list("histories", histories, of_lists=True)
        features = feature_columns("user_features", state.users.features, user_features, rows)
        remedy = 'pass on_unknown="skip" to leave them out' if on_unknown == "error" else None
        lists = lists_of_ids(state.items.ids, "item ids", "histories", rows, remedy=remedy)
        weighting = HistoryWeighting.of(history_weighting)
        weights = weights_of_histories(state.items.ids, rows, timestamps, weighting)
        queries = fitted.queries_of_histories(
            lists, features=features, weights=weights, on_unknown=on_unknown
        )
        candidates = self._candidates(queries, filter_seen, allow, block, on_unknown)
        found, effects = self._ranked(queries, options, candidates, rules)
        _warn_of_empty_rows(found, queries.places)
        columns = ("history", "item_id")
        return Recommendations.from_matches(found, queries.places, state.items.ids, columns, effects)

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
        ids = self.state_.items.ids
        options = self.fitted.items_for_items.options(k, search, oversampling, n_threads)
        items = ids.as_list("item_ids", item_ids)
        index = ids.look_up(items, "item ids", remedy="similar_items knows those of the training data only")
        columns, effects = ("item_id", "similar_item_id"), None
        wanted = Rules.read(**rules)
        if wanted.is_empty:
            found = self.fitted.similar_items(index, options)
        else:
            bound = wanted.bind(self.item_attributes, len(ids))
            found, effects = similar_items_with_rules(self.fitted, index, options, bound)
        return Recommendations.from_matches(found, ids.as_array(items), ids, columns, effects)

    def similar_users(
        self,
        user_ids: Id | Ids,
        k: int = 10,
        *,
        search: str = "hierarchical",
        oversampling: int = 5,
        n_threads: int = 1,
    ) -> Recommendations:
        ids = self.state_.users.ids
        options = self.fitted.users_for_users.options(k, search, oversampling, n_threads)
        users = ids.as_list("user_ids", user_ids)
        index = ids.look_up(users, "user ids", remedy="similar_users knows those of the training data only")
        found = self.fitted.similar_users(index, options)
        columns = ("user_id", "similar_user_id")
        return Recommendations.from_matches(found, ids.as_array(users), ids, columns)

    def encode(self, *, user_ids: Ids | None = None, item_ids: Ids | None = None) -> EncodedEntities:
        users, items = self.state_.users, self.state_.items
        if user_ids is not None and item_ids is None:
            listed = as_list("user_ids", user_ids)
            index = users.ids.look_up(listed, "user ids", remedy="use fold_in_users for new ones")
            return EncodedEntities.of(users, index)
        if item_ids is not None and user_ids is None:
            listed = as_list("item_ids", item_ids)
            index = items.ids.look_up(listed, "item ids", remedy="use fold_in_items for new ones")
            return EncodedEntities.of(items, index)
        raise ParameterError("encode needs either user_ids or item_ids, got both or none")

    def fold_in_users(
        self,
        histories: IdLists | None = None,
        *,
        user_features: Frame | None = None,
        timestamps: Any = None,
        history_weighting: HistoryWeighting | Mapping[str, Any] | None = None,
    ) -> EncodedEntities:
        state = self.state_
        if histories is None and user_features is None:
            raise ParameterError("fold_in_users needs histories or user_features, got neither")
        weighting = HistoryWeighting.of(history_weighting)
        if histories is None and (weighting is not None or timestamps is not None):
            raise ParameterError("history_weighting and timestamps need histories, got none")
        rows = None if histories is None else as_list("histories", histories, of_lists=True)
        features = feature_columns("user_features", state.users.features, user_features, rows)
        if rows is None and features is not None:
            rows = [[]] * features.shape[0]
        remedy = "fold-in needs items of the training data"
        lists = lists_of_ids(state.items.ids, "item ids", "histories", rows or [], remedy=remedy)
        weights = weights_of_histories(state.items.ids, rows or [], timestamps, weighting)
        return self.fitted.fold_in_users(lists, features, weights)

    def fold_in_items(
        self, audiences: IdLists | None = None, *, item_features: Frame | None = None
    ) -> EncodedEntities:
        state = self.state_
        if audiences is None and item_features is None:
            raise ParameterError("fold_in_items needs audiences or item_features, got neither")
        rows = None if audiences is None else as_list("audiences", audiences, of_lists=True)
        features = feature_columns("item_features", state.items.features, item_features, rows)
        if rows is None and features is not None:
            rows = [[]] * features.shape[0]
        remedy = "fold-in needs users of the training data"
        lists = lists_of_ids(state.users.ids, "user ids", "audiences", rows or [], remedy=remedy)
        return self.fitted.fold_in_items(lists, features)

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
        ways = self.fitted.items_for_users
        options = ways.options(k, search, oversampling)
        queries = self._queries_of_index(user_index)
        candidates = CandidateFilter(block_per_query=queries.seen if search == "hierarchical" else None)
        return ways.scores(queries.entities, options, candidates)

    def search_block(
        self, user_index: Array, search: str, k: int = 10, *, oversampling: int = 5, n_threads: int = 1
    ) -> Matches:
        options = self.fitted.items_for_users.options(k, search, oversampling, n_threads)
        queries = self._queries_of_index(user_index)
        return self.fitted.recommend(queries, options, CandidateFilter(block_per_query=queries.seen))

    def bytes_per_item(self, search: str) -> float:
        return self.fitted.items_for_users.bytes_per_item(search)

    def __sklearn_is_fitted__(self) -> bool:
        return self._model is not None

    def __repr__(self) -> str:
        config, fitted = self.config, "not fitted"
        if self._model is not None:
            config, fitted = self.state_.config, f"{self.state_.n_users} users, {self.state_.n_items} items"
        return f"HashGNN(n_bits={config.n_bits}, encoder={config.encoder.name!r}, {fitted})"

    def _repr_html_(self) -> str:
        return model_html(self.config, self._model)

    def _candidates(
        self,
        queries: Queries,
        filter_seen: bool,
        allow: Ids | IdLists | None,
        block: Ids | IdLists | None,
        on_unknown: OnUnknown,
    ) -> CandidateFilter:
        ids, n = self.state_.items.ids, queries.n_requested
        remedy = "remove them from allow, or pass another on_unknown" if on_unknown == "error" else None
        return queries.candidates(
            len(ids),
            filter_seen=filter_seen,
            allow=choice_of_ids(ids, "allow", allow, n, remedy=remedy),
            block=choice_of_ids(ids, "block", block, n, remedy=None),
        )

    def _ranked(
        self, queries: Queries, options: SearchOptions, candidates: CandidateFilter, rules: RuleOptions
    ) -> tuple[Matches, RuleEffects | None]:
        """Rank items under rules, if there are any."""
        wanted = Rules.read(**rules)
        if wanted.is_empty:
            return self.fitted.recommend(queries, options, candidates), None
        bound = wanted.bind(self.item_attributes, self.state_.n_items)
        return recommend_with_rules(self.fitted, queries, options, candidates, bound)

    def _queries_of_index(self, user_index: Array) -> Queries:
        index = np.asarray(user_index)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise ParameterError(
                f"user_index must be a 1-d array of integers, got {index.dtype} {index.shape}"
            )
        n_users = self.state_.n_users
        if index.size and not 0 <= index.min() <= index.max() < n_users:
            raise ParameterError(f"user_index must be in [0, {n_users}), got others")
        return self.fitted.queries_of_users(index.astype(np.int64, copy=False))


def _warn_of_empty_rows(found: Matches, query_ids: Array) -> None:
    if not found.counts.all():
        without = query_ids[found.counts == 0].tolist()
        warnings.warn(
            f"{len(without)} of {len(query_ids)} users have no item left to recommend: "
            f"{quote_some(without)}; their counts are 0",
            ResultWarning,
            stacklevel=3,
        )
