"""`tonsai sft`: a model and instruction data -> a model that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tonsai_pipeline.cli.options import HomeOption, NodesOption, RecipeOption


def sft(
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            help="Conversations: a file (JSONL, JSON, CSV, Parquet) or a Hub id, with its licence as FILE:LICENCE (repeatable).",
        ),
    ],
    output_dir: Annotated[
        Path, typer.Option("--output-dir", "-o", help="Where the tuned model goes.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model folder or Hub id to tune; the model that the recipe pretrained by default.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="`full`: all weights learn; `lora`: adapters.")
    ] = "full",
    data_format: Annotated[
        str,
        typer.Option(
            "--format", help="messages, sharegpt, alpaca, prompt_completion; auto by the fields."
        ),
    ] = "auto",
    max_length: Annotated[
        int | None,
        typer.Option("--max-length", min=32, help="Tokens of a conversation; the model's context."),
    ] = None,
    num_epochs: Annotated[
        float, typer.Option("--num-epochs", min=0.0, help="Passes over the data.")
    ] = 2.0,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", "--lr", min=0.0, help="Peak rate; 2e-5 full, 2e-4 lora."),
    ] = None,
    global_batch_tokens: Annotated[
        int | None,
        typer.Option(
            "--global-batch-tokens",
            min=1,
            help="Tokens of one optimizer step; by the length of the run by default.",
        ),
    ] = None,
    lora_rank: Annotated[int, typer.Option("--lora-rank", min=1, help="Rank of adapters.")] = 16,
    chat_template: Annotated[
        str, typer.Option("--chat-template", help="`auto`: the model's own, if any; `chatml`.")
    ] = "auto",
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--texts",
            "-t",
            help="Texts that the model must not forget, as LANG=FILE: bits per byte before and after (repeatable).",
        ),
    ] = None,
    suite: Annotated[
        bool, typer.Option("--suite/--no-suite", help="Run the prompt suite on both models.")
    ] = True,
    deepspeed: Annotated[
        Path | None, typer.Option("--deepspeed", help="DeepSpeed config (JSON), merged over ours.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of order and dropout.")] = 0,
    num_processes: Annotated[
        int, typer.Option("--num-processes", min=0, help="Processes; 0 for one per GPU.")
    ] = 0,
    nodes: NodesOption = "1",
    recipe: RecipeOption = "demo",
    home: HomeOption = None,
) -> None:
    """Tune a model on instructions, all of it or by adapters, and measure how it answers.

    Reads, normalizes and filters the conversations, packs them, learns the replies, and reports held-out answers of
    the model before and after. Interrupted, the same command goes on from the last checkpoint.

    Example: `tonsai sft --model runs/mine/model --data alpaca_km.jsonl:CC-BY-NC-4.0 --method lora --output-dir tuned`
    """
    from rich.console import Console

    from tonsai_pipeline.cli.base_model import context_of, locate, model_of
    from tonsai_pipeline.cli.evaluate import print_results, texts_option
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
    from tonsai_pipeline.cli.single_step import write_recipe
    from tonsai_pipeline.defs.models.launcher import copy_out
    from tonsai_pipeline.missing import INSTRUCTION_ASSETS
    from tonsai_pipeline.storage.files import read_json

    base = locate(model or str(model_of(recipe, home, "pretrained_model")), "--model")
    length = max_length or context_of({"base": base})
    train: dict[str, Any] = {"num_epochs": num_epochs, "seed": seed}
    if learning_rate is not None:
        train["optimizer"] = {"lr": learning_rate}
    if deepspeed is not None:
        train["deepspeed_config"] = str(deepspeed.absolute())
    train["global_batch_tokens"] = (
        "auto" if global_batch_tokens is None else _whole_rows(global_batch_tokens, length)
    )
    recipe_file = write_recipe(
        output_dir,
        {
            "description": "Written by tonsai sft.",
            "sft": {
                "base": base,
                "sources": _sources(data, data_format),
                "method": method,
                "lora": {"rank": lora_rank},
                "max_length": length,
                "chat_template": chat_template,
                "seed": seed,
                "train": train,
            },
            "evaluate": {"texts": [texts_option(one) for one in texts or []], "suite": suite},
        },
    )
    options = GraphOptions(home=home, data=Path.cwd(), num_processes=num_processes, nodes=nodes)
    tuning, workspace = open_workspace(str(recipe_file), options)
    run_graph(tuning, workspace, options, INSTRUCTION_ASSETS)
    store = workspace.store(tuning)
    report = store.current("sft_report").path
    copy_out(store.current("sft_model").path, output_dir)
    copy_out(report, output_dir / "evaluation")
    results: Any = read_json(report / "results.json")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    print_results(results, console)
    typer.echo(f"model: {output_dir / 'model'}")


def _sources(data: list[str], data_format: str) -> list[dict[str, Any]]:
    """Describe each `--data` as a source of the recipe."""
    from tonsai_pipeline.cli.single_step import location
    from tonsai_pipeline.errors import RecipeError

    sources = []
    for number, said in enumerate(data):
        place, sign, license_id = said.rpartition(":")
        # A path may hold a colon itself, as a URL does.
        if not sign or "/" in license_id or Path(said).exists():
            place, license_id = said, ""
        found = location(place)
        if "path" in found:
            if not Path(place).is_file():
                raise RecipeError(f"--data {said}: no such file, and not the form of a Hub id")
            found["path"] = str(Path(place).absolute())
        source = {"name": f"data_{number}", "format": data_format, **found}
        sources.append({**source, "license": license_id or "unknown"})
    return sources


def _whole_rows(num_tokens: int, length: int) -> int:
    """Return the multiple of a row that is nearest to so many tokens."""
    return max(1, round(num_tokens / length)) * length
