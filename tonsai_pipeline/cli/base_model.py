"""`--resume-from` and `--model-config` -> the recipe's `model` section and the context length of the network.

an output folder · a model folder · a Hub id · a training checkpoint ──▶ {"base": ...}       a JSON ──▶ {"config_file": ...}
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tonsai_pipeline.cli.options import model_folder
from tonsai_pipeline.errors import ManifestError, RecipeError

#: Rows longer than this are packed only when asked for.
_LONGEST = 4096
#: Keys of a config that do not say which network it is.
_OTHER = re.compile(
    r"^_|drop|token_id|^(architectures|dtype|torch_dtype|transformers_version|use_cache|vocab_size|activation_function"
    r"|task_specific_params|summary_.*|initializer_range)$"
)


def model_section(model_config: Path | None, resume_from: str | None) -> dict[str, Any]:
    """Return the recipe's `model` section.

    Args:
        model_config: A Hugging Face config; beside `resume_from` it must describe the same network.
        resume_from: What training goes on from.

    Raises:
        RecipeError: Neither is given, they contradict each other, or one cannot be read.
    """
    if resume_from is None:
        if model_config is None:
            raise RecipeError(
                "give --model-config (new weights) or --resume-from (a model to go on from)"
            )
        read_config(model_config, "--model-config")
        return {"config_file": str(model_config.absolute())}
    base = locate(resume_from)
    if model_config is not None:
        _refuse_another_network(
            read_config(model_config, "--model-config"), base_config(base), base
        )
    return {"base": base}


def context_of(model: dict[str, Any]) -> int:
    """Return the row length that a network was built for, at most 4,096.

    Raises:
        RecipeError: Its config does not say.
    """
    if "config_file" in model:
        place, config = (
            model["config_file"],
            read_config(Path(model["config_file"]), "--model-config"),
        )
    else:
        place, config = model["base"], base_config(model["base"])
    found = config.get("n_positions") or config.get("max_position_embeddings")
    if not found:
        raise RecipeError(f"{place}: its config names no context length; give --seq-len")
    return min(int(found), _LONGEST)


def base_config(base: str) -> dict[str, Any]:
    """Read the config of a model folder or of a model on the Hub.

    Raises:
        RecipeError: There is none, or the Hub cannot be reached.
    """
    if Path(base).is_dir():
        return read_config(Path(base) / "config.json", "--resume-from")
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return read_config(Path(hf_hub_download(base, "config.json")), "--resume-from")
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise RecipeError(
            f"--resume-from {base}: no such folder here, and no model on the Hub that can be reached: {error}"
        ) from error


def locate(place: str, option: str = "--resume-from") -> str:
    """Return the model that a place means: a model folder, an output folder, a training checkpoint, or a Hub id.

    Raises:
        RecipeError: It is none of them; the message begins with `option`.
    """
    folder = Path(place)
    if not folder.exists():
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", place):
            return place
        raise RecipeError(f"{option} {place}: no such folder")
    found = model_folder(folder)
    if (found / "config.json").is_file():
        return str(found.absolute())
    checkpoint = _checkpoint(folder)
    if checkpoint is not None:
        return str(_export(checkpoint).absolute())
    raise RecipeError(
        f"{option} {place}: neither a model (config.json), nor a folder of `tonsai pretrain` (model/), nor a "
        "training checkpoint (step-*/manifest.json)"
    )


def model_of(recipe: str, home: Path | None, *stages: str) -> Path:
    """Return the folder of the model that a recipe made last, by the first of the stages that has made one.

    Raises:
        ManifestError: None has.
    """
    from tonsai_pipeline.cli.graph import GraphOptions, open_workspace

    loaded, workspace = open_workspace(recipe, GraphOptions(home=home))
    store = workspace.store(loaded)
    for stage in stages[:-1]:
        try:
            return store.current(stage).path / "model"
        except ManifestError:  # a recipe without it, or it is not made yet
            continue
    return store.current(stages[-1]).path / "model"


def _checkpoint(folder: Path) -> Path | None:
    """Return a training checkpoint: the folder itself, or the newest one in it."""
    found = [folder, *sorted(folder.glob("step-*"), reverse=True)]
    found += sorted(folder.glob("checkpoints/step-*"), reverse=True)
    return next((path for path in found if (path / "state").is_dir()), None)


def _export(checkpoint: Path) -> Path:
    """Make a model folder of a checkpoint's weights, beside it; its optimizer state is not used."""
    target = checkpoint.with_name(f"model-{checkpoint.name}")
    if not (target / "config.json").is_file():
        from tonsai_pipeline.train.checkpoints.export import export_checkpoint

        export_checkpoint(checkpoint, target)
    return target


def read_config(path: Path, option: str) -> dict[str, Any]:
    """Read a Hugging Face config.

    Raises:
        RecipeError: There is none; the message begins with `option`.
    """
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise RecipeError(f"{option} {path}: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"{option} {path}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise RecipeError(f"{option} {path}: not a JSON object")
    return found


def _refuse_another_network(wanted: dict[str, Any], found: dict[str, Any], base: str) -> None:
    differing = [
        f"{key} {value!r} (there {found[key]!r})"
        for key, value in wanted.items()
        if not _OTHER.search(key) and value is not None and found.get(key, value) != value
    ]
    if differing:
        raise RecipeError(
            f"--model-config describes another network than --resume-from {base}: {', '.join(differing)}; leave "
            "--model-config away to go on with that network, or --resume-from for new weights"
        )
