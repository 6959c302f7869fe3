"""A trained model folder -> one GGUF file for llama.cpp, Ollama and LM Studio, with the same ids and the same numbers.

    config.json ────network_of──────▶ keys, layout ─┐
    tokenizer.json ─read_vocabulary─▶ tokens, words ┼─▶ .gguf ──check_ids──▶ named as asked
    *.safetensors ──one at a time───▶ tensors ──────┘

The file has its name only after its vocabulary, read back, gives the ids of tokenizer.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import gguf
import numpy as np
import orjson
from safetensors import safe_open

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.publish.gguf_network import Network, network_of
from tonsai_pipeline.publish.gguf_vocabulary import check_ids, read_vocabulary, write_vocabulary
from tonsai_pipeline.tokenizer.assemble import probe_texts

Precision = Literal["f32", "f16", "bf16", "q8_0"]
_TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
#: How a model's maker draws tokens, by the writer's method.
_SAMPLING = {"temperature": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}


@dataclass(frozen=True)
class GgufReport:
    """What was written: bytes and tensors of the file, texts whose ids were compared."""

    num_bytes: int
    num_tensors: int
    num_texts: int


def export_gguf(
    folder: Path, output: Path, *, dtype: Precision = "f16", texts: Iterable[str] = ()
) -> GgufReport:
    """Write a model folder as one GGUF file.

    Args:
        folder: A model folder with its tokenizer.
        output: The file; replaced if it exists.
        dtype: Of the matrices; vectors and positions stay in fp32.
        texts: What its vocabulary is checked on, beside the shipped probe texts.

    Raises:
        DataError: llama.cpp cannot cut text as this tokenizer does, or would compute another network.
    """
    try:
        config: dict[str, Any] = orjson.loads((folder / "config.json").read_bytes())
        vocabulary = read_vocabulary(folder)
    except OSError as error:
        raise DataError(f"{folder}: not a model folder of this program: {error}") from error
    network = network_of(config, vocabulary.info.vocab_size)
    building = output.with_name(f".tmp-{output.name}")
    output.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(building, gguf.MODEL_ARCH_NAMES[network.arch])
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(folder.name if folder.name != "model" else folder.parent.name)
    writer.add_file_type(_TYPES[dtype][1])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, value in network.keys.items():
        getattr(writer, f"add_{name}")(value)
    _add_sampling(writer, folder)
    write_vocabulary(writer, vocabulary)
    num_tensors = _write_tensors(writer, folder, network, dtype)
    writer.close()
    num_texts = check_ids(building, folder, chain(probe_texts(), texts))
    building.replace(output)
    return GgufReport(output.stat().st_size, num_tensors, num_texts)


def _write_tensors(
    writer: gguf.GGUFWriter, folder: Path, network: Network, dtype: Precision
) -> int:
    """Announce every tensor, then write one after the other: memory holds one at a time."""
    places = [
        (path, name, target)
        for path, names in _saved_tensors(folder)
        for name in names
        if (target := network.tensor_name(name)) is not None
    ]
    kinds = []
    for path, name, target in places:
        with safe_open(path, "pt") as saved:
            shape, _ = network.layout(name, tuple(saved.get_slice(name).get_shape()))
        kind = _tensor_type(target, shape, dtype)
        stored = gguf.quant_shape_to_byte_shape(shape, kind)
        quantized = kind not in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16)
        num_bytes = int(np.prod(stored))
        writer.add_tensor_info(
            target,
            stored if quantized else shape,
            np.dtype(np.uint8 if quantized else np.float32),
            num_bytes,
            raw_dtype=kind,
        )
        kinds.append(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for (path, name, _), kind in zip(places, kinds, strict=True):
        with safe_open(path, "pt") as saved:
            array = saved.get_tensor(name).float().numpy()
        _, arrange = network.layout(name, array.shape)
        writer.write_tensor_data(gguf.quants.quantize(np.ascontiguousarray(arrange(array)), kind))
    return len(places)


def _saved_tensors(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the weight files of a model with the names in them."""
    paths = sorted(folder.glob("model*.safetensors"))
    if not paths:
        raise DataError(f"{folder}: no model*.safetensors in it")
    for path in paths:
        with safe_open(path, "pt") as saved:
            yield path, sorted(saved.keys())


def _tensor_type(
    target: str, shape: tuple[int, ...], dtype: Precision
) -> gguf.GGMLQuantizationType:
    if len(shape) < 2 or target.startswith("position_embd"):
        return gguf.GGMLQuantizationType.F32
    kind = _TYPES[dtype][0]
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else gguf.GGMLQuantizationType.F16


def _add_sampling(writer: gguf.GGUFWriter, folder: Path) -> None:
    path = folder / "generation_config.json"
    settings = orjson.loads(path.read_bytes()) if path.is_file() else {}
    for name, method in _SAMPLING.items():
        if settings.get(name) is not None and settings.get("do_sample"):
            getattr(writer, f"add_sampling_{method}")(settings[name])
