"""The command `tonsai`: one file a command, heavy imports inside the commands."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from tonsai_pipeline.cli.dedup_lookup import dedup_lookup
from tonsai_pipeline.cli.demo import demo
from tonsai_pipeline.cli.dumps import app as dumps_app
from tonsai_pipeline.cli.export import export
from tonsai_pipeline.cli.generate import generate
from tonsai_pipeline.cli.normalize import normalize
from tonsai_pipeline.cli.peek import peek
from tonsai_pipeline.cli.plan import plan
from tonsai_pipeline.cli.prepare import prepare
from tonsai_pipeline.cli.pretrain import pretrain
from tonsai_pipeline.cli.quality import quality
from tonsai_pipeline.cli.report import report
from tonsai_pipeline.cli.run import run
from tonsai_pipeline.cli.train_tokenizer import train_tokenizer
from tonsai_pipeline.errors import TonsaiError

app = typer.Typer(
    name="tonsai",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="""
From raw Khmer and English dumps to a trained language model.

**First steps:** `tonsai demo` builds a small model from generated text. Then write a recipe (start from
`tonsai plan --recipe gpt2_0p5b`), drop dumps into the inbox (`tonsai dumps scan`) and `tonsai run --recipe my.yaml`.
`uv run dagster dev` shows the same history in the browser.
""",
)
app.command(rich_help_panel="Start here")(demo)
app.command(rich_help_panel="The graph")(run)
app.add_typer(dumps_app, name="dumps", rich_help_panel="The graph")
app.command(rich_help_panel="The graph")(plan)
app.command(rich_help_panel="Results")(report)
app.command(rich_help_panel="Results")(peek)
app.command("dedup-lookup", rich_help_panel="Results")(dedup_lookup)
app.command(rich_help_panel="Results")(export)
app.command(rich_help_panel="Results")(generate)
app.command(rich_help_panel="Single steps")(normalize)
app.command(rich_help_panel="Single steps")(quality)
app.command(rich_help_panel="Single steps")(prepare)
app.command("train-tokenizer", rich_help_panel="Single steps")(train_tokenizer)
app.command(rich_help_panel="Single steps")(pretrain)


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
    try:
        app()
    except TonsaiError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]{type(error).__name__}[/bold red]: {error}", markup=True)
        sys.exit(1)
