from __future__ import annotations

import numpy as np
import pytest

from hashgnn.data import Interactions, add_interactions
from hashgnn.errors import ParameterError


def test_known_ids_keep_their_places_and_a_pair_comes_once() -> None:
    known = Interactions.from_arrays(["u5", "u9"], [20, 10])
    new = Interactions.from_arrays(["u1", "u9", "u9"], [15, 10, 5])
    both = add_interactions(known, new)
    assert both.user_ids.ids.tolist() == ["u5", "u9", "u1"]
    assert both.item_ids.ids.tolist() == [10, 20, 5, 15]
    pairs = set(zip(both.user_ids.ids[both.user_index], both.item_ids.ids[both.item_index], strict=True))
    assert pairs == {("u5", 20), ("u9", 10), ("u9", 5), ("u1", 15)}
    assert len(both) == 4
    assert both.weight is None
    np.testing.assert_array_equal(both.csr.toarray()[:2, :2], known.csr.toarray())


def test_weights_of_a_pair_are_added_and_a_row_without_counts_one() -> None:
    known = Interactions.from_arrays([1, 2], [1, 1])
    new = Interactions.from_arrays([1, 1], [1, 2], weight=[2.5, 3.0])
    both = add_interactions(known, new)
    np.testing.assert_array_equal(both.csr.toarray(), [[3.5, 3.0], [1.0, 0.0]])


def test_times_stay_where_both_have_them() -> None:
    known = Interactions.from_arrays([1], [1], timestamp=[5])
    new = Interactions.from_arrays([1], [1], timestamp=[3])
    both = add_interactions(known, new)
    assert both.timestamp is not None
    assert both.timestamp.tolist() == [5]
    assert add_interactions(known, Interactions.from_arrays([1], [2])).timestamp is None


def test_ids_of_another_type_are_refused() -> None:
    known = Interactions.from_arrays([1], ["a"])
    with pytest.raises(ParameterError, match=r"^user ids of this data are integers, got '1' of type str$"):
        add_interactions(known, Interactions.from_arrays(["1"], ["a"]))
