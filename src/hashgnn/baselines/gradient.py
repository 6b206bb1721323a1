"""Training of an encoder's float embeddings, by the loop that trains hash models too."""

from __future__ import annotations

import difflib
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import torch

from hashgnn import _rng
from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._components import ENCODERS
from hashgnn._registry import imported
from hashgnn._types import Array
from hashgnn.config.training import OptimizerConfig, ValidationConfig
from hashgnn.data import Interactions, split
from hashgnn.errors import ParameterError
from hashgnn.graph import BipartiteGraph
from hashgnn.nn import Encoder, GraphView, build_encoder
from hashgnn.runs import Run, RunOptions
from hashgnn.training.callbacks import fingerprint
from hashgnn.training.device import prepared
from hashgnn.training.loop import run_loop
from hashgnn.training.objectives import EmbeddingLoss, EmbeddingObjective
from hashgnn.training.train import check_data, graph_view
from hashgnn.training.validation import Validator, embedding_scorer

# The places of the stages among the streams derived from the seed.
_SPLIT_STREAM, _BUILD_STREAM, _EPOCH_STREAM = 0, 1, 2
_MAX_VALIDATED = 2000  # users: enough to distinguish epochs, in a fraction of a second


@dataclass(frozen=True)
class EdgeTraining:
    """How a trained baseline is trained.

    Attributes
    ----------
    loss : {"bpr", "apr", "bsl"}
        Bayesian personalised ranking of inner products, the same with an adversary, or bilateral softmax of
        cosines. Embeddings of a model trained on cosines have unit length.
    epochs, patience : int
        At most so many epochs; stop after ``patience`` validations in a row without a new best value.
    validate_every : int
        Epochs from one validation to the next.
    batch_size : int
        Observed edges a step.
    n_negatives : int
        ``bpr``, ``apr``: items sampled for each edge, uniform over what the user has not seen. ``bsl``: items sampled
        for a step, uniform and shared by its edges.
    learning_rate : float
        Adam's step.
    gradient_clip : float
        Norm that gradients are scaled down to; 0 leaves them as they are.
    regularisation : float
        ``bpr``, ``apr``: weight of the mean squared norm of the embeddings of a batch.
    adversarial_weight, adversarial_norm, adversarial_from : float
        ``apr``: weight of the loss of moved embeddings, how far each is moved, and the share of the epochs before
        the adversary begins.
    temperature, temperature_ratio : float
        ``bsl``: that of the negatives, and of the positives as a multiple of it.
    encoder_options : dict
        Options of the encoder, ``n_layers`` for instance.
    """

    loss: Literal["bpr", "apr", "bsl"] = "bpr"
    epochs: int = 60
    patience: int = 3
    validate_every: int = 3
    batch_size: int = 8192
    n_negatives: int = 1
    learning_rate: float = 0.01
    gradient_clip: float = 0.0
    regularisation: float = 1e-4
    temperature: float = 0.15
    temperature_ratio: float = 1.2
    adversarial_weight: float = 1.0
    adversarial_norm: float = 0.5
    adversarial_from: float = 0.5
    encoder_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, ("bpr", "apr", "bsl"))
        for name in ("epochs", "patience", "validate_every", "batch_size", "n_negatives"):
            check_int(name, getattr(self, name), minimum=1)
        for name in ("learning_rate", "temperature", "temperature_ratio"):
            check_float(name, getattr(self, name), minimum=0, open_minimum=True)
        for name in ("regularisation", "gradient_clip", "adversarial_weight", "adversarial_norm"):
            check_float(name, getattr(self, name), minimum=0)
        check_float("adversarial_from", self.adversarial_from, minimum=0, maximum=1)

    @classmethod
    def from_settings(cls, defaults: dict[str, Any], settings: dict[str, Any]) -> EdgeTraining:
        """Build from a baseline's defaults and what replaces them; an unknown name raises ParameterError."""
        known = [entry.name for entry in fields(cls)]
        for name in settings:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; they are {', '.join(known)}"
                raise ParameterError(f"{name} is not a setting of a trained baseline{hint}")
        chosen = {**defaults.get("encoder_options", {}), **settings.get("encoder_options", {})}
        return cls(**{**defaults, **settings, "encoder_options": chosen})

    def optimizer(self) -> OptimizerConfig:
        """Return the settings of the optimiser."""
        return OptimizerConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            shared_learning_rate=None,
            schedule="constant",
            beta2=0.999,
            gradient_clip=self.gradient_clip,
        )

    def validation(self, n_items: int) -> ValidationConfig:
        """Return the settings of validation: Recall@50 on a tenth of each user's interactions."""
        metric = f"recall@{min(50, n_items)}"
        return ValidationConfig(share=0.1, metric=metric, every=self.validate_every, patience=self.patience)

    def embedding_loss(self) -> EmbeddingLoss:
        """Return the loss and its settings."""
        return EmbeddingLoss(
            kind=self.loss,
            n_negatives=self.n_negatives,
            regularisation=self.regularisation,
            temperature=self.temperature,
            temperature_ratio=self.temperature_ratio,
            adversarial_weight=self.adversarial_weight,
            adversarial_norm=self.adversarial_norm,
            adversarial_from=self.adversarial_from,
        )


