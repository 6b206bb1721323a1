"""The parts that a config puts a model together from, by name, and where each of them lives.

A new part is its file, its class of settings, and one row here. An encoder has two files: the torch module, and
the fold-in rule that needs no torch.
"""

from __future__ import annotations

from hashgnn._registry import Component, Registry

_SETTINGS, _NN, _FOLD_IN = "hashgnn.config.encoders", "hashgnn.nn.encoders", "hashgnn.fold_in"
#: The encoders by name, each with its settings, its torch module and its rule of fold-in.
ENCODERS = Registry(
    "encoder",
    {
        "gat": Component(f"{_SETTINGS}:GAT", f"{_NN}.gat:GATEncoder", f"{_FOLD_IN}.gat:GATFoldIn"),
        "gcn": Component(f"{_SETTINGS}:GCN", f"{_NN}.gcn:GCNEncoder", f"{_FOLD_IN}.gcn:GCNFoldIn"),
        "graphsage": Component(
            f"{_SETTINGS}:GraphSAGE",
            f"{_NN}.graphsage:GraphSAGEEncoder",
            f"{_FOLD_IN}.graphsage:GraphSAGEFoldIn",
        ),
        "history": Component(
            f"{_SETTINGS}:History", f"{_NN}.history:HistoryEncoder", f"{_FOLD_IN}.history:HistoryFoldIn"
        ),
        "lightgcn": Component(
            f"{_SETTINGS}:LightGCN", f"{_NN}.lightgcn:LightGCNEncoder", f"{_FOLD_IN}.lightgcn:LightGCNFoldIn"
        ),
        "mf": Component(f"{_SETTINGS}:MF", f"{_NN}.mf:MFEncoder", f"{_FOLD_IN}.mf:MFFoldIn"),
        "ngcf": Component(f"{_SETTINGS}:NGCF", f"{_NN}.ngcf:NGCFEncoder", f"{_FOLD_IN}.ngcf:NGCFFoldIn"),
        "pinsage": Component(
            f"{_SETTINGS}:PinSage", f"{_NN}.pinsage:PinSageEncoder", f"{_FOLD_IN}.pinsage:PinSageFoldIn"
        ),
    },
)

_SETTINGS, _NN = "hashgnn.config.relaxations", "hashgnn.nn.relaxations"
#: The relaxations by name, each with its settings and its torch module.
RELAXATIONS = Registry(
    "relaxation",
    {
        "clipped": Component(f"{_SETTINGS}:Clipped", f"{_NN}.surrogates:ClippedSign"),
        "fourier": Component(f"{_SETTINGS}:Fourier", f"{_NN}.surrogates:FourierSign"),
        "gaussian": Component(f"{_SETTINGS}:Gaussian", f"{_NN}.surrogates:GaussianSign"),
        "guided": Component(f"{_SETTINGS}:Guided", f"{_NN}.guided:Guided"),
        "gumbel": Component(f"{_SETTINGS}:Gumbel", f"{_NN}.gumbel:GumbelBits"),
        "hashnet": Component(f"{_SETTINGS}:HashNet", f"{_NN}.hashnet:TanhContinuation"),
        "learned_threshold": Component(f"{_SETTINGS}:LearnedThreshold", f"{_NN}.ste:LearnedThreshold"),
        "none": Component(f"{_SETTINGS}:NoRelaxation", f"{_NN}.continuous:Continuous"),
        "ste": Component(f"{_SETTINGS}:StraightThrough", f"{_NN}.ste:StraightThrough"),
        "stochastic": Component(f"{_SETTINGS}:Stochastic", f"{_NN}.stochastic:StochasticBits"),
    },
)
GUIDANCE_SCHEDULES = Registry(
    "schedule",
    {
        "constant": Component(f"{_SETTINGS}:ConstantGuidance", f"{_NN}.guidance_schedule:ConstantGuidance"),
        "epoch": Component(f"{_SETTINGS}:EpochGuidance", f"{_NN}.guidance_schedule:EpochGuidance"),
        "linear": Component(f"{_SETTINGS}:LinearGuidance", f"{_NN}.guidance_schedule:LinearGuidance"),
        "step": Component(f"{_SETTINGS}:StepGuidance", f"{_NN}.guidance_schedule:StepGuidance"),
    },
)

_SETTINGS, _TRAINING = "hashgnn.config.objectives", "hashgnn.training.objectives"
OBJECTIVES = Registry(
    "objective",
    {
        "edges": Component(f"{_SETTINGS}:Edges", f"{_TRAINING}.edges:EdgeObjective"),
        "users": Component(f"{_SETTINGS}:Users", f"{_TRAINING}.users:UserObjective"),
    },
)
_NN = "hashgnn.nn.losses"
RANKING_LOSSES = Registry(
    "ranking_loss",
    {
        "bilateral_softmax": Component(
            f"{_SETTINGS}:BilateralSoftmax", f"{_NN}.bilateral_softmax:BilateralSoftmax"
        ),
        "bpr": Component(f"{_SETTINGS}:BPR", f"{_NN}.bpr:BPR"),
        "hinge": Component(f"{_SETTINGS}:Hinge", f"{_NN}.ranking_hinge:Hinge"),
        "psl": Component(f"{_SETTINGS}:PSL", f"{_NN}.psl:PSL"),
        "sampled_softmax": Component(f"{_SETTINGS}:SampledSoftmax", f"{_NN}.sampled_softmax:SampledSoftmax"),
    },
)
_SAMPLER = "hashgnn.graph.negatives:NegativeSampler"
NEGATIVES = Registry(
    "negatives",
    {
        "in_batch": Component(f"{_SETTINGS}:InBatch", _SAMPLER),
        "popularity": Component(f"{_SETTINGS}:Popularity", _SAMPLER),
        "uniform": Component(f"{_SETTINGS}:Uniform", _SAMPLER),
    },
)

_SETTINGS, _FILTERS = "hashgnn.config.teachers", "hashgnn.graph.filters"
TEACHERS = Registry(
    "teacher",
    {
        "auto": Component(f"{_SETTINGS}:AutoTeacher", "hashgnn.graph.teachers:choose_teacher"),
        "chebyshev": Component(f"{_SETTINGS}:ChebyshevTeacher", f"{_FILTERS}.cheby_cf:ChebyshevFilter"),
        "none": Component(f"{_SETTINGS}:NoTeacher"),
        "ridge": Component(f"{_SETTINGS}:RidgeTeacher", "hashgnn.graph.ridge:ItemRidge"),
        "spectral": Component(f"{_SETTINGS}:SpectralTeacher", f"{_FILTERS}.gf_cf:SpectralFilter"),
    },
)
