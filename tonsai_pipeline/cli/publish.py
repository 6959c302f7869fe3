"""`tonsai publish`: a model on its way to other people, after everything that must hold was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tonsai_pipeline.cli.options import HomeOption, ModelFolderOption, RecipeOption

if TYPE_CHECKING:
    from tonsai_pipeline.publish.spec import PublishRun


def publish(
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="`hf://owner/name`, a folder, or any fsspec URL (s3://, gs://, ...)."
        ),
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Give it to others; without it, only show what would be.")
    ] = False,
    branch: Annotated[
        str | None, typer.Option("--branch", help="Branch of the Hub's repository; `main` without.")
    ] = None,
    pull_request: Annotated[
        bool, typer.Option("--pull-request", help="Propose the commit on the Hub.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="A new repository on the Hub is seen by everybody.")
    ] = False,
    model: ModelFolderOption = None,
    evaluation: Annotated[
        Path | None,
        typer.Option("--evaluation", help="Folder of its `results.json`; needed with --model."),
    ] = None,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Where release/ and gate.json go.")
    ] = Path("release"),
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Publish a model: listed files, a model card and a data card written from the run, and a gate before it.

    A fresh process opens what would be given away and measures it again. Every verdict must be passed, or accepted by
    name and with a reason (`publish.waivers`, `evaluate.gate.waivers`). Without --push nothing leaves this machine.

    Example: `tonsai publish --recipe my.yaml --to hf://owner/name --pull-request --push`
    """
    from rich.console import Console

    from tonsai_pipeline.errors import RecipeError

    if push and to is None:
        raise RecipeError("--push needs a target: --to hf://owner/name, or --to FOLDER")
    if (model is None) != (evaluation is None):
        raise RecipeError("--model and --evaluation go together: a model and its `results.json`")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    run = _run(recipe, home, model, evaluation, output_dir.absolute())
    _prepare(run)
    stops = show(run.output_dir, console)
    if push and to is not None:
        from tonsai_pipeline.publish import targets

        def log(line: str) -> None:
            console.print(line, markup=False)

        where = targets.push(
            run.output_dir,
            to,
            log=log,
            branch=branch,
            pull_request=pull_request,
            private=not public,
        )
        typer.echo(where)
        return
    console.print(f"nothing was given away; {'stopped by the gate' if stops else 'ready: --push'}")
    raise typer.Exit(1 if stops else 0)


def _run(
    recipe: str, home: Path | None, model: Path | None, evaluation: Path | None, output_dir: Path
) -> PublishRun:
    """Say what is published: the recipe's current model, or a folder with its evaluation."""
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace
    from tonsai_pipeline.defs.models.published_model import release_run
    from tonsai_pipeline.lineage.pipeline import select
    from tonsai_pipeline.publish.spec import PublishRun, commit_of, data_sources
    from tonsai_pipeline.publish.stage import STAGE

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    if model is None:
        store = workspace.store(loaded)
        # What is current, not what the recipe would make now: the model that one looked at is published.
        given = {
            argument: store.current(read.stage) if read.is_read(loaded) else None
            for argument, read in STAGE.reads.items()
        }
        given |= {name: select(loaded, fields, None) for name, fields in STAGE.fields.items()}
        trained = store.current("sft_model" if loaded.sft.is_wanted else "pretrained_model")
        return release_run(given, output_dir, trained.manifest.fingerprint, workspace.recipe_file)
    assert evaluation is not None, "they go together"
    return PublishRun(
        name=loaded.name,
        publish=loaded.publish,
        model_dir=model.absolute(),
        results=evaluation.absolute() / "results.json",
        sources=data_sources(loaded.sources, loaded.sft.sources),
        masked=tuple(loaded.quality.mask),
        max_rise_frac=dict(loaded.train.regression.max_rise_frac),
        commit=commit_of(Path(workspace.recipe_file)),
        output_dir=output_dir,
        fingerprint=_digest(model),
    )


def _digest(model: Path) -> str:
    from tonsai_pipeline.storage.files import name_contents

    return name_contents(model)


def _prepare(run: PublishRun) -> None:
    """Write the release in a process of its own."""
    from tonsai_pipeline.train.launch import LaunchSpec, launch

    spec = LaunchSpec("tonsai_pipeline.publish.job", run.write(), run.output_dir, launcher="python")
    launch(spec).raise_for_failure()


def show(place: Path, console: Any) -> bool:
    """Print tree, sizes, cards and gate of a release; return whether the gate stops it."""
    from typing import cast

    from rich.table import Table

    from tonsai_pipeline.storage.files import read_json

    release = place / "release"
    for path in sorted(release.rglob("*")):
        console.print(f"  {path.stat().st_size:>14,} {path.relative_to(release)}", markup=False)
    for name in ("README.md", "DATA_CARD.md"):
        console.rule(name)
        console.print((release / name).read_text(encoding="utf-8"), markup=False)
    console.rule("gate")
    rows = cast("dict[str, Any]", read_json(place / "gate.json"))["verdicts"]
    colors = {"passed": "green", "failed": "red", "unknown": "yellow"}
    table = Table("", "verdict", "", box=None)
    for row in rows:
        accepted = f"; accepted: {row['waiver']}" if row["waiver"] else ""
        color = colors[row["verdict"]]
        table.add_row(
            row["name"], f"[{color}]{row['verdict']}[/{color}]", row["message"] + accepted
        )
    console.print(table)
    return any(row["stops"] for row in rows)
