"""``hashgnn export`` and ``hashgnn sync``: a saved model in an engine, or as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashgnn.cli._options import Debug, Json, Model, Quiet
from hashgnn.cli._output import Output, size
from hashgnn.cli._reading import open_model
from hashgnn.errors import ParameterError

_ATTRIBUTES = typer.Option(
    metavar="FILE", help="Table of items with a column item_id; the others become columns that filters read."
)
_URL = "postgresql://HOST/DB?table=NAME, lancedb://FOLDER or milvus://HOST:19530"


def export(
    model: Model,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL|FOLDER", help=f"{_URL}; with --as a folder.", show_default=False),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="FORM",
            help="Write files instead: faiss, usearch, elasticsearch, opensearch or vespa.",
        ),
    ] = None,
    attributes: Annotated[Path | None, _ATTRIBUTES] = None,
    floats: Annotated[
        str | None,
        typer.Option(
            metavar="none|half", help="Embeddings in the engine; default: half where it can re-rank by them."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of what the engine holds, in one step.")
    ] = False,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="ONNX file: history in, float query and packed code out.", show_default=False
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or parquet file: position, id, code and bias of every item.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a model to an engine that is searched instead of the index here, or as files for other programs.

    Nothing can be read in an engine before all is written. Engines need the extra pgvector, lancedb or milvus. The ONNX
    file makes a query of a history, given as the positions of its items. The table of items has these positions, and the
    codes that the query's code is compared with. The ONNX file needs the extra onnx.

    Examples:
      hashgnn export models/v1 --to "postgresql://shop@db/main?table=items&index=hnsw" --attributes items.parquet

      hashgnn export models/v1 --to lancedb://items.lance

      hashgnn export models/v1 --as elasticsearch --to elastic-files

      hashgnn export models/v1 --onnx history.onnx --items items.csv
    """
    out = Output(as_json, quiet)
    if (to is None) == (onnx is None and items is None):
        raise ParameterError(
            "export needs --to, or --onnx FILE, --items FILE or both, got %s"
            % ("none" if to is None else "all")
        )
    if to is None:
        if form is not None or attributes is not None or floats is not None or replace:
            raise ParameterError("--as, --attributes, --floats and --replace need --to")
        _export_files(out, model, onnx, items, overwrite=overwrite)
        return
    if overwrite:
        raise ParameterError(
            "--overwrite is for --onnx and --items; --replace takes the place of what an engine holds"
        )
    from hashgnn.engines import export_files, export_model

    if form is not None:
        if floats is not None or replace:
            raise ParameterError("--floats and --replace are for an engine; leave them out with --as")
        folder = export_files(model, to, form, attributes=attributes)
        if out.as_json:
            out.document({"path": str(folder), "form": form})
        else:
            out.line(f"{folder}: files for {form}")
        return
    if "://" not in to:
        raise ParameterError(f"--to must be a URL, {_URL}, or a folder with --as FORM, got {to!r}")
    made = export_model(
        model, to, floats=floats, attributes=attributes, replace=replace, progress=out.progress
    )
    _print(out, made)


def _export_files(
    out: Output, model: Path, onnx: Path | None, items: Path | None, *, overwrite: bool
) -> None:
    from hashgnn._extras import check_extra
    from hashgnn.exporting.item_table import check_suffix, new_file
    from hashgnn.exporting.onnx_data import data_files

    files = {"onnx": onnx, "items": items}
    written = {name: path for name, path in files.items() if path is not None}
    if onnx is not None:
        check_extra("onnx", extra="onnx", purpose="an ONNX file")
    if items is not None:
        check_suffix(items)
    written = {name: new_file(path, overwrite=overwrite) for name, path in written.items()}
    if len(set(written.values())) < len(written):
        raise ParameterError(f"--onnx and --items must be two files, got {onnx} for both")
    loaded = open_model(model)
    if onnx is not None:
        loaded.export_onnx(onnx, overwrite=overwrite)
        data_paths = data_files(written["onnx"])
        written |= dict(zip(["onnx_data"], data_paths, strict=False))
    if items is not None:
        loaded.export_items(items, overwrite=overwrite)
    if out.as_json:
        document = {name: {"path": path, "n_bytes": path.stat().st_size} for name, path in written.items()}
        out.document({"path": model, **document})
        return
    for path in written.values():
        out.line(f"{path}: {size(path.stat().st_size)}")


def sync(
    old: Annotated[
        Path, typer.Argument(metavar="OLD", help="The model that the engine holds.", show_default=False)
    ],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The model to come.", show_default=False)],
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="Of the engine, as in export.", show_default=False)
    ],
    attributes: Annotated[Path | None, _ATTRIBUTES] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Turn the version of a model that an engine holds into the next one: write what changed, delete what went.

    Services with OLD go on unchanged until the sync after this one; NEW can be loaded when the command has ended.

    Examples:
      hashgnn sync models/v1 models/v2 --to "postgresql://shop@db/main?table=items"
    """
    from hashgnn.engines import sync_model

    out = Output(as_json, quiet)
    _print(out, sync_model(old, new, to, attributes=attributes, progress=out.progress))


def _print(out: Output, made: Any) -> None:
    if out.as_json:
        out.document(made.to_dict())
        return
    index = f", of these {made.index_seconds:.1f} for its index" if made.index_seconds else ""
    out.line(
        f"{made.engine}: version {made.checksum[:12]} of {made.n_items:,} items, {made.n_written:,} rows written, "
        f"{made.n_gone:,} gone, {made.seconds:.1f} seconds{index}"
    )
