"""Random state: an int seed or a NumPy generator in, generators and seeds out. Nothing global."""

from __future__ import annotations

import numpy as np

from hashgnn._checks import check_int
from hashgnn.errors import ParameterError

_RULE = "an int seed, a numpy.random.Generator or None"
RngLike = int | np.random.Generator | None


def as_generator(rng: RngLike) -> np.random.Generator:
    """Return a generator: the one given, one seeded by the int, or a fresh one for ``None``.

    Examples
    --------
    >>> int(as_generator(0).integers(100)) == int(as_generator(0).integers(100))
    True
    """
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(None if rng is None else _check_seed(rng))


def as_seed(rng: RngLike) -> int:
    """Return one int seed in ``[0, 2**63)``: the int itself, or one drawn from the generator.

    A generator is advanced by the draw, so two fits from one generator differ, as a user expects.
    """
    if rng is None or isinstance(rng, np.random.Generator):
        return int(as_generator(rng).integers(2**63))
    return _check_seed(rng)


def derive(seed: int, *path: int) -> np.random.Generator:
    """Return the generator of one stage of one run: the same path gives the same stream.

    Training draws from ``derive(seed, stage, epoch)``, so a resumed run needs no saved generator state.
    """
    return np.random.default_rng([seed, *path])


def _check_seed(value: object) -> int:
    try:
        return check_int("rng", value, minimum=0)
    except ParameterError:
        raise ParameterError(f"rng must be {_RULE}, got {value!r}") from None
