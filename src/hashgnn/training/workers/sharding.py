"""Which parameters are parted by rows: those with a row an item, where a step looks single rows up."""

from __future__ import annotations

from hashgnn.config import ModelConfig
from hashgnn.config.objectives import Users
from hashgnn.nn.encoders.history import HistoryEncoder
from hashgnn.training.hash_model import HashModel
from hashgnn.training.workers.group import Group


def sharded_parameters(model: HashModel, config: ModelConfig, group: Group, shard_from: int) -> list[str]:
    """Return the names of the parameters of which each process shall hold some rows.

    They are the item tables of the encoder ``history`` and the item bias, under the objective ``users``, from
    ``shard_from`` items on. Other encoders read whole tables at each step, and other objectives draw their items in
    each process.
    """
    encoder = model.encoder
    if group.size == 1 or not isinstance(encoder, HistoryEncoder) or not isinstance(config.objective, Users):
        return []
    if encoder.n_items < max(shard_from, group.size):
        return []
    chosen = {
        "encoder.item_input.table": encoder.item_input.table,
        "encoder.source": encoder.source,
        "item_bias": model.item_bias,
    }
    return [name for name, parameter in chosen.items() if parameter is not None]
