"""How much text there is and on which machine -> the model to train, and how.

bytes by language, Machine ──choose──▶ Choice(rung, shares, settings of training, reasons)
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tonsai_pipeline.planner.hardware import peak_flops_of
from tonsai_pipeline.planner.network import Shape, flops_per_token, memory_per_gpu, shape_of
from tonsai_pipeline.planner.presets import Preset, fit, usable_bytes
from tonsai_pipeline.recipe.model import ModelConfig
from tonsai_pipeline.recipe.train import TrainConfig

#: Bytes of UTF-8 that a token holds, low for a small vocabulary (docs/tokenizer.md has more at 50,000).
BYTES_PER_TOKEN = {"khm": 9.0, "eng": 3.5}
#: Passes over text that are almost as good as new text: Muennighoff et al. 2025; the default of the mixture.
MAX_EPOCHS = 4.0
#: Khmer's share where both languages have enough text: the recipe's own default.
KHMER_SHARE = 0.6
#: Tokens a parameter from which more of the same is worth less: Hoffmann et al. 2022, arXiv:2203.15556.
_TOKENS_PER_PARAMETER = 20
#: What one core trains, in operations a second: 4,800 tokens/s on two cores of an EPYC (docs/performance.md).
_CORE_FLOPS = 3e10
#: A first run should end the same day, or on a GPU within a week.
_CPU_HOURS, _GPU_HOURS = 8.0, 168.0
_GPU_MFU = 0.4
#: For a GPU that the planner does not know: that of a card of some years ago.
_UNKNOWN_GPU_FLOPS = 50e12


@dataclass(frozen=True)
class Machine:
    """What training has here.

    Args:
        gpu: Name of the GPU, or None.
        memory_gb: Of one GPU, or of the machine, in 10^9 bytes.
    """

    gpu: str | None
    num_gpus: int
    num_cores: int
    memory_gb: float

    def __str__(self) -> str:
        if self.gpu is not None:
            return f"{self.num_gpus} x {self.gpu} with {self.memory_gb:.0f} GB"
        return f"a CPU with {self.num_cores} cores and {self.memory_gb:.0f} GB of memory"

    @property
    def has_bf16(self) -> bool:
        """Whether it computes bf16; Turing and older GPUs do not."""
        return self.gpu is not None and not any(old in self.gpu for old in ("T4", "V100", "P100"))

    @property
    def flops(self) -> float:
        """Operations a second that training reaches, by assumption."""
        if self.gpu is None:
            return self.num_cores * _CORE_FLOPS
        precision = "bf16" if self.has_bf16 else "fp32"
        return self.num_gpus * _GPU_MFU * (peak_flops_of(self.gpu, precision) or _UNKNOWN_GPU_FLOPS)


@dataclass(frozen=True)
class Rung:
    """A size of model, and the settings that go with it."""

    num_layers: int
    hidden_size: int
    num_heads: int
    vocab_size: int
    seq_len: int
    global_batch_tokens: int
    lr: float

    @property
    def shape(self) -> Shape:
        """Its sizes, as counts follow from them."""
        section = ModelConfig(
            num_layers=self.num_layers, hidden_size=self.hidden_size, num_heads=self.num_heads
        )
        return shape_of(section, vocab_size=self.vocab_size, seq_len=self.seq_len)


#: Smallest first: the demo's, then GPT-2's family up to the starter kit's. Rates fall with width as in GPT-3's table.
LADDER = (
    Rung(4, 128, 4, 4096, 256, 4096, 2.0e-3),
    Rung(6, 256, 4, 8192, 512, 16_384, 1.5e-3),
    Rung(8, 512, 8, 16_000, 1024, 65_536, 1.0e-3),
    Rung(12, 768, 12, 32_000, 1024, 262_144, 6.0e-4),
    Rung(24, 1024, 16, 50_048, 2048, 524_288, 4.0e-4),
    Rung(22, 1280, 20, 50_048, 2048, 524_288, 3.0e-4),
    Rung(24, 1536, 24, 50_048, 2048, 524_288, 3.0e-4),
)


@dataclass(frozen=True)
class Choice:
    """A model, how long it is trained, and why.

    Args:
        shares: Share of all tokens by language.
        total_tokens: Tokens of the mixture, estimated.
        max_tokens: Where training must end before the mixture does; None if it need not.
        micro_batch_rows: Rows at a time that fit.
        reasons: By recipe key, a sentence.
    """

    rung: Rung
    shares: Mapping[str, float]
    total_tokens: float
    max_tokens: int | None
    micro_batch_rows: int
    precision: str
    zero_stage: int
    reasons: Mapping[str, str]


def find_machine() -> Machine:
    """Ask the operating system and the NVIDIA driver; torch is not needed for it."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        name, memory_mib = done.stdout.splitlines()[0].rsplit(",", 1)
        num_gpus = len(done.stdout.splitlines())
        return Machine(name.strip(), num_gpus, cores or 1, float(memory_mib) * 1.048576e-3)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return Machine(None, 0, cores or 1, memory_gb)  # no driver, or none that answers: no GPU


