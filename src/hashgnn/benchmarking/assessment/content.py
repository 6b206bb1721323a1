"""The contents of the report of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashgnn import __version__
from hashgnn.benchmarking.assessment.assessment import Assessment
from hashgnn.benchmarking.assessment.examples import examples
from hashgnn.benchmarking.assessment.health import health_advice
from hashgnn.codes import code_health
from hashgnn.data import Interactions
from hashgnn.data.side_table import SideTable
from hashgnn.evaluation import sample_distances
from hashgnn.evaluation.report import ReportContent
from hashgnn.recommender import HashGNN


def report_content(
    model: HashGNN,
    test: Interactions,
    assessment: Assessment,
    *,
    title: str,
    data_set: str = "",
    items: SideTable | None = None,
    title_column: str | None = None,
    commands: Sequence[str] = (),
    train: Interactions | None = None,
    data: Mapping[str, Any] | None = None,
    generated: bool = False,
    rng: int = 0,
) -> ReportContent:
    """Bring together what a report shows, for :func:`hashgnn.evaluation.report.write_report`.

    Parameters
    ----------
    model : HashGNN
    test : Interactions
        Held-out interactions, over the ids of the model.
    assessment : Assessment
        Of this model on these interactions.
    title : str
    data_set : str, default=""
        Its name.
    items : SideTable or None, default=None
        Gives the titles of the items; without it their ids are shown.
    title_column : str or None, default=None
        ``None`` takes ``title`` or ``name``.
    commands : sequence of str
        What reproduces the report.
    train : Interactions or None, default=None
        What the model was trained on, over its ids; orders what a user of an example had, as in :func:`examples`.
    data : mapping of str to object, default=None
        More facts about the data by name, such as their source.
    generated : bool, default=False
        Whether the data were made up; the page then says so.
    rng : int, default=0
    """
    state = model.state_
    health = {"items": code_health(state.items.codes), "users": code_health(state.users.codes)}
    positions = np.arange(state.n_items)
    names = (
        [str(one) for one in state.items.ids.at(positions).tolist()]
        if items is None
        else items.titles(title_column)
    )
    ways = assessment.result.metrics
    best = max(ways, key=lambda way: ways[way][assessment.metric])
    training: dict[str, Any] = dict(state.training)
    return ReportContent(
        title=title,
        data_set=data_set,
        verdict=assessment.verdict,
        evaluation=assessment.result,
        baselines=assessment.baselines,
        comparisons=assessment.comparisons,
        accuracy=assessment.accuracy,
        segments=assessment.segments,
        advice=health_advice(health),
        generated=generated,
        data={
            **(data or {}),
            "users": state.n_users,
            "items": state.n_items,
            "training interactions": int(state.seen.nnz),
            "held-out interactions": len(test),
            "bits": state.n_bits,
        },
        configuration=state.config.to_dict(),
        history=training.get("history", ()),
        health=health,
        distances=sample_distances(
            state.users.codes, state.items.codes, test.user_index, test.item_index, rng=rng
        ),
        examples=examples(
            model,
            test,
            names,
            search="hierarchical" if "hierarchical" in ways else best,
            train=train,
            rng=rng,
        ),
        commands=commands,
        versions={"hashgnn": __version__, **training.get("versions", {})},
    )
