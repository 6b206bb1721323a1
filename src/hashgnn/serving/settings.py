"""How a service runs: the model's path, limits, keys. Passed to workers as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


BAD_INPUT = 2  # exit code of a worker that cannot open its model, metadata or store


class ServiceSettings(BaseModel):
    """All settings of a service.

    Attributes
    ----------
    model : Path
        Folder of a saved model, or a folder of versions with a link ``current`` to one of them.
    next_model : Path or None
        A second version, which answers ``next_share`` of the users.
    items, item_id
        File of item metadata, and its column of item ids.
    interactions : str, Path or None
        The store of new interactions: a file, or ``postgresql://user@host/database``, which several services share;
        without one the service keeps none.
    new_items : int
        Items that may be added while the service runs and that no version was trained on; 0 takes none. They are
        kept in ``interactions``.
    index_recall : float or None
        Share of the exact best items by code that a search finds; None takes what each version was saved with.
        Another value builds an index when a version is opened.
    bytes_per_item : float or None
        Memory that hierarchical search for users may take for each item; None takes what each version was saved
        with. Another value makes rows of few bits when a version is opened.
    engine : str or None
        URL of an engine that holds the items of each version. A version that it does not hold is refused.
    n_threads : int
        Searches that run at the same time.
    queue : int
        Requests that may wait for a thread; more are refused.
    time_limit : float
        Seconds that a request may take, time in the queue included.
    body_limit : int
        Maximum size of a request's body in bytes.
    result_limit : int
        Maximum of rows times ``k`` of one request.
    recall_sample : float
        Share of requests for recommendations of which a row is searched exactly in the background, for the
        metrics of quality; 0 turns it off.
    recall_cpu : float
        Largest share of one processor that these searches take, in each worker.
    watch : float
        Seconds between checks of the model's folder for a new version; 0 reloads only on request.
    allow_new_ids : bool
        Take versions whose ids are of another kind, or that know too few of the old ones.
    reload_timeout : float
        Seconds that opening another version may take while one answers.
    drain : float
        Seconds to go on answering after SIGTERM, during which ``/health/ready`` fails.
    api_keys : tuple of str
        If there are any, here or in the file, every request except health checks and the page needs one.
    api_keys_file : Path or None
        Keys with names and rates, a line each; changes are taken while the service runs.
    admin_token : str or None
        Without one there is no ``/admin/reload``.
    log_requests : bool
        Log each request as a line of JSON.
    runtime : Path or None
        Folder that the workers of one service share, for reload requests that one of them received.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: Path
    next_model: Path | None = None
    next_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    items: Path | None = None
    item_id: str = "item_id"
    interactions: str | Path | None = Field(None, repr=False)
    new_items: Annotated[int, Field(ge=0)] = 10_000
    index_recall: Annotated[float, Field(gt=0, le=1)] | None = None
    bytes_per_item: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    engine: str | None = Field(None, repr=False)
    n_threads: Positive = 2
    queue: Annotated[int, Field(ge=0)] = 64
    time_limit: Seconds = 10.0
    body_limit: Positive = 4 * 1024 * 1024
    result_limit: Positive = 200_000
    recall_sample: Annotated[float, Field(ge=0, le=1)] = 0.01
    recall_cpu: Annotated[float, Field(gt=0, le=1)] = 0.02
    watch: Annotated[float, Field(ge=0)] = 1.0
    allow_new_ids: bool = False
    reload_timeout: Seconds = 300.0
    drain: Annotated[float, Field(ge=0)] = 0.0
    api_keys: tuple[str, ...] = Field((), repr=False)
    api_keys_file: Path | None = None
    admin_token: str | None = Field(None, repr=False)
    log_requests: bool = True
    runtime: Path | None = None

    @property
    def most_new_items(self) -> int:
        """Items that may be added; none where the items lie in an engine, which would not have them."""
        return self.new_items if self.engine is None else 0
