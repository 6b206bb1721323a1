"""``Learned``: where a model comes from and goes to; what it answers is in ``HashGNN``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hashgnn._extras import require
from hashgnn._rng import RngLike, as_seed
from hashgnn.config import ModelConfig, load_recipe
from hashgnn.errors import NotFittedError
from hashgnn.recommender.fitted import Fitted, as_interactions
from hashgnn.runs import Callback, RunOptions
from hashgnn.state import ModelState, load_state, save_state


class Learned:
    """Settings and a fitted state: made by training or from a folder, saved to one."""

    def __init__(self, n_bits: int | None = None, recipe: str | Path = "default", **settings: Any) -> None:
        width = {} if n_bits is None else {"n_bits": n_bits}
        self.config: ModelConfig = load_recipe(recipe, **width, **settings)
        self._fitted: Fitted | None = None

    @classmethod
    def from_state(cls, state: ModelState, *, index_recall: float = 1.0) -> Self:
        """Return a model that holds a state made elsewhere; ``index_recall`` as for :meth:`load`."""
        model = cls.__new__(cls)
        model.config = state.config
        model._fitted = Fitted(state, index_recall)
        return model

    def fit(
        self,
        train: Any,
        *,
        valid: Any = None,
        user_features: Any = None,
        item_features: Any = None,
        device: str = "auto",
        n_threads: int | None = None,
        rng: RngLike = None,
        progress: bool | None = None,
        checkpoint_dir: str | Path | None = None,
        resume: bool = False,
        log_path: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn codes and embeddings from interactions.

        Parameters
        ----------
        train : Interactions, data frame or sparse matrix
            A frame has the columns ``user_id`` and ``item_id`` and may have ``weight`` and ``timestamp``.
        valid : the same, optional
            Held-out interactions of the same users, for early stopping; ``None`` cuts
            ``config.validation.share`` from the training data.
        user_features, item_features : SideFeatures, optional
        device : str, default="auto"
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        n_threads : int, optional
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
        MissingExtraError
            If torch is not installed.
        """
        require("torch", extra="train", purpose="fit")
        from hashgnn.training import train as run

        interactions = as_interactions(train)
        state = run(
            interactions,
            self.config,
            valid=None if valid is None else as_interactions(valid, like=interactions),
            user_features=user_features,
            item_features=item_features,
            options=RunOptions(
                seed=as_seed(rng),
                device=device,
                n_threads=n_threads,
                progress=progress,
                checkpoint_dir=checkpoint_dir,
                resume=resume,
                log_path=log_path,
                callbacks=callbacks,
            ),
        )
        state.check_finite()
        self._fitted = Fitted(state)
        return self

    def update(
        self,
        new: Any,
        *,
        epochs: int | None = None,
        valid: Any = None,
        lineage: Mapping[str, Any] | None = None,
        device: str = "auto",
        n_threads: int | None = None,
        rng: RngLike = None,
        progress: bool | None = None,
        checkpoint_dir: str | Path | None = None,
        resume: bool = False,
        log_path: str | Path | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Return a model that has also learned from new interactions; this one stays as it is.

        Users and items that are new are added behind the known ones. Training goes on from what this model
        has learned, over its own interactions and the new ones.

        Parameters
        ----------
        new : Interactions, data frame or sparse matrix
            As for :meth:`fit`; the row and column numbers of a matrix are its ids.
        epochs : int, optional
            ``None`` is a third of the model's own, rounded up.
        lineage : mapping, optional
            JSON values to keep in ``state_.training["lineage"]``, which also names the parent's checksum.
        valid, device, n_threads, rng, progress, checkpoint_dir, resume, log_path, callbacks
            As for :meth:`fit`.

        Raises
        ------
        DataError
            If the interactions are not usable.
        ParameterError
            If they hold nothing new, their ids are of another type, or this model cannot be trained on: it
            has side features, or an encoder other than ``history`` and ``mf``.
        """
        require("torch", extra="train", purpose="update")
        from hashgnn.training import update as run

        interactions = as_interactions(new)
        state = run(
            self.state_,
            interactions,
            epochs=epochs,
            valid=None if valid is None else as_interactions(valid),
            lineage=lineage,
            options=RunOptions(
                seed=as_seed(rng),
                device=device,
                n_threads=n_threads,
                progress=progress,
                checkpoint_dir=checkpoint_dir,
                resume=resume,
                log_path=log_path,
                callbacks=callbacks,
            ),
        )
        state.check_finite()
        return type(self).from_state(state, index_recall=self._model.index_recall)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder, which appears whole or not at all.

        Parameters
        ----------
        path : str or Path
        overwrite : bool, default=False
            Replace a saved model at ``path``. A folder that is something else is never replaced.

        Raises
        ------
        ArtifactError
            If something that may not be replaced stands at ``path``.
        StorageError
            If writing failed, as on a full disk; ``path`` is as it was.
        """
        save_state(self.state_, path, overwrite=overwrite)

    @classmethod
    def load(
        cls, path: str | Path, *, mmap: bool = True, verify: bool = True, index_recall: float = 1.0
    ) -> Self:
        """Open a saved model; torch is not needed.

        Parameters
        ----------
        path : str or Path
        mmap : bool, default=True
            Leave the arrays on disk, shared between processes, until they are used.
        verify : bool, default=True
            Compare the checksum of every file; ``False`` compares the sizes only.
        index_recall : float, default=1.0
            Share of the exact best items by code that a search shall find, in ``(0, 1]``. Below 1, more than
            half a million items are put into lists when they are first searched, and a search reads the
            nearest of them (:func:`hashgnn.index.build_index`).

        Raises
        ------
        ParameterError
            If ``index_recall`` is out of its range.
        ArtifactError
            If the folder is missing, is not a saved model, was damaged or edited, or is of a later version.
        """
        return cls.from_state(load_state(path, mmap=mmap, verify=verify), index_recall=index_recall)

    @property
    def state_(self) -> ModelState:
        """What was fitted or loaded."""
        return self._model.state

    def __repr__(self) -> str:
        fitted = "not fitted"
        if self._fitted is not None:
            fitted = f"{self.state_.n_users} users, {self.state_.n_items} items"
        return f"HashGNN(n_bits={self.config.n_bits}, encoder={self.config.encoder.name!r}, {fitted})"

    @property
    def _model(self) -> Fitted:
        if self._fitted is None:
            raise NotFittedError("HashGNN is not fitted; call fit() or load() first")
        return self._fitted