def shares_of(text_bytes: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """Divide the run between the languages.

    Khmer gets 60 %, unless English is too little for the rest: then English gets what four passes over it
    give beside one pass over the Khmer.

    Example:
        >>> shares_of({"khm": 9e6, "eng": 3.5e6})[0], shares_of({"khm": 9e9, "eng": 3.5e6})[0]
        ({'khm': 0.6, 'eng': 0.4}, {'khm': 0.99, 'eng': 0.01})
    """
    tokens = {lang: text_bytes[lang] / BYTES_PER_TOKEN[lang] for lang in text_bytes}
    khm, eng = tokens.get("khm", 0.0), tokens.get("eng", 0.0)
    if not eng:
        return {"khm": 1.0}, "there is Khmer text only"
    if not khm:
        return {"eng": 1.0}, "there is English text only"
    most = MAX_EPOCHS * eng / (MAX_EPOCHS * eng + khm)
    if most < 1 - KHMER_SHARE:
        share = max(0.01, round(most, 2))
        told = "there is little English: four passes over it stand beside one over the Khmer"
        return {"khm": round(1 - share, 2), "eng": share}, told
    return (
        {"khm": KHMER_SHARE, "eng": round(1 - KHMER_SHARE, 2)},
        "mostly Khmer, and English for what Khmer text does not tell",
    )


def choose(text_bytes: Mapping[str, float], machine: Machine) -> Choice:
    """Choose the largest model that the text can teach and the machine can hold and finish in time."""
    shares, why_shares = shares_of(text_bytes)
    tokens = {lang: text_bytes[lang] / BYTES_PER_TOKEN[lang] for lang in shares}
    total = min(MAX_EPOCHS * tokens[lang] / shares[lang] for lang in shares)
    limit_s = 3600 * (_CPU_HOURS if machine.gpu is None else _GPU_HOURS)
    chosen, setting, why = LADDER[0], None, "the smallest there is: more text teaches a larger one"
    for rung in LADDER:
        count = rung.shape.num_parameters
        # The time that its own number of tokens takes, though the text may hold more.
        seconds = _TOKENS_PER_PARAMETER * count * flops_per_token(rung.shape) / machine.flops
        found = _fit(rung, machine)
        if rung is not LADDER[0]:
            if total < _TOKENS_PER_PARAMETER * count:
                why = f"the next size, {count / 1e6:,.0f} M parameters, wants {_TOKENS_PER_PARAMETER * count / 1e6:,.0f} M tokens"
                break
            if found is None or seconds > limit_s:
                held = "does not fit" if found is None else f"takes {seconds / 3600:,.0f} h"
                why = f"the next size, {count / 1e6:,.0f} M parameters, {held} on {machine}"
                break
            why = "the largest size here; the text would teach a larger one"
        chosen, setting = rung, found
    seconds = total * flops_per_token(chosen.shape) / machine.flops
    max_tokens = None
    if seconds > limit_s:
        steps = int(total * limit_s / seconds) // chosen.global_batch_tokens
        max_tokens = max(1, steps) * chosen.global_batch_tokens
    rows, precision, stage = setting or (8, "fp32", 0)
    return Choice(
        rung=chosen,
        shares=shares,
        total_tokens=total,
        max_tokens=max_tokens,
        micro_batch_rows=rows,
        precision=precision,
        zero_stage=stage,
        reasons={
            "languages": why_shares,
            "model": f"{chosen.shape.num_parameters / 1e6:,.1f} M parameters; {why}",
            "train": f"about {_time(min(seconds, limit_s))} on {machine}",
        },
    )


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min" if seconds < 3600 else f"{seconds / 3600:,.1f} h"


def _fit(rung: Rung, machine: Machine) -> tuple[int, str, int] | None:
    """Return rows at a time, precision and ZeRO stage that fit the machine; None if nothing does."""
    if machine.gpu is None:
        own_rows = rung.global_batch_tokens // rung.seq_len
        for rows in (rows for rows in (16, 8, 4, 2, 1) if rows <= own_rows):
            memory = memory_per_gpu(
                rung.shape, zero_stage=0, world_size=1, micro_batch_rows=rows, precision="fp32"
            )
            if memory.total <= usable_bytes(machine.memory_gb * 1e9, on_gpu=False):
                return rows, "fp32", 0
        return None
    preset = Preset(machine.gpu, machine.num_gpus, machine.memory_gb, has_bf16=machine.has_bf16)
    section = TrainConfig(global_batch_tokens=rung.global_batch_tokens)
    settings = fit(preset, rung.shape, section)
    if settings is None:
        return None
    return settings.micro_batch_rows, settings.precision, settings.zero_stage
