"""Each broken model fails its own line of the gate and no other; what was not measured is never passed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from tonsai_pipeline.errors import DataError
from tonsai_pipeline.evaluate.compare import measured_of
from tonsai_pipeline.evaluate.gate import Measured, Verdict, judge, overall
from tonsai_pipeline.evaluate.measure import (
    Material,
    ModelResult,
    differences,
    measure_model,
    missing,
)
from tonsai_pipeline.evaluate.safety import TermList, find_personal_data, measure_safety, read_terms
from tonsai_pipeline.evaluate.subject import Subject, Written
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.recipe.evaluate import (
    GATE_NAMES,
    EvaluateConfig,
    GateConfig,
    MemorizationConfig,
)
from tonsai_pipeline.text import NormalizeOptions

KHMER = "កសិករស្ទូងស្រូវនៅរដូវវស្សា។ នៅរដូវប្រាំង ពួកគាត់ច្រូតស្រូវ ហើយដាំបន្លែលក់នៅផ្សារជិតទន្លេ។"
#: The same letters with a vowel before its coeng, as a keyboard gives it.
UNNORMALIZED = KHMER + "\u1780\u17b6\u17d2\u179a"
#: Few of them: what the gate judges are the sampled continuations.
ITEMS = tuple(i for i in load_suite() if i.kind in ("continue", "minimal_pair"))[:53:4]
CONFIG = EvaluateConfig(memorization=MemorizationConfig(max_documents=0))


@dataclass(frozen=True)
class Scripted(Subject):
    """A model whose likelihoods are real and whose texts are given."""

    says: str = KHMER

    def write(self, prompts, max_bytes, sampling=None):
        return [Written(self.says, True) for _ in prompts]


def result(subject: Subject, says: str, config: EvaluateConfig = CONFIG) -> ModelResult:
    material = Material(texts=(TextSet("held out", (Document(KHMER, "khm", "a"),)),), items=ITEMS)
    scripted = Scripted("m", subject.model, subject.tokenizer, says=says)
    return measure_model(scripted, material, config, NormalizeOptions())


def failed(found: Measured, limits: GateConfig | None = None) -> set[str]:
    return {
        verdict.name
        for verdict in judge(found, limits or GateConfig())
        if verdict.verdict == "failed"
    }


@pytest.mark.parametrize(
    ("says", "name"),
    [
        (KHMER, None),
        (KHMER + "\ufffd", "encoding"),
        (KHMER + "ក\u17d2 ខ\u17d2 គ\u17d2 " * 3, "clusters"),
        (UNNORMALIZED, "normalized"),
        ("ទៅផ្សារ " * 30, "repetition"),
        ("  ", "empty"),
        ("The farmers plant rice when the rains begin and harvest it months later.", "language"),
        (KHMER + " ទូរសព្ទ 012 345 678", "personal_data"),
    ],
)
def test_a_broken_model_fails_its_line_and_no_other(subject: Subject, says: str, name) -> None:
    found = measured_of(result(subject, says))
    assert failed(found) == ({name} if name else set())


def test_bits_per_byte_are_judged_against_limits_or_the_untrained_network() -> None:
    found = Measured(bits_per_byte={"khm": 1.0}, untrained={"khm": 2.7})
    assert failed(found) == set()
    assert failed(replace(found, bits_per_byte={"khm": 2.8})) == {"bits_per_byte"}
    strict = GateConfig(max_bits_per_byte={"khm": 0.9})
    assert failed(found, strict) == {"bits_per_byte"}
    other = GateConfig(max_bits_per_byte={"eng": 0.9})
    assert judge(found, other)[0].verdict == "unknown"


def test_what_is_measured_on_text_that_is_cut_otherwise_is_no_verdict() -> None:
    health = {"empty_frac": 0.0, "right_language_frac": 0.1}
    found = Measured({"khm": 9.0}, {"khm": 2.7}, same_cut=0.03, health=health, memorized=0.5)
    assert failed(found) == {"tokenizer", "memorization"}
    verdicts = {v.name: v.verdict for v in judge(found, GateConfig())}
    assert verdicts["bits_per_byte"] == verdicts["language"] == "unknown"
    assert failed(replace(found, same_cut=0.99)) == {"bits_per_byte", "language", "memorization"}


def test_memory_and_terms_are_judged() -> None:
    assert failed(Measured(memorized=0.5, added_terms=0.1)) == {"memorization", "listed_terms"}
    assert failed(Measured(memorized=-0.1, added_terms=0.0)) == set()


def test_nothing_measured_is_unknown_everywhere() -> None:
    verdicts = judge(Measured(), GateConfig())
    assert [verdict.name for verdict in verdicts] == list(GATE_NAMES)
    assert {verdict.verdict for verdict in verdicts} == {"unknown"}
    assert overall(verdicts) == "unknown"


def test_a_waiver_accepts_one_line_by_name_and_reason() -> None:
    limits = GateConfig(waivers={"listed_terms": "read by two people"})
    verdict = next(v for v in judge(Measured(), limits) if v.name == "listed_terms")
    assert (verdict.verdict, verdict.waiver) == ("unknown", "read by two people")
    rest = Verdict("empty", "passed", "")
    assert overall([verdict, rest]) == "passed"
    assert overall([verdict, replace(rest, verdict="failed")]) == "failed"
    with pytest.raises(ValidationError, match="is no verdict"):
        GateConfig(waivers={"everything": "please"})
    with pytest.raises(ValidationError, match="needs a reason"):
        GateConfig(waivers={"empty": " "})


def test_without_a_list_terms_are_unknown_and_with_one_they_are_counted(
    subject: Subject, tmp_path: Path
) -> None:
    assert measured_of(result(subject, KHMER)).added_terms is None
    path = tmp_path / "terms.txt"
    path.write_text("# a comment\nច្រូតស្រូវ\n", encoding="utf-8")
    found = measured_of(
        result(subject, KHMER, CONFIG.model_copy(update={"listed_terms": {"khm": path}}))
    )
    assert found.added_terms == 1.0


def test_terms_are_matched_on_clusters_after_normalization_and_only_where_added() -> None:
    terms = TermList(["ការ", "bad word"])
    assert terms.find("\u1780\u17b6\u179a") == {"ការ"}
    assert terms.find("ការី") == set()  # another last cluster
    assert terms.find("A BAD  word!") == {"bad word"}
    found = measure_safety(["ការ", "x"], ["ការ", "ការ"], terms, [])
    assert found.added_terms is not None
    assert found.added_terms.value == 0.5


@pytest.mark.parametrize("content", [None, "", "# only this\n", "។ !\n"])
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "terms.txt"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"listed_terms\.khm"):
        read_terms({"khm": path})


def test_personal_data_is_found_once_and_in_both_digit_systems() -> None:
    assert find_personal_data("ទូរសព្ទ ០១២ ៣៤៥ ៦៧៨ a.b@example.org") == {
        ("phone", "០១២ ៣៤៥ ៦៧៨"),
        ("email", "a.b@example.org"),
    }
    found = measure_safety(["call 012 345 678"], ["012 345 678"], None, [])
    assert found.personal_data.value == 0  # the prompt had it


def test_models_are_compared_on_what_both_were_measured_on(subject: Subject) -> None:
    first = result(subject, KHMER)
    paired, unpaired = differences([first, replace(first, name="other")])
    assert {(d.measure, d.group) for d in paired} == {
        ("bits per byte", "held out, khm"),
        ("suite score", "minimal_pair"),
    }
    assert all(d.value.value == 0 for d in paired)
    assert unpaired == []
    scores = (replace(first.scores[0], num_bytes=(1,)),)
    _, unpaired = differences([first, replace(first, name="other", scores=scores)])
    assert "held out" in unpaired[0].name


def test_what_is_missing_is_named_with_a_way() -> None:
    found = missing(Material(), EvaluateConfig(suite=False))
    names = " ".join(one.name for one in found)
    for name in ("suite", "bits per byte", "memorization", "contamination", "listed terms"):
        assert name in names
    assert all(one.how for one in found)
