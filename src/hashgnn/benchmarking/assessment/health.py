"""The health of codes, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hashgnn.codes import CodeHealth

_LEANING = 0.15  # mean distance of a bit's balance from one half
_CORRELATED = 0.15  # mean absolute correlation of two bits
_COLLISIONS = 0.05  # share of items whose code another item has


def health_advice(health: Mapping[str, CodeHealth]) -> list[str]:
    """Return a sentence for each fault of the codes with its remedy, or one that there is none.

    Parameters
    ----------
    health : mapping of str to CodeHealth
        By side: ``items``, ``users``.
    """
    found = []
    for side, one in health.items():
        noun = side.removesuffix("s")
        if one.dead_bits:
            found.append(
                f"{one.dead_bits} of {one.n_bits} {noun} bits are dead, the same in nearly every code: train with "
                "--set objective.balance_weight=0.1, or take fewer bits."
            )
        elif np.abs(one.balance - 0.5).mean() > _LEANING:
            found.append(
                f"The {noun} bits lean to one side, by {np.abs(one.balance - 0.5).mean():.2f} from one half: train "
                "with --set objective.balance_weight=0.1."
            )
        if one.mean_absolute_correlation > _CORRELATED:
            found.append(
                f"The {noun} bits repeat one another, with a mean correlation of "
                f"{one.mean_absolute_correlation:.2f}: train with --set objective.decorrelation_weight=0.1."
            )
        if side == "items" and one.collision_share > _COLLISIONS:
            found.append(
                f"{100 * one.collision_share:.0f} % of the items share their code with another, so Hamming search "
                f"cannot tell them from each other: take more bits than {one.n_bits}, or search hierarchical."
            )
    return found or ["Nothing to do: no bit is dead, and the bits are balanced and say different things."]
