"""Training of an encoder's float embeddings, by the loop that trains hash models too."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hashgnn._checks import check_choice, check_float, check_int
from hashgnn._components import ENCODERS
from hashgnn._registry import imported
from hashgnn._types import Array
from hashgnn.baselines.fitting import Parts, Schedule, fit_module
from hashgnn.data import Interactions
from hashgnn.nn import Encoder, GraphView, build_encoder
from hashgnn.runs import RunOptions
from hashgnn.training.objectives import EmbeddingLoss, EmbeddingObjective
from hashgnn.training.validation import embedding_scorer


@dataclass(frozen=True)
class EdgeTraining(Schedule):
    """How an encoder is trained as a baseline; see :class:`Schedule` for the settings of all.

    Attributes
    ----------
    loss : {"bpr", "apr", "bsl"}
        Bayesian personalised ranking of inner products, the same with an adversary, or bilateral softmax of
        cosines. Embeddings of a model trained on cosines have unit length.
    n_negatives : int
        ``bpr``, ``apr``: items sampled for each edge, uniform over what the user has not seen. ``bsl``: items sampled
        for a step, uniform and shared by its edges.
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
    n_negatives: int = 1
    regularisation: float = 1e-4
    temperature: float = 0.15
    temperature_ratio: float = 1.2
    adversarial_weight: float = 1.0
    adversarial_norm: float = 0.5
    adversarial_from: float = 0.5
    encoder_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, ("bpr", "apr", "bsl"))
        super().__post_init__()
        check_int("n_negatives", self.n_negatives, minimum=1)
        for name in ("temperature", "temperature_ratio"):
            check_float(name, getattr(self, name), minimum=0, open_minimum=True)
        for name in ("regularisation", "adversarial_weight", "adversarial_norm"):
            check_float(name, getattr(self, name), minimum=0)
        check_float("adversarial_from", self.adversarial_from, minimum=0, maximum=1)

    @classmethod
    def with_defaults(cls, defaults: dict[str, Any], settings: dict[str, Any]) -> EdgeTraining:
        """Build from a baseline's defaults and what replaces them; encoder options are merged."""
        chosen = {**defaults.get("encoder_options", {}), **settings.get("encoder_options", {})}
        return cls.from_settings({**defaults, **settings, "encoder_options": chosen})

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
    DataError, ParameterError, TrainingError
        As :func:`fit_module` raises them.
    """
    encoder_settings = imported(ENCODERS[name].settings)(**training.encoder_options)
    cosine = training.loss == "bsl"

    def finish(encoder: Encoder, view: GraphView) -> tuple[Array, Array]:
        found = embedding_scorer(encoder, view, cosine=cosine)
        return found.users.cpu().numpy(), found.items.cpu().numpy()

    parts: Parts[Encoder, tuple[Array, Array]] = Parts(
        name,
        {"encoder": name, "dim": dim, **asdict(training)},
        dim,
        schedule=training,
        build=lambda graph, start: build_encoder(
            name,
            n_users=graph.n_users,
            n_items=graph.n_items,
            dim=dim,
            rng=start,
            **encoder_settings.options(),
        ),
        objective=lambda graph, view: EmbeddingObjective(
            graph, view, training.embedding_loss(), batch_size=training.batch_size
        ),
        scorer=lambda encoder, view: embedding_scorer(encoder, view, cosine=cosine),
        finish=finish,
    )
    return fit_module(parts, interactions, valid=valid, options=options)
