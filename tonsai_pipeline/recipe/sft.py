"""Recipe section `sft`: instruction data, and how a model is tuned on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.deepspeed_file import read_deepspeed, stage_of
from tonsai_pipeline.recipe.section import FolderOrHub, RecipePath, Section
from tonsai_pipeline.recipe.sources import HubDataset, Name
from tonsai_pipeline.recipe.train import TrainConfig

Method = Literal["full", "lora"]

#: Where tuning differs from pretraining. Ours, from common practice: two passes, a low rate that falls from the start,
#: no decay towards zero of weights that were trained before.
_TRAIN: Mapping[str, Any] = {
    "global_batch_tokens": 65_536,
    "schedule": {"shape": "cosine", "warmup_frac": 0.03},
    "optimizer": {"weight_decay": 0.0},
    "validation": {"every_steps": 100},
    "checkpoint": {"every_steps": 200},
}
_LR: Mapping[str, float] = {"full": 2e-5, "lora": 2e-4}
_NUM_EPOCHS = 2.0


class InstructionSource(Section):
    """One set of conversations."""

    name: Name
    """Short name: lower-case letters, digits, `_ . -`."""

    path: RecipePath | None = None
    """File of JSON, JSONL, CSV, TSV or Parquet; a relative path starts at the recipe's folder."""

    hub: HubDataset | None = None
    """A data set on the Hub instead of a path. Pin its revision."""

    format: Literal["auto", "messages", "sharegpt", "alpaca", "prompt_completion"] = "auto"
    """`messages` (role, content), `sharegpt` (`conversations` of from, value), `alpaca` (instruction, input, output) or
    `prompt_completion`; `auto` decides by the fields of each row."""

    lang: Literal["khm", "eng"] | None = None
    """Language of the replies; empty: that of the turn before, unless it asks for another."""

    weight: float | None = Field(default=None, gt=0.0)
    """Share of the instruction tokens relative to the other sources, above 0; empty for all of them: each conversation once."""

    license: str
    """Licence of the data, as an SPDX or Hub identifier. The strictest of all sources is that of the model."""

    origin: str = ""
    """What it was made from, with its licence if that is another, for example `Alpaca, CC-BY-NC-4.0`."""

    origin_license: str | None = None
    """Licence of what it was made from; the stricter of the two counts. Text from Alpaca is CC-BY-NC-4.0 whatever its
    copies say."""

    unkeyed: ClassVar = frozenset({"origin"})

    @model_validator(mode="after")
    def _path_or_hub(self) -> Self:
        if (self.path is None) == (self.hub is None):
            raise ValueError(f"sft source '{self.name}' needs either 'path' or 'hub'")
        return self


class ReplyConfig(Section):
    """Which replies are dropped."""

    drop_refusals: bool = True
    """Whether replies that speak "as an AI language model" are dropped: a small model learns to say nothing else."""

    drop_cut: bool = True
    """Whether long replies that end in the middle of a sentence are dropped."""

    min_script_frac: float = Field(default=0.5, ge=0.0, le=1.0)
    """Letters of a Khmer reply that are Khmer, at least, 0..1, unless the turn asks for a translation."""

    max_repeat_frac: float = Field(default=0.3, gt=0.0, le=1.0)
    """Longest stretch that a reply says twice, as a share of it, 0..1: loops of a translating machine."""

    max_invalid_cluster_frac: float = Field(default=0.05, ge=0.0, le=1.0)
    """Khmer clusters that no Khmer word has, 0..1 of a reply's: garbage of a translating machine."""


