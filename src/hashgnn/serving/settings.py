"""How a service runs: where the model lies, limits, keys. Passed between processes as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServiceSettings(BaseModel):
    """Everything that may be set of a service.

    Attributes
    ----------
    model : Path
        Folder of a saved model, or a folder of versions with a link ``current`` to one of them.
    next_model : Path or None
        A second version, which answers ``next_share`` of the users.
    items, item_id
        Parquet file of item metadata, and its column of item ids.
    interactions : Path or None
        File of the store of new interactions; without one the service keeps none.
    index_recall : float
        Share of the exact best items by code that a search shall find; below 1, millions of items are
        searched in lists, which are built when a version is opened.
    n_threads : int
        Searches at a time.
    queue : int
        Requests that may wait for a thread; more are answered 429.
    time_limit : float
        Seconds that a request may take, waiting included.
    body_limit : int
        Bytes of a request's body.
    result_limit : int
        Rows times ``k`` of one request.
    watch : float
        Seconds between looks at the model's folder; 0 looks only when asked to.
    drain : float
        Seconds to go on answering after SIGTERM while ``/health/ready`` says no.
    api_keys : tuple of str
        Where some are given, every call but health checks and the page needs one.
    admin_token : str or None
        Without one there is no ``/admin/reload``.
    log_requests : bool
        A line of JSON a request.
    runtime : Path or None
        Folder that the workers of one service share; where a reload asked of one is seen by the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Path
    next_model: Path | None = None
    next_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    items: Path | None = None
    item_id: str = "item_id"
    interactions: Path | None = None
    index_recall: Annotated[float, Field(gt=0, le=1)] = 1.0
    n_threads: Positive = 2
    queue: Annotated[int, Field(ge=0)] = 64
    time_limit: Seconds = 10.0
    body_limit: Positive = 4 * 1024 * 1024
    result_limit: Positive = 200_000
    watch: Annotated[float, Field(ge=0)] = 1.0
    drain: Annotated[float, Field(ge=0)] = 0.0
    api_keys: tuple[str, ...] = Field((), repr=False)
    admin_token: str | None = Field(None, repr=False)
    log_requests: bool = True
    runtime: Path | None = None
