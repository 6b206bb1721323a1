from __future__ import annotations

import numpy as np
import pytest

from hashgnn.data import Interactions


@pytest.fixture(scope="session")
def blocks() -> Interactions:
    """Two groups of 20 users that like two groups of 12 items, each pair with probability 0.6."""
    rng = np.random.default_rng(0)
    same = np.kron(np.eye(2), np.ones((20, 12))) > 0
    users, items = np.nonzero(same & (rng.random(same.shape) < 0.6))
    return Interactions.from_arrays(users, items)
