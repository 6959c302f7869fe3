"""Recipe section `quality`: which documents stay, what their score comes from, what is masked.

The defaults were read off real text: Khmer news and law, English news, speeches and a handbook (clean, 738 and
3,381 documents), user-interface strings, bug titles and legacy-font pages (junk). "p97 0.05 / 0.03" is the 97th
percentile of the clean Khmer and of the clean English set. `python -m benchmarks.quality --only percentiles` makes the
whole table again, which is in `docs/quality.md`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from tonsai_pipeline.recipe.section import RecipePath, Section
from tonsai_pipeline.recipe.sources import Kind, Name, Source

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[float, Field(ge=0)]
LanguageCode = Literal["khm", "eng"]


class Thresholds(Section):
    """Limits of one language; a document beyond any of them is dropped with that reason.

    Words are those of scripts with spaces, plus Khmer clusters / 2.5.
    """

    min_words: Count = 17
    """Fewer words: `too_few_words`. p3 106 / 53. The smallest number that keeps out 95 % of user-interface strings,
    many of which are whole sentences; Gopher has 50, for pages."""
    min_words_of_sentence: Count = 7
    """A document of fewer than `min_words` stays from this length on if it is a complete sentence: it ends as one, has a
    function word or verb, and is not about buttons and files. English 12: its programs speak in sentences."""
    min_words_of_short_text: Count = 1
    """In place of `min_words` for sources of the kind `sentences`."""
    min_words_alone: Count = 40
    """A document shorter than this must read as a sentence, that is, most of it must end in a full stop, a
    khan or the like: `short_without_sentence`. p1 69 / 41."""
    min_clause_words: Count = 1
    """Function words and verbs that a document under `min_words_alone` needs where it does not end as a sentence:
    `short_without_sentence`. Headlines have them, lists of names have not."""
    min_stop_word_frac: Fraction = 0.12
    """Smaller share of function words: `too_few_stop_words`. p1 0.18 / 0.27, p3 0.22 / 0.30."""
    min_letter_frac: Fraction = 0.75
    """Smaller share of letters among visible characters: `too_few_letters`. p1 0.88 / 0.92."""
    max_symbol_frac: Fraction = 0.07
    """Larger share of `#$%&+/<=>@` and the like: `too_many_symbols`. p99 0.005 / 0.012; tagged titles p3 0.10."""
    max_digit_frac: Fraction = 0.20
    """Larger share of digits: `too_many_digits`. p99 0.08 / 0.04."""
    min_mean_word_chars: Count = 3.0
    """Shorter words on average (documents that are mostly Latin): `words_too_short`. Gopher's figure; English p1
    4.2."""
    max_mean_word_chars: Count = 10.0
    """Longer words on average (likewise): `words_too_long`. Gopher's figure; English p99 5.7."""
    max_placeholders_per_1000_chars: Count = 8.0
    """More of `%s {name} <b> ~File $(x)` and the like: `too_many_placeholders`. p99 0 / 0.7."""
    max_links_per_1000_chars: Count = 8.0
    """More links: `too_many_links`. p99 1.1 / 0.7."""
    min_sentences_per_1000_chars: Count = 0.5
    """Fewer sentence ends: `too_few_sentences`. p1 1.8 / 4.9. Low, for law read off scans has few."""
    min_ended_char_frac: Fraction = 0.0
    """Smaller share of characters on lines that end as a sentence, where function words are below 0.30 too:
    `too_few_sentences`. English 0.25: lists of titles, p97 0.20. Khmer 0: law read off scans breaks its lines anywhere."""
    max_interface_word_frac: Fraction = 0.10
    """Larger share of words that user interfaces are made of, in documents under `min_words_alone`:
    `too_many_interface_words`."""
    max_short_char_frac: Fraction = 0.60
    """Larger share of characters on lines shorter than 30: `too_many_short_lines`. p99 0.04 / 0.10; user-interface
    strings p50 1."""
    max_bullet_line_frac: Fraction = 0.90
    """Larger share of lines that open with a bullet: `too_many_bullets`. Gopher's figure; p99 0.15 / 0.07."""
    max_ellipsis_line_frac: Fraction = 0.30
    """Larger share of lines that end in an ellipsis: `too_many_ellipses`. Gopher's figure; p99 0.25 / 0.01."""
    max_duplicate_line_frac: Fraction = 0.40
    """Larger share of lines seen before in the document: `repeated_lines`. p99 0.44 / 0.06; Gopher has 0.30. Khmer
    0.50: news pages that print their text twice."""
    max_duplicate_line_char_frac: Fraction = 0.30
    """Larger share of characters on such lines: `repeated_lines`. p99 0.46 / 0.01; Gopher has 0.20. Khmer 0.60."""
    max_duplicate_paragraph_frac: Fraction = 0.40
    """Larger share of paragraphs seen before: `repeated_paragraphs`. p99 0 / 0; Gopher has 0.30."""
    max_duplicate_paragraph_char_frac: Fraction = 0.30
    """Larger share of characters in such paragraphs: `repeated_paragraphs`. p99 0 / 0; Gopher has 0.20."""
    max_top_2_gram_frac: Fraction = 0.20
    """Larger share of characters in the most frequent pair of words: `repeated_phrases`. Gopher's figure; p99 0.12 /
    0.13."""
    max_top_3_gram_frac: Fraction = 0.18
    """The same for three words. Gopher's figure; p99 0.13 / 0.13."""
    max_top_4_gram_frac: Fraction = 0.16
    """The same for four words. Gopher's figure; p99 0.13 / 0.11."""
    max_duplicate_5_gram_frac: Fraction = 0.35
    """Larger share of characters in runs of five words seen before: `repeated_passages`. p99 0.52 / 0.07; Khmer 0.65."""
    max_duplicate_6_gram_frac: Fraction = 0.33
    """The same for six words. p99 0.50 / 0.05; Khmer 0.63."""
    max_duplicate_7_gram_frac: Fraction = 0.31
    """The same for seven words. p99 0.50 / 0.04; Khmer 0.61."""
    max_duplicate_8_gram_frac: Fraction = 0.29
    """The same for eight words. p99 0.50 / 0.03; Khmer 0.59."""
    max_duplicate_9_gram_frac: Fraction = 0.27
    """The same for nine words. p99 0.50 / 0.03; Khmer 0.57."""
    max_duplicate_10_gram_frac: Fraction = 0.25
    """The same for ten words. p99 0.50 / 0.02; Khmer 0.55."""
    max_bad_clusters_frac: Fraction = 0.02
    """Larger share of clusters that break the order of Khmer marks, orphan marks included: `broken_khmer`. p99 0.001 / 0."""
    max_listed_word_frac: Fraction = 0.05
    """Larger share of words from the word list (`word_lists`): `listed_words`."""
    min_score: Fraction = 0.0
    """Lower score: `low_score`. 0 keeps every score; scores are stored in any case."""


