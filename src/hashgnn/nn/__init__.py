"""Neural networks: encoders, hash layers, relaxations and losses. Needs torch."""
# ruff: noqa: E402 - torch must be known to be there first, and loaded with threads that wait passively

from hashgnn._extras import require

require("torch", extra="train", purpose="hashgnn.nn")

from hashgnn.nn._sparse import from_scipy as sparse_from_scipy
from hashgnn.nn._sparse import product as sparse_product
from hashgnn.nn._sparse import times as sparse_times
from hashgnn.nn.encoders import ENCODERS, Encoder, FullGraphEncoder, build_encoder
from hashgnn.nn.graph_view import GraphView
from hashgnn.nn.hash_layers import HashLayer
from hashgnn.nn.losses import (
    RankingLoss,
    SoftmaxWorkspace,
    Targets,
    TopK,
    bilateral_full_softmax,
    bilateral_softmax,
    bit_balance,
    bpr,
    build_ranking_loss,
    combined,
    decorrelation,
    full_softmax,
    psl,
    ranking_hinge,
    reconstruction_loss,
    sampled_softmax,
)
from hashgnn.nn.relaxations import (
    RELAXATIONS,
    GuidanceSchedule,
    Relaxation,
    build_relaxation,
    guided,
    sign_ste,
)
from hashgnn.nn.sampled_hop import SampledHop

__all__ = [
    "ENCODERS",
    "RELAXATIONS",
    "Encoder",
    "FullGraphEncoder",
    "GraphView",
    "GuidanceSchedule",
    "HashLayer",
    "RankingLoss",
    "Relaxation",
    "SampledHop",
    "SoftmaxWorkspace",
    "Targets",
    "TopK",
    "bilateral_full_softmax",
    "bilateral_softmax",
    "bit_balance",
    "bpr",
    "build_encoder",
    "build_ranking_loss",
    "build_relaxation",
    "combined",
    "decorrelation",
    "full_softmax",
    "guided",
    "psl",
    "ranking_hinge",
    "reconstruction_loss",
    "sampled_softmax",
    "sign_ste",
    "sparse_from_scipy",
    "sparse_product",
    "sparse_times",
]
