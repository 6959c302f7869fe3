"""tokenized_documents: the ids of every document of the mixture, both splits."""

from tonsai_pipeline.defs.stage_asset import Page

PAGE = Page(
    "Token ids of every document that the mixture names, one store a dump. Other shares or another row length "
    "tokenize nothing again.",
    docs="shards.md",
    group="training_data",
    kinds=frozenset({"numpy"}),
)
