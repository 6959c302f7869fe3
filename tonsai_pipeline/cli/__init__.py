"""The command `tonsai`: one file a command, heavy imports inside the commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from tonsai_pipeline import __version__
from tonsai_pipeline.cli.chat import chat, serve
from tonsai_pipeline.cli.dedup_lookup import dedup_lookup
from tonsai_pipeline.cli.demo import demo
from tonsai_pipeline.cli.dumps import app as dumps_app
from tonsai_pipeline.cli.evaluate import evaluate
from tonsai_pipeline.cli.export import export
from tonsai_pipeline.cli.gc import gc
from tonsai_pipeline.cli.generate import generate
from tonsai_pipeline.cli.history import history
from tonsai_pipeline.cli.init import init
from tonsai_pipeline.cli.legacy import app as legacy_app
from tonsai_pipeline.cli.node import node
from tonsai_pipeline.cli.normalize import normalize
from tonsai_pipeline.cli.peek import peek
from tonsai_pipeline.cli.pilot import pilot
from tonsai_pipeline.cli.plan import plan
from tonsai_pipeline.cli.prepare import prepare
from tonsai_pipeline.cli.pretrain import pretrain
from tonsai_pipeline.cli.publish import publish
from tonsai_pipeline.cli.quality import quality
from tonsai_pipeline.cli.report import report
from tonsai_pipeline.cli.run import run
from tonsai_pipeline.cli.sft import sft
from tonsai_pipeline.cli.train_tokenizer import train_tokenizer
from tonsai_pipeline.cli.warm_up import warm_up
from tonsai_pipeline.errors import TonsaiError, missing_extra
from tonsai_pipeline.train.launch.launcher import waiting_policy

app = typer.Typer(
    name="tonsai",
    no_args_is_help=True,
    invoke_without_command=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""
From raw Khmer and English dumps to a trained language model.

**First steps:** `tonsai demo` builds a small model from generated text. Then `tonsai init my_texts` writes a recipe
for a folder of your own, and `tonsai run --recipe my_texts.yaml` makes the model.
`uv run dagster dev` shows the same history in the browser.
""",
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True)
    ] = False,
) -> None:
    """Hold what stands before a command; Typer shows the help text above instead."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


app.command(rich_help_panel="Start here")(demo)
app.command(rich_help_panel="Start here")(init)
app.command("warm-up", rich_help_panel="Start here")(warm_up)
app.command(rich_help_panel="The graph")(run)
app.add_typer(dumps_app, name="dumps", rich_help_panel="The graph")
app.command(rich_help_panel="The graph")(plan)
app.command(rich_help_panel="The graph")(pilot)
app.command(rich_help_panel="The graph")(node)
app.command(rich_help_panel="The graph")(gc)
app.command(rich_help_panel="The graph")(history)
app.command(rich_help_panel="Results")(evaluate)
app.command(rich_help_panel="Results")(report)
app.command(rich_help_panel="Results")(peek)
app.command("dedup-lookup", rich_help_panel="Results")(dedup_lookup)
app.command(rich_help_panel="Results")(export)
app.command(rich_help_panel="Results")(generate)
app.command(rich_help_panel="Results")(publish)
app.command(rich_help_panel="Results")(chat)
app.command(rich_help_panel="Results")(serve)
app.command(rich_help_panel="Single steps")(normalize)
app.add_typer(legacy_app, name="legacy", rich_help_panel="Single steps")
app.command(rich_help_panel="Single steps")(quality)
app.command(rich_help_panel="Single steps")(prepare)
app.command("train-tokenizer", rich_help_panel="Single steps")(train_tokenizer)
app.command(rich_help_panel="Single steps")(pretrain)
app.command(rich_help_panel="Single steps")(sft)

#: Exit code after Ctrl-C or SIGTERM, as shells have it: 128 + SIGINT.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    # Before torch is loaded, here and in every process that is started from here.
    os.environ.update(waiting_policy(os.environ))
    try:
        app()
    except TonsaiError as error:
        _stop(error)
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            typer.echo(
                "interrupted; what is finished is kept: run the same command again", err=True
            )
        raise
    except ModuleNotFoundError as error:
        known = missing_extra(error)
        if known is None:
            raise
        _stop(known)


def _stop(error: TonsaiError) -> NoReturn:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{type(error).__name__}[/bold red]: ", end="")
    # A message may hold square brackets: file names, `tonsai-pipeline[train]`.
    console.print(str(error), markup=False)
    sys.exit(1)
