"""English against other languages in Latin letters, by letter n-grams."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from tonsai_pipeline.text import languages_batch
from tonsai_pipeline.text.ngrams import MAX_NGRAMS, ngram_log_odds, slots_of
from tonsai_pipeline.text.utf8 import batch_of_arrow
from tonsai_pipeline_tests.text.samples import ENGLISH_SENTENCE

OTHERS = {
    "danish": "Bonden gik hver morgen ned til floden med sin hund, og om aftenen talte han med naboen om vejret",
    "finnish": "Vanha maanviljelij\u00e4 k\u00e4veli joka aamu joelle koiransa kanssa ja puhui illalla naapurin kanssa",
    "polish": "Stary rolnik codziennie rano chodzil nad rzeke ze swoim psem, a wieczorem rozmawial z sasiadem",
    "turkish": "Yasli ciftci her sabah kopegiyle nehre giderdi ve aksamlari komsusuyla havadan konusurdu",
    "vietnamese without accents": "Moi buoi sang nguoi nong dan gia di ra song voi con cho cua minh va noi chuyen voi hang xom",
    "romanised khmer": "Khnhom chong tov psar tinh trey ning bonlae mok thveu mhob oy krousa, tae thngai nis mean phlieng klang nas",
    "swahili": "Mkulima mzee alikwenda mtoni kila asubuhi na mbwa wake na jioni aliongea na jirani kuhusu mvua",
}
ENGLISH = {
    "names": "Sok Dara of Siem Reap met Nguyen Van An and Wang Yi in Phnom Penh on Friday and spoke of Kampong Cham",
    "menu": "File Edit View Insert Format Tools Table Window Help Save As Print Preview Page Layout Zoom In",
    "chat": "lol u were so right about dat one, gonna c u 2morrow mate, dont be late again ok",
    "code": "for row in table: if row.name not in seen: seen.add(row.name); print(row.name, len(row.values))",
}


def languages(*texts: str) -> list[str]:
    return languages_batch(pa.array(texts)).to_pylist()


@pytest.mark.parametrize("name", OTHERS)
def test_another_language_in_latin_letters_is_not_english(name: str) -> None:
    assert languages(OTHERS[name], f"{OTHERS[name]}.\n{OTHERS[name]}.") == ["other", "other"]


@pytest.mark.parametrize("name", ENGLISH)
def test_english_of_any_kind_stays_english(name: str) -> None:
    assert languages(ENGLISH[name]) == ["eng"]


@pytest.mark.parametrize("text", ["OK", "Save", "Menu", "Radio", "Phnom Penh", "3 km", ""])
def test_a_text_too_short_to_judge_is_not_accused(text: str) -> None:
    assert languages(text) == ["eng" if text else "other"]


def test_only_latin_letters_are_read_and_case_is_folded() -> None:
    assert slots_of("The END").tolist() == slots_of("the, (12) end").tolist()
    assert len(slots_of("\u1780\u1781 \u0e01")) == 0


def test_a_long_text_costs_no_more_than_its_start() -> None:
    long = ENGLISH_SENTENCE * 2000
    assert len(slots_of(long)) <= MAX_NGRAMS
    batch = batch_of_arrow(pa.array([long, long + " x" * 100_000]))
    odds = ngram_log_odds("english", batch, np.array([True, True]))
    assert odds[0] == odds[1] > 2
    assert ngram_log_odds("english", batch, np.array([True, False]))[1] == 0