#: What the limits of `Thresholds` are for documents that are no pages, by kind of source; measured in docs/quality.md.
#: A limit that a kind switches off is set to what no document can pass.
LIMITS_OF_KINDS: dict[Kind, dict[str, float]] = {
    "prose": {},
    "sentences": {"max_short_char_frac": 1.0, "max_interface_word_frac": 1.0},
    "headlines": {
        "min_words": 2,
        "min_clause_words": 0,
        "min_stop_word_frac": 0.0,
        "min_sentences_per_1000_chars": 0.0,
        "min_ended_char_frac": 0.0,
        "max_short_char_frac": 1.0,
    },
    "lexicon": {
        "min_words": 1,
        "min_clause_words": 0,
        "min_stop_word_frac": 0.0,
        "min_letter_frac": 0.5,
        "min_sentences_per_1000_chars": 0.0,
        "min_ended_char_frac": 0.0,
        "max_interface_word_frac": 1.0,
        "max_symbol_frac": 0.2,
        "max_short_char_frac": 1.0,
        "min_mean_word_chars": 1.5,
    },
    "verse": {
        "min_words": 6,
        "min_clause_words": 0,
        "min_stop_word_frac": 0.05,
        "min_sentences_per_1000_chars": 0.0,
        "min_ended_char_frac": 0.0,
        "max_short_char_frac": 1.0,
        "max_duplicate_line_frac": 0.7,
        "max_duplicate_line_char_frac": 0.7,
        "max_duplicate_paragraph_frac": 0.7,
        "max_duplicate_paragraph_char_frac": 0.7,
        "max_top_2_gram_frac": 0.4,
        "max_top_3_gram_frac": 0.4,
        "max_top_4_gram_frac": 0.4,
    },
    "dialogue": {
        "min_words": 6,
        "min_clause_words": 0,
        "min_sentences_per_1000_chars": 0.0,
        "min_ended_char_frac": 0.0,
        "max_short_char_frac": 1.0,
        "max_ellipsis_line_frac": 1.0,
        "max_placeholders_per_1000_chars": 40.0,
        "max_symbol_frac": 0.1,
        "max_duplicate_line_frac": 0.6,
        "max_duplicate_line_char_frac": 0.6,
    },
}


