"""Recipe section `model`: which network is trained -> sizes, a config file, or a model to go on from."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tonsai_pipeline.recipe.section import FolderOrHub, RecipePath, Section

#: Fields that describe a network by its sizes; meaningless beside `config_file` or `base`.
_SIZES = frozenset(
    {
        "architecture",
        "num_layers",
        "hidden_size",
        "num_heads",
        "num_kv_heads",
        "intermediate_size",
        "tie_embeddings",
    }
)


class ModelConfig(Section):
    """The network: by sizes (the default), by a Hugging Face config file, or an existing model to continue."""

    architecture: Literal["gpt2", "llama", "qwen3"] = "gpt2"
    """Family of a model built from sizes. gpt2: learned positions, GELU; llama, qwen3: RoPE, SwiGLU."""

    num_layers: int = Field(default=4, ge=1, le=512)
    """Transformer blocks, 1..512."""

    hidden_size: int = Field(default=256, ge=8, le=65_536)
    """Width of the residual stream, 8..65,536; a multiple of `num_heads`."""

    num_heads: int = Field(default=4, ge=1, le=1024)
    """Attention heads, 1..1,024. Head width is hidden_size / num_heads; 64 or 128 is fastest on a GPU."""

    num_kv_heads: int | None = Field(default=None, ge=1, le=1024)
    """Key and value heads (grouped-query attention), llama and qwen3 only; empty: as many as `num_heads`."""

    intermediate_size: int | None = Field(default=None, ge=8, le=262_144)
    """Width inside the feed-forward block; empty: 4 x hidden_size (gpt2), 8/3 x rounded up to 64 (others)."""

    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Dropout rate, 0..1, of any network, whatever its config says; 0 is right for pretraining. The fast
    attention of the GPU knows none: above 0 a slower one with a mask is taken."""

    tie_embeddings: bool = True
    """Whether the output layer shares the token embedding."""

    config_file: RecipePath | None = None
    """A Hugging Face model config (JSON): the network is built from it with new weights."""

    base: FolderOrHub | None = None
    """A model folder or a Hub id whose weights training goes on from (continual pretraining)."""

    base_revision: str | None = None
    """Commit or tag of a Hub `base`; pin it, or the run cannot be repeated."""

    new_embeddings: Literal["subword_mean", "mean", "random"] = "subword_mean"
    """First values of the embeddings of tokens that the tokenizer of `base` does not have: the mean of the pieces it
    cuts them into, the mean of all its tokens, or drawn with their spread (measured in docs/training.md)."""

    positions: Literal["row", "document"] = "row"
    """Position numbers run through the row, or start again in each document. Attention never crosses a document
    either way; `row` also trains the later rows of a learned position table when documents are short."""

    @model_validator(mode="after")
    def _one_description(self) -> Self:
        if self.config_file is not None and self.base is not None:
            raise ValueError(
                "give `config_file` (new weights) or `base` (go on from a model), not both"
            )
        # A run that was written to disk and read again has every field set, most to its default.
        defaults = {name: type(self).model_fields[name].default for name in _SIZES}
        given = _SIZES & self.model_fields_set
        foreign = sorted(name for name in given if getattr(self, name) != defaults[name])
        if foreign and not self.from_sizes:
            raise ValueError(
                f"{', '.join(foreign)}: decided by `config_file` or `base`, remove them here"
            )
        if self.base is None and self.base_revision is not None:
            raise ValueError("`base_revision` names a commit of `base`, which is empty")
        return self

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        if self.num_kv_heads is not None:
            if self.architecture == "gpt2":
                raise ValueError(
                    "num_kv_heads: gpt2 has no grouped-query attention; use llama or qwen3"
                )
            if self.num_heads % self.num_kv_heads:
                raise ValueError(
                    f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}"
                )
        return self

    @property
    def from_sizes(self) -> bool:
        """Whether the sizes of this section describe the network."""
        return self.config_file is None and self.base is None
