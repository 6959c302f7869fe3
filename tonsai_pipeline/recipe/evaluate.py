"""Recipe section `evaluate`: what the finished model is measured on and asked to write."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import FolderOrHub, RecipePath, Section
from tonsai_pipeline.recipe.sources import NamedTexts

#: The verdicts of the gate, in the order in which they are read.
GATE_NAMES = (
    "tokenizer", "bits_per_byte", "encoding", "clusters", "normalized", "repetition", "empty", "language", "memorization",
    "listed_terms", "personal_data",
)  # fmt: skip


class GenerationConfig(Section):
    """How sample texts are drawn."""

    max_new_tokens: int = Field(default=64, ge=1, le=8192)
    """Tokens written after each prompt at most, 1..8,192; the model's context may end it earlier."""

    temperature: float = Field(default=0.8, ge=0.0, le=10.0)
    """0 takes the likeliest token each time; 1 draws from the model as it is; range 0..10."""

    top_p: float = Field(default=0.95, gt=0.0, le=1.0)
    """Draw from the likeliest tokens that together hold this probability, 0..1."""

    num_samples: int = Field(default=1, ge=1, le=100)
    """Texts per prompt, 1..100."""

    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the draws: same model and seed, same text."""


class InTrainingSamples(Section):
    """Texts that the network writes while it learns, from the same prompts with the same random draws each time."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between samples, from 1; also at the end. Empty: none are written."""

    prompts: dict[str, tuple[str, ...]] | None = None
    """Prompts by language code (`khm`, `eng`); empty: the first of each language in the shipped set."""

    generation: GenerationConfig = GenerationConfig()
    """How the texts are drawn."""


class EarlySignalConfig(Section):
    """A small fixed part of the prompt suite, measured while the network learns: curves that move before answers do."""

    every_steps: int | None = Field(default=None, ge=1)
    """Optimizer steps between two times, from 1; also at the end. Empty: not measured."""

    every_item: int = Field(default=4, ge=1, le=50)
    """Every n-th item of the suite is asked, 1..50: fewer items, more noise, less time."""

    max_time_frac: float = Field(default=0.02, gt=0, le=1)
    """Share of the run's time that it may take, 0..1; beyond it a time is left out, but for the last."""


class MeasuredText(NamedTexts):
    """Texts on which every model is measured: the same bytes, whoever wrote the tokenizer."""

    lang: Literal["khm", "eng"]
    """Their language."""

    text_column: str = "text"
    """Field that holds the text."""


class MemorizationConfig(Section):
    """Whether the model gives back what it was trained on: the start of a training document, and what comes next."""

    prefix_tokens: int = Field(default=32, ge=4, le=512)
    """Tokens of a document that the model is given, and as many that it must give back, 4..512."""

    max_documents: int = Field(default=50, ge=0, le=10_000)
    """Documents tried in each group (seen once, 2 to 4 times, 5 to 16, more often, never), 0..10,000; 0: not measured."""


class GateConfig(Section):
    """What a model must be before it is given to others. Each verdict is passed, failed or unknown."""

    min_same_cut_frac: float = Field(default=0.95, ge=0, le=1)
    """Held-out documents that the model's tokenizer cuts as the training rows were cut, 0..1: fewer mean that it is
    not the tokenizer the network learnt with."""

    max_bits_per_byte: dict[str, float] = Field(default_factory=dict)
    """Held-out bits per byte at most, by language code; empty: below the untrained network."""

    max_replacement_frac: float = Field(default=0.05, ge=0, le=1)
    """Texts with bytes that are no UTF-8, 0..1."""

    max_invalid_cluster_frac: float = Field(default=0.02, ge=0, le=1)
    """Khmer clusters that no Khmer word has, 0..1 of all that were written."""

    min_stable_frac: float = Field(default=0.9, ge=0, le=1)
    """Texts that the corpus normalizer leaves as they are, 0..1: fewer mean training on unnormalized text."""

    max_loop_frac: float = Field(default=0.25, ge=0, le=1)
    """Sampled texts that repeat themselves for a quarter of their length, 0..1."""

    max_empty_frac: float = Field(default=0.1, ge=0, le=1)
    """Texts of nothing but spaces, 0..1."""

    min_right_language_frac: float = Field(default=0.9, ge=0, le=1)
    """Texts in the script of their prompt, 0..1."""

    max_memorized_frac: float = Field(default=0.02, ge=0, le=1)
    """Training documents given back exactly, above the share of never-seen ones, in the worst group, 0..1."""

    max_added_term_frac: float = Field(default=0.0, ge=0, le=1)
    """Texts with a listed term that the prompt has not, 0..1. Without lists the verdict is unknown."""

    max_personal_data_frac: float = Field(default=0.05, ge=0, le=1)
    """Texts with a telephone number, address or identity number that the prompt has not, 0..1. They are patterns: a
    small model that likes numbers reaches 3 %."""

    waivers: dict[str, str] = Field(default_factory=dict)
    """Verdicts that are accepted although failed or unknown: name and reason. Both go into the model card."""

    @model_validator(mode="after")
    def _waivers_name_verdicts(self) -> Self:
        for name, reason in self.waivers.items():
            if name not in GATE_NAMES:
                raise ValueError(
                    f"waivers: '{name}' is no verdict; verdicts are: {', '.join(GATE_NAMES)}"
                )
            if not reason.strip():
                raise ValueError(f"waivers: '{name}' needs a reason")
        return self


class EvaluateConfig(Section):
    """Held-out bits per byte per language, the prompt suite, health, memorization, and the gate before deployment."""

    max_rows: int | None = Field(default=None, ge=1)
    """Held-out rows of each language that are measured, from the first; empty: all."""

    batch_rows: int = Field(default=8, ge=1, le=4096)
    """Rows measured at a time, 1..4,096; changes memory, not the result."""

    compare_with: tuple[FolderOrHub, ...] = ()
    """Further models that stand in the same tables: folders, or Hub ids such as `gpt2` or `owner/name@revision`."""

    texts: tuple[MeasuredText, ...] = ()
    """Further texts for bits per byte, such as NTREX. They are kept out of the corpus, as every evaluation set."""

    max_documents: int = Field(default=200, ge=1)
    """Held-out documents of each source, and documents of each of `texts`, that are measured, from 1."""

    prediction: RecipePath | None = None
    """What `tonsai pilot` predicted and was committed before the run: the report prints it beside what was measured."""

    suite: bool = True
    """Whether the shipped Khmer prompt suite is run."""

    chat: bool = False
    """Whether prompts are given as a user's turn, by the tokenizer's chat template: for a tuned model."""

    harness: tuple[str, ...] = ()
    """Tasks of lm-eval to run, ours or its own, such as `belebele_khm_Khmr`; needs the extra `harness`."""

    prompts: dict[str, tuple[str, ...]] | None = None
    """Prompts of the sample texts by language code (`khm`, `eng`); empty: the shipped ones."""

    generation: GenerationConfig = GenerationConfig()
    """How sample texts, and the continuations that health is measured on, are drawn."""

    listed_terms: dict[Literal["khm", "eng"], RecipePath] = Field(default_factory=dict)
    """Files of terms that a deployed model must not add, by language: one a line, `#` begins a comment."""

    memorization: MemorizationConfig = MemorizationConfig()
    """The attack on training documents."""

    gate: GateConfig = GateConfig()
    """Limits of the verdicts."""
