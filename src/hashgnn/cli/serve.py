"""``hashgnn serve``: a saved model behind HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._option_values import id_lines
from hashgnn.cli._options import BytesPerItem, Debug, EngineURL, IndexRecall
from hashgnn.cli._signals import hangup_ends_as_sigterm
from hashgnn.errors import ParameterError

_MODEL, _LIMITS, _KEYS = "Model", "Limits", "Keys"


def serve(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder of a saved model, or of versions with a link `current` to one; or the address of a model, "
            "which is copied to the cache once, at the start.",
            show_default=False,
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(metavar="N", help="Worker processes.")] = 1,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Titles, prices and other columns of items, which rules look at.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    item_id: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of item ids in --items.", rich_help_panel=_MODEL)
    ] = "item_id",
    new_items: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Items that may be added while serving, kept in the store; 0 takes none.",
            rich_help_panel=_MODEL,
        ),
    ] = 10_000,
    interactions: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Store for new interactions, which are folded in: a file, or postgresql://user@host/database, which "
            "several services share.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    next_model: Annotated[
        Path | None,
        typer.Option(
            "--next", metavar="DIR", help="Second version, for a share of the users.", rich_help_panel=_MODEL
        ),
    ] = None,
    next_share: Annotated[
        float, typer.Option(metavar="X", help="Share of users that --next answers.", rich_help_panel=_MODEL)
    ] = 0.0,
    watch: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time between checks for a new version; 0 turns them off.",
            rich_help_panel=_MODEL,
        ),
    ] = 1.0,
    reload_timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Time in which a new version must open.", rich_help_panel=_MODEL
        ),
    ] = 300.0,
    allow_new_ids: Annotated[
        bool,
        typer.Option(
            "--allow-new-ids",
            help="Take new versions whose ids are of another kind, or that know too few of the old ones.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    index_recall: IndexRecall = None,
    bytes_per_item: BytesPerItem = None,
    engine: EngineURL = None,
    threads: Annotated[
        int, typer.Option(metavar="N", help="Concurrent searches per worker.", rich_help_panel=_LIMITS)
    ] = 2,
    queue: Annotated[
        int,
        typer.Option(
            metavar="N", help="Requests that may wait; further ones get 429.", rich_help_panel=_LIMITS
        ),
    ] = 64,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time limit of a request.", rich_help_panel=_LIMITS)
    ] = 10.0,
    body_limit: Annotated[
        int, typer.Option(metavar="BYTES", help="Size limit of a request body.", rich_help_panel=_LIMITS)
    ] = 4 * 1024 * 1024,
    recall_sample: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Share of requests that are searched exactly in the background, to watch recall; 0 turns it off.",
            rich_help_panel=_LIMITS,
        ),
    ] = 0.01,
    recall_cpu: Annotated[
        float,
        typer.Option(
            metavar="X",
            help="Largest share of a processor for these searches, in each worker.",
            rich_help_panel=_LIMITS,
        ),
    ] = 0.02,
    drain: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Time to keep answering after SIGTERM while not ready.",
            rich_help_panel=_LIMITS,
        ),
    ] = 0.0,
    keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="API keys, one per line; or HASHGNN_API_KEYS=a,b.", rich_help_panel=_KEYS
        ),
    ] = None,
    api_keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="API keys with names: a line is NAME: KEY, then rate=N (a second) where wanted. It may change while "
            "the service runs.",
            rich_help_panel=_KEYS,
        ),
    ] = None,
    admin_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Token that enables /admin/reload; or HASHGNN_ADMIN_TOKEN.",
            rich_help_panel=_KEYS,
        ),
    ] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests/--no-log-requests", help="Log one line of JSON per request.")
    ] = True,
    debug: Debug = False,
) -> None:
    """Serve a saved model over HTTP, with a page to try it out.

    The address is printed last, when requests are answered. On SIGTERM, SIGHUP or Ctrl-C it answers the requests in
    progress and stops. Needs the extra serve.

    Examples:
      hashgnn serve models/v1 --items movies.parquet --item-id movie_id

      hashgnn serve models --workers 2 --interactions events.db --keys-file keys.txt
    """
    from ipaddress import ip_address

    from pydantic import ValidationError

    from hashgnn._checks import check_threads
    from hashgnn.serving import ServiceSettings
    from hashgnn.serving.http.key_file import read_key_file
    from hashgnn.serving.process.server import listen
    from hashgnn.serving.process.supervisor import Supervisor
    from hashgnn.serving.process.worker_main import serve
    from hashgnn.serving.wire.validation import sentence_of
    from hashgnn.state import local_folder

    check_threads(workers, "--workers")
    try:
        settings = ServiceSettings(
            model=local_folder(model),
            next_model=None if next_model is None else local_folder(next_model),
            next_share=next_share,
            items=items,
            item_id=item_id,
            interactions=interactions,
            new_items=new_items,
            watch=watch,
            reload_timeout=reload_timeout,
            allow_new_ids=allow_new_ids,
            index_recall=index_recall,
            bytes_per_item=bytes_per_item,
            engine=engine,
            n_threads=threads,
            queue=queue,
            time_limit=time_limit,
            body_limit=body_limit,
            drain=drain,
            recall_sample=recall_sample,
            recall_cpu=recall_cpu,
            api_keys=_secrets(keys_file, "HASHGNN_API_KEYS"),
            api_keys_file=api_keys_file,
            admin_token=next(iter(_secrets(admin_token_file, "HASHGNN_ADMIN_TOKEN")), None),
            log_requests=log_requests,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("n_threads", "threads").replace("_", "-")
        raise ParameterError(f"--{option}{sentence_of(error).removeprefix(str(first['loc'][0]))}") from None
    if api_keys_file is not None:
        read_key_file(api_keys_file)  # a file that cannot be used is refused before anything starts
    hangup_ends_as_sigterm()
    with listen(host, port) as listening:
        address = listening.getsockname()
        if not settings.api_keys and api_keys_file is None and not ip_address(address[0]).is_loopback:
            typer.echo("hashgnn: other hosts can reach this address, and no API key is required", err=True)

        def ready() -> None:
            typer.echo(f"hashgnn: http://{host}:{address[1]}", err=True)

        if workers == 1:
            serve(settings, listening, ready)
        else:
            Supervisor(settings, listening, workers, ready).run()


def _secrets(path: Path | None, variable: str) -> tuple[str, ...]:
    """Return the lines of a file, or what an environment variable holds, separated by commas."""
    if path is not None:
        return tuple(id_lines(path))
    return tuple(part.strip() for part in os.environ.get(variable, "").split(",") if part.strip())
