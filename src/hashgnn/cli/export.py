"""``hashgnn export``: a saved model as files for programs in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._options import Debug, Json, Model, Quiet
from hashgnn.cli._output import Output, size
from hashgnn.cli._reading import open_model
from hashgnn.errors import ParameterError


def export(
    model: Model,
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
    """Write a model as files that programs in other languages read.

    The ONNX file makes a query of a history, given as the positions of its items. The table of items has these
    positions, and the codes that the query's code is compared with. The ONNX file needs the extra onnx.

    Examples:
      hashgnn export models/v1 --onnx history.onnx --items items.csv

      hashgnn export models/v1 --items items.parquet
    """
    from hashgnn._extras import check_extra
    from hashgnn.exporting.item_table import check_suffix, new_file

    out = Output(as_json, quiet)
    files = {"onnx": onnx, "items": items}
    written = {name: path for name, path in files.items() if path is not None}
    if not written:
        raise ParameterError("export needs --onnx FILE, --items FILE or both, got none")
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
    if items is not None:
        loaded.export_items(items, overwrite=overwrite)
    if as_json:
        document = {name: {"path": path, "n_bytes": path.stat().st_size} for name, path in written.items()}
        out.document({"path": model, **document})
        return
    for path in written.values():
        out.line(f"{path}: {size(path.stat().st_size)}")
