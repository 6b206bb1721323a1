from __future__ import annotations

import pytest

from hashgnn.errors import ParameterError
from hashgnn.nn import GuidanceSchedule
from hashgnn.nn.relaxations.guidance_schedule import (
    ConstantGuidance,
    EpochGuidance,
    LinearGuidance,
    StepGuidance,
)


def values(schedule: GuidanceSchedule, n_epochs: int, n_steps: int) -> list[float]:
    return [schedule(e, n_epochs, s, n_steps) for e in range(n_epochs) for s in range(n_steps)]


def test_linear_schedule_goes_from_start_to_end_in_equal_steps() -> None:
    assert values(LinearGuidance(), 2, 3) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0])
    assert values(LinearGuidance(start=0.5, end=0.9), 1, 3) == pytest.approx([0.5, 0.7, 0.9])


def test_step_schedule_has_equal_stairs() -> None:
    stairs = values(StepGuidance(steps=3), 3, 2)
    assert stairs == pytest.approx([1, 1, 0.5, 0.5, 0, 0])
    assert values(StepGuidance(steps=1), 1, 3) == [1.0, 1.0, 1.0]


def test_schedule_can_reach_its_end_before_the_run_does() -> None:
    assert values(LinearGuidance(until=0.6), 5, 1) == pytest.approx([1, 0.5, 0, 0, 0])
    assert values(StepGuidance(steps=2, until=0.5), 4, 1) == [1, 0, 0, 0]


def test_schedule_can_begin_to_move_late() -> None:
    """The continuous model is trained alone for a while, and from there on the line is as it always was."""
    assert values(LinearGuidance(after=0.5), 6, 1) == pytest.approx([1, 1, 1, 1, 0.5, 0])
    assert values(LinearGuidance(after=0.4, until=0.8), 5, 2) == pytest.approx(
        [1] * 5 + [2 / 3, 1 / 3] + [0] * 3
    )
    assert values(StepGuidance(steps=2, after=0.5), 4, 1) == [1, 1, 1, 0]
    assert values(LinearGuidance(after=0.98, until=0.99), 2, 2) == [1, 1, 1, 1]


def test_epoch_schedule_is_that_of_the_authors() -> None:
    schedule = EpochGuidance(change=0.02, every=2)
    by_epoch = [schedule(epoch, 20, 0, 10) for epoch in range(20)]
    assert by_epoch == pytest.approx([1 - 0.02 * (epoch // 2) for epoch in range(20)])
    assert 1 - by_epoch[-1] == pytest.approx(0.18)
    assert schedule(1000, 2000, 0, 10) == 0.0


def test_epoch_schedule_can_rise_and_stops_at_its_end() -> None:
    schedule = EpochGuidance(start=0.2, end=0.5, change=0.2, every=1)
    assert [schedule(epoch, 5, 0, 1) for epoch in range(4)] == pytest.approx([0.2, 0.4, 0.5, 0.5])


def test_constant_schedule_stays_at_its_start() -> None:
    assert set(values(ConstantGuidance(0.3), 3, 3)) == {0.3}


def test_run_of_one_step_begins_at_the_start() -> None:
    assert LinearGuidance()(0, 1, 0, 1) == 1.0


def test_bad_settings_raise() -> None:
    with pytest.raises(ParameterError, match="start must be a finite number >= 0 and <= 1, got 1.5"):
        LinearGuidance(start=1.5)
    with pytest.raises(ParameterError, match="share must be a finite number >= 0 and <= 1, got -1"):
        ConstantGuidance(-1)
    with pytest.raises(ParameterError, match="change must be a finite number >= 0 and <= 1, got 2"):
        EpochGuidance(change=2)
    with pytest.raises(ParameterError, match="steps must be an integer >= 1, got 0"):
        StepGuidance(steps=0)
    with pytest.raises(ParameterError, match="after must be smaller than until=0.5, got 0.5"):
        LinearGuidance(until=0.5, after=0.5)
