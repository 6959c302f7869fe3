"""published_model: what others would be given of the finished model, whether it may be, and, where a target is named, that it was."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import dagster as dg

from tonsai_pipeline.defs.models.launcher import JobOptions, launch_job
from tonsai_pipeline.defs.results import check, table
from tonsai_pipeline.defs.stage_asset import CheckSpec, Made, Page
from tonsai_pipeline.evaluate.spec import RESULTS_NAME
from tonsai_pipeline.lineage import Builder
from tonsai_pipeline.publish.spec import (
    GATE_NAME,
    RELEASE_NAME,
    PublishRun,
    commit_of,
    data_sources,
)
from tonsai_pipeline.storage.files import read_json
from tonsai_pipeline.train.launch import LaunchSpec
from tonsai_pipeline.train.spec import MODEL_NAME

_JOB = "tonsai_pipeline.publish.job"
_CARDS = ("README.md", "DATA_CARD.md")


def launch(
    context: dg.AssetExecutionContext,
    options: JobOptions,
    builder: Builder,
    key: str,
    folder: Path,
    given: Mapping[str, Any],
    *,
    recipe_file: str = "",
) -> Mapping[str, Any]:
    """Prepare a release in a process of its own; give it away where the recipe says to whom and no verdict stops it."""
    del builder
    run = release_run(given, folder, key, recipe_file)
    run_file = run.write()
    launch_job(context, LaunchSpec(_JOB, run_file, folder, launcher="python"), options)
    # It names folders of this machine.
    run_file.unlink()
    verdicts = cast("dict[str, Any]", read_json(folder / GATE_NAME))["verdicts"]
    release = folder / RELEASE_NAME
    sizes = {p.relative_to(release).as_posix(): p.stat().st_size for p in release.rglob("*")}
    stops = any(row["stops"] for row in verdicts)
    return {
        "license": run.publish.license,
        "num_bytes": sum(sizes.values()),
        "gate": {row["name"]: {name: row[name] for name in _SHOWN} for row in verdicts},
        "files": {name: {"bytes": size} for name, size in sorted(sizes.items())},
        "given_to": None if stops else _give(context, run),
    }


_SHOWN = ("verdict", "message", "waiver", "stops")


def release_run(
    given: Mapping[str, Any], output_dir: Path, fingerprint: str, recipe_file: str
) -> PublishRun:
    """Say what is published.

    Args:
        given: What the stage declares: sections and opened artifacts; the tuned model, if there is one.
        output_dir: Where the release goes.
        fingerprint: Name of the work.
        recipe_file: Its commit goes into the card; empty without.
    """
    is_tuned, base = given["tuned"] is not None, given["evaluation"]
    names = ("tuned", "tuned_evaluation", "dataset", "tuned_limits")
    names = names if is_tuned else ("pretrained", "evaluation", "packed", "limits")
    model, evaluation, rows, limits = (given[name] for name in names)
    return PublishRun(
        name=given["name"],
        publish=given["publish"],
        model_dir=model.path / MODEL_NAME,
        results=evaluation.path / RESULTS_NAME,
        pretraining_results=base.path / RESULTS_NAME if is_tuned and base is not None else None,
        shards_dir=rows.path,
        sources=data_sources(given["sources"], given["sft"].sources),
        instructions=rows.report if is_tuned else {},
        made_with=dict(model.manifest.settings),
        masked=tuple(given["quality"].mask),
        max_rows=given["evaluate"].max_rows,
        max_rise_frac=dict(limits.max_rise_frac),
        commit=commit_of(Path(recipe_file)) if recipe_file else "",
        output_dir=output_dir,
        fingerprint=fingerprint,
    )


def _give(context: dg.AssetExecutionContext, run: PublishRun) -> str | None:
    """Push a release that nothing stops; returns where it is, None where the recipe names no target."""
    if run.publish.target is None:
        return None
    # Loads what asks the Hub.
    from tonsai_pipeline.publish.targets import push

    return push(
        run.output_dir,
        run.publish.target,
        log=context.log.info,
        branch=run.publish.branch,
        pull_request=run.publish.pull_request,
        private=not run.publish.public,
    )


def _pictures(made: Made) -> dict[str, Any]:
    verdicts = [[name, row["verdict"], row["message"]] for name, row in _gate(made).items()]
    cards = {
        name: dg.MetadataValue.md(
            _body(made.artifact.file(f"{RELEASE_NAME}/{name}").read_text(encoding="utf-8"))
        )
        for name in _CARDS
    }
    return {"verdicts": dg.MetadataValue.md(table(["", "verdict", ""], verdicts)), **cards}


def _checks(made: Made) -> Iterator[dg.AssetCheckResult]:
    stopped = [
        f"{name} {row['verdict']}: {row['message']}"
        for name, row in _gate(made).items()
        if row["stops"]
    ]
    target, given_to = made.recipe.publish.target, made.report["given_to"]
    where = f"given to {given_to}" if given_to else "nothing was given away: no publish.target"
    said = "; ".join(stopped) or where
    yield check("may_be_published", not stopped, said, warn=target is None)


def _gate(made: Made) -> Mapping[str, Any]:
    return made.report["gate"]


def _body(card: str) -> str:
    """Leave out the metadata that stands before a card."""
    return card.split("---\n", 2)[-1] if card.startswith("---\n") else card


PAGE = Page(
    "The finished model as others would get it: listed files alone, a model card and a data card, and the gate before them. "
    "Nothing leaves this machine unless the recipe names `publish.target`, and then nothing that a verdict stops.",
    docs="publishing.md",
    group="models",
    kinds=frozenset({"huggingface"}),
    specs=(CheckSpec("may_be_published", "Every verdict is passed, or accepted with a reason"),),
    checks=_checks,
    pictures=_pictures,
)
