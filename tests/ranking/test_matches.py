from __future__ import annotations

import numpy as np
import pytest

from hashgnn.ranking import Matches


def found(n_queries=3, distances=True):
    positions = np.array([[4, 2, 0], [7, -1, -1], [-1, -1, -1]])[:n_queries]
    scores = np.where(positions >= 0, np.array([16.0, 12.5, -3.0]), -np.inf).astype(np.float32)
    counts = (positions >= 0).sum(axis=1)
    return Matches(positions, scores, counts, positions.astype(np.int32) if distances else None)


def test_a_person_can_read_the_repr():
    assert repr(found()) == (
        "Matches(n_queries=3, k=3), position (score):\n  0: 4 (16), 2 (12.5), 0 (-3)\n  1: 7 (16)\n  2: no results"
    )


def test_a_long_repr_is_cut():
    many = Matches(np.tile(np.arange(8), (7, 1)), np.ones((7, 8)), np.full(7, 8))
    lines = repr(many).splitlines()
    assert lines[1] == "  0: 0 (1), 1 (1), 2 (1), 3 (1), 4 (1), … 3 more"
    assert len(lines) == 7
    assert lines[-1] == "  … 2 more queries"


@pytest.mark.parametrize(
    ("rows", "positions"),
    [
        (1, [[7, -1, -1]]),
        (np.int64(0), [[4, 2, 0]]),
        (-1, [[-1, -1, -1]]),
        (slice(1, None), [[7, -1, -1], [-1, -1, -1]]),
        (np.array([2, 0]), [[-1, -1, -1], [4, 2, 0]]),
        (np.array([True, False, False]), [[4, 2, 0]]),
    ],
)
def test_rows_are_chosen_with_all_that_belongs_to_them(rows, positions):
    part = found()[rows]
    assert isinstance(part, Matches)
    assert part.positions.tolist() == positions
    assert part.counts.tolist() == [sum(entry >= 0 for entry in row) for row in positions]
    assert part.distances is not None
    assert part.distances.tolist() == positions
    assert (part.scores == -np.inf).tolist() == [[entry < 0 for entry in row] for row in positions]
    assert found(distances=False)[rows].distances is None


def test_lists_hold_no_padding():
    assert found().lists() == [[4, 2, 0], [7], []]
    assert found().valid.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert found().k == len(found()) == 3


def test_parts_are_put_one_after_the_other():
    whole = Matches.concatenate([found(1), found()[1:]])
    assert whole.lists() == found().lists()
    assert whole.distances is not None
    assert whole.distances.tolist() == found().distances.tolist()
    assert Matches.concatenate([found(1), found(3, distances=False)]).distances is None
    one = found()
    assert Matches.concatenate([one]) is one


def test_room_for_results_is_all_padding():
    room = Matches.empty(2, 3)
    assert room.lists() == [[], []]
    assert room.positions.tolist() == [[-1] * 3] * 2
    assert (room.scores == -np.inf).all()


def test_only_results_must_have_finite_scores() -> None:
    positions, counts = np.array([[4, -1]]), np.array([1])
    assert Matches(positions, np.array([[2.0, -np.inf]]), counts).is_finite
    assert not Matches(positions, np.array([[np.inf, -np.inf]]), counts).is_finite
    assert not Matches(positions, np.array([[np.nan, -np.inf]]), counts).is_finite


def test_padding_adds_columns_that_are_no_results():
    wide = found().padded(5)
    assert wide.k == 5
    assert wide.lists() == found().lists()
    assert wide.positions[0].tolist() == [4, 2, 0, -1, -1]
    assert wide.scores[0].tolist() == [16.0, 12.5, -3.0, -np.inf, -np.inf]
    assert wide.distances[:, 3:].tolist() == [[-1, -1]] * 3
    assert found(distances=False).padded(4).distances is None
    assert wide.padded(2) is wide
