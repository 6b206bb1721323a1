"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hashgnn.cli._option_values import checked_seed, checked_threads

_EVENTS = "Events and ages"
_COLUMNS, _SETTINGS, _RUN, _CANDIDATES = "Columns", "Settings", "Run", "Candidates"
_TRACKING, _CARD = "Experiment trackers", "Model card"
_BATCH = "For all, into a folder or file"
_LISTS = "Files and titles"


# Output of a command.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, with numbers not rounded.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

# A saved model, and how it is searched.
Model = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder or address of a saved model.", show_default=False)
]
K = Annotated[int, typer.Option("--k", "-k", metavar="N", help="Number of results.")]
Search = Annotated[
    str, typer.Option("--search", metavar="WAY", help="hamming, biased, asymmetric, hierarchical or float.")
]
Oversampling = Annotated[
    int,
    typer.Option("--oversampling", metavar="N", help="Hierarchical search re-ranks N candidates per result."),
]
Threads = Annotated[int, typer.Option("--threads", metavar="N", help="Threads of the search.")]
IndexRecall = Annotated[
    float | None,
    typer.Option(
        "--index-recall",
        metavar="X",
        help="Share of the exact best by code to find, if not as saved; below 1, millions of items lie in lists.",
    ),
]
BytesPerItem = Annotated[
    float | None,
    typer.Option(
        "--bytes-per-item",
        metavar="X",
        help="Memory of hierarchical search, if not as saved; items are ranked by rows of few bits.",
    ),
]

EngineURL = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="URL",
        help="An engine that holds the items, as postgresql://HOST/DB?table=NAME (hashgnn export).",
        show_default=False,
    ),
]

# Unknown ids, and which items may be results.
OnUnknown = Annotated[
    str,
    typer.Option(
        "--on-unknown",
        metavar="WHAT",
        help="Unknown ids: error; skip them; popular items instead; or fold_in, from what else is known.",
    ),
]
Allow = Annotated[
    str | None,
    typer.Option("--allow", metavar="A,B", help="Only these items.", rich_help_panel=_CANDIDATES),
]
AllowFile = Annotated[
    Path | None,
    typer.Option(
        "--allow-file",
        metavar="FILE",
        help="Only these items, one id per line; added to --allow.",
        rich_help_panel=_CANDIDATES,
    ),
]
Block = Annotated[
    str | None,
    typer.Option("--block", metavar="A,B", help="None of these items.", rich_help_panel=_CANDIDATES),
]
BlockFile = Annotated[
    Path | None,
    typer.Option(
        "--block-file",
        metavar="FILE",
        help="None of these items, one id per line; added to --block.",
        rich_help_panel=_CANDIDATES,
    ),
]

# Columns of a file of interactions.
UserColumn = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="COLUMN",
        help="User ids; default: user_id, user or userId.",
        rich_help_panel=_COLUMNS,
    ),
]
ItemColumn = Annotated[
    str | None,
    typer.Option(
        "--item",
        metavar="COLUMN",
        help="Item ids; default: item_id, item, itemId or movieId.",
        rich_help_panel=_COLUMNS,
    ),
]
WeightColumn = Annotated[
    str | None,
    typer.Option(
        "--weight",
        metavar="COLUMN",
        help="Weights; default: a column named weight if there is one, else every weight is 1.",
        rich_help_panel=_COLUMNS,
    ),
]
TimeColumn = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COLUMN",
        help="Timestamps; default: a column named timestamp or time if there is one.",
        rich_help_panel=_COLUMNS,
    ),
]
FileFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="parquet, csv, tsv, jsonl, arrow, recbole, movielens or adjacency; default: by the suffix.",
        rich_help_panel=_COLUMNS,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="C",
        help="What stands between the fields of CSV; default: as the header shows.",
        rich_help_panel=_COLUMNS,
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        "--decimal",
        metavar=".|,",
        help="What stands before the fraction of a number in text; default: a point, with ; a comma too.",
        rich_help_panel=_COLUMNS,
    ),
]
MaxDecompressed = Annotated[
    str | None,
    typer.Option(
        "--max-decompressed",
        metavar="SIZE",
        help="What a file may become when it is decompressed, as 20GB; default: 1 GiB, or 100 times its size.",
        rich_help_panel=_COLUMNS,
    ),
]

