"""Two dumps that are translations of each other -> pairs of texts, for the tokenizer's report.

normalized_documents of a Khmer and of an English source ──same record──▶ ParallelTexts
"""

from __future__ import annotations

from collections.abc import Mapping

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.tokenizer import ParallelConfig
from tonsai_pipeline.stages.tokenizer_folder import ParallelTexts
from tonsai_pipeline.storage.documents import read_batches
from tonsai_pipeline.storage.store import Artifact

#: Pairs that are measured: three digits of the ratio need no more, and they are held in memory.
_MAX_PAIRS = 10_000


def parallel_texts(normalized: Mapping[str, Artifact], config: ParallelConfig) -> ParallelTexts:
    """Pair the records of two sources, each in its last dump; records that one side lacks are left out.

    Args:
        normalized: normalized_documents by dump, in catalog order.
        config: Names of the sources.

    Raises:
        RecipeError: A source has no dump.
        DataError: The two dumps have no record in common.
    """
    khm, eng = (_records(normalized, name) for name in (config.khm, config.eng))
    if len({file for file, _ in khm}) != len({file for file, _ in eng}):
        raise DataError(
            f"tokenizer.parallel: {config.khm} and {config.eng} have not the same number of files; files are "
            "paired in the order of their names"
        )
    common = [place for place in khm if place in eng][:_MAX_PAIRS]
    if not common:
        raise DataError(
            f"tokenizer.parallel: {config.khm} and {config.eng} have no record at the same place; they must be "
            "line-parallel"
        )
    return ParallelTexts([khm[place] for place in common], [eng[place] for place in common])


def parallel_versions(
    normalized: Mapping[str, Artifact], config: ParallelConfig | None
) -> dict[str, str]:
    """Return the data version of the dumps that are read, by name: inputs of the tokenizer.

    Raises:
        RecipeError: A source has no dump.
    """
    names = [] if config is None else [config.khm, config.eng]
    return {f"parallel/{name}": _last_dump(normalized, name).data_version for name in names}


def _last_dump(normalized: Mapping[str, Artifact], source: str) -> Artifact:
    dumps = [dump for dump in normalized if dump.partition("@")[0] == source]
    if not dumps:
        raise RecipeError(
            f"tokenizer.parallel: source '{source}' has no dump; give it a path, or leave `parallel` out"
        )
    return normalized[dumps[-1]]


def _records(normalized: Mapping[str, Artifact], source: str) -> dict[tuple[int, int], str]:
    """Return the texts of a source's last dump by place of the file among the files, and row."""
    files: dict[str, int] = {}  # parts hold the files in the order of their names
    found = {}
    for path in _last_dump(normalized, source).parts():
        for batch in read_batches(path, ["doc_id", "text"]):
            ids, texts = batch["doc_id"].to_pylist(), batch["text"].to_pylist()
            for doc_id, text in zip(ids, texts, strict=True):
                _, file, row = doc_id.split("/")
                found[files.setdefault(file, len(files)), int(row)] = text
    return found