def _khmer() -> Thresholds:
    return Thresholds(
        max_duplicate_line_frac=0.50,
        max_duplicate_line_char_frac=0.60,
        max_duplicate_5_gram_frac=0.65,
        max_duplicate_6_gram_frac=0.63,
        max_duplicate_7_gram_frac=0.61,
        max_duplicate_8_gram_frac=0.59,
        max_duplicate_9_gram_frac=0.57,
        max_duplicate_10_gram_frac=0.55,
    )


def _english() -> Thresholds:
    return Thresholds(min_words_of_sentence=12, min_ended_char_frac=0.25)


class ClassifierConfig(Section):
    """A fastText classifier of one language, trained as part of the scores it gives, or a ready one."""

    positives: tuple[Name, ...] = ()
    """Sources whose documents are examples of good text."""
    negatives: tuple[Name, ...] = ()
    """Sources whose documents are examples of text that is not wanted."""
    imitations: bool = True
    """Train on imitations of junk too, one of each positive: menus, lists of tags, tables, slogans and word salad made of
    its own words. They teach kinds of junk that no source has; with them `negatives` may be empty."""
    max_lost_frac: Fraction = 0.0
    """Share of the bytes of good text that may be lost to `low_score`: the score below which that share of the held-out
    positives lies is the least that a document needs, where `min_score` does not ask for more. 0: nothing is dropped for
    its score. The line is for sources of the kind `prose`: of a sentence alone the score says little. It, and texts on both
    sides of it, are in the classifier's `evaluation.json` and on its page."""
    held_out: tuple[Name, ...] = ()
    """Sources among the two that are not trained on and only measured: a classifier that knows its sources by
    heart shows here. Empty: a tenth of the documents of each source is held out instead."""
    model: RecipePath | None = None
    """Path of a ready fastText model with the labels `__label__good` and `__label__bad` instead; text must
    have been prepared with `quality.features`."""
    max_documents: int = Field(default=50_000, ge=10)
    """Most documents trained on, of each side; a seeded sample, held in memory. DCLM uses 200,000."""
    max_units: int = Field(default=1_000, ge=50)
    """Khmer clusters and words of a document that the classifier reads, from the start; bounds its cost."""
    dim: int = Field(default=32, ge=2, le=300)
    """Width of the vectors."""
    word_ngrams: int = Field(default=2, ge=1, le=5)
    """Longest run of units that is a feature. DCLM and FineWeb2-HQ use 2."""
    num_buckets: int = Field(default=200_000, ge=1_000, le=10_000_000)
    """Slots for those runs; with `dim` this decides the size of the model: 4 x dim x num_buckets bytes."""
    num_epochs: int = Field(default=5, ge=1, le=1000)
    """Passes over the examples."""
    lr: float = Field(default=0.1, gt=0, le=10)
    """Learning rate at the start."""
    min_count: int = Field(default=2, ge=1)
    """A unit seen less often in the examples is no feature."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Seed of the sample, the order and the first weights. Trained by one thread: same seed, same file."""

    @model_validator(mode="after")
    def _either_trained_or_ready(self) -> Self:
        taught = self.positives and (self.negatives or self.imitations)
        if self.model is None and not taught:
            raise ValueError("name sources in both positives and negatives, or a ready model")
        if self.model is not None and self.max_lost_frac:
            raise ValueError(
                "max_lost_frac is measured on positives; with a ready model set min_score"
            )
        if self.model is not None and (self.positives or self.negatives):
            raise ValueError(
                "a ready model needs no positives and negatives; remove one of the two"
            )
        both = sorted(set(self.positives) & set(self.negatives))
        if both:
            raise ValueError(f"named as both positive and negative: {', '.join(both)}")
        strange = sorted(set(self.held_out) - set(self.positives) - set(self.negatives))
        if strange:
            raise ValueError(
                f"held_out names what is neither positive nor negative: {', '.join(strange)}"
            )
        return self


