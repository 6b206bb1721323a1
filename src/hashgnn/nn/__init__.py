"""Neural parts: tensors in, tensors out. Needs torch."""

from hashgnn.nn.encoders import ENCODERS, Encoder, FullGraphEncoder, build_encoder
from hashgnn.nn.graph_view import GraphView
from hashgnn.nn.guidance import GUIDANCE_KINDS, GuidanceSchedule
from hashgnn.nn.hash_layers import HashLayer, guided, sign_ste
from hashgnn.nn.losses import (
    SoftmaxWorkspace,
    Targets,
    bpr,
    combined,
    full_softmax,
    ranking_hinge,
    reconstruction_loss,
    sampled_softmax,
)

__all__ = [
    "ENCODERS",
    "GUIDANCE_KINDS",
    "Encoder",
    "FullGraphEncoder",
    "GraphView",
    "GuidanceSchedule",
    "HashLayer",
    "SoftmaxWorkspace",
    "Targets",
    "bpr",
    "build_encoder",
    "combined",
    "full_softmax",
    "guided",
    "ranking_hinge",
    "reconstruction_loss",
    "sampled_softmax",
    "sign_ste",
]
