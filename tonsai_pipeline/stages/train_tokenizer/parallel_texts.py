"""Two dumps that are translations of each other -> pairs of texts, for the tokenizer's report.

normalized_documents of a Khmer and of an English source ──same record──▶ ParallelTexts
"""

from __future__ import annotations

from collections.abc import Mapping

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.recipe.tokenizer import ParallelConfig
from tonsai_pipeline.schema import DumpKey
from tonsai_pipeline.stages.train_tokenizer.tokenizer_folder import ParallelTexts
from tonsai_pipeline.storage.documents import read_batches
from tonsai_pipeline.storage.store import Artifact

#: Pairs that are measured: three digits of the ratio need no more, and they are held in memory.
_MAX_PAIRS = 10_000


def parallel_texts(normalized: Mapping[DumpKey, Artifact], config: ParallelConfig) -> ParallelTexts:
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


def _last_dump(normalized: Mapping[DumpKey, Artifact], source: str) -> Artifact:
    dumps = [dump for dump in normalized if dump.source == source]
    if not dumps:
        raise RecipeError(
            f"tokenizer.parallel: source '{source}' has no dump; give it a path, or leave `parallel` out"
        )
    return normalized[dumps[-1]]


def _records(normalized: Mapping[DumpKey, Artifact], source: str) -> dict[tuple[int, int], str]:
    """Return the texts of a source's last dump by place of the file among the files, and row."""
    files: dict[str, int] = {}  # parts hold the files in the order of their names
    found: dict[tuple[int, int], str] = {}
    for path in _last_dump(normalized, source).parts():
        for batch in read_batches(path, ["doc_id", "text"]):
            ids, texts = batch["doc_id"].to_pylist(), batch["text"].to_pylist()
            for doc_id, text in zip(ids, texts, strict=True):
                _, file, row = doc_id.split("/")
                found[files.setdefault(file, len(files)), int(row)] = text
    return found
