"""Suites: named comparisons."""

from __future__ import annotations

from dataclasses import dataclass

from hashgnn.baselines import BASELINES

_FAR = ("recall@50", "recall@100", "ndcg@50", "ndcg@100")
_NEAR = ("recall@20", "ndcg@20", "recall@100", "ndcg@100")

# The floats that the paper compares with, and two that are stronger.
_FLOATS = ("mf-bpr", "graphsage", "line", "bine", "gf-cf", "chebycf")


@dataclass(frozen=True)
class Suite:
    """The defaults of a suite.

    Attributes
    ----------
    about : str
    methods : tuple of str
    bits : tuple of int
    metrics : tuple of str
        The first is the one that is tested and drawn.
    reference : str
        The method that the others are compared with.
    data : tuple of str
    """

    about: str
    methods: tuple[str, ...]
    bits: tuple[int, ...]
    metrics: tuple[str, ...]
    reference: str
    data: tuple[str, ...]


# The paper's own method and its rivals over one encoder, all trained by the recipe "paper".
_ONE_ENCODER = (
    "paper",
    "continuous",
    "continuous-lsh",
    "continuous-itq",
    "continuous-separate",
    "plain-ste",
    "hashnet",
    "gumbel",
    "no-ranking",
)
_CODE_BASELINES = ("paper", "no-ranking", "plain-ste", "hashnet", "gumbel", "separate", "lsh", "itq", "pq")
_RELAXATIONS = (
    "ste",
    "learned_threshold",
    "clipped",
    "gaussian",
    "fourier",
    "hashnet",
    "gumbel",
    "stochastic",
)
_CODERS = (
    "lsh",
    "lsh+form=cosine",
    "itq",
    "itq+form=cosine",
    "itq+center=false",
    "sign",
    "pca_sign",
    "spectral",
    "anchor_graph",
    "anchor_graph+n_layers=2",
    "pq",
)
_AFTERWARDS = (
    *(f"rabitq-{bits}=rabitq+bits={bits}:default" for bits in (1, 2, 4)),
    *(f"turboquant-{bits}=turboquant+bits={bits}:default" for bits in (2, 3, 4)),
    *(f"opq-{size}=opq+n_bytes={size}:default" for size in (16, 32, 64)),
    *(f"{coder}-default={coder}:default" for coder in ("pq", "itq", "lsh")),
)

#: The suites of :func:`compare_quality` by name.
SUITES: dict[str, Suite] = {
    "paper": Suite(
        "the paper's tables: its code baselines over one encoder, and its float models",
        (*_ONE_ENCODER, *_FLOATS),
        (32, 64),
        _FAR,
        "paper",
        ("ml-1m",),
    ),
    "default": Suite(
        "default and every code baseline at equal bits",
        (
            "default",
            "default-hamming",
            *_CODE_BASELINES,
            "dcf",
            "lsh-spectral",
            "itq-spectral",
            "pq-spectral",
            "spectral",
            "gf-cf",
        ),
        (128,),
        _NEAR,
        "default",
        ("ml-1m",),
    ),
    "learned": Suite(
        "learned codes at equal bits: ours, the paper's, and those of later papers",
        ("default", "paper", *(name for name, baseline in BASELINES.items() if baseline.has_codes), "dcf"),
        (128,),
        _NEAR,
        "default",
        ("ml-1m",),
    ),
    "parts": Suite(
        "default with each part left out",
        (
            "default",
            "default-hamming",
            "no-teacher",
            "no-guidance",
            "no-warm-start",
            "one-table",
            "no-dropout",
            "no-left-out",
            "no-top-k",
            "no-float-queries",
            "no-refinement",
            "signed-users",
            "all-items",
            "no-floats",
        ),
        (128,),
        _NEAR,
        "default",
        ("ml-1m",),
    ),
    "bytes": Suite(
        "default's codes and those that other ways make of the same floats, in more bytes too",
        ("default", *_AFTERWARDS),
        (128,),
        ("recall@20", "ndcg@20"),
        "default",
        ("ml-1m", "gowalla"),
    ),
    "paper-parts": Suite(
        "the paper's method without each thing that is not the paper's",
        (
            "paper",
            "continuous",
            *(
                f"paper+{setting}"
                for setting in (
                    "encoder.aggregator=mean",
                    "encoder.fan_outs=[]",
                    "hash_layer=shared",
                    "objective.n_negatives=5",
                    "objective.score_scale=1",
                    "relaxation.schedule.after=0",
                    "relaxation.schedule.end=0",
                    "optimizer.schedule=constant",
                )
            ),
        ),
        (32,),
        _FAR,
        "paper",
        ("ml-1m",),
    ),
    "relaxations": Suite(
        "the paper's equations through every relaxation",
        ("paper", *(f"paper+relaxation={name}" for name in _RELAXATIONS)),
        (32,),
        _FAR,
        "paper",
        ("ml-1m",),
    ),
    "coders": Suite(
        "codes made after training, over the spectral model",
        (*(f"{coder}:spectral" for coder in _CODERS), "spectral"),
        (32, 64),
        _FAR,
        "itq:spectral",
        ("ml-1m",),
    ),
    "closed-forms": Suite(
        "default's floats and every closed form, each with several settings",
        (
            "default",
            *(f"ease+regularisation={value}" for value in (20, 100, 500)),
            "ridge",
            *(f"ridge+regularisation={value}" for value in (30, 100, 300, 1000)),
            *(f"gf-cf+alpha={value}" for value in (0.05, 0.3, 1)),
            "chebycf",
            *(f"chebycf+rank=128+alpha={value}" for value in (0.2, 1)),
        ),
        (128,),
        ("recall@20", "ndcg@20"),
        "default",
        ("ml-1m",),
    ),
    "floats": Suite(
        "every float model",
        tuple(name for name, baseline in BASELINES.items() if not baseline.has_codes),
        (32,),
        ("recall@20", "recall@50", "recall@100", "ndcg@20", "ndcg@50", "ndcg@100"),
        "gf-cf",
        ("ml-1m",),
    ),
}
