"""`tonsai plan`: what a recipe costs and needs, before anything is bought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tonsai_pipeline.cli.options import HomeOption, RecipeOption

if TYPE_CHECKING:
    from rich.console import Console

    from tonsai_pipeline.planner.network import MemoryEstimate, Shape
    from tonsai_pipeline.recipe import Recipe
    from tonsai_pipeline.recipe.train import TrainConfig
    from tonsai_pipeline.storage.store import Store

#: Beyond so many passes over the same text little is learned: Muennighoff et al. 2025, JMLR 26(53).
_MANY_EPOCHS = 4


def plan(
    recipe: RecipeOption = "gpt2_500m",
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", help="h100, h200, 8xh100, 8xh200, 8xa100, colab-t4, colab-l4, colab-a100."
        ),
    ] = None,
    gpu: Annotated[
        str, typer.Option("--gpu", help="H100, H200, A100, L4, T4, RTX 4090, ...")
    ] = "H100",
    num_gpus: Annotated[int, typer.Option("--gpus", min=1, help="Number of GPUs.")] = 1,
    mfu: Annotated[
        float,
        typer.Option("--mfu", min=0.01, max=1.0, help="Share of the GPU's promise that is kept."),
    ] = 0.4,
    price: Annotated[
        float | None,
        typer.Option("--price", min=0.0, help="Price of one GPU for an hour, in any currency."),
    ] = None,
    corpus_bytes: Annotated[
        float | None,
        typer.Option(
            "--corpus-bytes",
            min=1,
            help="Bytes of text, such as 1e12: what the data stages take, and nothing else.",
        ),
    ] = None,
    cores: Annotated[int, typer.Option("--cores", min=1, help="Cores for --corpus-bytes.")] = 16,
    price_per_core_hour: Annotated[
        float | None,
        typer.Option(
            "--price-per-core-hour",
            min=0.0,
            help="Price of a core for --corpus-bytes, in any currency.",
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Predict parameters, memory, speed, hours and cost, and the passes over each source.

    Hours follow from operations per token and the MFU you state; 0.35 to 0.5 is usual for this size on an
    H100. Passes over sources are counted once the corpus was built, and estimated from bytes until then. With
    `--preset`, the settings that fit the machine's memory are chosen. After a run, what it measured is shown too.

    Examples: `tonsai plan --recipe gpt2_500m --preset 8xh100`,
    `tonsai plan --corpus-bytes 1e12 --cores 64 --price-per-core-hour 0.04`
    """
    from rich.console import Console

    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    console = Console(highlight=False, soft_wrap=True)
    if corpus_bytes is not None:
        _print_corpus(console, corpus_bytes, cores, price_per_core_hour)
        return
    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    shape = _count(loaded)
    _print_network(console, loaded, shape)
    total = _planned_tokens(loaded)
    loaded = _with_numbers(console, loaded, shape, workspace.store(loaded), total)
    if preset is None:
        wanted = _Machine(gpu, num_gpus, mfu, price)
        _print_cost(console, loaded, shape, wanted, total_tokens=total)
    else:
        _print_preset(console, loaded, shape, preset, price=price, total_tokens=total)
    _print_measured(console, workspace.store(loaded))
    _print_sources(console, loaded, workspace.store(loaded), total)


def _print_corpus(
    console: Console, corpus_bytes: float, cores: int, price_per_core_hour: float | None
) -> None:
    """Say what the data stages take for so much text, from the measured table."""
    from rich.table import Table

    from tonsai_pipeline.planner.corpus_cost import UTILIZATION, corpus_cost, measured

    cost = corpus_cost(corpus_bytes, cores=cores, price_per_core_hour=price_per_core_hour)
    table = Table("stage", "core hours", "share", box=None)
    for stage in cost.stages:
        hours = stage.core_s / 3600
        table.add_row(stage.name, f"{hours:,.2f}", f"{hours / cost.core_hours:.1%}")
    console.print(table)
    money = "" if cost.money is None else f"; it costs {cost.money:,.2f}"
    console.print(
        f"\n  {corpus_bytes / 1e9:,.0f} GB: {cost.core_hours:,.1f} core hours, {cost.hours:,.1f} hours on {cores} cores "
        f"that work {UTILIZATION:.0%} of the time{money}"
    )
    told = measured()
    console.print(
        f"  A prediction from {told['text']} on {told['hardware']}, {told['date']}: see docs/scaling.md"
    )


