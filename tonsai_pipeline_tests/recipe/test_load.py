"""Recipes: the shipped ones load, and a mistake is named with its place and the way out."""

import pytest

from tonsai_pipeline.errors import RecipeError
from tonsai_pipeline.recipe import load_recipe, parse_recipe, shipped_recipes

SMALL = {"name": "small", "sources": [{"name": "a", "lang": "khm", "path": "a.jsonl"}]}


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_every_shipped_recipe_loads_and_is_named_after_its_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description


def test_an_unknown_key_is_named_with_its_value_and_the_nearest_key():
    raw = SMALL | {"tokenizer": {"vocab_sise": 5}}
    with pytest.raises(
        RecipeError, match=r"r\.yaml: tokenizer\.vocab_sise: unknown key \(value 5\)"
    ) as error:
        parse_recipe(raw, where="r.yaml")
    assert "did you mean 'vocab_size'?" in str(error.value)


def test_an_unknown_key_inside_a_list_is_named_with_its_index():
    raw = {"name": "small", "sources": [{"name": "a", "lang": "khm", "pth": "a.jsonl"}]}
    with pytest.raises(RecipeError, match=r"sources\.0\.pth: unknown key .* did you mean 'path'"):
        parse_recipe(raw, where="r.yaml")


def test_a_value_out_of_range_is_named_with_its_limit():
    raw = SMALL | {"dedup": {"min_similarity": 3}}
    with pytest.raises(
        RecipeError, match=r"dedup\.min_similarity: .*less than or equal to 1 \(value 3\)"
    ):
        parse_recipe(raw, where="r.yaml")


def test_every_mistake_has_a_line_of_its_own():
    raw = SMALL | {"nme": 1, "dedup": {"num_band": 3}}
    with pytest.raises(RecipeError) as error:
        parse_recipe(raw, where="r.yaml")
    assert len(str(error.value).splitlines()) == 2


def test_two_sources_of_one_name_are_refused():
    source = {"name": "a", "lang": "khm", "path": "a.jsonl"}
    with pytest.raises(RecipeError, match="source names must be unique; repeated: a"):
        parse_recipe({"name": "small", "sources": [source, source]}, where="r.yaml")


def test_a_missing_recipe_lists_the_shipped_ones_and_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'gpt2_500m'"):
        load_recipe("gpt2_500n")


def test_a_file_that_is_not_yaml_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("name: [")
    with pytest.raises(RecipeError, match=r"broken\.yaml: not readable as YAML"):
        load_recipe(str(path))


def test_files_named_in_a_recipe_lie_beside_it(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nsources: [{name: a, lang: khm, path: a.jsonl}]\nmodel: {config_file: net.json}\n"
    )
    assert load_recipe(str(path)).model.config_file == tmp_path / "net.json"


RECIPE = """\
name: small
sources:
  - name: a
    lang: khm
    path: a.jsonl
    weight: 1.0
mixture:
  seed: 1
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mixture:", "mixture:\n  seed: 2\nmixture:", r"mixture: repeated key, in lines 7 and 9"),
        (
            "    lang: khm",
            "    lang: khm\n    lang: eng",
            r"sources\.0\.lang: repeated key, in lines 4 and 5",
        ),
        (
            "weight: 1.0",
            "weight: .inf",
            r"small\.yaml:6: sources\.0\.weight: .*finite.*\(value inf\)",
        ),
        ("weight: 1.0", "weight: .nan", r"small\.yaml:6: sources\.0\.weight: "),
        ("weight: 1.0", "wieght: 1.0", r"small\.yaml:6: sources\.0\.wieght: unknown key"),
        ("  seed: 1", "  seed: many", r"small\.yaml:8: mixture\.seed: "),
        ("name: small\n", "", r"small\.yaml: name: Field required"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(RecipeError, match=message):
        load_recipe(str(path))


def test_a_language_whose_sources_all_have_weight_0_is_refused():
    sources = [{"name": "a", "lang": "khm", "weight": 0}, {"name": "b", "lang": "eng"}]
    raw = {"name": "small", "sources": sources}
    with pytest.raises(RecipeError, match="every source of 'khm' has weight 0"):
        parse_recipe(raw, where="r.yaml")
    parse_recipe(raw | {"mixture": {"languages": {"eng": 1.0}}}, where="r.yaml")
    stage = {"last_frac": 0.1, "weights": {"a": 1}}
    parse_recipe(raw | {"mixture": {"stages": [stage]}}, where="r.yaml")


@pytest.mark.parametrize("train", [{"max_tokens": 10}, {"num_epochs": 2.0}])
def test_stages_that_a_run_does_not_reach_as_planned_are_refused(train):
    raw = {
        "name": "small",
        "sources": [{"name": "a", "lang": "khm"}, {"name": "b", "lang": "eng"}],
        "mixture": {"stages": [{"last_frac": 0.1}], "total_tokens": 20},
    }
    parse_recipe(raw | {"train": {"max_tokens": 20}}, where="r.yaml")
    with pytest.raises(RecipeError, match="give the length as mixture"):
        parse_recipe(raw | {"train": train}, where="r.yaml")
