"""The whole pipeline through the command line, once: what a newcomer sees, cache hits, and what Dagster remembers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tonsai_pipeline.cli import app
from tonsai_pipeline.storage.job_folder import read_metrics

ROOT = Path(__file__).parent.parent.parent

#: As small as it can be and still learn: a minute on two cores.
RECIPE = """
name: tiny
description: Made by a test.
sources:
  - {name: khm_news, lang: khm}
  - {name: khm_web, lang: khm}
  - {name: khm_junk, lang: khm, weight: 0}
  - {name: eng_news, lang: eng}
  - {name: eng_web, lang: eng}
mixture: {languages: {khm: 0.5, eng: 0.5}, validation: {frac: 0.1}}
tokenizer: {vocab_size: 1024, compare_gpt2: false}
packing: {seq_len: 128}
model: {num_layers: 2, hidden_size: 48, num_heads: 2}
train:
  max_tokens: 30000
  global_batch_tokens: 1024
  micro_batch_rows: 8
  precision: fp32
  optimizer: {lr: 3.0e-3}
  validation: {every_steps: 20, max_rows: 8}
  seed: 1
evaluate: {max_rows: 8, prompts: {khm: ["ភ្នំពេញ"], eng: ["The"]}, generation: {max_new_tokens: 8}}
"""
KEPT = ("khm_news", "khm_web", "khm_junk", "eng_news", "eng_web")


def tonsai(*arguments, cwd, check=True):
    environment = {**os.environ, "TONSAI_HOME": str(cwd / "home"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    environment.pop("DAGSTER_HOME", None)
    done = subprocess.run(
        [Path(sys.executable).with_name("tonsai"), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr[-4000:]
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run the pipeline once; every test below looks at what is left."""
    from tonsai_pipeline.synthetic.dumps import write_synthetic_dumps

    place = tmp_path_factory.mktemp("pipeline")
    (place / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (place / "tiny.yaml").write_text(RECIPE)
    inbox = place / "home" / "inbox" / "tiny"
    write_synthetic_dumps(place / "sample", scale=0.3)
    inbox.mkdir(parents=True)
    for path in (place / "sample").iterdir():
        if path.name.startswith(KEPT):
            path.rename(inbox / path.name)
    return place, tonsai("run", "--recipe", "tiny.yaml", cwd=place)


@pytest.mark.slow
def test_a_run_goes_from_dumps_to_a_report_whose_bits_per_byte_fell(finished):
    place, _ = finished
    shown = tonsai("report", "--recipe", "tiny.yaml", "--json", cwd=place)
    languages = json.loads(shown.stdout)["languages"]
    assert set(languages) == {"khm", "eng"}
    for row in languages.values():
        assert row["after"]["bits_per_byte"] < row["before"]["bits_per_byte"]


@pytest.mark.slow
def test_a_recipe_stands_beside_results_of_elsewhere(finished, tmp_path):
    place, _ = finished
    (results,) = (place / "home").rglob("artifacts/evaluation_report/*/*/results.json")
    told = ["report", "--compare", str(place / "tiny.yaml"), "--compare", str(results)]
    page = tmp_path / "both.html"
    done = CliRunner().invoke(app, [*told, "--home", str(place / "home"), "--output", str(page)])
    assert done.exit_code == 0, done.output
    assert page.read_text(encoding="utf-8").count("tiny.yaml: tiny") > 0


@pytest.mark.slow
def test_bad_rows_are_in_quarantine_and_stop_nothing(finished):
    place, _ = finished
    shown = tonsai(
        "report", "--recipe", "tiny.yaml", "-a", "raw_documents", "--dump", "khm_junk@20260901", "--json",
        cwd=place,
    )  # fmt: skip
    report = json.loads(shown.stdout)
    assert report["num_documents"] > 0
    assert report["bad_by_reason"]["broken_json"] > 0


@pytest.mark.slow
def test_a_person_can_look_at_the_rows_of_any_table(finished):
    place, _ = finished
    shown = tonsai(
        "peek", "raw_documents", "--dump", "khm_junk@20260901", "--folder", "quarantine", "--recipe", "tiny.yaml",
        "-w", "reason = 'broken_json'", "-c", "reason,row", "-n", "2", "--json",
        cwd=place,
    )  # fmt: skip
    rows = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [row["reason"] for row in rows] == ["broken_json"] * 2


@pytest.mark.slow
def test_a_second_run_asks_dagster_for_nothing(finished):
    import dagster as dg

    place, _ = finished
    again = tonsai("run", "--recipe", "tiny.yaml", cwd=place)
    lines = [line for line in again.stderr.splitlines() if line.startswith(("  made", "  cached"))]
    assert lines
    assert all(line.startswith("  cached") for line in lines)
    previous = Path.cwd()
    os.chdir(place)
    try:
        with dg.DagsterInstance.from_config(str(place), "dagster.yaml") as instance:
            for name in (
                "dump_catalog",
                "deduplicated_documents",
                "packed_shards",
                "pretrained_model",
            ):
                key = dg.AssetKey(["tiny", name])
                [event] = instance.fetch_materializations(key, limit=9).records
                assert event.asset_materialization.tags["dagster/data_version"], name
            assert "khm_web@20261001" in instance.get_dynamic_partitions("tiny_dumps")
    finally:
        os.chdir(previous)


@pytest.mark.slow
def test_live_numbers_of_training_are_observations_of_the_asset(finished):
    import dagster as dg

    place, _ = finished
    previous = Path.cwd()
    os.chdir(place)
    try:
        with dg.DagsterInstance.from_config(str(place), "dagster.yaml") as instance:
            records = instance.fetch_observations(
                dg.AssetKey(["tiny", "pretrained_model"]), limit=10
            ).records
        seen = [set(r.asset_observation.metadata) for r in records]
    finally:
        os.chdir(previous)
    assert any({"step", "loss"} <= names for names in seen)


@pytest.mark.slow
def test_the_model_folder_opens_and_writes(finished):
    place, _ = finished
    done = tonsai("generate", "--recipe", "tiny.yaml", "-n", "4", "The", cwd=place)
    assert done.stdout.startswith("The")


@pytest.mark.slow
def test_a_model_of_another_seed_teaches_and_is_not_trained_again(finished):
    place, _ = finished
    models = place / "home" / "artifacts" / "pretrained_model" / "all"
    (teacher,) = models.iterdir()
    written = (teacher / "timings.json").stat().st_mtime_ns
    taught = RECIPE.replace("seed: 1", "seed: 0\n  teacher: {num_seeds: 1}\n  backend: torch")
    (place / "taught.yaml").write_text(taught)
    tonsai("run", "--recipe", "taught.yaml", "--select", "pretrained_model", cwd=place)
    (student,) = (one for one in models.iterdir() if one != teacher)
    report = json.loads((student / "manifest.json").read_text())["report"]
    assert report["teachers"] == [f"pretrained_model/all/{teacher.name}"]
    assert (teacher / "timings.json").stat().st_mtime_ns == written
    assert read_metrics(student / "metrics.jsonl") != read_metrics(teacher / "metrics.jsonl")


@pytest.mark.slow
def test_a_selected_asset_brings_what_it_is_made_from_and_nothing_else(finished, tmp_path):
    place, _ = finished
    shutil.copytree(place / "home" / "inbox", tmp_path / "home" / "inbox")
    for name in ("dagster.yaml", "tiny.yaml"):
        shutil.copy(place / name, tmp_path)
    select = ("run", "--recipe", "tiny.yaml", "--select", "kept_documents")
    tonsai(*select, cwd=tmp_path)
    made = {path.name for path in (tmp_path / "home" / "artifacts").iterdir()}
    assert {"raw_documents", "deduplicated_documents", "kept_documents"} <= made
    assert not {"scored_documents", "training_mixture"} & made
    again = tonsai(*select, "--force", cwd=tmp_path)
    assert [line.split()[1] for line in again.stderr.splitlines() if line.startswith("  made")] == [
        "kept_documents"
    ]


@pytest.mark.slow
def test_a_dump_that_is_switched_off_leaves_the_corpus(finished):
    place, _ = finished
    tonsai("dumps", "remove", "khm_web@20261001", "--recipe", "tiny.yaml", cwd=place)
    tonsai("run", "--recipe", "tiny.yaml", "--select", "deduplicated_documents", cwd=place)
    shown = tonsai(
        "report", "--recipe", "tiny.yaml", "-a", "deduplicated_documents", "--json", cwd=place
    )
    assert "khm_web@20261001" not in json.loads(shown.stdout)["by_dump"]
    tonsai("dumps", "add", "khm_web", "--date", "20261001", "--recipe", "tiny.yaml", cwd=place)


@pytest.mark.slow
def test_a_dump_of_only_bad_rows_is_named_and_left_out_or_stops_all_as_the_recipe_says(finished):
    place, _ = finished
    bad = place / "home" / "inbox" / "tiny" / "eng_web@20261101.jsonl"
    bad.write_text("{broken\n" * 3)
    select = ("--select", "deduplicated_documents,raw_documents")
    try:
        done = tonsai("run", "--recipe", "tiny.yaml", *select, cwd=place)
        assert "no document: 3 bad rows (broken_json)" in done.stderr
        assert "left out  eng_web@20261101" in done.stderr
        assert "tonsai dumps add eng_web --date 20261101" in done.stderr
        strict = RECIPE + "automation: {on_bad_dump: stop}\n"
        (place / "strict.yaml").write_text(strict)
        done = tonsai("run", "--recipe", "strict.yaml", *select, cwd=place, check=False)
        assert done.returncode == 1
        assert "eng_web@20261101" in done.stderr
        assert "tonsai dumps remove" in done.stderr
    finally:
        bad.unlink()


def test_an_unknown_asset_lists_the_known_ones(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    done = tonsai("run", "--recipe", "demo", "--select", "packed_shard", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "unknown asset packed_shard" in done.stderr
    assert "packed_shards" in done.stderr


def test_a_missing_source_file_names_source_path_and_data_folder(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (tmp_path / "r.yaml").write_text(
        "name: r\nsources: [{name: a, lang: khm, path: nowhere.jsonl}]\n"
    )
    done = tonsai("run", "--recipe", "r.yaml", cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "source 'a'" in done.stderr
    assert "nowhere.jsonl" in done.stderr
    assert "--data" in done.stderr


@pytest.mark.slow
def test_the_shell_script_of_the_examples_goes_over_it_from_the_plan_to_the_export(finished):
    place, _ = finished
    environment = {
        **os.environ,
        "TONSAI_HOME": str(place / "home"),
        "TONSAI": str(Path(sys.executable).with_name("tonsai")),
        "RECIPE": "tiny.yaml",
        "OUTPUT": "out",
        "PLAN": "",
    }
    environment.pop("DAGSTER_HOME", None)
    script = ["bash", str(ROOT / "examples" / "khmer_500m.sh")]
    done = subprocess.run(
        script, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "khm" in (place / "out" / "report.txt").read_text()
    assert (place / "out" / "model-q8_0.gguf").read_bytes().startswith(b"GGUF")