def _planned_tokens(recipe: Recipe) -> int | None:
    return recipe.train.max_tokens or recipe.mixture.total_tokens


def _with_numbers(
    console: Console, recipe: Recipe, shape: Shape, store: Store, total: int | None
) -> Recipe:
    """Say what `auto` stands for, and for what share of the run AdamW remembers."""
    from tonsai_pipeline.planner.laws import memory_of_run, resolve, workload

    passes = _planned_passes(recipe, store, total)
    train = recipe.train.model_copy(update={"max_tokens": total})
    work = None if total is None else workload(shape, train, num_rows=None, packed_passes=passes)
    if work is None:
        console.print(
            "  settings     auto is decided, and AdamW's memory known, once the run's length is: train.max_tokens"
        )
        batch = recipe.train.global_batch_tokens
        known_batch = 524_288 if batch == "auto" else batch
        return recipe.model_copy(
            update={"train": recipe.train.model_copy(update={"global_batch_tokens": known_batch})}
        )
    train, reasons = resolve(train, work)
    for name, reason in reasons.items():
        console.print(f"  {name:<12} {reason}")
    memory = memory_of_run(train, work)
    kind = {"adamw": "AdamW", "muon": "Muon"}[train.optimizer.name]
    console.print(
        f"  {kind:<12} remembers {memory:.2g} of the run (batch / (lr x weight decay x tokens))"
    )
    if memory > 1.0:
        console.print(
            "               [yellow]Above 1, weight decay does hardly anything: raise optimizer.lr or weight_decay, lower "
            "global_batch_tokens, or take auto for all three.[/yellow]"
        )
    return recipe.model_copy(update={"train": train})


def _planned_passes(recipe: Recipe, store: Store, total: int | None) -> float:
    """Return how often the text is read on average; 1 until the corpus was counted."""
    from tonsai_pipeline.errors import ManifestError

    try:
        by_source = store.current("training_mixture").report["by_source"]
    except ManifestError:
        return 1.0
    rows = [by_source[one.name] for one in recipe.sources if one.name in by_source]
    unique = sum(min(row["estimated_tokens"], (total or 0) * row["share"]) for row in rows)
    return max(1.0, (total or 0) / unique) if unique else 1.0


