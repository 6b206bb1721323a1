"""``RunOptions``: how a baseline is fitted, none of which belongs to the model."""

from __future__ import annotations

from dataclasses import dataclass

from hashgnn.data import Interactions


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Attributes
    ----------
    valid : Interactions or None
        Held-out interactions that choose the best epoch; ``None`` takes a tenth of the training part.
    device : str
    n_threads : int or None
        Threads of torch.
    progress : bool or None
        ``None`` shows a bar on a terminal.
    """

    valid: Interactions | None = None
    device: str = "cpu"
    n_threads: int | None = None
    progress: bool | None = None
