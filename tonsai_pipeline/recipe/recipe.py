"""One recipe = one run: every setting that changes the result, in one frozen value."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.automation import AutomationConfig
from tonsai_pipeline.recipe.dedup import DedupConfig
from tonsai_pipeline.recipe.evaluate import EvaluateConfig
from tonsai_pipeline.recipe.mixture import MixtureConfig
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.packing import PackingConfig
from tonsai_pipeline.recipe.pilot import PilotConfig
from tonsai_pipeline.recipe.publish import PublishConfig
from tonsai_pipeline.recipe.quality import QualityConfig
from tonsai_pipeline.recipe.section import Section
from tonsai_pipeline.recipe.sft import SftConfig
from tonsai_pipeline.recipe.sources import IngestConfig, Name, NormalizeConfig, Source
from tonsai_pipeline.recipe.tokenizer import TokenizerConfig
from tonsai_pipeline.recipe.train import TrainConfig
from tonsai_pipeline.schema import CANARY_SOURCE

#: What Dagster takes as an owner.
Owner = Annotated[str, Field(pattern=r"^(team:[A-Za-z0-9_-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$")]


class Recipe(Section):
    """Everything that decides what a run produces. Sections follow the pipeline."""

    name: Name
    """Name of the run; current results and the inbox are kept by this name."""
    description: str = ""
    """What this recipe is for, in a sentence."""
    owners: tuple[Owner, ...] = ("team:tonsai",)
    """Who answers for its assets, shown in the UI: `team:<name>` or an e-mail address."""
    sources: tuple[Source, ...] = ()
    """Where raw text comes from. Order breaks ties between dumps of the same date. Empty only where `sft` tunes a model
    that is there already."""
    ingest: IngestConfig = IngestConfig()
    """Raw dumps to document parts."""
    normalize: NormalizeConfig = NormalizeConfig()
    """Khmer text in one encoding."""
    dedup: DedupConfig = DedupConfig()
    """Exact and near duplicates."""
    quality: QualityConfig = QualityConfig()
    """Signals, rules and score."""
    mixture: MixtureConfig = MixtureConfig()
    """Shares of languages and sources, train and validation split."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer to train, extend or take."""
    packing: PackingConfig = PackingConfig()
    """Token rows."""
    model: ModelConfig = ModelConfig()
    """The network."""
    train: TrainConfig = TrainConfig()
    """Pretraining."""
    pilot: PilotConfig | None = None
    """The small runs that a prediction follows from; with it, they are assets. `tonsai pilot` takes the defaults without."""
    evaluate: EvaluateConfig = EvaluateConfig()
    """What is measured and sampled at the end."""
    sft: SftConfig = SftConfig()
    """Instruction tuning."""
    publish: PublishConfig = PublishConfig()
    """What the cards say of the model when it is given to others."""
    automation: AutomationConfig = AutomationConfig()
    """What may happen by itself."""

    def streamed_sources(self) -> set[str]:
        """Return the names of the sources whose raw text is not kept."""
        return {source.name for source in self.sources if not source.keep_raw}

    def kept_sources(self) -> set[str]:
        """Return the names of the other sources."""
        return {source.name for source in self.sources} - self.streamed_sources()

    @model_validator(mode="after")
    def _something_is_made(self) -> Self:
        if not self.sources and not (self.sft.sources and self.sft.base):
            raise ValueError(
                "name at least one source, or `sft.base` and `sft.sources` to tune a model that is there"
            )
        if not self.sources and self.sft.replay_frac:
            raise ValueError("sft.replay_frac draws from the corpus, and there are no sources")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        repeated = [name for name, n in Counter(s.name for s in self.sources).items() if n > 1]
        if repeated:
            raise ValueError(f"source names must be unique; repeated: {', '.join(repeated)}")
        return self

    @model_validator(mode="after")
    def _canaries_have_a_name(self) -> Self:
        if self.packing.canaries.copies and any(s.name == CANARY_SOURCE for s in self.sources):
            raise ValueError(
                f"a source is named '{CANARY_SOURCE}', which is what packing.canaries are counted for; rename it"
            )
        return self

    @model_validator(mode="after")
    def _some_weight_is_given(self) -> Self:
        later = {name for stage in self.mixture.stages for name, w in stage.weights.items() if w}
        for language, share in self.mixture.languages.items():
            mine = [source for source in self.sources if source.lang == language]
            if mine and share > 0 and not any(one.weight or one.name in later for one in mine):
                raise ValueError(
                    f"every source of '{language}' has weight 0, and mixture.languages gives it {share:.0%} of all "
                    "tokens; give a source a weight, or the language a share of 0"
                )
        return self

    @model_validator(mode="after")
    def _the_last_stage_is_reached(self) -> Self:
        length = self.train.max_tokens
        is_whole = length in (None, self.mixture.total_tokens) and self.train.num_epochs in (
            None,
            1.0,
        )
        if self.mixture.stages and not is_whole:
            raise ValueError(
                "mixture.stages lie one after another in the packed rows, and only a run that reads these once reaches the "
                "last one as planned: give the length as mixture.total_tokens, and leave train.max_tokens and "
                "train.num_epochs empty"
            )
        return self

    @model_validator(mode="after")
    def _pilot_keeps_stages(self) -> Self:
        if self.pilot is not None and self.mixture.stages and set(self.pilot.lengths) != {1.0}:
            raise ValueError(
                "mixture.stages are reached as planned only by runs of the recipe's own length: set pilot.lengths: [1]"
            )
        return self

    @model_validator(mode="after")
    def _limits_have_a_base(self) -> Self:
        if self.train.regression.max_rise_frac and self.model.base is None:
            raise ValueError(
                "train.regression.max_rise_frac compares with `model.base`, which is empty"
            )
        return self

    @model_validator(mode="after")
    def _teachers_differ(self) -> Self:
        if self.train.teacher.num_seeds and self.model.base is not None:
            raise ValueError(
                "train.teacher.num_seeds: a seed changes little in a run that goes on from `model.base`, and teachers that "
                "are alike teach nothing; name models that were trained otherwise in train.teacher.models"
            )
        return self

    @model_validator(mode="after")
    def _laws_are_for_new_weights(self) -> Self:
        if self.train.optimizer.lr == "auto" and self.model.base is not None:
            raise ValueError(
                "train.optimizer.lr: auto follows a law for new weights; a run that goes on from `model.base` takes a "
                "third or so of that model's own peak rate"
            )
        return self

    @model_validator(mode="after")
    def _quality_names_sources(self) -> Self:
        known = {source.name for source in self.sources}
        if unknown := sorted(self.quality.source_names() - known):
            raise ValueError(f"quality names what is no source: {', '.join(unknown)}")
        return self
