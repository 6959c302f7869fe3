"""The declarations of sft_model and sft_report; the work is launched in processes of its own."""

from tonsai_pipeline.lineage import Fields, Stage, every_dump, whole
from tonsai_pipeline.stages.prepare_sft.stage import pretrains
from tonsai_pipeline.stages.read_instructions.stage import is_wanted

MODEL = Stage(
    "sft_model",
    version="1",
    fields={
        "sft": Fields("sft", only=("base", "base_revision", "method", "lora")),
        "train": Fields("sft.train", watched=True),
        "normalize": Fields("normalize", only=("coeng_da",)),
    },
    reads={
        "dataset": whole("sft_dataset"),
        "pretrained": whole("pretrained_model", when=pretrains),
    },
    of_recipe=is_wanted,
)

REPORT = Stage(
    "sft_report",
    version="4",
    fields={
        "name": Fields("name"),
        "evaluate": Fields("evaluate", watched=True),
        "sft": Fields("sft", only=("base", "base_revision", "following")),
        "normalize": Fields("normalize", only=("coeng_da",)),
    },
    reads={
        "tuned": whole("sft_model"),
        "dataset": whole("sft_dataset"),
        "pretrained": whole("pretrained_model", when=pretrains),
        "packed": whole("packed_shards", when=pretrains),
        "mixed": every_dump("mixture_documents"),
        "normalized": every_dump("normalized_documents"),
    },
    of_recipe=is_wanted,
)

STAGES = (MODEL, REPORT)
