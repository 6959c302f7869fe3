"""The declaration of evaluation_report; the work is launched in processes of its own."""

from tonsai_pipeline.lineage import Fields, Stage, whole

STAGE = Stage(
    "evaluation_report",
    version="2",
    fields={
        "name": Fields("name"),
        "evaluate": Fields("evaluate", watched=True),
        "model": Fields("model"),
        "seed": Fields("train.seed"),
        "normalize": Fields("normalize", only=("coeng_da",)),
    },
    reads={"trained": whole("pretrained_model"), "shards": whole("packed_shards")},
)
