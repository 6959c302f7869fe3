"""The declaration of evaluation_report; the work is launched in processes of its own."""

from tonsai_pipeline.lineage import Fields, Stage, every_dump, whole

#: Assets whose reports the page tells: where the documents went, and what the model was trained on.
TOLD = (
    "deduplicated_documents",
    "scored_documents",
    "training_mixture",
    "tokenizer",
    "packed_shards",
)

STAGE = Stage(
    "evaluation_report",
    version="5",
    fields={
        "name": Fields("name"),
        "evaluate": Fields("evaluate", watched=True),
        "model": Fields("model"),
        "seed": Fields("train.seed"),
        "normalize": Fields("normalize", only=("coeng_da",)),
    },
    reads={
        "trained": whole("pretrained_model"),
        "mixed": every_dump("mixture_documents"),
        "raw_documents": every_dump("raw_documents"),
        "normalized_documents": every_dump("normalized_documents"),
        **{name: whole(name) for name in TOLD},
    },
)
