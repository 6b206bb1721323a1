"""Two communities of users and items: the unseen item of a user's own community is the right answer."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from hashgnn.data import Interactions

N_USERS, N_ITEMS = 24, 16


def communities() -> Interactions:
    """Users 0-11 have items 0-7, users 12-23 items 8-15, each all but one."""
    dense = np.kron(np.eye(2), np.ones((12, 8)))
    users = np.arange(N_USERS)
    dense[users, held_out(users)] = 0
    return Interactions.from_csr(sp.csr_matrix(dense))


def held_out(users: np.ndarray) -> np.ndarray:
    """Return the one unseen item of its community for each user."""
    return 8 * (users // 12) + users % 8
