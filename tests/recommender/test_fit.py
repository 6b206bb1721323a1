from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from hashgnn.data import Interactions, as_interactions
from hashgnn.errors import DataError, DataWarning
from hashgnn.recommender import HashGNN

SMALL = {"n_bits": 16, "embedding_dim": 8, "optimizer.epochs": 2, "validation.share": 0.0}


def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    pairs = np.argwhere(rng.random((12, 9)) < 0.5)
    return pl.DataFrame(
        {"user_id": [f"u{user}" for user in pairs[:, 0]], "item_id": [f"i{item}" for item in pairs[:, 1]]}
    )


def test_a_frame_and_its_interactions_fit_to_the_same_model() -> None:
    events = frame()
    one = HashGNN(**SMALL).fit(events, device="cpu", n_threads=1, rng=3, progress=False)
    other = HashGNN(**SMALL).fit(
        Interactions.from_frame(events), device="cpu", n_threads=1, rng=3, progress=False
    )
    assert one.state_.items.codes == other.state_.items.codes
    users = events["user_id"].unique(maintain_order=True)
    assert one.recommend(users, k=3).lists() == other.recommend(users, k=3).lists()
    known = set(events["item_id"].to_list())
    assert {item for row in one.recommend(users, k=3).lists() for item in row} <= known


def test_a_sparse_matrix_is_taken_with_its_row_and_column_numbers() -> None:
    matrix = sparse.csr_matrix(np.random.default_rng(0).random((12, 9)) < 0.5, dtype=np.float32)
    model = HashGNN(**SMALL)
    assert model.fit(matrix, device="cpu", n_threads=1, rng=3, progress=False) is model
    assert model.recommend([0, 11], k=2).ids.dtype == np.int64
    np.testing.assert_array_equal(model.state_.seen.toarray(), matrix.toarray())


def test_validation_rows_get_the_indices_of_the_training_ids() -> None:
    train = as_interactions(frame())
    later = pl.DataFrame({"user_id": ["u3", "stranger"], "item_id": ["i2", "i2"]})
    with pytest.warns(DataWarning, match="1 of 2 rows have a user or item that is not in the training data"):
        valid = as_interactions(later, like=train)
    assert valid.user_ids is train.user_ids
    assert train.user_ids.ids[valid.user_index].tolist() == ["u3"]
    assert train.item_ids.ids[valid.item_index].tolist() == ["i2"]


def test_a_frame_without_its_columns_is_refused() -> None:
    with pytest.raises(DataError, match="item_id"):
        HashGNN(**SMALL).fit(pl.DataFrame({"user_id": ["u1"]}))
