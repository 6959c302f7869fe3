"""Recipe section `train`: how long, how wide and how carefully the network is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.continual import FreezePhase, RegressionConfig
from tonsai_pipeline.recipe.deepspeed_file import check_deepspeed, read_deepspeed, stage_of
from tonsai_pipeline.recipe.evaluate import EarlySignalConfig, InTrainingSamples
from tonsai_pipeline.recipe.section import RecipePath, Section

Auto = Literal["auto"]
#: Of what `planner.laws` makes of `auto`. Bumped when the same run would get other numbers.
LAWS_VERSION = 3

_Number = TypeVar("_Number", int, float)


def known(value: _Number | Auto) -> _Number:
    """Return a setting that was `auto` in the recipe and is a number by now.

    Raises:
        ValueError: It is still `auto`; `planner.laws.resolve` decides it.
    """
    if value == "auto":
        raise ValueError("a setting is still `auto`")
    return cast("_Number", value)


class OptimizerConfig(Section):
    """AdamW or Muon, with decay on matrices only."""

    name: Literal["adamw", "muon"] = "adamw"
    """muon: updates of the matrices are orthogonalized, as large as AdamW's, so that rate and decay mean the same;
    embeddings, output layer, norms and biases stay AdamW's. With ZeRO 0 or 1 in bf16, 0 in fp32, or `backend: torch`."""

    lr: Auto | Annotated[float, Field(gt=0.0, le=1.0)] = 3e-4
    """Peak learning rate, 0..1; auto: by size and tokens (Step Law), for new weights only."""

    embedding_lr: float | None = Field(default=None, gt=0.0, le=1.0)
    """Peak rate of embedding layers, 0..1; empty: as `lr`, or by the width where `lr` is auto."""

    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    """Decay of the running mean of gradients, 0..1."""

    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    """Decay of the running mean of squared gradients, 0..1."""

    eps: float = Field(default=1e-8, gt=0.0, le=1e-2)
    """Added to the denominator, 0..0.01."""

    weight_decay: Auto | Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    """Decay of weight matrices, 0..10; biases, norms and embeddings are never decayed. auto: by rate, batch and tokens
    (Power Lines), times the passes over the text."""

    grad_clip: float = Field(default=1.0, ge=0.0, le=1000.0)
    """Largest global gradient norm, 0..1,000; 0 clips nothing."""


class ScheduleConfig(Section):
    """Learning rate as a pure function of the tokens seen."""

    shape: Literal["wsd", "cosine"] = "wsd"
    """wsd: warm up, stay, decay (any checkpoint of the flat part can be annealed later); cosine: warm up, fall."""

    warmup_frac: float = Field(default=0.01, ge=0.0, le=1.0)
    """Fraction of all tokens over which the rate rises from 0, 0..1."""

    warmup_steps: int | None = Field(default=None, ge=0)
    """The same in optimizer steps, from 0, in place of `warmup_frac`."""

    decay_frac: float = Field(default=0.1, ge=0.0, le=1.0)
    """wsd: fraction of all tokens over which the rate falls at the end, 0..1. Ours: 0.1, as MiniCPM found enough."""

    min_lr_frac: float = Field(default=0.0, ge=0.0, le=1.0)
    """Rate at the very end as a fraction of the peak, 0..1."""

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        if self.shape == "wsd" and self.warmup_frac + self.decay_frac > 1.0:
            raise ValueError(
                f"warmup_frac {self.warmup_frac} + decay_frac {self.decay_frac} is more than the whole run"
            )
        return self


class TeacherConfig(Section):
    """Models that a new one learns from beside the text: their mean probabilities are what it should say."""

    num_seeds: int = Field(default=0, ge=0, le=64)
    """Networks of this very recipe with the next seeds, 0..64, that are trained first and teach."""

    models: tuple[RecipePath, ...] = ()
    """Finished ones: model folders (`model/` of a run), with the tokenizer of this run."""

    weight: float = Field(default=0.5, gt=0.0, le=1.0)
    """Part of the loss that is the divergence from the teachers, 0..1; the rest is that of the text."""

    temperature: float = Field(default=1.0, gt=0.0, le=100.0)
    """What logits of both sides are divided by in the divergence, 0..100."""


