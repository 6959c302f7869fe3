"""The declaration of pretrained_model; the work is launched in processes of its own."""

from tonsai_pipeline.lineage import Fields, Stage, whole

STAGE = Stage(
    "pretrained_model",
    version="4",
    fields={
        "model": Fields("model"),
        "train": Fields("train", watched=True),
        "normalize": Fields("normalize", only=("coeng_da",)),
    },
    reads={"shards": whole("packed_shards"), "tokenizer": whole("tokenizer")},
)
