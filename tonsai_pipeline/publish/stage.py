"""The declaration of published_model; the release is prepared by a launched process."""

from tonsai_pipeline.lineage import Fields, Stage, whole
from tonsai_pipeline.recipe import Recipe


def is_wanted(recipe: Recipe) -> bool:
    """Whether a recipe says under which licence its model is given away."""
    return recipe.publish.license is not None


def _tunes(recipe: Recipe) -> bool:
    return recipe.sft.is_wanted


def _pretrains(recipe: Recipe) -> bool:
    """Whether what is published was pretrained by this recipe, and then perhaps tuned."""
    return recipe.sft.base is None


STAGE = Stage(
    "published_model",
    version="1",
    fields={
        "name": Fields("name"),
        "publish": Fields("publish"),
        "sources": Fields("sources", only=("name", "lang", "license", "hub", "weight")),
        "sft": Fields("sft", only=("sources",)),
        "quality": Fields("quality", only=("mask",)),
        "evaluate": Fields("evaluate", only=("max_rows",)),
        "limits": Fields("train.regression", only=("max_rise_frac",)),
        "tuned_limits": Fields("sft.train.regression", only=("max_rise_frac",)),
    },
    reads={
        "pretrained": whole("pretrained_model", when=_pretrains),
        "evaluation": whole("evaluation_report", when=_pretrains),
        "packed": whole("packed_shards", when=_pretrains),
        "tuned": whole("sft_model", when=_tunes),
        "tuned_evaluation": whole("sft_report", when=_tunes),
        "dataset": whole("sft_dataset", when=_tunes),
    },
    of_recipe=is_wanted,
)