class CheckpointConfig(Section):
    """When the whole training state is written, how much of it is kept, and where else."""

    every_steps: int = Field(default=500, ge=1)
    """Optimizer steps between checkpoints, from 1. One more is written at the end and on SIGTERM or SIGINT."""

    keep_last: int = Field(default=2, ge=1, le=1000)
    """Newest checkpoints kept, 1..1,000; two, so that a damaged one leaves a way back."""

    keep_every_steps: int | None = Field(default=None, ge=1)
    """Checkpoints at multiples of this many steps are kept for good; empty: none."""

    upload_url: str | None = None
    """Folder that each checkpoint is copied to in the background: any fsspec URL (s3://, gs://, hf://, file://),
    below it a folder named after the run. Resumed from where this machine has none. Empty: nowhere."""

    upload_attempts: int = Field(default=3, ge=1, le=100)
    """Times that one file is tried before its checkpoint is given up, 1..100. Training goes on either way."""

    upload_drain_s: float = Field(default=600.0, ge=0.0, le=86_400.0)
    """Seconds that a finished run waits for uploads, 0..86,400; a stopped one waits at most 30."""


class ValidationConfig(Section):
    """How often the held-out rows of each language are measured during training."""

    every_steps: int = Field(default=250, ge=1)
    """Optimizer steps between measurements, from 1; also measured at step 0 and at the end."""

    max_rows: int | None = Field(default=256, ge=1)
    """Rows of each language that are measured, from the first; empty: all."""


class GuardConfig(Section):
    """When a run that goes wrong is stopped, or rolled back to before it went wrong."""

    max_skipped_steps: int = Field(default=10, ge=1, le=10_000)
    """Steps in a row whose loss or gradient is not finite before the run stops, 1..10,000; each is skipped."""

    on_spike: Literal["alert", "rollback", "ignore"] = "alert"
    """What follows when the loss jumps. rollback: go back to the last checkpoint before it, then skip the
    rows of the spike; steps that are not finite count as a jump too. alert: log it and go on."""

    spike_window_steps: int = Field(default=128, ge=8, le=100_000)
    """Steps whose losses are the yardstick, 8..100,000; spikes are not among them. The first quarter only learns."""

    spike_deviations: float = Field(default=6.0, gt=0.0, le=1000.0)
    """Height of a spike above the window's median, in robust standard deviations (1.4826 x the median absolute
    deviation, at least 1 % of the median), 0..1,000. Ours: 6, as in OLMo."""

    spike_steps: int = Field(default=3, ge=1, le=10_000)
    """Steps in a row that must be so high, 1..10,000: one odd batch is no spike."""

    spike_margin_steps: int = Field(default=4, ge=1, le=10_000)
    """Steps before the first high one whose rows are skipped too, 1..10,000: the rows of a step show in the
    loss of the next."""

    max_rollbacks: int = Field(default=3, ge=1, le=1000)
    """Rollbacks of one run before it stops with an error, 1..1,000."""

    watchdog_s: float | None = Field(default=1800.0, gt=0.0, le=86_400.0)
    """Seconds without a finished step, measurement or save after which the job writes what each thread is doing
    and ends, up to 86,400; the launcher then starts it again. Longer than the first compiled step takes. Empty: never."""

    min_free_gb: float = Field(default=1.0, ge=0.0)
    """Free disk, in GB, that must remain after a checkpoint is written."""

    on_full_disk: Literal["stop", "skip"] = "stop"
    """What follows when less would remain: stop with an error before writing, or go on without this checkpoint
    and say so."""


class MetricsConfig(Section):
    """Where the numbers of a run go, beside `metrics.jsonl`, which is always written."""

    log_every_steps: int = Field(default=10, ge=1)
    """Optimizer steps between two training records, from 1."""

    tensorboard: bool = True
    """Whether TensorBoard event files are written below `tensorboard/`."""

    trackers: tuple[Literal["trackio", "wandb"], ...] = ()
    """Further views of the same numbers. Each is an extra of this package that must be installed."""

    tracker_project: str = "tonsai"
    """Project of the trackers; the run in it is named after its recipe's work, so a resumed run goes on in it."""

    tracker_offline: bool = False
    """Whether trackers write to this disk only: wandb below the run's folder, for `wandb sync`; trackio always does."""


