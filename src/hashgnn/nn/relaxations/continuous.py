"""No relaxation: the continuous model, which the others are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from hashgnn.nn.relaxations.base import Relaxation


@dataclass(frozen=True)
class Continuous(Relaxation):
    """The hash layer's output as it is: no sign is taken in training.

    The model learns float vectors of as many entries as a code has bits. Its codes are their signs, taken
    afterwards. Epochs are chosen by the vectors.

    References
    ----------
    Tan et al., WWW 2020, arXiv 2003.01917: the continuous GraphSAGE of the tables.
    """

    is_continuous: ClassVar[bool] = True

    def __call__(
        self,
        x: torch.Tensor,
        strength: float,
        *,
        generator: torch.Generator,
        groups: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return ``x``; nothing is drawn."""
        return x
