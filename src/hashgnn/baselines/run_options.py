"""``RunOptions``: how a baseline is fitted, none of which belongs to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashgnn._extras import require
from hashgnn.data import Interactions
from hashgnn.errors import ParameterError


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

    def torch_device(self) -> Any:
        """Return the torch device; ``"auto"`` is CUDA where there is one."""
        torch = require("torch", extra="train", purpose="training a baseline")
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            return torch.device(self.device)
        except RuntimeError:
            raise ParameterError(f"device must be 'auto', 'cpu' or 'cuda[:n]', got {self.device!r}") from None
