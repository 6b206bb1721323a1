"""Losses: functions from tensors of scores or embeddings to one scalar.

Every loss is a sum over the terms of one observed edge (or one user) and a mean over edges (or users),
so the caller divides nothing.
"""

from hashgnn.nn.losses.bilateral_softmax import bilateral_full_softmax, bilateral_softmax
from hashgnn.nn.losses.bpr import bpr
from hashgnn.nn.losses.code_penalties import bit_balance, decorrelation
from hashgnn.nn.losses.combined import combined
from hashgnn.nn.losses.full_softmax import SoftmaxWorkspace, full_softmax
from hashgnn.nn.losses.psl import psl
from hashgnn.nn.losses.ranking_hinge import ranking_hinge
from hashgnn.nn.losses.ranking_loss import RankingLoss, build_ranking_loss
from hashgnn.nn.losses.reconstruction import reconstruction_loss
from hashgnn.nn.losses.sampled_softmax import sampled_softmax
from hashgnn.nn.losses.targets import Targets
from hashgnn.nn.losses.top_k import TopK

__all__ = [
    "RankingLoss",
    "SoftmaxWorkspace",
    "Targets",
    "TopK",
    "bilateral_full_softmax",
    "bilateral_softmax",
    "bit_balance",
    "bpr",
    "build_ranking_loss",
    "combined",
    "decorrelation",
    "full_softmax",
    "psl",
    "ranking_hinge",
    "reconstruction_loss",
    "sampled_softmax",
]
