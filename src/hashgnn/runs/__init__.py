"""How a run is carried out and who follows it: ``RunOptions``, ``Run`` and ``Callback``; without torch."""

from hashgnn.runs.callback import Callback, CallbackList
from hashgnn.runs.run import Run, RunState
from hashgnn.runs.run_options import RunOptions

__all__ = ["Callback", "CallbackList", "Run", "RunOptions", "RunState"]