class QualityConfig(Section):
    """Signals, rules, score."""

    enabled: bool = True
    """False: documents are scored, but none is dropped: for text that was filtered before."""
    khm: Thresholds = Field(default_factory=_khmer)
    """Limits for Khmer documents, and for those that mix Khmer with another language."""
    eng: Thresholds = Field(default_factory=_english)
    """Limits for English documents."""
    wrong_language: Literal["drop", "keep"] = "drop"
    """What becomes of documents whose language is not that of their source: an English page in a Khmer dump.
    Documents that mix Khmer and English stay with either."""
    short_text: tuple[Name, ...] = ()
    """Sources of the kind `sentences`: the same as `kind: sentences` at the source, which goes before it."""
    kinds: dict[Kind, dict[LanguageCode, dict[str, float]]] = Field(default_factory=dict)
    """Limits of your own for a kind of source, on top of those that the kind has: `{verse: {khm: {min_words: 3}}}`. Any
    limit of `khm` and `eng` can be named. What kinds are and where their limits come from: `docs/quality.md`."""
    classifiers: dict[LanguageCode, ClassifierConfig] = Field(default_factory=dict)
    """Classifier of each language. Where there is one, its probability is the score; else the signals are."""
    word_lists: dict[LanguageCode, RecipePath] = Field(default_factory=dict)
    """Paths of your own word lists, one phrase a line (toxicity, say), counted on cluster and word boundaries."""
    num_buckets: int = Field(default=20, ge=2, le=100)
    """Quantile buckets of the score in each language, 2..100; their borders are kept in `buckets.json`."""
    mask: tuple[Literal["email", "phone", "ip", "national_id"], ...] = ()
    """Personal data that is replaced by a placeholder before tokenizing. It is counted in any case."""
    unkeyed: ClassVar = frozenset({"max_drift"})
    max_drift: Annotated[float, Field(gt=0)] = 0.25
    """Population stability index of a source's scores against the last materialization above which the check
    warns. 0.1 is a small shift and 0.25 a large one by custom."""

    def source_names(self) -> set[str]:
        """Return every source that this section names."""
        named = set(self.short_text)
        for classifier in self.classifiers.values():
            named |= {*classifier.positives, *classifier.negatives}
        return named

    def kind_of(self, source: Source) -> Kind:
        """Return what kind of text a source has."""
        return (
            "sentences"
            if source.kind == "prose" and source.name in self.short_text
            else source.kind
        )

    def of(self, language: str, kind: Kind = "prose") -> Thresholds:
        """Return the limits of a document's language (`khm`, `mixed`, `eng`, `other`) in a source of this kind."""
        code: LanguageCode = "khm" if language in ("khm", "mixed") else "eng"
        limits = self.khm if code == "khm" else self.eng
        changed = dict(LIMITS_OF_KINDS[kind])
        if kind == "sentences":
            changed["min_words"] = limits.min_words_of_short_text
        return limits.model_copy(update=changed | self.kinds.get(kind, {}).get(code, {}))

    @field_validator("kinds")
    @classmethod
    def _kinds_name_limits(
        cls, kinds: dict[Kind, dict[LanguageCode, dict[str, float]]]
    ) -> dict[Kind, dict[LanguageCode, dict[str, float]]]:
        for kind, languages in kinds.items():
            for code, limits in languages.items():
                if unknown := sorted(set(limits) - set(Thresholds.model_fields)):
                    raise ValueError(f"{kind}.{code}: no such limit: {', '.join(unknown)}")
                Thresholds.model_validate(limits)  # the bounds of each
        return kinds
