"""A trained model folder -> a CTranslate2 folder that loads, with the rows of the embedding that have a token.

CTranslate2's converter wants as many tokens as rows for some families (gpt2), and saved models pad their rows to a
multiple of 128.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from transformers import AutoModelForCausalLM

from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.publish.gguf_file import Precision
from tonsai_pipeline.tokenizer.assemble import INFO_NAME, parse_info

_TYPES: dict[Precision, str] = {
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "q8_0": "int8",
}


def export_ctranslate2(folder: Path, output: Path, *, dtype: Precision = "f16") -> None:
    """Convert a model folder, and load the result once.

    Args:
        folder: A model folder with its tokenizer.
        output: The folder that is made; replaced if it exists.
        dtype: How CTranslate2 keeps the matrices.

    Raises:
        RecipeError: The package ctranslate2 is not installed.
        DataError: It is no model folder, or CTranslate2 does not know this kind of model.
    """
    try:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter
    except ImportError as error:
        raise RecipeError(
            "--format ctranslate2 needs the package ctranslate2: uv pip install ctranslate2"
        ) from error
    try:
        info = parse_info((folder / INFO_NAME).read_bytes())
        model = AutoModelForCausalLM.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: not a model folder of this program: {error}") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as name:
        trimmed = Path(name) / "model"
        shutil.copytree(folder, trimmed, ignore=shutil.ignore_patterns("*.safetensors*", "*.bin"))
        model.resize_token_embeddings(info.vocab_size)
        model.save_pretrained(trimmed)
        try:
            converted = TransformersConverter(str(trimmed)).convert(
                str(Path(name) / "converted"), quantization=_TYPES[dtype]
            )
            ctranslate2.Generator(converted)
        except (ValueError, RuntimeError) as error:
            raise DataError(f"{folder}: CTranslate2 cannot take this model: {error}") from error
        shutil.rmtree(output, ignore_errors=True)
        Path(converted).rename(output)