class LoraConfig(Section):
    """Low-rank adapters on all linear layers; the embeddings of the chat's markers learn too."""

    rank: int = Field(default=16, ge=1, le=1024)
    """Rank of each adapter, 1..1,024."""

    alpha: float = Field(default=32.0, gt=0.0, le=4096.0)
    """Scale of the adapters: what they add is multiplied by alpha / rank."""

    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout before each adapter, 0..1."""


class FollowingConfig(Section):
    """How held-out instructions are answered, before and after."""

    max_items: int = Field(default=300, ge=1, le=100_000)
    """Held-out conversations that are answered, spread over the sources, 1..100,000."""

    max_new_tokens: int = Field(default=256, ge=1, le=8192)
    """Tokens of an answer at most, 1..8,192."""

    min_ended_frac: float = Field(default=0.99, ge=0.0, le=1.0)
    """Answers that the tuned model ends by itself, 0..1, below which the check `stops_by_itself` fails."""

    unkeyed: ClassVar = frozenset({"min_ended_frac"})


class SftConfig(Section):
    """Supervised fine-tuning: from a base model to one that answers. Without `sources` there is none."""

    sources: tuple[InstructionSource, ...] = ()
    """Instruction data. Of two conversations with the same instruction the one of the source named first stays."""

    base: FolderOrHub | None = None
    """A model folder or a Hub id to tune; empty: the model that this recipe pretrains."""

    base_revision: str | None = None
    """Commit or tag of a Hub `base`."""

    chat_template: Literal["auto", "chatml"] = "auto"
    """`auto`: the base model's own template, ChatML if it has none; `chatml`: ChatML in any case."""

    method: Method = "full"
    """`full`: all weights; `lora`: adapters, for small cards. The adapter is kept, and merged into `model/`."""

    lora: LoraConfig = LoraConfig()
    """The adapters."""

    max_length: int = Field(default=2048, ge=32, le=1 << 20)
    """Tokens of a row and of a conversation at most, 32..1,048,576."""

    too_long: Literal["drop", "truncate_left_turns"] = "truncate_left_turns"
    """What becomes of a longer conversation: dropped, or its earliest turns are, and the rest if that is still too long."""

    packing: Literal["best_fit", "off"] = "best_fit"
    """Whole conversations side by side in a row, which never see each other, or one a row."""

    replies: ReplyConfig = ReplyConfig()
    """Which replies are dropped."""

    min_similarity: float = Field(default=0.8, gt=0.0, le=1.0)
    """Instructions this similar to an earlier one are dropped, 0..1 (Jaccard of their shingles)."""

    max_repeats: float = Field(default=4.0, gt=0.0, le=100.0)
    """Most passes over a source within one epoch where sources have weights, above 0."""

    replay_frac: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of tokens that is pretraining text, 0..1, in the languages' shares of the mixture: it keeps what the base knows."""

    held_out_frac: float = Field(default=0.02, gt=0.0, lt=1.0)
    """Conversations held out to measure replies on, 0..1; of a small set as many as make a hundred, a tenth at most."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the order, of partial passes and of replay."""

    train: TrainConfig = TrainConfig.model_validate(
        {**_TRAIN, "num_epochs": _NUM_EPOCHS, "optimizer": {"weight_decay": 0.0, "lr": _LR["full"]}}
    )
    """The run; keys as in `train`, with other defaults: 2 epochs of 65,536 tokens a step, cosine, no weight decay, peak
    rate 2e-5 (full) or 2e-4 (lora)."""

    following: FollowingConfig = FollowingConfig()
    """Answers to held-out instructions in the report."""

    @model_validator(mode="before")
    @classmethod
    def _other_defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("train", {}), dict):
            return values
        given = dict(values.get("train", {}))
        if "num_epochs" not in given and given.get("max_tokens") is None:
            given["num_epochs"] = _NUM_EPOCHS
        lr = _LR.get(str(values.get("method", "full")), _LR["full"])
        defaults = {**_TRAIN, "optimizer": {**_TRAIN["optimizer"], "lr": lr}}
        for name, value in defaults.items():
            if isinstance(value, dict) and isinstance(given.get(name, {}), dict):
                given[name] = {**_without(value, given.get(name, {})), **given.get(name, {})}
            else:
                given.setdefault(name, value)
        return {**values, "train": given}

    @model_validator(mode="after")
    def _sources_fit(self) -> Self:
        names = Counter(source.name for source in self.sources)
        if repeated := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"sft source names must be unique; repeated: {', '.join(repeated)}")
        weights = [source.weight is not None for source in self.sources]
        if any(weights) and not all(weights):
            raise ValueError("give every sft source a weight, or none")
        return self

    @model_validator(mode="after")
    def _teachers_are_finished(self) -> Self:
        if self.train.teacher.num_seeds:
            raise ValueError(
                "sft.train.teacher.num_seeds: name tuned models in sft.train.teacher.models; only pretraining trains its own"
            )
        return self

    @model_validator(mode="after")
    def _lora_is_whole(self) -> Self:
        file = self.train.deepspeed_config
        stage = stage_of(read_deepspeed(file)) if file is not None and file.is_file() else None
        if self.method == "lora" and 3 in (self.train.zero_stage, stage):
            raise ValueError(
                "`method: lora` needs whole weights in each process; take zero_stage 0 to 2"
            )
        if self.method == "lora" and self.train.optimizer.name == "muon":
            raise ValueError(
                "`method: lora` takes `optimizer.name: adamw`: adapters are thin matrices"
            )
        return self

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to tune on."""
        return bool(self.sources)


def _without(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out a default whose alternative is given."""
    if given.get("warmup_steps") is not None:
        return {name: value for name, value in defaults.items() if name != "warmup_frac"}
    return dict(defaults)
