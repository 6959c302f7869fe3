"""`tonsai init`: what a folder of any kind becomes, and that the recipe loads and finds exactly those files."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import random
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tonsai_pipeline.catalog.catalog import find_dumps
from tonsai_pipeline.cli.init import init
from tonsai_pipeline.cli.init.model import Machine, choose
from tonsai_pipeline.cli.init.sources import Survey, survey
from tonsai_pipeline.errors import DataError, RecipeError
from tonsai_pipeline.planner.network import flops_per_token
from tonsai_pipeline.recipe import Recipe, load_recipe
from tonsai_pipeline.recipe.sources import DialectConfig
from tonsai_pipeline.storage.dumps import read_dump_file
from tonsai_pipeline.storage.dumps.records import Dialect
from tonsai_pipeline.storage.layout import Layout
from tonsai_pipeline.synthetic.grammar import document


def text(lang: str, seed: int) -> str:
    return document(random.Random(seed), lang)  # pyright: ignore[reportArgumentType]


def write(path: Path, data: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def jsonl(lang: str, count: int, column: str = "text", **others: str) -> str:
    rows = [{column: text(lang, seed), **others} for seed in range(count)]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def parquet(path: Path, columns: dict[str, list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TONSAI_DATA", raising=False)
    return tmp_path


def proposed(home: Path, folder: str = "texts") -> tuple[Recipe, str]:
    """Run the command; the recipe must load and its catalog must find every file."""
    target = home / f"{folder}.yaml"
    init(home / folder, output=target, force=True)
    recipe = load_recipe(str(target))
    find_dumps(recipe, Layout(home / "home", recipe.name), target.parent)
    return recipe, target.read_text(encoding="utf-8")


def files_of(recipe: Recipe, home: Path) -> dict[str, list[str]]:
    catalog = find_dumps(recipe, Layout(home / "home", recipe.name), home)
    return {dump.key.source: [Path(file).name for file in dump.files] for dump in catalog.dumps}


def reason(found: Survey, name: str) -> str:
    return next(one.reason for one in found.left_out if one.path.name == name)


def test_a_hub_folder_trains_on_its_train_files_only(home: Path) -> None:
    folder = home / "texts"
    for split, count in (("train", 60), ("validation", 8), ("test", 8)):
        for shard in range(2 if split == "train" else 1):
            columns = {
                "id": [f"{split}-{i}" for i in range(count)],
                "content": [text("khm", 100 * shard + i + len(split)) for i in range(count)],
            }
            parquet(folder / f"data/{split}-{shard:05d}-of-00002.parquet", columns)  # pyright: ignore[reportArgumentType]
    write(folder / "README.md", "---\nlicense: cc-by-4.0\nlanguage: [km]\n---\n# A data set\n")
    splits = {
        split: {"num_examples": n} for split, n in (("train", 120), ("validation", 8), ("test", 8))
    }
    write(folder / "dataset_infos.json", json.dumps({"default": {"splits": splits}}))
    recipe, page = proposed(home)
    [source] = recipe.sources
    assert (source.lang, source.text_column, source.license) == ("khm", "content", "cc-by-4.0")
    assert files_of(recipe, home) == {
        source.name: ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    }
    sets = recipe.dedup.decontaminate.evaluation_sets
    assert sorted(Path(str(one.path)).name[:4] for one in sets) == ["test", "vali"]
    assert all(one.text_columns == ("content",) for one in sets)
    assert "data/test-00000-of-00002.parquet: test split, 8 rows" in page
    assert "train 120, validation 8, test 8" in page


def test_a_card_decides_where_names_do_not(home: Path) -> None:
    folder = home / "texts"
    write(folder / "a.jsonl", jsonl("khm", 40))
    write(folder / "b.jsonl", jsonl("khm", 5))
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: train, path: a.jsonl}\n  - {split: test, path: ['b.*']}\n---\n"
    write(folder / "README.md", card)
    recipe, _ = proposed(home)
    assert list(files_of(recipe, home).values()) == [["a.jsonl"]]
    assert [Path(str(s.path)).name for s in recipe.dedup.decontaminate.evaluation_sets] == [
        "b.jsonl"
    ]


def test_formats_text_columns_and_languages_are_found_by_looking(home: Path) -> None:
    folder = home / "texts"
    write(folder / "news.jsonl.gz", gzip.compress(jsonl("khm", 30, "body", title="ក").encode()))
    write(
        folder / "blog.csv",
        "id,article\n" + "".join(f'{i},"{text("eng", i)}"\n' for i in range(20)),
    )
    write(
        folder / "book.txt.bz2",
        bz2.compress("\n\n".join(text("eng", i) for i in range(30)).encode()),
    )
    write(folder / "lines.txt", "\n".join(text("khm", i).replace("\n", " ") for i in range(30)))
    nested = [
        {"data": {"text": text("khm", i)}, "url": f"https://example.org/{i}"} for i in range(20)
    ]
    write(folder / "api.json", json.dumps(nested, indent=1))
    recipe, _ = proposed(home)
    found = {s.name: (s.lang, s.text_column, s.text_layout) for s in recipe.sources}
    assert found == {
        "khm_news": ("khm", "body", "blank_line"),
        "eng_blog": ("eng", "article", "blank_line"),
        "eng_book": ("eng", "text", "blank_line"),
        "khm_lines": ("khm", "text", "line"),
        "khm_api": ("khm", "data.text", "blank_line"),
    }
    assert recipe.mixture.languages == {"khm": 0.6, "eng": 0.4}


def test_both_languages_of_one_file_become_two_sources(home: Path) -> None:
    folder = home / "texts"
    mixed = jsonl("khm", 30, language="km") + jsonl("eng", 30, language="en")
    write(folder / "web.jsonl", mixed)
    pairs = {"km": [text("khm", i) for i in range(20)], "en": [text("eng", i) for i in range(20)]}
    parquet(folder / "pairs.parquet", pairs)  # pyright: ignore[reportArgumentType]
    recipe, _ = proposed(home)
    found = {(s.lang, s.text_column, tuple(s.where.items())) for s in recipe.sources}
    assert found == {
        ("khm", "text", (("language", "km"),)),
        ("eng", "text", (("language", "en"),)),
        ("khm", "km", ()),
        ("eng", "en", ()),
    }


def test_shards_are_one_source_and_a_folder_of_articles_is_one(home: Path) -> None:
    folder = home / "texts"
    for part in range(3):
        write(folder / f"crawl/part-{part:05d}.jsonl", jsonl("khm", 10 + part))
    for index in range(60):
        write(folder / f"articles/{chr(0x1780 + index % 30)} {index} title.txt", text("khm", index))
    for index in range(50):
        write(folder / f"wiki/A{index:02d}/wiki_00", jsonl("eng", 2, id=str(index)))
    recipe, _ = proposed(home)
    found = files_of(recipe, home)
    assert sorted(len(files) for files in found.values()) == [3, 50, 60]
    by_size = {len(found[s.name]): s for s in recipe.sources}
    assert by_size[60].text_layout == "file"
    assert by_size[50].format == "jsonl"
    assert isinstance(by_size[60].path, str)


def test_names_in_any_script_and_with_any_sign_work(home: Path) -> None:
    folder = home / "texts"
    names = (
        "ព័ត៌មាន.jsonl",
        "a [1] *?.jsonl",
        "b: #c'\".jsonl",
        "line\nbreak.jsonl",
        "no.jsonl",
        "日本/x.jsonl",
        "-x.jsonl",
    )
    for index, name in enumerate(names):
        write(folder / name, jsonl("khm", 10 + index))
    (folder / os.fsdecode(b"\xff\xfe.jsonl")).write_text(jsonl("khm", 3), encoding="utf-8")
    recipe, page = proposed(home)
    found = [file for files in files_of(recipe, home).values() for file in files]
    assert sorted(found) == sorted(Path(name).name for name in names)
    assert len({source.name for source in recipe.sources}) == len(recipe.sources)
    assert "not UTF-8" in page


def test_what_is_no_text_is_named_with_its_reason(home: Path) -> None:
    folder = home / "texts"
    write(folder / "good.jsonl", jsonl("khm", 30))
    write(folder / "same.jsonl", jsonl("khm", 30))
    write(folder / "photo.jpg", b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20)
    write(folder / "fake.txt", b"\x00\x01\x02" * 1000)
    write(folder / "empty.txt", b"")
    write(folder / "words.txt", "\n".join(["ក ខ"] * 3))
    write(folder / "script.py", "print('hello')\n" * 50)
    write(folder / "tmx.xml", "<?xml version='1.0'?><tmx><body/></tmx>")
    write(folder / "ids.csv", "id,category\n" + "".join(f"{i},news\n" for i in range(50)))
    write(folder / "cut.parquet", b"PAR1 and no more")
    write(folder / "half.jsonl.gz", gzip.compress(jsonl("khm", 40).encode())[:-3000])
    write(
        folder / "french.txt",
        "\n\n".join(["Le chat est sur la table et il regarde par la fenêtre été à côté."] * 40),
    )
    write(folder / "old.rar", b"Rar!\x1a\x07\x01\x00" + bytes(100))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("a/x.jsonl", jsonl("eng", 30))
    (folder / "nowhere.txt").symlink_to(folder / "missing")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jsonl")
    found = survey(folder)
    names = sorted(file.path.name for source in found.sources for file in source.files)
    assert names == ["good.jsonl", "half.jsonl.gz", "more.zip"]
    assert any(source.look.num_bad for source in found.sources)
    assert reason(found, "photo.jpg") == "a file of kind .jpg; no text that can be read"
    assert "binary" in reason(found, "fake.txt")
    assert reason(found, "same.jsonl") == "a copy of good.jsonl"
    assert reason(found, "empty.txt") == "empty"
    assert ".py" in reason(found, "script.py")
    assert "MediaWiki" in reason(found, "tmx.xml")
    assert "category" in reason(found, "ids.csv")
    assert "corrupt_file" in reason(found, "cut.parquet")
    assert reason(found, "french.txt") == "neither Khmer nor English"
    assert reason(found, "old.rar") == "an archive; unpack it"
    assert reason(found, "nowhere.txt") == "a link to nothing"
    assert "link to a folder" in reason(found, "loop")
    assert reason(found, "pipe.jsonl") == "not a regular file"
    proposed(home)


def test_kinds_are_told_by_a_name_or_by_looking(home: Path) -> None:
    folder = home / "texts"
    entries = [f"word{i} (wd. {i}) n., pl.: thing; see {i}." for i in range(60)]
    titles = [f"The {place} is in the news again" for place in ("harbour", "market", "school")]
    write(folder / "entries.txt", "\n".join(entries))
    write(folder / "short.txt", "\n".join(f"{title} {i}" for i in range(20) for title in titles))
    write(folder / "poems" / "khm.jsonl", jsonl("khm", 30))
    recipe, written = proposed(home)
    assert {source.name: source.kind for source in recipe.sources} == {
        "eng_entries": "lexicon",
        "eng_short": "headlines",
        "khm_poems": "verse",
    }
    assert "kind: verse  # by its name" in written


def test_a_dialect_that_reads_better_than_the_habit_is_proposed(home: Path) -> None:
    folder = home / "texts"
    said = [text("eng", i).replace("\n", " ").replace('"', "") for i in range(40)]
    rows = [f'{i};"He said \\"yes\\"; {line}"' for i, line in enumerate(said)]
    write(folder / "odd.csv", "\n".join(["id;text", *rows]) + "\n")
    write(
        folder / "plain.csv",
        "id,text\n" + "".join(f'{i},"{line}"\n' for i, line in enumerate(said)),
    )
    recipe, _ = proposed(home)
    odd, plain = recipe.sources
    assert odd.dialect == DialectConfig(delimiter=";", escape="\\")
    assert plain.dialect == DialectConfig()
    read = [*read_dump_file(str(folder / "odd.csv"), dialect=Dialect(";", None, "\\"))]
    assert [record.text for record in read] == [f'He said "yes"; {line}' for line in said]


def test_short_texts_weights_and_junk(home: Path) -> None:
    folder = home / "texts"
    sentences = [
        part.strip()[:30]
        for i in range(40)
        for part in text("khm", i).split("។")
        if len(part.strip()) > 30 and "\n" not in part.strip()[:30]
    ]
    write(folder / "sentences.txt", "\n".join(sentences))
    write(folder / "pages.jsonl", jsonl("khm", 200))
    write(folder / "junk_web.jsonl", jsonl("khm", 20))
    recipe, _ = proposed(home)
    weights = {source.name: source.weight for source in recipe.sources}
    assert {source.name: source.kind for source in recipe.sources} == {
        "khm_sentences": "sentences",
        "khm_pages": "prose",
        "khm_junk_web": "prose",
    }
    assert weights["khm_junk_web"] == 0
    sizes = (folder / "pages.jsonl").stat().st_size / (folder / "sentences.txt").stat().st_size
    assert weights["khm_pages"] / weights["khm_sentences"] == pytest.approx(sizes, rel=0.2)


def test_errors_name_the_folder_and_the_way_out(home: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        init(home / "missing", base=None, output=None, force=False)
    write(home / "a/photo.jpg", b"\xff\xd8\xff\xe0" + bytes(300))
    with pytest.raises(DataError, match=r"no Khmer or English text to train on: photo\.jpg"):
        init(home / "a", base=None, output=None, force=False)
    write(home / "a/good.jsonl", jsonl("khm", 20))
    init(home / "a", base=None, output=None, force=False)
    assert load_recipe(str(home / "a.yaml")).sources[0].path == "a/good.jsonl"
    with pytest.raises(RecipeError, match="--force writes over it"):
        init(home / "a", base=None, output=None, force=False)


def test_a_folder_elsewhere_is_written_with_whole_paths(home: Path) -> None:
    write(home / "far/good.jsonl", jsonl("khm", 20))
    target = home / "recipes/mine.yaml"
    init(home / "far", base=None, output=target, force=False)
    assert load_recipe(str(target)).sources[0].path == str(home / "far/good.jsonl")


CPU = Machine(None, 0, 2, 25.0)
H100 = Machine("NVIDIA H100 80GB HBM3", 8, 16, 85.0)


@pytest.mark.parametrize(
    ("text_bytes", "machine", "hidden_size", "precision"),
    [
        ({"khm": 2e6}, CPU, 128, "fp32"),
        ({"khm": 3e8, "eng": 3e8}, CPU, 128, "fp32"),
        ({"khm": 3e8, "eng": 3e8}, Machine(None, 0, 32, 25.0), 256, "fp32"),
        ({"khm": 7e9, "eng": 2e10}, CPU, 128, "fp32"),
        ({"khm": 7e9, "eng": 2e10}, H100, 768, "bf16"),
        ({"khm": 1e11, "eng": 1e11}, H100, 1536, "bf16"),
    ],
)
def test_the_model_fits_text_and_machine(
    text_bytes: dict[str, float], machine: Machine, hidden_size: int, precision: str
) -> None:
    choice = choose(text_bytes, machine)
    assert (choice.rung.hidden_size, choice.precision) == (hidden_size, precision)
    if text_bytes["khm"] > 1e9 and machine is CPU:
        hours = choice.max_tokens * flops_per_token(choice.rung.shape) / machine.flops / 3600  # pyright: ignore[reportOptionalOperand]
        assert 7 < hours <= 8


def test_real_text_becomes_the_sources_that_a_person_would_write(
    home: Path, real_data: Path
) -> None:
    target = home / "real.yaml"
    init(real_data, base=None, output=target, force=False)
    recipe = load_recipe(str(target))
    weights = {source.name: source.weight for source in recipe.sources}
    assert {"khm_news", "khm_wikipedia", "eng_masc", "khm_libreoffice_help"} < set(weights)
    assert all(
        (weight == 0) == ("junk" in name or "ntrex" in name) for name, weight in weights.items()
    )
    kinds = {source.name: source.kind for source in recipe.sources}
    assert (kinds["khm_wikipedia"], kinds["khm_dictionary"]) == ("sentences", "lexicon")
    assert kinds["khm_news"] == kinds["khm_web_oscar"] == kinds["eng_shakespeare"] == "prose"
    assert recipe.tokenizer.parallel is not None
    assert [s.name for s in recipe.dedup.decontaminate.evaluation_sets] == ["khm_eval_sib200"]
    assert set(recipe.quality.classifiers) == {"khm", "eng"}
