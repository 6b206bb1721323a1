"""``ModelConfig``: every hyper-parameter of a model, and nothing about the run that fits it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hashgnn._checks import check_bits
from hashgnn.errors import ParameterError

Bits = Annotated[int, BeforeValidator(check_bits)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ModelConfig(BaseModel):
    """The hyper-parameters of one model: typed, frozen, validated when built, JSON in and out.

    Device, seed, threads, progress and checkpoints are options of a run and never enter it.

    Attributes
    ----------
    n_bits : int, default=128
        Width of a code, a positive multiple of 8.
    item_bias : bool
        Learn a bias an item, in bits, beside the codes.
    encoder : {"history", "lightgcn", "graphsage", "mf", "gcn", "gat", "ngcf", "pinsage"}
    embedding_dim : int
        Width of the encoder's output.
    input_dim : int or None
        GraphSAGE: width of the id embedding, projected to ``embedding_dim`` for users and items apart;
        ``None`` has no such projection.
    n_layers, item_layers : int
        Hops of the encoder; GraphSAGE may have another count for items (``None``: the same).
    aggregator : {"mean", "gcn", "concat", "max"}
        GraphSAGE: the paper's mean over self and neighbours (GraphSAGE calls it ``gcn``), the authors'
        ``concat(self, mean)``, or pooling by the maximum.
    heads : int
        GAT: attention heads, a divisor of ``embedding_dim``.
    n_neighbours : int
        PinSage: items in the neighbourhood that random walks from an item visit most.
    fan_outs, item_fan_outs : tuple of int
        Neighbours sampled at each hop of a user and of an item; empty takes the whole neighbourhood.
    warm_start : bool
        Start the tables from the low end of the graph's spectrum.
    input_table : bool
        History: the items of a history have a table of their own, beside that of the items scored.
    normalization : {"degree", "unit"}
        History: divide a user's sum by the root of its degree, or to the length ``sqrt(embedding_dim)``.
    history_dropout : float in [0, 1)
        Share of a user's items left out of the history aggregate in training.
    hash_layer : {"shared", "per_side"}
        One projection to bits for all nodes, or one for users and one for items.
    relaxation : str
        Through what codes are trained: ``guided`` (straight-through estimator with guidance), ``ste``,
        ``learned_threshold``, ``clipped``, ``gaussian``, ``fourier``, ``hashnet``, ``gumbel``,
        ``stochastic``.
    guidance : {"none", "bit", "row"}
        ``guided``: drawn for each bit or each row; ``none`` leaves the estimator alone.
    guidance_schedule : {"constant", "linear", "step", "epoch"}
        How the share p of relaxed entries falls from ``guidance_start`` to ``guidance_end``.
    guidance_until : float in (0, 1]
        ``linear`` and ``step``: share of training after which p has reached ``guidance_end``.
    guidance_steps : int
        ``step``: how many equal stairs.
    guidance_change, guidance_every : float, int
        ``epoch``: p falls by ``guidance_change`` every ``guidance_every`` epochs.
    user_guidance_floor : float in [0, 1]
        ``guided``, ``users``: least share p of users' entries that stay relaxed. Items' codes then learn to be
        asked by floats as well as by codes, and no bit of them relies on the others being right.
    gumbel_start, gumbel_end, gumbel_hard : float, float, bool
        ``gumbel``: temperature at the first and the last step, and whether the draws become signs.
    hashnet_start, hashnet_end : float
        ``hashnet``: steepness of tanh at the first and the last step.
    surrogate_width, surrogate_terms : float, int
        ``clipped``, ``gaussian``, ``fourier``: how far from 0 the gradient reaches; terms of the series.
    float_embedding : {"encoder", "relaxed"}
        What the float search and the re-ranking use: the encoder's output, or tanh of its projection.
    objective : {"edges", "users"}
        Mini-batches of observed edges with sampled negatives, or of users with a softmax over all items.
    reconstruction_weight, ranking_weight : float
        ``edges``: the two terms of the loss.
    ranking_loss : {"hinge", "bpr", "sampled_softmax", "bilateral_softmax"}
        With ``score_scale`` as the inverse temperature of both softmaxes.
    margin : float
        Margin α of the hinge.
    popularity_correction : bool
        ``sampled_softmax``: subtract the log of how often each negative is expected, so that popular items,
        drawn more often, are not pushed down for it.
    bilateral_ratio : float or None
        Bilateral softmax: temperature of positives over that of negatives. For ``edges`` ``None`` is 1; for
        ``users`` it is the plain softmax.
    balance_weight, decorrelation_weight : float
        Penalties on relaxed codes: on bits that lean to one side, and on bits that say the same.
    negatives : {"uniform", "popularity", "in_batch"}
    n_negatives : int
        Negatives drawn for each observed edge.
    popularity_exponent : float
        ``popularity``: an item is drawn with probability proportional to its degree to this power.
    score_scale : float
        Factor on the inner product of codes before the loss (the inverse temperature). ``edges`` keeps it;
        ``users`` starts from it and learns it.
    float_scale : float
        ``users``: start of the learned scale on the inner product of embeddings.
    code_weight, float_weight : float
        ``users``: weights of the softmax over codes and of the one over embeddings.
    item_share : float in (0, 1]
        ``users``: the softmax runs over the items that a batch asks for and this share of the others, drawn
        anew at each step and weighted up; 1 takes all items.
    teacher : {"none", "spectral", "chebyshev", "auto"}
        Whose ranked lists are to be reproduced beside the observed items: a closed-form graph filter,
        GF-CF, ChebyCF, or the one of either kind that ranks held-out interactions best. ``users`` takes the
        list into the softmax's target; ``edges`` draws from it.
    teacher_weight : float in [0, 1]
        Share of the target, or of the edges, that is the teacher's; the rest is observed items.
    teacher_count : float or None
        ``users``: the teacher's list counts as so many observed items, so that its share falls for users of
        whom much is known; takes the place of ``teacher_weight``.
    observed_target : {"all", "left_out"}
        ``users``: ask for all items of a user, or (encoder ``history``) for those that ``history_dropout``
        leaves out of the history shown, with what is shown kept out of the softmax.
    teacher_k, teacher_decay : int, float
        Length of the list; rank r has weight proportional to exp(-r / teacher_decay).
    teacher_rank, teacher_alpha : int, float
        Singular vectors of the filter's low pass, and its weight; ``auto`` chooses the weight, and may take
        fewer vectors.
    min_steps : int
        ``users``: an epoch has at least so many steps, as far as batches of eight users allow; few users
        make smaller batches.
    learning_rate, shared_learning_rate : float
        Adam's step for the tables of users and items, and for what all share (weights, scales) and the item
        bias; ``None`` is the same.
    learning_rate_schedule : {"constant", "cosine"}
        ``cosine``: a short warm-up, then down to zero over the epochs.
    beta2 : float in (0, 1)
        Decay of Adam's second moment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    n_bits: Bits = 128
    item_bias: bool = False

    encoder: Literal["history", "lightgcn", "graphsage", "mf", "gcn", "gat", "ngcf", "pinsage"] = "graphsage"
    embedding_dim: Count = 64
    input_dim: Count | None = None
    n_layers: Annotated[int, Field(ge=0, le=8)] = 2
    item_layers: Annotated[int, Field(ge=1, le=8)] | None = None
    aggregator: Literal["mean", "gcn", "concat", "max"] = "mean"
    heads: Count = 4
    n_neighbours: Count = 20
    fan_outs: tuple[Count, ...] = ()
    item_fan_outs: tuple[Count, ...] = ()
    warm_start: bool = False
    input_table: bool = False
    normalization: Literal["degree", "unit"] = "degree"
    history_dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.0

    hash_layer: Literal["shared", "per_side"] = "shared"
    relaxation: Literal[
        "clipped",
        "fourier",
        "gaussian",
        "guided",
        "gumbel",
        "hashnet",
        "learned_threshold",
        "ste",
        "stochastic",
    ] = "guided"
    guidance: Literal["none", "bit", "row"] = "bit"
    guidance_schedule: Literal["constant", "linear", "step", "epoch"] = "linear"
    guidance_start: Share = 1.0
    guidance_end: Share = 0.0
    guidance_until: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    guidance_steps: Count = 5
    guidance_change: Share = 0.02
    guidance_every: Count = 2
    user_guidance_floor: Share = 0.0
    gumbel_start: Positive = 1.0
    gumbel_end: Positive = 0.2
    gumbel_hard: bool = False
    hashnet_start: Positive = 1.0
    hashnet_end: Positive = 10.0
    surrogate_width: Positive = 1.0
    surrogate_terms: Count = 4
    float_embedding: Literal["encoder", "relaxed"] = "relaxed"

    objective: Literal["edges", "users"] = "edges"
    reconstruction_weight: Weight = 1.0
    ranking_weight: Weight = 1.0
    ranking_loss: Literal["hinge", "bpr", "sampled_softmax", "bilateral_softmax"] = "hinge"
    margin: Weight = 0.2
    popularity_correction: bool = False
    bilateral_ratio: Positive | None = None
    balance_weight: Weight = 0.0
    decorrelation_weight: Weight = 0.0
    negatives: Literal["uniform", "popularity", "in_batch"] = "uniform"
    n_negatives: Count = 5
    popularity_exponent: Weight = 0.75
    score_scale: Positive = 1.0
    float_scale: Positive = 1.0
    code_weight: Weight = 1.0
    float_weight: Weight = 0.0
    item_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    teacher: Literal["none", "spectral", "chebyshev", "auto"] = "none"
    teacher_weight: Share = 0.7
    teacher_count: Positive | None = None
    observed_target: Literal["all", "left_out"] = "all"
    teacher_k: Count = 100
    teacher_decay: Positive = 30.0
    teacher_rank: Count = 512
    teacher_alpha: Weight = 0.3

    epochs: Count = 20
    batch_size: Count = 1024
    min_steps: Count = 30
    learning_rate: Positive = 1e-3
    shared_learning_rate: Positive | None = None
    learning_rate_schedule: Literal["constant", "cosine"] = "constant"
    beta2: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.999
    weight_decay: Weight = 0.0
    gradient_clip: Weight = 0.0
    validation_share: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.1
    validation_metric: str = "recall@20"
    validate_every: Count = 1
    patience: Count = 5

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build a config from plain values, or raise one sentence about the first bad one.

        Raises
        ------
        ParameterError
            If a setting is unknown, or its value breaks the setting's rule.
        """
        for name in values:
            if name not in cls.model_fields:
                close = difflib.get_close_matches(name, cls.model_fields, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else "; see the fields of ModelConfig"
                raise ParameterError(f"{name} is not a setting{hint}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise ParameterError(_sentence(error)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-able values; :meth:`from_dict` reads them back equal."""
        return self.model_dump(mode="json")

    def replace(self, **settings: Any) -> ModelConfig:
        """Return a config with some settings replaced, validated anew."""
        return self.from_dict({**self.to_dict(), **settings})


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    if isinstance(cause := first.get("ctx", {}).get("error"), ParameterError):
        return str(cause)  # our own check already wrote the sentence
    name = ".".join(str(part) for part in first["loc"])
    rule = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"{name} {rule}, got {first['input']!r}"