class TrainConfig(Section):
    """The run: its length, batch, precision, optimizer, and its safety net."""

    unkeyed: ClassVar = frozenset(
        # How often is saved, logged, sampled and guarded ...
        {"checkpoint", "guards", "metrics", "regression", "early_signal", "samples"}
        # ... and how the work is divided and stored, which changes the last digits only: a run that does not fit the
        # memory goes on with smaller micro batches or another ZeRO stage, on more or fewer GPUs.
        | {"backend", "offload_optimizer", "zero_stage", "micro_batch_rows", "compile"}
        | {"activation_checkpointing", "loss_chunk_tokens"}
    )

    max_tokens: int | None = Field(default=None, ge=1)
    """Length of the run in tokens, padding included; give this or `num_epochs`."""

    num_epochs: float | None = Field(default=None, gt=0.0, le=1000.0)
    """Length of the run in passes over the packed training rows, 0..1,000; with neither given, 1."""

    global_batch_tokens: Auto | Annotated[int, Field(ge=1)] = 524_288
    """Tokens of one optimizer step over all processes; a multiple of the row length. auto: by tokens (Step Law)."""

    micro_batch_rows: Auto | Annotated[int, Field(ge=1, le=4096)] = 8
    """Most rows that one process sends through the network at a time, 1..4,096; changes memory, not the result.
    auto: as many as fit, found by trial steps on a GPU and estimated on a CPU."""

    backend: Literal["deepspeed", "torch"] = "deepspeed"
    """deepspeed: any number of processes; torch: one process, plain PyTorch, for debugging."""

    zero_stage: Literal[0, 1, 2, 3] = 1
    """What DeepSpeed divides among processes: 0 nothing, 1 optimizer states, 2 and gradients, 3 and parameters."""

    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """bf16 and fp16 keep fp32 master weights; fp16, for GPUs without bf16 (T4, V100), scales the loss. auto: bf16
    where the GPU has it, fp32 elsewhere."""

    offload_optimizer: bool = False
    """Whether optimizer states stay in the host's memory (12 bytes a parameter less on the GPU) and the CPU updates
    the weights; slower. Needs `backend: deepspeed`; gradients are then divided too (`zero_stage` 2)."""

    compile: bool | Literal["auto"] = "auto"
    """Whether `torch.compile` builds the network; auto: on a GPU only."""

    activation_checkpointing: bool = False
    """Whether activations are computed again in the backward pass: about 1/3 more work, much less memory."""

    loss_chunk_tokens: int = Field(default=0, ge=0)
    """Tokens whose logits are held at a time; 0: all of a micro batch. Saves memory, costs about 3 % time."""

    z_loss: float = Field(default=0.0, ge=0.0, le=1.0)
    """Weight of mean(logsumexp(logits)^2), 0..1, which keeps logits small; 1e-4 in PaLM, 0 is off."""

    optimizer: OptimizerConfig = OptimizerConfig()
    """Updates and gradient clipping."""

    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over the run."""

    average_frac: float | None = Field(default=None, gt=0.0, le=1.0)
    """Part of the run over which a running mean of the weights forgets, 0..1; 0.2 was best. At the end the mean is measured
    beside the last weights, and the better of both becomes the model. 4 bytes a parameter more. Empty: no mean."""

    teacher: TeacherConfig = TeacherConfig()
    """Distillation: models of one's own that teach this one."""

    validation: ValidationConfig = ValidationConfig()
    """Measurements on held-out text during the run."""

    freeze: tuple[FreezePhase, ...] = ()
    """First parts of the run in which only some parameters learn; empty: all learn from the start."""

    regression: RegressionConfig = RegressionConfig()
    """How much of the base model's languages may be lost."""

    samples: InTrainingSamples = InTrainingSamples()
    """Texts written from fixed prompts during the run."""

    early_signal: EarlySignalConfig = EarlySignalConfig()
    """A part of the prompt suite measured during the run."""

    checkpoint: CheckpointConfig = CheckpointConfig()
    """Saving and resuming."""

    guards: GuardConfig = GuardConfig()
    """When to stop by itself."""

    metrics: MetricsConfig = MetricsConfig()
    """Where numbers go."""

    deepspeed_config: RecipePath | None = None
    """A DeepSpeed JSON of your own, merged over the generated one. Batch sizes, optimizer and scheduler stay
    ours and are ignored there, with a line in the log."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the first weights, of dropout and of the row order after the first pass."""

    deterministic: bool = False
    """Whether only deterministic GPU kernels are used: bitwise repeatable, slower. The CPU always is."""

    def settings(self, name_file: Callable[[Path], str], where: str = "") -> dict[str, Any]:
        """Return what changes a result, see `Section`; with the version of the laws where they decide something."""
        found = super().settings(name_file, where)
        left = (found.get("global_batch_tokens"), *found.get("optimizer", {}).values())
        return found | ({"laws": LAWS_VERSION} if "auto" in left else {})

    @model_validator(mode="before")
    @classmethod
    def _old_names(cls, values: Any) -> Any:
        if isinstance(values, dict) and "engine" in values:
            warnings.warn(
                "train.engine is called train.backend since 0.2; the old name goes in 0.3",
                FutureWarning,
                stacklevel=2,
            )
            values = {"backend" if key == "engine" else key: v for key, v in values.items()}
        return values

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.max_tokens is not None and self.num_epochs is not None:
            raise ValueError("give `max_tokens` or `num_epochs`, not both")
        if self.backend == "torch" and self.deepspeed_config is not None:
            raise ValueError("`deepspeed_config` has no effect with `backend: torch`; remove one")
        if self.offload_optimizer and self.backend == "torch":
            raise ValueError("`offload_optimizer` needs `backend: deepspeed`")
        return self

    @model_validator(mode="after")
    def _muon_sees_whole_gradients(self) -> Self:
        is_whole = self.backend == "torch" or (
            self.precision
            in {0: ("auto", "bf16", "fp32"), 1: ("auto", "bf16")}.get(self.zero_stage, ())
            and not self.offload_optimizer
            and self.deepspeed_config is None
        )
        if self.optimizer.name == "muon" and not is_whole:
            raise ValueError(
                "`optimizer.name: muon` needs whole gradients, clipped before they are orthogonalized, which DeepSpeed "
                "has with `zero_stage: 1` in bf16 and 0 in fp32, without `offload_optimizer` and `deepspeed_config`; take "
                "these, `backend: torch`, or adamw"
            )
        return self

    @model_validator(mode="after")
    def _deepspeed_file_fits(self) -> Self:
        # A file that is missing is named where its bytes are read for the run's name.
        if self.deepspeed_config is not None and self.deepspeed_config.is_file():
            users = read_deepspeed(self.deepspeed_config)
            check_deepspeed(users, self.precision)
            if stage_of(users) == 3 and (needs := self._needs_whole_weights()):
                raise ValueError(f"{needs} whole weights in each process, not stage 3")
        return self

    @model_validator(mode="after")
    def _phases_follow_each_other(self) -> Self:
        ends = [phase.until_frac for phase in self.freeze]
        if any(first >= second for first, second in pairwise(ends)):
            raise ValueError(
                f"`freeze`: phases end at {ends}; each must end after the one before it"
            )
        return self

    @model_validator(mode="after")
    def _weights_are_whole_where_needed(self) -> Self:
        if self.zero_stage == 3 and (needs := self._needs_whole_weights()):
            raise ValueError(
                f"{needs} whole weights in each process; take zero_stage 1 or 2, or none"
            )
        return self

    def _needs_whole_weights(self) -> str:
        if self.average_frac is not None:
            return "`average_frac` needs"
        return "`samples` need" if self.samples.every_steps is not None else ""
