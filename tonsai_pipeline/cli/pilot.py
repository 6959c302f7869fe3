"""`tonsai pilot`: small runs of a recipe, what they say of the large one, and a prediction to commit before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tonsai_pipeline.cli.options import DataOption, HomeOption, RecipeOption, WorkersOption

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.loss_law.ladder import Point
    from tonsai_pipeline.pilot.cost import PointCost
    from tonsai_pipeline.pilot.points import Pilot
    from tonsai_pipeline.recipe import Recipe


def pilot(
    recipe: RecipeOption = "demo",
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Print the points and what they cost; run nothing.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", min=0.0, help="Hours; the dearest points are left out until the rest fit."
        ),
    ] = None,
    gpu: Annotated[str, typer.Option("--gpu", help="For the hours: H100, A100, L4, ...")] = "H100",
    mfu: Annotated[
        float,
        typer.Option("--mfu", min=0.01, max=1.0, help="Share of the GPU's promise that is kept."),
    ] = 0.4,
    tflops: Annotated[
        float | None,
        typer.Option(
            "--tflops",
            min=1e-6,
            help="10^12 operations per second, in place of --gpu and --mfu: a thread of a CPU has about 0.03.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The prediction; NAME.prediction.json by default."),
    ] = None,
    num_processes: Annotated[
        int, typer.Option("--num-processes", min=0, help="Processes of a run; 0 for one per GPU.")
    ] = 0,
    home: HomeOption = None,
    data: DataOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Predict what a recipe's run will be worth, from a ladder of small ones.

    Sizes, parts of the text and passes are crossed as the recipe's `pilot` section says; runs with other settings tell which
    of them matter. Finished runs are not run again. Commit the prediction, name it in the recipe (`evaluate.prediction`), then
    train: the report prints predicted against measured.

    Example: `tonsai pilot --recipe my.yaml --plan --budget 4`
    """
    from rich.console import Console

    from tonsai_pipeline.cli.graph import GraphOptions, open_reader, open_workspace, run_graph
    from tonsai_pipeline.defs.resources import RunOptions
    from tonsai_pipeline.errors import ManifestError
    from tonsai_pipeline.loss_law.ladder import within
    from tonsai_pipeline.pilot.cost import too_short
    from tonsai_pipeline.pilot.points import Pilot

    console = Console(highlight=False, soft_wrap=True)
    options = GraphOptions(home=home, data=data, num_workers=workers)
    loaded, workspace = open_workspace(recipe, options)
    flops_per_s = tflops * 1e12 if tflops else _promised(loaded, gpu) * mfu
    if not only_plan:
        run_graph(loaded, workspace, options, ["packed_shards"])
    own = None
    with suppress(ManifestError):  # nothing was made yet: the plan follows from the recipe alone
        engine = RunOptions(num_workers=workers).open_engine
        own = Pilot(open_reader(loaded, workspace), engine, num_processes)
    planned = _costs(loaded, own)
    hours = [cost.flops / flops_per_s / 3600 for cost in planned]
    points, left_out = [cost.point for cost in planned], list["Point"]()
    if budget is not None:
        points, left_out = within(points, hours, budget)
    _print_plan(console, planned, hours, left_out)
    if warning := too_short(loaded, [cost for cost in planned if cost.point in points]):
        console.print(f"[yellow]{warning}[/yellow]")
    if not only_plan:
        assert own is not None, "its rows were packed just now"
        _run(console, own, points)
        _tell(console, own, points, output or Path(f"{loaded.name}.prediction.json"))


def _promised(recipe: Recipe, gpu: str) -> float:
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.planner.hardware import GPUS, peak_flops_of

    precision = "bf16" if recipe.train.precision == "auto" else recipe.train.precision
    peak = peak_flops_of(gpu, precision)
    if peak is None:
        raise RecipeError(f"--gpu {gpu}: unknown; known are: {', '.join(GPUS)}; or give --tflops")
    return peak


def _costs(recipe: Recipe, own: Pilot | None) -> list[PointCost]:
    """Count the points, from the packed rows or, before there are any, from the recipe."""
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.pilot.cost import costs
    from tonsai_pipeline.pilot.variant import points_of
    from tonsai_pipeline.tokenizer.assemble import VOCAB_MULTIPLE

    if own is not None and own.is_packed:
        vocab_size, tokens = own.rows.vocab_size, own.num_tokens
    else:
        vocab_size = -(-recipe.tokenizer.vocab_size // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
        tokens = recipe.train.max_tokens or recipe.mixture.total_tokens or 0
    if not tokens:
        raise RecipeError(
            "the length of the run is not known before its rows are packed: set train.max_tokens, or pack first: tonsai run "
            "--select packed_shards"
        )
    return costs(recipe, points_of(recipe), vocab_size=vocab_size, tokens=tokens)


def _print_plan(
    console: Console,
    planned: Sequence[PointCost],
    hours: Sequence[float],
    left_out: Sequence[Point],
) -> None:
    for cost, needed in zip(planned, hours, strict=True):
        shape, out = cost.shape, "  [yellow]left out[/yellow]" if cost.point in left_out else ""
        console.print(
            f"  {cost.point.name:<48} {shape.num_layers} x {shape.hidden_size:<5} {shape.num_parameters:>13,} parameters "
            f"{cost.tokens:>15,.0f} tokens {cost.num_steps:>9,} steps {needed:>9.3g} h{out}"
        )
    kept = [n for cost, n in zip(planned, hours, strict=True) if cost.point not in left_out]
    console.print(f"  {len(kept)} runs, {sum(kept):.3g} hours at the speed given")


def _run(console: Console, own: Pilot, points: Sequence[Point]) -> None:
    from tonsai_pipeline.pilot.points import result_of
    from tonsai_pipeline.train.launch import launch

    for point in points:
        artifact = own.make(point, launch)
        state = "[dim]cached[/dim]" if artifact.cached else "[green]made[/green]  "
        bits = "  ".join(
            f"{lang} {found['bits_per_byte']:.4f}"
            for lang, found in result_of(artifact)["languages"].items()
        )
        console.print(f"  {state} {point.name:<48} [dim]{bits}[/dim]")


def _tell(console: Console, own: Pilot, points: Sequence[Point], output: Path) -> None:
    """Print the page, and write the prediction where a person can commit it."""
    from tonsai_pipeline.pilot.summary import PAGE_NAME, PREDICTION_NAME, summarize
    from tonsai_pipeline.storage.files import write_bytes

    found = summarize(own, points)
    console.print(found.file(PAGE_NAME).read_text(encoding="utf-8"), markup=False)
    if not found.report["has_prediction"]:
        console.print("[yellow]no prediction: see above why[/yellow]")
        return
    write_bytes(output, found.file(PREDICTION_NAME).read_bytes())
    console.print(
        f"{output}: commit it before the large run, and name it in the recipe: evaluate: {{prediction: {output.name}}}"
    )
