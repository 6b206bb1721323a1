"""The engine ``ray``: Ray Train starts the processes, and starts them again where one was lost."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hashgnn import errors
from hashgnn._registry import imported
from hashgnn.batch.local import ONE_THREAD
from hashgnn.batch.ray_session import ray_session
from hashgnn.batch.reaching import first_line
from hashgnn.errors import EngineError, HashGNNError, HashGNNWarning, PeerLostError
from hashgnn.runs import Callback, Run, RunOptions
from hashgnn.state import ModelState
from hashgnn.training.callbacks.checkpoint import FILE_NAME
from hashgnn.training.callbacks.progress_report import end_line, epoch_line
from hashgnn.training.workers.group import HelperDone
from hashgnn.training.workers.joining import first_has_result

_RESTARTS = 3
_SECONDS_TO_JOIN = 300
_SECONDS_BETWEEN_LOOKS = 0.5


class Mailbox:
    """The lines, errors and results that processes leave for the caller; Ray makes one, as an actor."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._error: tuple[str, str] | None = None
        self._warnings: list[tuple[str, str]] = []
        self._state: Any = None
        self._n_starts = 0

    def start(self) -> int:
        """Return how often the training was started before."""
        self._n_starts += 1
        return self._n_starts - 1

    def say(self, line: str) -> None:
        """Take a line of progress."""
        self._lines.append(line)

    def take_lines(self) -> list[str]:
        """Return the lines since the last call."""
        lines, self._lines = self._lines, []
        return lines

    def fail(self, kind: str, error: str) -> None:
        """Take an error that another start would have too; the first one counts."""
        self._error = self._error or (kind, error)

    def error(self) -> tuple[str, str] | None:
        """Return the class and the words of the error."""
        return self._error

    def put(self, state: Any, warned: list[tuple[str, str]]) -> None:
        """Take the fitted state, and the classes and words of the warnings on the way."""
        self._state, self._warnings = state, warned

    def warned(self) -> list[tuple[str, str]]:
        """Return the warnings."""
        return self._warnings

    def state(self) -> Any:
        """Return the fitted state."""
        return self._state


class _Reporter(Callback):
    """Send the lines of progress to the mailbox."""

    def __init__(self, mailbox: Any) -> None:
        self._mailbox = mailbox

    def on_epoch_end(self, run: Run) -> None:
        self._mailbox.say.remote(epoch_line(run))

    def on_end(self, run: Run) -> None:
        self._mailbox.say.remote(end_line(run))


