"""`tonsai pretrain`: a prepared dataset and a tokenizer -> a trained model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tonsai_pipeline.cli.options import HomeOption, NodesOption, WorkersOption


def pretrain(
    dataset_dir: Annotated[
        Path, typer.Option("--dataset-dir", help="Dataset folder, as `tonsai prepare` writes it.")
    ],
    tokenizer_dir: Annotated[Path, typer.Option("--tokenizer-dir", help="Tokenizer folder.")],
    output_dir: Annotated[Path, typer.Option("--output-dir", help="Where the model goes.")],
    model_config: Annotated[
        Path | None, typer.Option("--model-config", help="Hugging Face model config (JSON).")
    ] = None,
    resume_from: Annotated[
        str | None,
        typer.Option(
            "--resume-from", help="Model folder or Hub id to go on from, instead of new weights."
        ),
    ] = None,
    deepspeed: Annotated[
        Path | None, typer.Option("--deepspeed", help="DeepSpeed config (JSON), merged over ours.")
    ] = None,
    dataset_split: Annotated[
        str, typer.Option("--dataset-split", help="Split to train on.")
    ] = "train",
    text_column: Annotated[
        str, typer.Option("--text-column", help="Field that holds the text.")
    ] = "text",
    seq_len: Annotated[
        int | None,
        typer.Option("--seq-len", min=16, help="Tokens in a row; the model's context by default."),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, help="Length of the run; one pass by default."),
    ] = None,
    global_batch_tokens: Annotated[
        int | None,
        typer.Option("--global-batch-tokens", min=1, help="Tokens of one optimizer step."),
    ] = None,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", "--lr", min=0.0, help="Peak rate.")
    ] = 3e-4,
    warmup_steps: Annotated[
        int | None,
        typer.Option("--warmup-steps", min=0, help="Steps over which the rate rises; 1 % of all."),
    ] = None,
    micro_batch_rows: Annotated[
        str | None,
        typer.Option(
            "--micro-batch-rows",
            help="Rows that one process takes at a time; auto: as many as fit.",
        ),
    ] = None,
    activation_checkpointing: Annotated[
        bool,
        typer.Option("--activation-checkpointing", help="Save memory for a third more work."),
    ] = False,
    save_steps: Annotated[
        int | None, typer.Option("--save-steps", min=1, help="Steps between two checkpoints.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of new weights, dropout and row order.")
    ] = 0,
    upload_url: Annotated[
        str | None,
        typer.Option("--upload-url", help="Folder for copies of the checkpoints: any fsspec URL."),
    ] = None,
    num_processes: Annotated[
        int, typer.Option("--num-processes", min=0, help="Processes; 0 for one per GPU.")
    ] = 0,
    nodes: NodesOption = "1",
    home: HomeOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Pretrain from new weights (`--model-config`) or go on from a model (`--resume-from`).

    Packs the dataset with the tokenizer and trains with DeepSpeed, through the graph: the history, the live loss
    and the checkpoints are in the UI. Interrupted, the same command goes on from the last checkpoint.

    Example: `tonsai pretrain --dataset-dir data/mixture --tokenizer-dir artifacts/tokenizer --model-config
    gpt2_500m.json --deepspeed zero2_h100.json --output-dir artifacts/checkpoints`
    """
    from tonsai_pipeline.cli.base_model import context_of, model_section
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
    from tonsai_pipeline.cli.single_step import AS_IT_IS, dataset_sources, hold_out, write_recipe
    from tonsai_pipeline.defs.models.launcher import copy_out

    model = model_section(model_config, resume_from)
    row_length = seq_len or context_of(model)
    train: dict[str, Any] = {"optimizer": {"lr": learning_rate}, "seed": seed}
    if deepspeed is not None:
        train |= _batch_of_file(deepspeed, row_length, num_processes)
    given = {
        "max_tokens": max_tokens,
        "global_batch_tokens": global_batch_tokens,
        "micro_batch_rows": _rows_or_auto(micro_batch_rows),
        "activation_checkpointing": activation_checkpointing or None,
        "schedule": None if warmup_steps is None else {"warmup_steps": warmup_steps},
        "checkpoint": {
            name: value
            for name, value in (("upload_url", upload_url), ("every_steps", save_steps))
            if value is not None
        }
        or None,
    }
    train |= {name: value for name, value in given.items() if value is not None}
    sources, languages = dataset_sources(dataset_dir, dataset_split, text_column)
    recipe_file = write_recipe(
        output_dir,
        {
            "description": "Written by tonsai pretrain.",
            "sources": sources,
            **AS_IT_IS,
            "mixture": {"languages": languages, **hold_out(dataset_dir, dataset_split)},
            "tokenizer": {"base": str(tokenizer_dir.absolute())},
            "packing": {"seq_len": row_length},
            "model": model,
            "train": train,
        },
    )
    options = GraphOptions(
        home=home,
        data=Path.cwd(),
        num_workers=workers,
        num_processes=num_processes,
        nodes=nodes,
    )
    recipe, workspace = open_workspace(str(recipe_file), options)
    run_graph(recipe, workspace, options)
    store = workspace.store(recipe)
    copy_out(store.current("pretrained_model").path, output_dir)
    copy_out(store.current("evaluation_report").path, output_dir / "evaluation")
    typer.echo(f"model: {output_dir / 'model'}")


def _rows_or_auto(given: str | None) -> int | str | None:
    if given is None or given == "auto":
        return given
    if not given.isdecimal() or int(given) < 1:
        raise typer.BadParameter(
            f"{given}: not a number from 1, nor auto", param_hint="--micro-batch-rows"
        )
    return int(given)


def _batch_of_file(path: Path, seq_len: int, num_processes: int) -> dict[str, Any]:
    """Return the recipe's names for the batch sizes of a DeepSpeed file."""
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.recipe.deepspeed_file import batch_sizes, read_deepspeed
    from tonsai_pipeline.train.launch.launcher import num_gpus

    try:
        rows, micro, accum = batch_sizes(read_deepspeed(path))
    except ValueError as error:
        raise RecipeError(f"--deepspeed {path}: {error}") from error
    train: dict[str, Any] = {"deepspeed_config": str(path.absolute())}
    if micro is not None:
        train["micro_batch_rows"] = micro
    if rows is None and accum is not None:
        rows = accum * (micro or 1) * (num_processes or max(1, num_gpus()))
    if rows is not None:
        train["global_batch_tokens"] = rows * seq_len
    return train