# What an interaction weighs.
EventColumn = Annotated[
    str | None,
    typer.Option(
        "--event-column",
        metavar="COLUMN",
        help="Types of events; default: a column named event, where they have weights.",
        rich_help_panel=_EVENTS,
    ),
]
EventWeights = Annotated[
    str | None,
    typer.Option(
        "--event-weights",
        metavar="A=X,B=Y",
        help="Weight of each type, as view=1,purchase=5; 0 leaves rows out.",
        rich_help_panel=_EVENTS,
    ),
]
HalfLife = Annotated[
    str | None,
    typer.Option(
        "--half-life",
        metavar="AGE",
        help="Age at which an interaction weighs half, as 90d (s, m, h, d, w); default: no age counts.",
        rich_help_panel=_EVENTS,
    ),
]
ReferenceTime = Annotated[
    str | None,
    typer.Option(
        "--reference-time",
        metavar="TIME",
        help="When the age is 0, as 2024-05-01; default: the newest time of the file.",
        rich_help_panel=_EVENTS,
    ),
]

# Settings of a model.
Recipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        metavar="NAME|FILE.toml",
        help="default, paper, authors, or a file.",
        rich_help_panel=_SETTINGS,
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        "--bits",
        metavar="N",
        help="Width of a code; default: the recipe's.",
        rich_help_panel=_SETTINGS,
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting, as in optimizer.epochs=4; hashgnn recipes lists them. May be repeated.",
        rich_help_panel=_SETTINGS,
    ),
]

# A training run.
Valid = Annotated[
    Path | None,
    typer.Option(
        "--valid",
        metavar="FILE",
        help="Held-out interactions that choose the best epoch. Without it the recipe decides: default holds "
        "nothing out and keeps the last epoch, paper and authors hold out a tenth.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed", metavar="N", help="Seed of all random choices.", rich_help_panel=_RUN, callback=checked_seed
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda[:N].", rich_help_panel=_RUN)
]
TrainingThreads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Threads to train with; default: as many as the size of the data can use.",
        rich_help_panel=_RUN,
        show_default=False,
        callback=checked_threads,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue a run that was stopped.", rich_help_panel=_RUN)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model at --output.", rich_help_panel=_RUN)
]

TensorBoardFolder = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="FOLDER",
        help="Write event files to FOLDER/NAME, where NAME is that of the output.",
        rich_help_panel=_TRACKING,
    ),
]
MLflowPlace = Annotated[
    str | None,
    typer.Option(
        "--mlflow",
        metavar="URI/EXPERIMENT",
        help="Write to an MLflow store, as http://localhost:5000/shop or sqlite:///mlflow.db/shop.",
        rich_help_panel=_TRACKING,
    ),
]

# The card of a model.
License = Annotated[
    str | None,
    typer.Option("--license", metavar="TEXT", help="Licence of the model.", rich_help_panel=_CARD),
]
CardNotes = Annotated[
    Path | None,
    typer.Option(
        "--card-notes", metavar="FILE", help="Markdown notes for the model card.", rich_help_panel=_CARD
    ),
]

# Answers for all, into a folder.
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME|URL",
        help="local (default), ray or spark, the files are the same; or the URL of an engine that holds the items, "
        "which answers some.",
        rich_help_panel=_BATCH,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes; default: one per processor.",
        rich_help_panel=_BATCH,
        show_default=False,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        help="Of a Ray cluster, or Spark's master; default: one that starts on this machine.",
        rich_help_panel=_BATCH,
        show_default=False,
    ),
]
PartRows = Annotated[
    int,
    typer.Option(
        "--part-rows", metavar="N", help="Users or items in each file of a folder.", rich_help_panel=_BATCH
    ),
]
Histories = Annotated[
    Path | None,
    typer.Option(
        "--histories",
        metavar="FILE|FOLDER",
        help="A column history of lists of item ids and perhaps user_id; or user_id and item_id, one in each row.",
        rich_help_panel=_BATCH,
    ),
]
SinceTraining = Annotated[
    Path | None,
    typer.Option(
        "--since-training",
        metavar="FILE",
        help="Newer interactions, a file or folder, that users are folded in from; for --all.",
        rich_help_panel=_BATCH,
    ),
]

# Lists in files.
ListFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="parquet, csv or jsonl; default: by the suffix of -o.",
        rich_help_panel=_LISTS,
        show_default=False,
    ),
]
OverwriteFile = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace a file, or the answers to another request in a folder.",
        rich_help_panel=_LISTS,
    ),
]
TitleColumns = Annotated[
    str | None,
    typer.Option(
        "--title",
        metavar="A,B",
        help="Columns of --items to add; default: title or name.",
        rich_help_panel=_LISTS,
    ),
]
TableOutput = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write a table too: .parquet, .csv or .jsonl; - is stdout, as CSV.",
    ),
]
OverwriteTable = Annotated[bool, typer.Option("--overwrite", help="Replace a file at --output.")]
