"""Time of a training step over sampled neighbourhoods: drawing the batch, loss, gradient, optimiser.

    HASHGNN_DATA=data python benchmarks/sampled_steps.py ml-1m --recipe authors --batch-size 256

Milliseconds of processor time a step, the mean over the steps after the first five. ``trees`` writes the same draws
out as trees, in which a node that was drawn twice is computed twice, as GraphSAGE's code does.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch

from hashgnn.benchmarking.quality.data_sets import load_data_set
from hashgnn.config import load_recipe, parse_setting
from hashgnn.graph import BipartiteGraph, sample_neighbours
from hashgnn.nn import SampledHop
from hashgnn.training.build import build_model
from hashgnn.training.loop import make_optimizer
from hashgnn.training.objectives import build_objective
from hashgnn.training.objectives.base import StepPosition
from hashgnn.training.objectives.edges import EdgeObjective
from hashgnn.training.train import graph_view

_SKIPPED = 5


class TreeObjective(EdgeObjective):
    """Batches whose every entry draws its own neighbours."""

    def _sampled(
        self, users: Any, items: Any, rng: np.random.Generator
    ) -> tuple[tuple[SampledHop, ...], ...]:
        drawn = ((users, self._user_fan_outs), (items, self._item_fan_outs))
        return tuple(
            tuple(torch.from_numpy(hop) for hop in sample_neighbours(self._graph, nodes, fan_outs, rng=rng))
            for nodes, fan_outs in drawn
        )


def timed(objective: Any, model: Any, optimizer: torch.optim.Optimizer, n_steps: int) -> dict[str, float]:
    """Return the milliseconds of each part of a step."""
    spent = dict.fromkeys(("batch", "loss", "gradient", "optimiser"), 0.0)
    generator = torch.Generator().manual_seed(0)
    batches = objective.batches(np.random.default_rng(2))
    for step in range(n_steps + _SKIPPED):
        times = [time.process_time()]
        batch = next(batches)
        times.append(time.process_time())
        optimizer.zero_grad(set_to_none=True)
        loss = objective.loss(model, batch, StepPosition(0, 1, step, n_steps), generator)
        times.append(time.process_time())
        loss.backward()
        times.append(time.process_time())
        optimizer.step()
        times.append(time.process_time())
        if step >= _SKIPPED:
            for name, seconds in zip(spent, np.diff(times), strict=True):
                spent[name] += float(seconds)
    parts = {name: round(1000 * seconds / n_steps, 2) for name, seconds in spent.items()}
    return {**parts, "step": round(sum(parts.values()), 2)}


def main() -> None:
    """Time shared levels and trees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--recipe", default="authors")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--no-trees", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = dict(parse_setting(text) for text in arguments.set)
    config = load_recipe(arguments.recipe, **{"optimizer.batch_size": arguments.batch_size, **settings})
    graph = BipartiteGraph.from_interactions(load_data_set(arguments.data).train)
    view = graph_view(graph)
    kinds = ("levels",) if arguments.no_trees or not config.encoder.sampled_hops[0] else ("levels", "trees")
    for kind in kinds:
        model = build_model(graph, view, config, np.random.default_rng(0))
        rng = np.random.default_rng(1)
        if kind == "trees":
            objective: Any = TreeObjective(graph, view, config, rng, False)
        else:
            objective = build_objective(graph, view, config, rng, False)
        optimizer = make_optimizer(model, config.optimizer, model.tables())
        found = timed(objective, model, optimizer, arguments.steps)
        shown = {"data": arguments.data, "recipe": arguments.recipe, "edges": arguments.batch_size}
        print(json.dumps({**shown, "neighbours": kind, **found}), flush=True)


if __name__ == "__main__":
    main()
