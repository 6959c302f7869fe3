"""Size of a network, tokens of its run and passes over its text -> learning rate, batch and weight decay; pure.

    N, D, passes ──Step Law──▶ lr, B ──AdamW's memory──▶ weight decay          TrainConfig with `auto` ──▶ without, and why

Laws were fitted by others, on English and for larger networks. What they give here is measured in docs/training.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tonsai_pipeline.planner.network import Shape
from tonsai_pipeline.recipe.train import TrainConfig, known

#: The decay grows with the passes, so that what AdamW remembers stays the same share of one pass, up to a factor, and
#: up to the largest that a recipe may have: ours, from the grid in docs/training.md. The optima of Kim et al. 2025,
#: arXiv:2509.14786, for text read many times are 8 to 30 times the usual.
_MOST_TIMES_DECAY, _MOST_DECAY = 30.0, 10.0
#: The largest share of a run that AdamW should remember; ours: where the law asks for more, tokens being few for the
#: network, more decay was better (docs/training.md).
_MOST_MEMORY = 0.3
#: Tokens of a step are the first times the run's tokens to the power of the second (Step Law).
_BATCH = (0.58, 0.571)
#: No published law was fitted above this rate (2 ** -7 is the largest of Lingle's grid).
_MOST_LR = 2.0**-7
#: Nor on fewer weights than this, where it would ask for ever more; there the largest rate is that of Lingle's smallest
#: network, which is also right for those of docs/training.md.
_LEAST_WEIGHTS, _MOST_LR_BELOW = 60e6, 2.0**-9
#: Times 1 / width, the least rate of embeddings; ours, from the grid in docs/training.md.
_EMBEDDING_LR = 5.0
#: Passes up to which these two hold; sixteen passes over little text overfit with them (docs/training.md).
_FEW_PASSES = 4.0


@dataclass(frozen=True)
class Workload:
    """What the laws ask for.

    Args:
        num_weights: Parameters without embeddings and output layer.
        hidden_size: Width of the residual stream.
        total_tokens: Tokens of the run, repeats included.
        seq_len: Tokens of a row: a batch is a whole number of them.
        num_passes: How often the text of the run is read, on average over its tokens.
    """

    num_weights: float
    hidden_size: int
    total_tokens: float
    seq_len: int
    num_passes: float = 1.0


def workload(
    shape: Shape,
    train: TrainConfig,
    *,
    num_rows: int | None,
    packed_passes: float = 1.0,
) -> Workload | None:
    """Say what the laws ask for; None while the length of the run is not known.

    Args:
        shape: The network.
        train: The length.
        num_rows: Packed rows; None before they are packed.
        packed_passes: Passes that the packed rows hold already.
    """
    packed = None if num_rows is None else num_rows * shape.seq_len
    total = train.max_tokens or (None if packed is None else packed * (train.num_epochs or 1.0))
    if total is None:
        return None
    return Workload(
        num_weights=shape.active_weights - shape.vocab_size * shape.hidden_size,
        hidden_size=shape.hidden_size,
        total_tokens=total,
        seq_len=shape.seq_len,
        num_passes=packed_passes * max(1.0, total / packed if packed else 1.0),
    )


def step_law_lr(num_weights: float, total_tokens: float) -> float:
    """Return the peak learning rate.

    Source:
        Li et al. 2025, "Step Law", arXiv:2503.04715: 1.79 N^-0.713 D^0.307, N without embeddings. Ours: at most
        2^-7, the end of the grids that it and others were fitted on.

    Example:
        >>> round(step_law_lr(437e6, 5e9), 5)
        0.00117
    """
    return min(1.79 * num_weights**-0.713 * total_tokens**0.307, _MOST_LR)


def rates(work: Workload) -> tuple[float, float]:
    """Return the peak rates of matrices and of embedding layers.

    At one rate for all, embeddings of small networks grow so slowly that updates of the matrices, which are large beside them,
    drown them, and the network stays at the frequencies of tokens. Where they are the output layer too, a step moves
    logits by up to rate x width, hence 5 / width. Text that is read often keeps one rate.

    Source:
        Kalra and Barkeshli 2026, arXiv:2605.21486, and Hayou and Liu 2025, arXiv:2506.15025: embeddings want a rate that is
        larger by the width, or its root. Yang et al. 2022, arXiv:2203.03466: 1 / width for output layers. The factor is ours,
        and 2^-9 for matrices of networks below the smallest of the published grids.

    Example:
        >>> rates(Workload(1e6, 128, 1e6, 256))
        (0.001953125, 0.0390625)
    """
    lr = step_law_lr(work.num_weights, work.total_tokens)
    if work.num_passes > _FEW_PASSES:
        return lr, lr
    if work.num_weights < _LEAST_WEIGHTS:
        lr = min(lr, _MOST_LR_BELOW)
    return lr, max(lr, _EMBEDDING_LR / work.hidden_size)


def step_law_batch(total_tokens: float, seq_len: int) -> int:
    """Return the tokens of a step, a whole number of rows.

    Source:
        Li et al. 2025, "Step Law", arXiv:2503.04715: 0.58 D^0.571.

    Example:
        >>> step_law_batch(5e9, 2048)
        200704
    """
    factor, exponent = _BATCH
    return max(1, round(factor * total_tokens**exponent / seq_len)) * seq_len


def step_law_tokens(num_steps: float) -> float:
    """Return the tokens of a run with so many steps at Step Law's batch.

    Example:
        >>> round(1e6 / step_law_batch(1e6, 1)), round(step_law_tokens(646) / 1e6, 1)
        (646, 1.0)
    """
    factor, exponent = _BATCH
    return (factor * num_steps) ** (1.0 / (1.0 - exponent))


def adamw_memory(batch_tokens: float, lr: float, weight_decay: float, total_tokens: float) -> float:
    """Return for what share of the run AdamW remembers an update: B / (lr x decay x D); inf without decay.

    Weights are a running mean of updates; above 1 the run ends before the first ones fade, and decay does hardly anything.

    Source:
        Wang and Aitchison 2024, arXiv:2405.13698.

    Example:
        >>> round(adamw_memory(524_288, 3e-4, 0.1, 5e9), 2)
        3.5
    """
    decay = lr * weight_decay * total_tokens
    return batch_tokens / decay if decay else float("inf")


def best_memory(num_weights: float, total_tokens: float) -> float:
    """Return the share of a run that AdamW should remember, at most 0.3.

    Source:
        Bergsma et al. 2025, "Power Lines", arXiv:2505.13738: 1.084 x (tokens a parameter)^-0.527, for text read once.
    """
    return min(_MOST_MEMORY, 1.084 * (total_tokens / num_weights) ** -0.527)


def decay_for(work: Workload, batch_tokens: float, lr: float) -> float:
    """Return the weight decay: the one with the best memory, times the passes over the text.

    Example:
        >>> once = Workload(437e6, 1280, 5e9, 2048)
        >>> round(decay_for(once, 200_704, 1.18e-3), 3)
        0.113
        >>> round(decay_for(Workload(437e6, 1280, 5e9, 2048, num_passes=16), 200_704, 1.18e-3), 3)
        1.814
    """
    memory = best_memory(work.num_weights, work.total_tokens)
    usual = batch_tokens / (lr * memory * work.total_tokens)
    return min(usual * min(work.num_passes, _MOST_TIMES_DECAY), _MOST_DECAY)


def resolve(train: TrainConfig, work: Workload) -> tuple[TrainConfig, Mapping[str, str]]:
    """Put numbers in place of `auto`.

    Args:
        train: The recipe's section.
        work: What the laws ask for.

    Returns:
        The section, and why, by the name of what was decided; empty where nothing was `auto`.
    """
    reasons: dict[str, str] = {}
    optimizer: dict[str, Any] = {}
    batch, lr, decay = (
        train.global_batch_tokens,
        train.optimizer.lr,
        train.optimizer.weight_decay,
    )
    if batch == "auto":
        batch = step_law_batch(work.total_tokens, work.seq_len)
        reasons["global_batch_tokens"] = (
            f"{batch:,}, Step Law for {work.total_tokens:,.0f} tokens (arXiv:2503.04715)"
        )
    if lr == "auto":
        lr, for_embeddings = rates(work)
        optimizer["lr"] = lr
        reasons["lr"] = (
            f"{lr:.3g}, Step Law for {work.num_weights / 1e6:,.1f} M weights outside embeddings and "
            f"{work.total_tokens:,.0f} tokens (arXiv:2503.04715)"
        )
        if train.optimizer.embedding_lr is None:
            optimizer["embedding_lr"] = for_embeddings
            reasons["embedding_lr"] = f"{for_embeddings:.3g}, for a width of {work.hidden_size:,}"
    if decay == "auto":
        optimizer["weight_decay"] = decay = decay_for(work, batch, lr)
        memory = adamw_memory(batch, lr, decay, work.total_tokens)
        reasons["weight_decay"] = (
            f"{decay:.3g}, so that AdamW remembers {memory:.2g} of the run (Power Lines, arXiv:2505.13738), "
            f"with {work.num_passes:.1f} passes over the text (arXiv:2509.14786)"
        )
    if not reasons:
        return train, {}
    update = {"optimizer": train.optimizer.model_copy(update=optimizer)}
    return train.model_copy(update={**update, "global_batch_tokens": batch}), reasons


def memory_of_run(train: TrainConfig, work: Workload) -> float:
    """Return AdamW's memory as a share of a run whose settings are numbers."""
    return adamw_memory(
        known(train.global_batch_tokens),
        known(train.optimizer.lr),
        known(train.optimizer.weight_decay),
        work.total_tokens,
    )
