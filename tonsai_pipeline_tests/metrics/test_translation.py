"""chrF2 is sacrebleu's after normalization, and its floors are what the research measured."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tonsai_pipeline.metrics.rouge import rouge_1, rouge_l
from tonsai_pipeline.metrics.translation import chrf2, prepare

REFERENCES = ["ខ្ញុំផឹកទឹករៀងរាល់ព្រឹក។", "សូមលាងដៃមុនពេលញ៉ាំអាហារ។", "ផ្ទះនេះធំជាងផ្ទះនោះ។"]
SOURCES = ["I drink water every morning.", "Please wash your hands.", "This house is bigger."]
WRITTEN = ["ខ្ញុំផឹកតែរាល់ព្រឹក", "លាងដៃមុនញ៉ាំ", "ផ្ទះធំ"]


def test_the_score_is_that_of_sacrebleus_command(tmp_path: Path) -> None:
    for name, texts in (("ref", REFERENCES), ("hyp", WRITTEN)):
        (tmp_path / name).write_text("\n".join(map(prepare, texts)) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "chrf", "-w", "4"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = chrf2(WRITTEN, [[r] for r in REFERENCES], SOURCES)
    theirs = json.loads(done.stdout)
    assert found.score == pytest.approx(theirs["score"], abs=1e-4)
    assert found.signature == theirs["signature"]
    assert "nw:0" in found.signature


def test_spacing_zwsp_and_digit_systems_cost_nothing() -> None:
    zwsp = "\u200b"
    changed = list(REFERENCES)
    changed[0] = changed[0].replace("ទឹក", f"{zwsp}ទឹក{zwsp} ")
    found = chrf2(
        [*changed, "មាន 12 នាក់"], [[r] for r in [*REFERENCES, "មាន១២នាក់"]], [*SOURCES, ""]
    )
    assert found.score == pytest.approx(100)


def test_several_references_the_best_counts() -> None:
    found = chrf2(["ក ខ"], [["គ ឃ", "ក ខ"]], ["x"])
    assert found.score == pytest.approx(100)


def test_floors_stand_beside() -> None:
    found = chrf2(REFERENCES, [[r] for r in REFERENCES], SOURCES)
    assert found.score == pytest.approx(100)
    assert 0 < found.wrong_sentence < 40
    assert found.source_copied < 15


def test_floors_on_real_text(real_data: Path) -> None:
    def lines(language: str) -> list[str]:
        data = gzip.decompress((real_data / language / "ntrex128.jsonl.gz").read_bytes())
        return [json.loads(line)["text"] for line in data.splitlines()[:200]]

    khmer, english = lines("khm"), lines("eng")
    found = chrf2(khmer, [[text] for text in khmer], english)
    # 18.6 and 6.2 were measured on 400 lines.
    assert 15 < found.wrong_sentence < 22
    assert 4 < found.source_copied < 9


@pytest.mark.parametrize("arguments", [([], [], []), (["ក"], [["ក"]], [])])
def test_nothing_and_uneven_lists_are_refused(arguments: tuple) -> None:
    with pytest.raises(ValueError, match="translations"):
        chrf2(*arguments)


def test_rouge_sees_khmer() -> None:
    text = "ភ្លៀងខ្លាំងនៅខេត្តបាត់ដំបង"
    assert rouge_1(text, [text]) == rouge_l(text, [text]) == 1.0
    assert rouge_l("", [text]) == rouge_l(text, []) == 0.0
    assert rouge_1("in 2019", ["ឆ្នាំ២០១៩"]) < 0.6


def test_rouge_l_is_a_slow_longest_common_subsequence() -> None:
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return 0
        if a[-1] == b[-1]:
            return 1 + slow(a[:-1], b[:-1])
        return max(slow(a[:-1], b), slow(a, b[:-1]))

    for a, b in (("កខគឃង", "ខគកង"), ("កកក", "កក"), ("កខ", "គឃ")):
        assert rouge_l(a, [b]) == pytest.approx(2 * slow(a, b) / (len(a) + len(b)))
