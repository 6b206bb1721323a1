"""``RunOptions``: how a run is carried out, none of which belongs to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hashgnn._checks import check_int, check_threads
from hashgnn._rng import as_seed
from hashgnn.errors import ParameterError
from hashgnn.runs.callback import Callback


@dataclass(frozen=True)
class RunOptions:
    """Options of a run; the seed aside, none of them changes what is learned.

    Attributes
    ----------
    seed : int, default=drawn anew
        One seed gives one result on one machine with one thread count. On a GPU, torch's deterministic
        operations are used.
    device : str, default="auto"
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: CUDA where there is one.
    n_threads : int or None, default=None
        Threads of torch on the CPU. ``None`` takes one for each 250,000 floats of the largest matrix of a step,
        at most the processors that this process may use: those that it is bound to, the quota of its container,
        ``OMP_NUM_THREADS``.
    progress : bool or None, default=None
        ``False`` prints nothing; otherwise stderr gets a bar on a terminal, and lines where it is none.
    checkpoint_dir : str, Path or None, default=None
        Folder for a checkpoint, written after every epoch. It belongs to one run at a time.
    resume : bool, default=False
        Continue from the checkpoint in ``checkpoint_dir``, if there is one.
    log_path : str, Path or None, default=None
        JSONL file that the events of the run are appended to; a line that was cut short is removed before.
    callbacks : sequence of Callback, default=()
        Called after those of the library, in this order.
    shard_from : int, default=10000
        Where several processes train together, tables of so many items or more are parted among them, by rows;
        smaller ones are in all of them. Only the encoder ``history`` with the objective ``users`` parts any.

    Raises
    ------
    ParameterError
        If an option breaks its rule.
    """

    seed: int = field(default_factory=partial(as_seed, None))
    device: str = "auto"
    n_threads: int | None = None
    progress: bool | None = None
    checkpoint_dir: str | Path | None = None
    resume: bool = False
    log_path: str | Path | None = None
    callbacks: Sequence[Callback] = ()
    shard_from: int = 10_000

    def __post_init__(self) -> None:
        check_int("seed", self.seed, minimum=0)
        check_int("shard_from", self.shard_from, minimum=1)
        if self.n_threads is not None:
            check_threads(self.n_threads)
        if self.resume and self.checkpoint_dir is None:
            raise ParameterError("checkpoint_dir must be given with resume=True, got None")
        if not isinstance(self.callbacks, Sequence):  # an iterator would be used up by the check
            raise ParameterError(f"callbacks must be a list, got {self.callbacks!r}")
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise ParameterError(
                    f"callbacks must be objects of classes derived from Callback, got {callback!r}"
                )
