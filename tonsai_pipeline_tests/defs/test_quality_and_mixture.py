"""What a person sees of scores and mixture: pictures, documents to read, drift, and the split that is proved."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg
import pytest

from tonsai_pipeline.defs.graph import build_definitions
from tonsai_pipeline.defs.recipe_graph import Graph
from tonsai_pipeline.defs.resources import Workspace
from tonsai_pipeline.missing import DUMP_ASSETS
from tonsai_pipeline.recipe import Recipe
from tonsai_pipeline_tests.quality.pages import english_prose, khmer_prose, menu

_CORPUS = [
    "deduplicated_documents",
    "kept_documents",
    "quality_classifiers",
    "scored_documents",
    "training_mixture",
]
_NO_WORKERS = {"config": {"num_workers": 1}}


class Place:
    """A recipe of three sources, the folder their dumps lie in, and what Dagster knows."""

    def __init__(self, folder: Path, **sections: object) -> None:
        self.folder = folder
        self.recipe = Recipe.model_validate(
            {
                "name": "seen",
                "sources": [
                    {"name": name, "lang": name[:3], "path": f"{name}.jsonl.gz"}
                    for name in ("khm_news", "eng_news", "eng_web")
                ],
                **sections,
            }
        )
        self.graph = Graph(self.recipe, Workspace(root=str(folder / "home"), data=str(folder)))
        self.instance = dg.DagsterInstance.ephemeral()

    def write(self, texts: Mapping[str, list[str]]) -> None:
        """Write the dumps."""
        for name, said in texts.items():
            with gzip.open(self.folder / f"{name}.jsonl.gz", "wt", encoding="utf-8") as stream:
                stream.writelines(json.dumps({"text": text}) + "\n" for text in said)

    def run(self) -> dg.ExecuteInProcessResult:
        """Materialize every dump and the corpus assets."""
        self.graph.publish_catalog()
        keys = [f"{source.name}@{source.date}" for source in self.recipe.sources]
        self.instance.add_dynamic_partitions(str(self.graph.dumps.name), keys)
        for key in keys:
            self._materialize(list(DUMP_ASSETS), key)
        return self._materialize(_CORPUS, None)

    def _materialize(self, names: list[str], partition: str | None) -> dg.ExecuteInProcessResult:
        definitions = build_definitions(self.recipe, self.graph.workspace)
        return dg.materialize(
            [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)],
            instance=self.instance,
            partition_key=partition,
            selection=[self.graph.key(name) for name in names],
            run_config={"ops": {f"seen__{name}": _NO_WORKERS for name in names}},
            raise_on_error=False,
        )


def good_texts(num_docs: int = 40) -> dict[str, list[str]]:
    return {
        "khm_news": [khmer_prose(12, seed) for seed in range(num_docs)],
        "eng_news": [english_prose(12, seed) for seed in range(num_docs)],
        "eng_web": [english_prose(9, 500 + seed) for seed in range(2 * num_docs)]
        + [menu(seed) for seed in range(4)],
    }


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, dg.MetadataValue]:
    wanted = dg.AssetKey(["seen", asset])
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == wanted]
    return event.materialization.metadata


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {one.check_name: one for one in result.get_asset_check_evaluations()}


#: A classifier of English: news against the web, so that there is one to look at.
_QUALITY = {
    "classifiers": {
        "eng": {"positives": ["eng_news"], "negatives": ["eng_web"], "num_buckets": 2000, "dim": 8}
    },
    "mask": ["email"],
}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dg.ExecuteInProcessResult]:
    folder = tmp_path_factory.mktemp("calm")
    texts = good_texts()
    texts["eng_web"].insert(0, texts["eng_news"][1])
    texts["khm_news"][0] += " sok.dara@example.org"
    (folder / "quiz.jsonl").write_text(json.dumps({"text": texts["eng_news"][0]}) + "\n")
    quiz = {"name": "quiz", "path": str(folder / "quiz.jsonl")}
    place = Place(
        folder,
        quality=_QUALITY,
        mixture={"validation": {"frac": 0.1}},
        dedup={"decontaminate": {"evaluation_sets": [quiz]}},
    )
    place.write(texts)
    return place, place.run()


def test_documents_are_shown_before_and_after(
    calm: tuple[Place, dg.ExecuteInProcessResult],
) -> None:
    place, result = calm
    kept = str(metadata_of(result, "kept_documents")["before_and_after"].value)
    for said in ("leaves: holds 100% of quiz/", "leaves: 100% like eng_news@", "| stays |"):
        assert said in kept, kept
    mixed = str(metadata_of(result, "training_mixture")["before_and_after"].value)
    [masked] = [row for row in mixed.splitlines() if "sok.dara@example.org" in row]
    assert masked.split("|")[-2].strip().endswith("<EMAIL>")
    assert "| as it is |" in mixed
    key = place.graph.key("contaminated_documents")
    found = place.instance.fetch_materializations(key, limit=9).records
    told = [record.asset_materialization for record in found]
    examples = [str(one.metadata["examples"].value) for one in told if one is not None]
    assert sum("leaves: holds 100% of quiz/" in one for one in examples) == 1
    assert sum("None holds text of" in one for one in examples) == 2


def test_scores_drops_and_documents_are_there_to_see(
    calm: tuple[Place, dg.ExecuteInProcessResult],
) -> None:
    _, result = calm
    assert result.success
    shown = metadata_of(result, "scored_documents")
    for name in ("scores", "drops", "drops_by_source"):
        assert "data:image/png;base64," in str(shown[name].value), name
        assert len(str(shown[name].value)) < 120_000, name
    rows = str(shown["to_read_eng"].value).splitlines()[2:]
    deciles = [row.split("|")[1].strip() for row in rows]
    assert 5 <= len(set(deciles)) <= 10
    assert max(map(deciles.count, set(deciles))) <= 10
    assert {row.split("|")[3].strip() for row in rows} > {""}, (
        "some were kept, some dropped for a reason"
    )
    assert any("farmer" in row or "teacher" in row for row in rows)


def test_a_classifier_shows_how_well_it_does_and_what_it_looks_at(
    calm: tuple[Place, dg.ExecuteInProcessResult],
) -> None:
    shown = str(metadata_of(calm[1], "quality_classifiers")["classifier_eng"].value)
    assert shown.startswith(("AUC 0.", "AUC 1."))
    assert "| eng_news |" in shown
    assert "| max_length | num_documents | good_frac | accuracy |" in shown
    assert shown.count("\n|") > 20


def test_the_mixture_shows_every_number_of_every_source(
    calm: tuple[Place, dg.ExecuteInProcessResult],
) -> None:
    shown = metadata_of(calm[1], "training_mixture")
    header = str(shown["by_source"].value).splitlines()[0]
    for column in (
        "num_documents",
        "num_bytes",
        "estimated_tokens",
        "estimated_epochs",
        "estimated_effective_tokens",
        "share",
        "estimated_share",
    ):
        assert f" {column} " in header
    assert "data:image/png;base64," in str(shown["shares"].value)


def test_the_splits_of_a_deduplicated_corpus_are_proved_disjoint(
    calm: tuple[Place, dg.ExecuteInProcessResult],
) -> None:
    checks = checks_of(calm[1])
    assert checks["splits_are_disjoint"].passed
    assert checks["splits_are_not_alike"].passed
    assert "held out: 0 in both" in str(checks["splits_are_disjoint"].description)


def test_scores_are_steady_on_a_second_run_and_not_when_a_source_turns_to_junk(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    place.write(good_texts())
    assert checks_of(place.run())["scores_are_steady"].passed
    again = checks_of(place.run())["scores_are_steady"]
    assert again.passed
    assert "3 sources compared" in str(again.description)
    place.write({"eng_web": [menu(seed, 30) for seed in range(40)]})
    moved = checks_of(place.run())["scores_are_steady"]
    assert not moved.passed
    assert moved.severity == dg.AssetCheckSeverity.WARN
    assert "eng_web" in str(moved.description)
    assert "eng_news" not in str(moved.description)


@pytest.mark.parametrize("ending", ["", " It rained again on the day after, they said."])
def test_where_deduplication_is_off_copies_stay_on_one_side_and_near_copies_are_told(
    tmp_path: Path, ending: str
) -> None:
    mixture = {"validation": {"frac": 0.33}}
    place = Place(tmp_path, dedup={"enabled": False}, mixture=mixture)
    texts = good_texts()
    texts["eng_web"] = [text + ending for text in texts["eng_news"]]
    place.write(texts)
    checks = checks_of(place.run())
    assert checks["splits_are_disjoint"].passed
    alike = checks["splits_are_not_alike"]
    assert alike.passed == (not ending)
    assert alike.severity == dg.AssetCheckSeverity.WARN
    assert ("eng_web@" in str(alike.description)) == bool(ending)
