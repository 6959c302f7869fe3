"""`tonsai pretrain`: a prepared dataset and a tokenizer -> a trained model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tonsai_pipeline.cli.options import HomeOption, WorkersOption


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
        float, typer.Option("--learning-rate", min=0.0, help="Peak rate.")
    ] = 3e-4,
    upload_url: Annotated[
        str | None,
        typer.Option("--upload-url", help="Folder for copies of the checkpoints: any fsspec URL."),
    ] = None,
    num_processes: Annotated[
        int, typer.Option("--num-processes", min=0, help="Processes; 0 for one per GPU.")
    ] = 0,
    home: HomeOption = None,
    workers: WorkersOption = 0,
) -> None:
    """Pretrain from new weights (`--model-config`) or go on from a model (`--resume-from`).

    Packs the dataset with the tokenizer and trains with DeepSpeed, through the graph: the history, the live loss
    and the checkpoints are in the UI. Interrupted, the same command goes on from the last checkpoint.

    Example: `tonsai pretrain --dataset-dir data/mixture --tokenizer-dir artifacts/tokenizer --model-config
    gpt2_500m.json --deepspeed zero2_h100.json --output-dir artifacts/checkpoints`
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace, run_graph
    from tonsai_pipeline.cli.single_step import AS_IT_IS, dataset_sources, write_recipe
    from tonsai_pipeline.defs.models.launcher import link_or_copy

    model = _model_section(model_config, resume_from)
    train: dict[str, Any] = {"optimizer": {"lr": learning_rate}}
    if upload_url is not None:
        train["checkpoint"] = {"upload_url": upload_url}
    if max_tokens is not None:
        train["max_tokens"] = max_tokens
    if deepspeed is not None:
        train["deepspeed_config"] = str(deepspeed.absolute())
    if global_batch_tokens is not None:
        train["global_batch_tokens"] = global_batch_tokens
    sources, languages = dataset_sources(dataset_dir, dataset_split, text_column)
    recipe_file = write_recipe(
        output_dir,
        {
            "description": "Written by tonsai pretrain.",
            "sources": sources,
            **AS_IT_IS,
            "mixture": {"languages": languages},
            "tokenizer": {"base": str(tokenizer_dir.absolute())},
            "packing": {"seq_len": seq_len or _context(model)},
            "model": model,
            "train": train,
        },
    )
    options = GraphOptions(
        home=home, data=Path.cwd(), num_workers=workers, num_processes=num_processes
    )
    recipe, workspace = open_workspace(str(recipe_file), options)
    run_graph(recipe, workspace, options)
    store = workspace.store(recipe)
    link_or_copy(store.current("pretrained_model").path, output_dir)
    link_or_copy(store.current("evaluation_report").path, output_dir / "evaluation")
    typer.echo(f"model: {output_dir / 'model'}")


def _model_section(model_config: Path | None, resume_from: str | None) -> dict[str, Any]:
    from tonsai_pipeline.errors import RecipeError

    if resume_from is not None:
        folder = Path(resume_from)
        # The output of an earlier run holds the model one folder down.
        inner = folder / "model"
        base = inner if inner.is_dir() else folder
        return {"base": str(base.absolute()) if base.exists() else resume_from}
    if model_config is None:
        raise RecipeError(
            "give --model-config (new weights) or --resume-from (a model to go on from)"
        )
    if not model_config.is_file():
        raise RecipeError(f"--model-config {model_config}: no such file")
    return {"config_file": str(model_config.absolute())}


def _context(model: dict[str, Any]) -> int:
    """Read the context length that the model was built for."""
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.storage.files import read_json

    path = Path(model.get("config_file") or Path(model["base"]) / "config.json")
    if path.is_file():
        config: Any = read_json(path)
        found = config.get("n_positions") or config.get("max_position_embeddings")
        if found:
            return min(int(found), 4096)
    raise RecipeError(f"{path}: the context length is not known here; give --seq-len")
