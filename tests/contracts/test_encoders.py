"""Every registered encoder, in each of its forms, passes the contract suite."""

from __future__ import annotations

import pytest

from hashgnn.nn import ENCODERS
from hashgnn.testing.encoders import ENCODER_CHECKS, EncoderCase

CASES = {
    "gat": EncoderCase("gat", {"heads": 2}),
    "gat of one head and one layer": EncoderCase("gat", {"heads": 1, "n_layers": 1}, features=False),
    "gcn": EncoderCase("gcn"),
    "gcn of three layers": EncoderCase("gcn", {"n_layers": 3}, features=False),
    "graphsage": EncoderCase("graphsage"),
    "graphsage without features": EncoderCase("graphsage", {"n_layers": 1}, features=False),
    "graphsage of the authors": EncoderCase(
        "graphsage", {"aggregator": "concat", "input_dim": 7, "n_layers": 2, "item_layers": 1}
    ),
    "graphsage with deeper items": EncoderCase("graphsage", {"n_layers": 1, "item_layers": 3}),
    "graphsage with pooling": EncoderCase("graphsage", {"aggregator": "max"}),
    "graphsage with pooling and shallow items": EncoderCase(
        "graphsage", {"aggregator": "max", "n_layers": 3, "item_layers": 1}
    ),
    "history": EncoderCase("history"),
    "history without features": EncoderCase("history", features=False),
    "history with options": EncoderCase(
        "history", {"input_table": True, "linear": True, "degree_exponent": 1.0}
    ),
    "history of unit length": EncoderCase("history", {"normalization": "unit", "input_table": True}),
    "lightgcn": EncoderCase("lightgcn"),
    "lightgcn of three layers": EncoderCase("lightgcn", {"n_layers": 3}, features=False),
    "mf": EncoderCase("mf"),
    "mf without features": EncoderCase("mf", features=False),
    "ngcf": EncoderCase("ngcf"),
    "ngcf of one layer": EncoderCase("ngcf", {"n_layers": 1}, features=False),
    "pinsage": EncoderCase("pinsage", {"n_neighbours": 3}),
    "pinsage of one layer": EncoderCase("pinsage", {"n_layers": 1}, features=False),
}


def test_every_registered_encoder_has_a_case() -> None:
    assert {case.name for case in CASES.values()} == set(ENCODERS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("check", ENCODER_CHECKS, ids=lambda check: check.__name__)
def test_encoder_keeps_the_contract(check, case) -> None:
    check(case)
