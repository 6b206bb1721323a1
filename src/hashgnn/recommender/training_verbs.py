"""``TrainingVerbs``: a model that learns from interactions, at first and again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hashgnn._extras import require
from hashgnn._rng import RngLike, as_seed
from hashgnn.answering.fitted_model import FittedModel
from hashgnn.config import ModelConfig
from hashgnn.data import Deletions, InteractionsLike, SideFeatures, Weighting, as_interactions
from hashgnn.errors import ParameterError
from hashgnn.rules import ItemAttributes
from hashgnn.runs import Callback, RunOptions
from hashgnn.state import ModelState


class TrainingVerbs(ABC):
    """The verbs of a model that train; torch is imported when one is called."""

    config: ModelConfig
    index_recall: float
    _model: FittedModel | None
    _items: ItemAttributes | None
    _has_own_table: bool

    @classmethod
    @abstractmethod
    def from_state(
        cls,
        state: ModelState,
        *,
        index_recall: float | None = None,
        bytes_per_item: float | None = None,
        engine: str | None = None,
    ) -> Self:
        """Return a model that holds a state made elsewhere."""

    @property
    @abstractmethod
    def state_(self) -> ModelState:
        """The fitted or loaded state."""

    @property
    @abstractmethod
    def weighting(self) -> Weighting | None:
        """Weights of event types and ages in the training."""

    @property
    @abstractmethod
    def item_attributes(self) -> ItemAttributes | None:
        """The table of items that rules look at."""

    def fit(
        self,
        train: InteractionsLike,
        y: None = None,
        *,
        valid: InteractionsLike | None = None,
        user_features: SideFeatures | None = None,
        item_features: SideFeatures | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        rng: RngLike = None,
        progress: bool | None = None,
        checkpoint_dir: str | Path | None = None,
        resume: bool = False,
        log_path: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        engine: str = "local",
        n_workers: int | None = None,
        address: str | None = None,
        shard_from: int = 10_000,
    ) -> Self:
        """Learn codes and embeddings from interactions; this object changes.

        :meth:`update` goes on from a fitted model and returns another.

        Parameters
        ----------
        train : Interactions, data frame or sparse matrix
            A frame has the columns ``user_id`` and ``item_id`` and may have ``weight`` and ``timestamp``.
            Interactions of more weight count more: see :func:`hashgnn.training.train`.
        y : None
            There is no target; pipelines of scikit-learn pass it.
        valid : the same, optional
            Held-out interactions of the same users, for early stopping; ``None`` cuts
            ``config.validation.share`` from the training data.
        user_features, item_features : SideFeatures, optional
        device : str, default="auto"
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        n_threads : int, optional
            Threads of torch on the CPU; ``None`` takes as many as the size of a step can use
            (:class:`~hashgnn.runs.RunOptions`).
        rng : int, numpy Generator or None
            With the same seed, device and thread count, two fits are equal.
        progress : bool, optional
            ``False`` prints nothing; otherwise stderr gets a bar on a terminal, and lines where it is none.
        checkpoint_dir : path, optional
            Where to write a checkpoint each epoch.
        resume : bool, default=False
            Go on from the checkpoint there.
        log_path : path, optional
            Where to append a JSON line an epoch.
        callbacks : sequence of hashgnn.runs.Callback, default=()
            What follows the run, such as an experiment tracker; it may stop it.
        engine : {"local", "ray"}, default="local"
            Who starts the processes where several train: this one, or Ray Train.
        n_workers : int, optional
            Processes. ``None`` is this one alone, or those that ``torchrun`` has started; with ``"ray"`` it is one
            for each processor of the cluster but one. They share each batch, so the settings mean the same with any
            number of them. One seed and one number give one result.
        address : str, optional
            Of a Ray cluster; ``None`` uses the session that is open, or starts one on this machine.
        shard_from : int, default=10000
            Tables of so many items or more are parted among the processes, by rows
            (:class:`~hashgnn.runs.RunOptions`).

        Returns
        -------
        Self
            This object, fitted.

        Raises
        ------
        DataError
            If the interactions are not usable.
        TrainingError
            If the loss is no longer a number.
        CallbackError
            If a callback fails.
        EngineError
            If other processes do not start, or one of them is lost.
        MissingExtraError
            If torch is not installed, or Ray for ``"ray"``.
        """
        if y is not None:
            raise ParameterError(
                f"y must be None, the interactions are all that is learned, got {type(y).__name__}"
            )
        require("torch", extra="train", purpose="fit")
        from hashgnn.training import train as run
        from hashgnn.training.workers.launch import run_training

        interactions = as_interactions(train)
        state = run_training(
            run,
            {
                "interactions": interactions,
                "config": self.config,
                "valid": None if valid is None else as_interactions(valid, like=interactions),
                "user_features": user_features,
                "item_features": item_features,
            },
            RunOptions(
                seed=as_seed(rng),
                device=device,
                n_threads=n_threads,
                progress=progress,
                checkpoint_dir=checkpoint_dir,
                resume=resume,
                log_path=log_path,
                callbacks=callbacks,
                shard_from=shard_from,
            ),
            engine=engine,
            n_workers=n_workers,
            address=address,
        )
        state.check_finite()
        self._model = FittedModel(state, self.index_recall)
        self._items, self._has_own_table = None, False
        return self

    def update(
        self,
        new: InteractionsLike | None,
        *,
        deleted: Deletions | None = None,
        epochs: int | None = None,
        valid: InteractionsLike | None = None,
        user_features: SideFeatures | None = None,
        item_features: SideFeatures | None = None,
        lineage: Mapping[str, Any] | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        rng: RngLike = None,
        progress: bool | None = None,
        checkpoint_dir: str | Path | None = None,
        resume: bool = False,
        log_path: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
        engine: str = "local",
        n_workers: int | None = None,
        address: str | None = None,
        shard_from: int = 10_000,
    ) -> Self:
        """Return a model that has also learned from new interactions; this one stays as it is.

        Users and items that are new are added behind the known ones. Training goes on from what this model
        has learned, over its own interactions and the new ones.

        Parameters
        ----------
        new : Interactions, data frame or sparse matrix, or None
            As for :meth:`fit`; the row and column numbers of a matrix are its ids. Events of a frame in
            a column ``event``, and ages, weigh as they did in training. ``None`` is nothing new, where
            something was deleted.
        deleted : Deletions, optional
            What of this model's own training data is left out, as :meth:`Deletions.read` finds it in the file
            that a service's store exported. A user without any interaction left is not in the new model. Items
            keep what they have learned until the next full fit.
        epochs : int, optional
            ``None`` is a third of the model's own, rounded up.
        user_features, item_features : SideFeatures, optional
            Where this model was trained with some, and then of the same columns: of known users and items and of
            new ones. Numbers are scaled as in training, new categories are added.
        lineage : mapping, optional
            JSON values to keep in ``state_.training["lineage"]``, which also names the parent's checksum.
        valid, device, n_threads, rng, progress, checkpoint_dir, resume, log_path, callbacks
            As for :meth:`fit`.
        engine, n_workers, address, shard_from
            As for :meth:`fit`.

        Raises
        ------
        DataError
            If the interactions are not usable.
        ParameterError
            If nothing is new or deleted, their ids are of another type, their events or ages weigh other than
            in training, side features are missing or of other columns, or this model cannot be trained on: it
            has an encoder other than ``history`` and ``mf``.
        """
        require("torch", extra="train", purpose="update")
        from hashgnn.training import update as run
        from hashgnn.training.workers.launch import run_training

        state = run_training(
            run,
            {
                "state": self.state_,
                "new": None if new is None else as_interactions(new, weighting=self.weighting),
                "deleted": deleted,
                "epochs": epochs,
                "valid": None if valid is None else as_interactions(valid),
                "user_features": user_features,
                "item_features": item_features,
                "lineage": lineage,
            },
            RunOptions(
                seed=as_seed(rng),
                device=device,
                n_threads=n_threads,
                progress=progress,
                checkpoint_dir=checkpoint_dir,
                resume=resume,
                log_path=log_path,
                callbacks=callbacks,
                shard_from=shard_from,
            ),
            engine=engine,
            n_workers=n_workers,
            address=address,
        )
        state.check_finite()
        model, items = type(self).from_state(state, index_recall=self.index_recall), self.item_attributes
        model._items = None if items is None else items.of_items(state.items.ids)
        return model