def run_ray(
    function: str,
    arguments: dict[str, Any],
    options: RunOptions,
    n_workers: int | None,
    address: str | None,
) -> ModelState:
    """Call a training function in processes of Ray, and return the state of the first one.

    A session of Ray that is already open is used. Otherwise one is opened: of the cluster at ``address``, or of
    this machine; it is closed at the end. Callbacks are sent to the first process. All processes are started again
    where one was lost, at most three times, and go on from the last checkpoint.

    Parameters
    ----------
    function : str
        ``"module:name"`` of :func:`~hashgnn.training.train` or :func:`~hashgnn.training.update`.
    arguments : dict
        Those of the function, without ``options``.
    options : RunOptions
        Its folder for checkpoints must be one that every machine has; ``None`` keeps them in a temporary folder.
    n_workers : int or None
        ``None`` is one for each processor of the cluster, divided by ``n_threads``.
    address : str or None

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    EngineError
        If the cluster cannot be reached, is too small, or processes were lost too often.
    """
    n_threads = options.n_threads or 1
    variables = {**ONE_THREAD, "GLOO_SOCKET_IFNAME": "lo"}
    with (
        ray_session(n_workers, n_threads, address, variables) as ray,
        tempfile.TemporaryDirectory(prefix="hashgnn-training-", ignore_cleanup_errors=True) as folder,
    ):
        n_cpus = int(ray.cluster_resources().get("CPU", 0))
        # One processor is for Ray's own tasks.
        size = n_workers or max(1, (n_cpus - 1) // n_threads)
        if size * n_threads > n_cpus:
            raise EngineError(
                f"Ray has {n_cpus} processors, and n_workers={size} with n_threads={n_threads} need "
                f"{size * n_threads}"
            )
        return _run(ray, function, arguments, replace(options, n_threads=n_threads), size, Path(folder))


def _run(
    ray: Any, function: str, arguments: dict[str, Any], options: RunOptions, size: int, folder: Path
) -> ModelState:
    train, with_torch = import_module("ray.train"), import_module("ray.train.torch")
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    checkpoints = Path(options.checkpoint_dir or folder / "checkpoint").absolute()
    if not options.resume:
        (checkpoints / FILE_NAME).unlink(missing_ok=True)  # or a second start would go on from it
    mailbox = ray.remote(num_cpus=0)(Mailbox).remote()
    is_silent = options.progress is False
    sent = replace(
        options,
        checkpoint_dir=str(checkpoints),
        log_path=None if options.log_path is None else str(Path(options.log_path).absolute()),
        progress=False,
        callbacks=[*([] if is_silent else [_Reporter(mailbox)]), *options.callbacks],
    )
    use_gpu = options.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= size
    trainer = with_torch.TorchTrainer(
        _work,
        train_loop_config={"mailbox": mailbox, "request": ray.put((function, arguments, sent))},
        scaling_config=train.ScalingConfig(
            num_workers=size,
            use_gpu=use_gpu,
            resources_per_worker={"CPU": options.n_threads, **({"GPU": 1} if use_gpu else {})},
        ),
        torch_config=with_torch.TorchConfig(
            backend="cpu:gloo,cuda:nccl" if use_gpu else "gloo", timeout_s=_SECONDS_TO_JOIN
        ),
        run_config=train.RunConfig(
            storage_path=str(folder / "ray"), failure_config=train.FailureConfig(max_failures=_RESTARTS)
        ),
    )
    try:
        with _lines_of(ray, mailbox, is_silent), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of Ray that are not used here
            trainer.fit()
    except Exception as error:
        known = ray.get(mailbox.error.remote())
        if known is not None:
            raise _error(*known) from error
        raise EngineError(
            f"Ray gave up, {first_line(error)}; the same run with resume=True goes on from its checkpoint"
        ) from error
    for kind, words in ray.get(mailbox.warned.remote()):
        warnings.warn(words, getattr(errors, kind), stacklevel=2)
    state: ModelState = ray.get(mailbox.state.remote())
    return state


def _work(config: dict[str, Any]) -> None:
    """Train in one process of Ray."""
    ray = import_module("ray")
    mailbox = config["mailbox"]
    known = ray.get(mailbox.error.remote())
    if known is not None:
        raise _error(*known)
    function, arguments, options = ray.get(config["request"])
    is_first = import_module("ray.train").get_context().get_world_rank() == 0
    if is_first and ray.get(mailbox.start.remote()):
        options = replace(options, resume=True)
    try:
        with first_has_result(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", HashGNNWarning)
            state = imported(function)(**arguments, options=options)
        warned = [
            (one.category.__name__, str(one.message))
            for one in caught
            if issubclass(one.category, HashGNNWarning)
        ]
        ray.get(mailbox.put.remote(state, warned))
    except HelperDone:
        return
    except PeerLostError:
        raise
    except Exception as error:
        ray.get(mailbox.fail.remote(type(error).__name__, str(error)))
        raise


@contextmanager
def _lines_of(ray: Any, mailbox: Any, is_silent: bool) -> Iterator[None]:
    """Print the lines of progress as they come."""
    is_over = threading.Event()

    def show() -> None:
        while True:
            ended = is_over.wait(_SECONDS_BETWEEN_LOOKS)
            with suppress(Exception):  # the next look, or the end of the run, says what is wrong
                for line in ray.get(mailbox.take_lines.remote()):
                    print(line, file=sys.stderr, flush=True)
            if ended:
                return

    if is_silent:
        yield
        return
    thread = threading.Thread(target=show, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _error(kind: str, words: str) -> HashGNNError:
    found = getattr(errors, kind, None)
    if isinstance(found, type) and issubclass(found, HashGNNError):
        return found(words)
    return EngineError(f"a process of the training ended, {kind}: {words}")
