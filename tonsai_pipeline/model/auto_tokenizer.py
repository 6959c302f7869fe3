"""A folder with a tokenizer -> the proof that AutoTokenizer cuts text as tokenizer.json says.

    texts ──Tokenizer.from_file──▶ ids ─┐
    texts ──AutoTokenizer────────▶ ids ─┴─equal? or refused

transformers 5 chooses a class by `tokenizer_class` and by the model's type, and some classes build their own
pre-tokenizer and drop the one in tokenizer.json: the model would read other tokens than it was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path
from typing import Any

import orjson
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.tokenizer.assemble import probe_texts

_CONFIG = "tokenizer_config.json"
_CODE = "tokenization_as_it_is.py"
#: For programs that run a model folder's code when asked to; transformers itself takes `tokenizer_class` instead.
_CODE_TEXT = '''"""A tokenizer class that reads tokenizer.json as it is, whatever the type of the model beside it."""

from transformers import PreTrainedTokenizerFast


class TokenizerAsItIs(PreTrainedTokenizerFast):
    pass
'''


def prove_auto_tokenizer(folder: Path, texts: Iterable[str] = ()) -> int:
    """Compare AutoTokenizer with tokenizer.json on the shipped probe texts and on `texts`.

    Returns:
        Texts compared.

    Raises:
        DataError: AutoTokenizer does not open the folder, or gives a text other ids.
    """
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    try:
        auto: Any = AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:  # whatever a class raises that cannot read these files
        raise DataError(f"{folder}: AutoTokenizer cannot open it: {error}") from error
    probes = probe_texts()
    num_texts = 0
    # What is put around a text does not depend on the text: the probes show it.
    for text, special in chain(product(probes, (True, False)), ((text, False) for text in texts)):
        expected = plain.encode(text, add_special_tokens=special).ids
        found = auto(text, add_special_tokens=special)["input_ids"]
        if found != expected:
            raise DataError(
                f"{folder}: AutoTokenizer ({type(auto).__name__}) cuts {text[:80]!r} into {len(found)} tokens, "
                f"tokenizer.json into {len(expected)}: what is trained on one cannot be read with the other. "
                f"The class rebuilds the tokenizer; set tokenizer_class in {_CONFIG} to PreTrainedTokenizerFast"
            )
        num_texts += 1
    return num_texts - len(probes)


def make_auto_tokenizer_agree(folder: Path) -> None:
    """Prove a model folder; where the model's type makes AutoTokenizer take a class that rebuilds, prevent that.

    A folder whose `auto_map` names its own class is not forced into the class of its model's type.

    Raises:
        DataError: They differ even so.
    """
    try:
        prove_auto_tokenizer(folder)
    except DataError:
        config = orjson.loads((folder / _CONFIG).read_bytes())
        config["auto_map"] = {"AutoTokenizer": [None, f"{Path(_CODE).stem}.TokenizerAsItIs"]}
        (folder / _CONFIG).write_bytes(orjson.dumps(config, option=orjson.OPT_INDENT_2))
        (folder / _CODE).write_text(_CODE_TEXT, encoding="utf-8")
        prove_auto_tokenizer(folder)