def train_encoder(
    name: str,
    interactions: Interactions,
    dim: int,
    training: EdgeTraining,
    *,
    valid: Interactions | None,
    options: RunOptions,
) -> tuple[Array, Array]:
    """Train an encoder and return its embeddings of all users and all items, float32.

    Validation interactions choose the best epoch and then count again: embeddings are made over the graph
    of all interactions with the parameters of that epoch, as :func:`hashgnn.training.train` does.

    Parameters
    ----------
    name : str
        A name of ``hashgnn.nn.ENCODERS``.
    interactions : Interactions
    dim : int
        Width of the embeddings.
    training : EdgeTraining
    valid : Interactions or None
        Held-out interactions over the same ids; ``None`` holds out a tenth of ``interactions``.
    options : RunOptions

    Raises
    ------
    DataError
        If there are fewer than two users or items with interactions.
    ParameterError
        If an option breaks its rule, or a checkpoint is of another run.
    TrainingError
        If a loss or gradient is NaN or infinite.
    """
    started = time.perf_counter()
    seed = options.seed
    check_data(interactions, valid)
    fitted = interactions
    validation = training.validation(interactions.n_items)
    if valid is None:
        fitted, valid = split.random(interactions, validation.share, rng=_rng.derive(seed, _SPLIT_STREAM))
    encoder_settings = imported(ENCODERS[name].settings)(**training.encoder_options)
    step_floats = (interactions.n_users + interactions.n_items) * dim
    with prepared(options, step_floats) as (device, n_threads):
        graph = BipartiteGraph.from_interactions(fitted)
        view = graph_view(graph).to(device)
        start = torch.Generator().manual_seed(int(_rng.derive(seed, _BUILD_STREAM).integers(2**63)))
        encoder = build_encoder(
            name,
            n_users=graph.n_users,
            n_items=graph.n_items,
            dim=dim,
            rng=start,
            **encoder_settings.options(),
        ).to(device)
        cosine = training.loss == "bsl"
        validator: Validator[Encoder] | None = None
        if len(valid):
            validator = Validator(
                fitted,
                valid,
                validation.metric,
                lambda e: embedding_scorer(e, view, cosine=cosine),
                max_users=_MAX_VALIDATED,
            )
        run = Run(
            name=f"training {name}",
            config={"encoder": name, "dim": dim, **asdict(training)},
            seed=seed,
            device=str(device),
            n_threads=n_threads,
            started=started,
        )
        described = {"config": run.config, "seed": seed, "device": device.type}
        run_loop(
            encoder,
            EmbeddingObjective(graph, view, training.embedding_loss(), batch_size=training.batch_size),
            run,
            optimizer=training.optimizer(),
            validation=validation,
            options=options,
            identity=fingerprint(fitted, valid, described),
            epoch_rng=lambda epoch: _rng.derive(seed, _EPOCH_STREAM, epoch + 1),
            validate=validator,
        )
        if fitted is not interactions:
            view = graph_view(BipartiteGraph.from_interactions(interactions)).to(device)
        return _embeddings(encoder, view, cosine)


def _embeddings(encoder: Encoder, view: GraphView, cosine: bool) -> tuple[Array, Array]:
    found = embedding_scorer(encoder, view, cosine=cosine)
    return found.users.cpu().numpy(), found.items.cpu().numpy()
