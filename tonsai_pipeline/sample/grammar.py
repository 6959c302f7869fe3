"""a dice, a language, a topic -> one document of the sample corpus.

The doorway to the two grammars: stages and tests call these, and never the languages' own modules.
"""

from __future__ import annotations

from random import Random
from typing import Literal

from tonsai_pipeline.sample.english import english_title, write_english
from tonsai_pipeline.sample.english_topics import ENGLISH_TOPICS
from tonsai_pipeline.sample.khmer import khmer_title, write_khmer
from tonsai_pipeline.sample.khmer_topics import KHMER_TOPICS
from tonsai_pipeline.sample.topic import Topic

Lang = Literal["khm", "eng"]
Genre = Literal["news", "wiki", "web", "book"]

_KHMER = {topic.key: topic for topic in KHMER_TOPICS}
_ENGLISH = {topic.key: topic for topic in ENGLISH_TOPICS}

TOPICS: tuple[str, ...] = tuple(_KHMER)
"""Keys of the topics, the same in both languages."""


def khmer_document(
    rng: Random, topic: str | None = None, num_paragraphs: int | None = None, genre: Genre = "web"
) -> str:
    """Write a Khmer document: paragraphs joined by a newline, in UTN #61 order.

    Args:
        rng: All choices come from here: the same state gives the same document.
        topic: A key of `TOPICS`; drawn when not given.
        num_paragraphs: 3 to 6 when not given; a paragraph is about 300 characters.
        genre: Decides the opening sentence and the closing mark.

    Raises:
        ValueError: The topic is unknown.
    """
    return write_khmer(rng, _topic(_KHMER, topic), num_paragraphs, genre)


def english_document(
    rng: Random, topic: str | None = None, num_paragraphs: int | None = None, genre: Genre = "web"
) -> str:
    """Write an English document: paragraphs joined by a newline. Arguments as in `khmer_document`.

    Raises:
        ValueError: The topic is unknown.
    """
    return write_english(rng, _topic(_ENGLISH, topic), num_paragraphs, genre)


def document(
    rng: Random,
    lang: Lang,
    topic: str | None = None,
    num_paragraphs: int | None = None,
    genre: Genre = "web",
) -> str:
    """Write a document in either language. Arguments and errors as in `khmer_document`."""
    write = khmer_document if lang == "khm" else english_document
    return write(rng, topic, num_paragraphs, genre)


def headline(rng: Random, lang: Lang, topic: str | None = None) -> str:
    """Write a headline in either language, without a final mark.

    Raises:
        ValueError: The topic is unknown.
    """
    if lang == "khm":
        return khmer_title(rng, _topic(_KHMER, topic))
    return english_title(rng, _topic(_ENGLISH, topic))


def _topic(topics: dict[str, Topic], key: str | None) -> Topic | None:
    if key is None:
        return None
    if key not in topics:
        raise ValueError(f"no topic {key!r}; there are {', '.join(topics)}")
    return topics[key]
