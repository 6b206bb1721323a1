"""Settings of encoders: what turns the graph into embeddings. Each class is one encoder, chosen by ``name``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from hashgnn._components import ENCODERS
from hashgnn._registry import Component, Registry
from hashgnn.config.section import Count, PartialShare, Section, Width

Depth = Annotated[int, Field(ge=1, le=8)]
FanOuts = tuple[Count, ...]


class EncoderConfig(Section):
    """The base of the settings of encoders."""

    registry: ClassVar[Registry[Component] | None] = ENCODERS
    name: str

    @property
    def sampled_hops(self) -> tuple[FanOuts, FanOuts]:
        """Neighbours sampled at each hop of users and of items; empty for whole neighbourhoods."""
        return (), ()

    def table_width(self, embedding_dim: int) -> int:
        """Return the width of the id embeddings that the encoder starts from."""
        return embedding_dim


class SamplingEncoderConfig(EncoderConfig):
    """An encoder that can work on a sample of each neighbourhood."""

    fan_outs: FanOuts = Field(
        default=(),
        description="Neighbours sampled at each hop of a user; empty takes whole neighbourhoods. "
        "Objective 'edges' only.",
    )
    item_fan_outs: FanOuts = Field(
        default=(),
        description="Neighbours sampled at each hop of an item; empty is the same as fan_outs. "
        "Objective 'edges' only.",
    )

    @property
    def sampled_hops(self) -> tuple[FanOuts, FanOuts]:
        """Neighbours sampled at each hop of users and of items; empty for whole neighbourhoods."""
        return self.fan_outs, self.item_fan_outs or self.fan_outs

    def options(self) -> dict[str, Any]:
        """Return what the encoder is built from: batches are sampled outside of it."""
        return self.model_dump(exclude={"name", "fan_outs", "item_fan_outs"})


class GAT(SamplingEncoderConfig):
    """Graph attention (Veličković et al., ICLR 2018)."""

    name: Literal["gat"] = "gat"
    n_layers: Depth = Field(default=2, description="Hops.")
    heads: Count = Field(default=4, description="Attention heads; must divide embedding_dim.")


class GCN(EncoderConfig):
    """Graph convolution (Kipf, Welling, ICLR 2017)."""

    name: Literal["gcn"] = "gcn"
    n_layers: Depth = Field(default=2, description="Hops.")


class GraphSAGE(SamplingEncoderConfig):
    """Aggregation over neighbourhoods (Hamilton et al., NeurIPS 2017; Tan et al., WWW 2020)."""

    name: Literal["graphsage"] = "graphsage"
    n_layers: Depth = Field(default=2, description="Hops of a user.")
    item_layers: Depth | None = Field(
        default=None, description="Hops of an item; none is the same as n_layers."
    )
    aggregator: Literal["mean", "gcn", "concat", "max"] = Field(
        default="mean",
        description="The HashGNN paper's mean over self and neighbours (GraphSAGE calls it gcn), the authors' "
        "concat(self, mean), or pooling by the maximum.",
    )
    input_dim: Width | None = Field(
        default=None,
        description="Width of the id embedding, projected to embedding_dim for users and items separately; "
        "none has no projection.",
    )

    def table_width(self, embedding_dim: int) -> int:
        """Return the width of the id embeddings that the encoder starts from."""
        return embedding_dim if self.input_dim is None else self.input_dim


class History(EncoderConfig):
    """A user is the normalised sum of the items in its history, so fold-in is exact."""

    name: Literal["history"] = "history"
    input_table: bool = Field(
        default=True,
        description="Items of a history have a table of their own, separate from that of the scored items.",
    )
    normalization: Literal["degree", "unit"] = Field(
        default="unit",
        description="Divide a user's sum by the root of its degree, or scale it to norm sqrt(embedding_dim).",
    )
    history_dropout: PartialShare = Field(
        default=0.1, description="Share of a user's items left out of the history in training."
    )


class LightGCN(EncoderConfig):
    """Mean over powers of the normalised adjacency (He et al., SIGIR 2020)."""

    name: Literal["lightgcn"] = "lightgcn"
    n_layers: Annotated[int, Field(ge=0, le=8)] = Field(
        default=2, description="Hops; 0 is matrix factorisation."
    )


class MF(EncoderConfig):
    """Matrix factorisation: one free vector for each user and item, no graph."""

    name: Literal["mf"] = "mf"


class NGCF(EncoderConfig):
    """Neural graph collaborative filtering (Wang et al., SIGIR 2019)."""

    name: Literal["ngcf"] = "ngcf"
    n_layers: Depth = Field(default=2, description="Hops; embedding_dim must be larger.")


class PinSage(EncoderConfig):
    """Convolutions over random-walk neighbourhoods (Ying et al., KDD 2018)."""

    name: Literal["pinsage"] = "pinsage"
    n_layers: Depth = Field(default=2, description="Hops.")
    n_neighbours: Count = Field(
        default=20, description="Items in the neighbourhood that random walks from an item visit most."
    )
