"""The ``hashgnn`` command: its sub-commands, brought together."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hashgnn._processors import wait_passively
from hashgnn.cli import (
    benchmark,
    check,
    data,
    demo,
    encode,
    evaluate,
    explain,
    export,
    fit,
    inspect,
    interactions,
    items,
    recipes,
    recommend,
    serve,
    similar,
    tune,
    update,
)
from hashgnn.cli._group import Group

app = typer.Typer(
    name="hashgnn",
    cls=Group,
    help="Learned hash codes for recommenders: train, evaluate, recommend.",
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Learned hash codes for recommenders: train, evaluate, recommend.

    Start with: hashgnn demo
    """
    if version:
        from hashgnn import __version__

        typer.echo(f"hashgnn {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("fit")(fit.fit)
app.command("update")(update.update)
app.command("tune")(tune.tune)
app.command("recipes")(recipes.recipes)
app.command("evaluate")(evaluate.evaluate)
app.command("recommend")(recommend.recommend)
app.command("similar")(similar.similar)
app.command("explain")(explain.explain)
app.command("encode")(encode.encode)
app.command("inspect")(inspect.inspect)
app.command("check")(check.check)
app.command("export")(export.export)
app.command("sync")(export.sync)
app.command("serve")(serve.serve)
app.add_typer(interactions.app, name="interactions")
app.add_typer(items.app, name="items")
app.add_typer(benchmark.app, name="benchmark")


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    wait_passively()
    app(args=sys.argv[1:], prog_name="hashgnn")
