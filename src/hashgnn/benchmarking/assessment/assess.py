"""``assess``: a fitted model measured next to baselines that are fitted on the same interactions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hashgnn._checks import check_int
from hashgnn.baselines import BASELINES, fit_baseline
from hashgnn.benchmarking.assessment.assessment import Assessment
from hashgnn.benchmarking.assessment.verdict import verdict
from hashgnn.data import Interactions
from hashgnn.data.interactions import as_interactions
from hashgnn.data.side_table import SideTable
from hashgnn.errors import DataWarning, ParameterError
from hashgnn.evaluation import (
    Calibration,
    Comparison,
    EvaluationResult,
    IntraListDiversity,
    Metric,
    Segments,
    UserMetric,
    column_segments,
    compare,
    evaluate,
    history_segments,
    parse_metric,
    popularity_segments,
    segment_rows,
)
from hashgnn.recommender import HashGNN

_BEYOND = ("itemrecall", "coverage", "gini", "novelty", "arp", "lift", "aplt")


def assess(
    model: HashGNN,
    test: Any,
    *,
    baselines: Sequence[str] = ("popularity",),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Sequence[str | Metric] = ("recall@20", "ndcg@20"),
    search: Sequence[str] | str | None = None,
    train: Any = None,
    served: bool = False,
    oversampling: int = 5,
    items: SideTable | None = None,
    users: SideTable | None = None,
    segments: Sequence[str] = (),
    n_bootstrap: int = 1000,
    n_timed: int | None = None,
    rng: int = 0,
    progress: bool | None = None,
) -> Assessment:
    """Measure every search way of a model and some baselines, by the one protocol of ``hashgnn.evaluate``.

    Parameters
    ----------
    model : HashGNN
        Fitted. The baselines are fitted on its training interactions, ``state_.seen``.
    test : Interactions, data frame or sparse matrix
        Held-out interactions. Rows of users and items that the model does not know are left out.
    baselines : sequence of str, default=("popularity",)
        Names of ``hashgnn.baselines.BASELINES``.
    settings : mapping of str to mapping, default=None
        Settings of a baseline by its name.
    metrics : sequence of str or Metric, default=("recall@20", "ndcg@20")
        The first one with a value for each user is what comparisons, segments and the verdict are about; its
        cut is that of the metrics beyond accuracy, which are added.
    search, served, oversampling, n_bootstrap, n_timed, progress
        As in :func:`hashgnn.evaluate`.
    train : Interactions or sparse matrix, default=None
        What is masked; ``None`` is what the model was trained on.
    items, users : SideTable or None, default=None
        Tables that ``segments`` are columns of.
    segments : sequence of str, default=()
        Columns; ``user.name`` or ``item.name`` where both tables have one. Calibration is by the first that
        is of items.
    rng : int, default=0
        Seed.

    Returns
    -------
    Assessment

    Raises
    ------
    ParameterError
        If a name is unknown or an argument breaks its rule; nothing is fitted then.

    Warns
    -----
    DataWarning
        As :func:`hashgnn.evaluate` does.

    See Also
    --------
    hashgnn.evaluate : One model alone.
    report_content : What a report of it holds.
    """
    check_int("rng", rng, minimum=0)
    state = model.state_
    for name in baselines:
        BASELINES[name]
    known = Interactions.from_csr(state.seen, user_ids=state.users.ids, item_ids=state.items.ids)
    masked = state.seen if train is None else train
    held = as_interactions(test, like=known)
    wanted = [parse_metric(name) for name in metrics]
    primary = next((metric for metric in wanted if isinstance(metric, UserMetric)), None)
    if primary is None:
        raise ParameterError("metrics must name one with a value for each user, such as recall@20")
    groups = [
        history_segments(state.seen),
        popularity_segments(np.bincount(state.seen.indices, minlength=state.n_items)),
    ]
    chosen = [_column(name, users, items) for name in dict.fromkeys(segments)]
    beyond = _beyond(primary.k, model, next((one for one in chosen if one.side == "item"), None), wanted)
    fitted = {
        name: fit_baseline(name, known, rng=rng, progress=progress, **dict((settings or {}).get(name, {})))
        for name in dict.fromkeys(baselines)
    }
    options: dict[str, Any] = {
        "metrics": [*wanted, *beyond],
        "served": served,
        "oversampling": oversampling,
        "n_bootstrap": n_bootstrap,
        "n_timed": n_timed,
        "rng": rng,
        "progress": progress,
    }
    result = evaluate(model, masked, held.csr, search=search, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the same rows were left out above, with a warning
        found = {
            name: evaluate(one, masked, held.csr, search=one.search_ways[:1], **options)
            for name, one in fitted.items()
        }
    comparisons = _comparisons(result, found, str(primary))
    rows = [
        replace(row, search=name or row.search)
        for group in (*groups, *chosen)
        for name, one in {"": result, **found}.items()
        for row in segment_rows(
            one,
            group,
            metric=str(primary) if group.side == "user" else f"itemrecall@{primary.k}",
            n_bootstrap=n_bootstrap,
            rng=rng,
        )
    ]
    return Assessment(
        verdict=verdict(result, found, comparisons, str(primary)),
        result=result,
        baselines=found,
        metric=str(primary),
        accuracy=[str(metric) for metric in wanted],
        beyond=[str(metric) for metric in beyond],
        comparisons=comparisons,
        segments=rows,
    )


def _beyond(k: int, model: HashGNN, attributes: Segments | None, wanted: Sequence[Metric]) -> list[Metric]:
    named = {str(metric) for metric in wanted}
    found = [parse_metric(f"{name}@{k}") for name in _BEYOND]
    found.append(IntraListDiversity(k, np.asarray(model.state_.items.embeddings)))
    if attributes is not None:
        found.append(Calibration(k, np.stack(list(attributes.members.values()), axis=1)))
    return [metric for metric in found if str(metric) not in named]


def _column(name: str, users: SideTable | None, items: SideTable | None) -> Segments:
    side, _, column = name.rpartition(".")
    tables = {"user": users, "item": items}
    if side in tables and (table := tables[side]) is not None and column in table.names:
        return column_segments(table.side, column, table.values(column))
    owners = [table for table in tables.values() if table is not None and name in table.names]
    if len(owners) == 1:
        return column_segments(owners[0].side, name, owners[0].values(name))
    if owners:
        raise ParameterError(f"segments must say which table {name!r} is of: user.{name} or item.{name}")
    known = [column for table in tables.values() if table is not None for column in table.names]
    shown = ", ".join(known) if known else "none, as no table was given"
    raise ParameterError(f"segments must be columns of the tables of users or items, {shown}, got {name!r}")


def _comparisons(
    result: EvaluationResult, baselines: Mapping[str, EvaluationResult], metric: str
) -> list[Comparison]:
    if not baselines or result.n_users < 2:
        return []
    values = {way: found[metric] for way, found in result.per_user.items()}
    values |= {name: next(iter(found.per_user.values()))[metric] for name, found in baselines.items()}
    return compare(values, list(baselines))
