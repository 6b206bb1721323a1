"""``MLflow``: a run in an MLflow tracking store."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hashgnn._extras import check_extra, require
from hashgnn.errors import ParameterError
from hashgnn.runs import Run
from hashgnn.tracking.figures import flat
from hashgnn.tracking.tracker import Tracker

_IDENTITY, _STATE = "hashgnn.identity", "hashgnn.state"
_PARENT = "mlflow.parentRunId"  # shows a run below another one
_MOST_PARAMETERS, _MOST_CHARACTERS = 100, 500  # of one call, and of a value in any store
_NO_NAME = re.compile(r"[^\w./: -]")
# A server that does not answer must not hold a training up for minutes, as MLflow's own seven tries do.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


class MLflow(Tracker):
    """Write a run to an MLflow tracking store (extra ``mlflow``, the package ``mlflow-skinny``).

    Settings become parameters. ``loss``, ``train_seconds`` and the validation metrics are metrics whose step is
    the epoch, then ``final/…`` and ``code_health/…``. The model card is the artifact ``model_card.md``. An ``@`` in
    the name of a metric is written ``_at_``. The run ends as ``FINISHED``, ``FAILED``, or ``KILLED`` after Ctrl-C.

    A run that is resumed goes on in the MLflow run that it began, which is found by the data, settings and seed.

    A search has a run with what it varies and its best figures, and a nested run for each trial, whose tag
    ``hashgnn.state`` says how it ended. One that was pruned or killed ends as ``KILLED``.

    Parameters
    ----------
    uri : str
        A tracking URI, such as ``"http://host:5000"`` or ``"sqlite:///mlflow.db"``. MLflow itself refuses plain
        folders by now.
    experiment : str, default="hashgnn"
        Made where it is missing.
    run_name : str or None, default=None
        ``None`` lets MLflow choose one.

    Raises
    ------
    ParameterError
        If a name is empty.
    MissingExtraError
        If the package mlflow is not installed.

    Notes
    -----
    A server that does not answer is tried three times, for 20 seconds each at most, unless
    ``MLFLOW_HTTP_REQUEST_MAX_RETRIES`` and ``MLFLOW_HTTP_REQUEST_TIMEOUT`` say otherwise.

    Examples
    --------
    >>> model.fit(train, callbacks=[MLflow("http://localhost:5000", "shop")])  # doctest: +SKIP
    """

    def __init__(self, uri: str, experiment: str = "hashgnn", *, run_name: str | None = None) -> None:
        super().__init__()
        for name, value in (("uri", uri), ("experiment", experiment)):
            if not value:
                raise ParameterError(f"{name} must be text that is not empty, got {value!r}")
        check_extra("mlflow", extra="mlflow", purpose="MLflow")
        self.uri, self.experiment, self.run_name = uri, experiment, run_name
        self._client: Any = None
        self._run_id = ""
        self._written = 0  # epochs that the run holds
        self._study = ""  # the run of the study that a trial belongs to

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def _open(self, run: Run, settings: dict[str, Any]) -> None:
        mlflow = require("mlflow", extra="mlflow", purpose="MLflow")
        with _patience():
            self._client = mlflow.MlflowClient(tracking_uri=self.uri)
            place = self._place()
            former = self._former(place, run.identity) if run.is_resumed else None
            if former is not None:
                self._run_id = former
                self._client.update_run(former, status="RUNNING")
                steps = [metric.step for metric in self._client.get_metric_history(former, "loss")]
                self._written = max(steps, default=0)
                return
            tags = {_IDENTITY: run.identity, "hashgnn.run": run.name}
            if self._study:
                tags[_PARENT] = self._study
            self._run_id = self._client.create_run(place, tags=tags, run_name=self.run_name).info.run_id
            self._written = 0
            self._write_settings(settings)

    def _place(self) -> str:
        """Return the experiment, made where it is missing."""
        found = self._client.get_experiment_by_name(self.experiment)
        return str(self._client.create_experiment(self.experiment) if found is None else found.experiment_id)

    def _begin_trial(self, study: MLflow, name: str) -> None:
        self._study, self._run_id, self._client = study._run_id, "", None
        self.run_name = name if study.run_name is None else f"{study.run_name}-{name}"

    def _open_study(self, token: str, settings: Mapping[str, Any]) -> None:
        mlflow = require("mlflow", extra="mlflow", purpose="MLflow")
        with _patience():
            self._client = mlflow.MlflowClient(tracking_uri=self.uri)
            place = self._place()
            former = self._former(place, token)
            if former is not None:
                self._run_id = former
                self._client.update_run(former, status="RUNNING")
                return
            tags = {_IDENTITY: token, "hashgnn.run": "tune"}
            self._run_id = self._client.create_run(place, tags=tags, run_name=self.run_name).info.run_id
            self._write_settings(flat(settings))

    def _close_study(self, figures: Mapping[str, float], error: BaseException | None) -> None:
        self._write_metrics({name: float(value) for name, value in figures.items()}, 0)
        with _patience():
            self._client.set_terminated(self._run_id, status=_status(error))

    def _end_killed(self, identity: str) -> None:
        with _patience():
            former = self._former(self._place(), identity)
            if former is not None and self._client.get_run(former).info.status == "RUNNING":
                self._client.set_tag(former, _STATE, "killed")
                self._client.set_terminated(former, status="KILLED")

    def _write_state(self, run: Run, state: str) -> None:
        with _patience():
            self._client.set_tag(self._run_id, _STATE, state)

    def _former(self, place: str, identity: str) -> str | None:
        found = self._client.search_runs(
            [place],
            filter_string=f"tags.`{_IDENTITY}` = '{identity}'",
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        return found[0].info.run_id if found else None

    def _write_settings(self, settings: dict[str, Any]) -> None:
        from mlflow.entities import Param

        parameters = [Param(_name(key), str(value)[:_MOST_CHARACTERS]) for key, value in settings.items()]
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            self._client.log_batch(self._run_id, params=parameters[start : start + _MOST_PARAMETERS])

    def _write_epoch(self, run: Run, epoch: int, figures: dict[str, float]) -> None:
        if epoch > self._written:
            self._write_metrics(figures, epoch)
            self._written = epoch

    def _write_metrics(self, figures: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        if not figures:
            return
        now = int(time.time() * 1000)
        with _patience():
            self._client.log_batch(
                self._run_id, metrics=[Metric(_name(key), value, now, step) for key, value in figures.items()]
            )

    def _flush(self) -> None:
        """Do nothing: each call has been answered."""

    def _write_figures(self, run: Run, figures: dict[str, float]) -> None:
        self._write_metrics(figures, run.epoch)

    def _write_model(self, run: Run, figures: dict[str, float], card: str) -> None:
        self._write_metrics(figures, run.epoch)
        self._write_card(card, run.epoch)

    def _write_card(self, card: str, step: int) -> None:
        with _patience():
            self._client.log_text(self._run_id, card, "model_card.md")

    def _close(self, run: Run, error: BaseException | None) -> None:
        with _patience():
            self._client.set_terminated(self._run_id, status=_status(error))


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"


@contextmanager
def _patience() -> Iterator[None]:
    """Bound MLflow's tries inside the block, where the user has not."""
    set_here = [name for name in _PATIENCE if name not in os.environ]
    os.environ.update({name: _PATIENCE[name] for name in set_here})
    try:
        yield
    finally:
        for name in set_here:
            os.environ.pop(name, None)


def _name(text: str) -> str:
    """Return a name that every store takes.

    Examples
    --------
    >>> _name("final/recall@20")
    'final/recall_at_20'
    """
    return _NO_NAME.sub("_", text.replace("@", "_at_"))