def _count(recipe: Recipe) -> Shape:
    """Count a network from its sizes at once, any other on torch's meta device, which takes seconds to load."""
    from tonsai_pipeline.planner.network import shape_of
    from tonsai_pipeline.tokenizer.assemble import VOCAB_MULTIPLE

    wanted = recipe.tokenizer.vocab_size
    seq_len = recipe.packing.seq_len
    # The embedding is padded, as the tokenizer stage does it.
    vocab_size = -(-wanted // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
    if recipe.model.from_sizes:
        return shape_of(recipe.model, vocab_size=vocab_size, seq_len=seq_len)
    from tonsai_pipeline.model.size import measure_shape

    own = measure_shape(recipe.model, vocab_size=None, seq_len=seq_len)
    if recipe.tokenizer.base is None:
        return measure_shape(recipe.model, vocab_size=vocab_size, seq_len=seq_len)
    kept = min(recipe.tokenizer.keep_base_tokens or own.vocab_size, own.vocab_size)
    wanted = kept + recipe.tokenizer.extend_khmer_tokens
    if wanted == own.vocab_size:
        return own
    vocab_size = -(-wanted // VOCAB_MULTIPLE) * VOCAB_MULTIPLE
    return measure_shape(recipe.model, vocab_size=vocab_size, seq_len=seq_len)


class _Machine(NamedTuple):
    gpu: str
    num_gpus: int
    mfu: float
    price: float | None


def _print_network(console: Console, recipe: Recipe, shape: Shape) -> None:
    from tonsai_pipeline.planner.network import flops_per_token

    count = shape.num_parameters
    console.print(f"[bold]{recipe.name}[/bold]  {recipe.description}")
    console.print(
        f"  network      {shape.family}, {shape.num_layers} layers, width {shape.hidden_size}, "
        f"{shape.num_heads} heads, context {shape.seq_len}, vocabulary {shape.vocab_size:,}"
    )
    console.print(f"  parameters   {count:,}  ({count / 1e9:.2f} B)")
    if (shape.num_layers, shape.hidden_size) == (24, 1536) and shape.family == "gpt2":
        console.print(
            "               [yellow]This shape is often called 0.5 B. It has 0.76 B parameters; the recipe "
            "gpt2_0p5b has 0.50 B.[/yellow]"
        )
    console.print(f"  operations   {flops_per_token(shape) / 1e9:.3f} GFLOP per trained token")


def _print_cost(
    console: Console, recipe: Recipe, shape: Shape, machine: _Machine, *, total_tokens: int | None
) -> None:
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.planner.hardware import GPUS, peak_flops_of
    from tonsai_pipeline.planner.network import held_by, memory_per_gpu

    train = recipe.train
    precision = "bf16" if train.precision == "auto" else train.precision
    peak = peak_flops_of(machine.gpu, precision)
    if peak is None:
        raise RecipeError(f"--gpu {machine.gpu}: unknown; known are: {', '.join(GPUS)}")
    # With auto, what fits is found when the run starts; one row is the least that must.
    rows = 1 if train.micro_batch_rows == "auto" else train.micro_batch_rows
    memory = memory_per_gpu(
        shape,
        zero_stage=train.zero_stage,
        world_size=machine.num_gpus,
        micro_batch_rows=rows,
        precision=precision,
        activation_checkpointing=train.activation_checkpointing,
        loss_chunk_tokens=train.loss_chunk_tokens,
        offload_optimizer=train.offload_optimizer,
        **held_by(train, shape),
    )
    _print_memory(console, memory, train.zero_stage, rows)
    if train.micro_batch_rows == "auto":
        more = (memory.activations + memory.logits) / 1e9
        console.print(
            f"               micro_batch_rows: auto takes as many rows as fit, {more:.2f} GB for each"
        )
    _print_speed(console, train, shape, machine, peak, total_tokens=total_tokens)


def _print_preset(
    console: Console,
    recipe: Recipe,
    shape: Shape,
    name: str,
    *,
    price: float | None,
    total_tokens: int | None,
) -> None:
    """Choose settings for a machine and say what they cost there."""
    from tonsai_pipeline.errors import RecipeError
    from tonsai_pipeline.planner.presets import PRESETS, fit

    if name not in PRESETS:
        raise RecipeError(f"--preset {name}: unknown; known are: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    settings = fit(preset, shape, recipe.train)
    if settings is None:
        console.print(
            f"  [yellow]does not fit {preset.memory_gb:.0f} GB with one row at a time and every memory saver; "
            "take a smaller model or a shorter packing.seq_len, or train.offload_optimizer[/yellow]"
        )
        return
    console.print(f"  settings     train: {settings.as_yaml()}")
    if not preset.has_bf16:
        console.print(
            f"               [yellow]A {preset.gpu} has no bf16; runs are fp32 unless train.precision is fp16.[/yellow]"
        )
    _print_memory(console, settings.memory, settings.zero_stage, settings.micro_batch_rows)
    machine = _Machine(preset.gpu, preset.num_gpus, preset.mfu, price)
    _print_speed(
        console, recipe.train, shape, machine, preset.peak_flops, total_tokens=total_tokens
    )


def _print_measured(console: Console, store: Store) -> None:
    """Say what the recipe's own run measured, if there was one."""
    from tonsai_pipeline.errors import ManifestError

    try:
        report = store.current("pretrained_model").report
    except ManifestError:
        return
    found = {name: report[name] for name in report if name.startswith(("plan_", "run_"))}
    pairs = [
        f"{name.removeprefix('run_')} {value:,.4g}"
        + (
            f" (plan {found[plan]:,.4g})"
            if (plan := name.replace("run_", "plan_")) in found
            else ""
        )
        for name, value in found.items()
        if name.startswith("run_")
    ]
    if pairs:
        console.print(f"  measured     {', '.join(pairs)}")


def _print_memory(console: Console, memory: MemoryEstimate, zero_stage: int, rows: int) -> None:
    console.print(
        f"  memory       {memory.total / 1e9:.1f} GB per GPU (parameters {memory.parameters / 1e9:.1f}, gradients "
        f"{memory.gradients / 1e9:.1f}, optimizer {memory.optimizer / 1e9:.1f}, activations about "
        f"{memory.activations / 1e9:.1f}, logits {memory.logits / 1e9:.1f}"
        + (f", teachers {memory.teachers / 1e9:.1f}" if memory.teachers else "")
        + f"), ZeRO {zero_stage}, {rows} rows at a time"
    )


def _print_speed(
    console: Console,
    train: TrainConfig,
    shape: Shape,
    machine: _Machine,
    peak: float,
    *,
    total_tokens: int | None,
) -> None:
    from tonsai_pipeline.planner.network import hours, teachers_of, tokens_per_s

    gpu, num_gpus, mfu, price = machine
    speed = tokens_per_s(shape, num_gpus=num_gpus, peak_flops=peak, mfu=mfu)
    console.print(f"  speed        {speed:,.0f} tokens/s on {num_gpus} x {gpu} at {mfu:.0%} MFU")
    if total_tokens is None:
        console.print(
            "  hours        the recipe sets no train.max_tokens; one pass over what is packed"
        )
        return
    needed = hours(total_tokens, shape, num_gpus=num_gpus, peak_flops=peak, mfu=mfu)
    # A teacher computes forward only: a third of what training it takes.
    with_teachers = needed * teachers_of(train, shape) / (3 * shape.num_parameters)
    for_seeds = needed * train.teacher.num_seeds
    needed += with_teachers + for_seeds
    console.print(
        f"  hours        {needed:,.1f} for {total_tokens:,} tokens"
        + (
            f"; {for_seeds:,.1f} of them to train teachers, {with_teachers:,.1f} to ask them"
            if with_teachers
            else ""
        )
    )
    if price is not None:
        total = needed * num_gpus * price
        console.print(
            f"  cost         {total:,.0f} for {needed * num_gpus:,.1f} GPU hours at {price:,.2f}"
        )


def _print_sources(
    console: Console, recipe: Recipe, store: Store, total_tokens: int | None
) -> None:
    from rich.table import Table

    from tonsai_pipeline.errors import ManifestError

    try:
        by_source = store.current("training_mixture").report["by_source"]
    except ManifestError:
        console.print("  sources      not measured yet: tonsai run --select training_mixture")
        return
    table = Table("source", "documents", "MB", "tokens about", "target share", "passes", box=None)
    crowded = []
    for source in recipe.sources:
        row = by_source.get(source.name)
        if row is None:
            continue
        tokens = row["estimated_tokens"]
        passes = (total_tokens or 0) * row["share"] / max(tokens, 1)
        if passes > _MANY_EPOCHS:
            crowded.append(source.name)
        table.add_row(
            source.name,
            f"{row['num_documents']:,}",
            f"{row['num_bytes'] / 1e6:,.1f}",
            f"{tokens:,.0f}",
            f"{row['share']:.1%}",
            f"{passes:.1f}" if total_tokens else "-",
        )
    console.print(table)
    if crowded:
        console.print(
            f"  [yellow]more than {_MANY_EPOCHS} passes over {', '.join(crowded)}: little is learned from more; "
            "lower train.max_tokens or the weight, or add text[/yellow]"
        )
