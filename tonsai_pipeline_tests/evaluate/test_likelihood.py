"""Bits per byte and choices are those of a slow direct computation, and of lm-eval, item by item."""

from __future__ import annotations

import math

import pytest
import torch

from tonsai_pipeline.evaluate.bits_per_byte import difference, rows_of, score_texts
from tonsai_pipeline.evaluate.subject import Subject
from tonsai_pipeline.evaluate.suite_run import choice_requests
from tonsai_pipeline.evaluate.texts import Document, TextSet
from tonsai_pipeline.metrics.suite import load_suite
from tonsai_pipeline.model.generate import allowed_tokens, fit_prompts, generate, generate_many
from tonsai_pipeline.model.likelihood import Request, answer_request, nats, text_requests

SHORT, LONG = "ភ្នំពេញ rain", "The river rises. ទឹកឡើង។ " * 9


def direct(subject: Subject, text: str) -> float:
    """One forward pass a token, with as much context as the windows give."""
    ids = [0, *subject.tokenizer.encode(text, add_special_tokens=False)]
    total, context = 0.0, subject.context
    for place in range(1, len(ids)):
        window = (place - 1) // context
        end = min((window + 1) * context + 1, len(ids))
        start = max(0, end - context - 1)
        with torch.no_grad():
            logits = subject.model(torch.tensor([ids[start:place]])).logits[0, -1].double()
        total -= logits.log_softmax(-1)[ids[place]].item()
    return total


@pytest.mark.parametrize("text", [SHORT, LONG, LONG[:64], "a" * 64, "a" * 65])
def test_every_token_is_scored_once_and_as_directly(subject: Subject, text: str) -> None:
    requests = text_requests(text, subject.tokenizer, subject.context)
    assert sum(one.num_scored for one in requests) == len(text.encode())  # a token is a byte
    assert all(len(one.ids) <= subject.context + 1 for one in requests)
    assert sum(subject.nats(requests)) == pytest.approx(direct(subject, text), rel=1e-5)


def test_batches_and_padding_change_nothing(subject: Subject) -> None:
    requests = [one for t in (SHORT, LONG, "x") for one in text_requests(t, subject.tokenizer, 64)]
    alone = [nats(subject.model, [one])[0] for one in requests]
    assert nats(subject.model, requests) == pytest.approx(alone, rel=1e-5)
    assert nats(subject.model, requests, max_batch_tokens=1) == pytest.approx(alone, rel=1e-5)


def test_an_empty_text_costs_nothing(subject: Subject) -> None:
    assert text_requests("", subject.tokenizer, 64) == []
    assert subject.nats([Request((0,), 0)]) == [0.0]


def test_spaces_of_the_prompt_are_scored_with_the_answer(subject: Subject) -> None:
    assert answer_request("a ", "b", subject.tokenizer, 64) == answer_request(
        "a", " b", subject.tokenizer, 64
    )
    assert answer_request("a" * 100, "bc", subject.tokenizer, 64).num_scored == 2


def test_the_table_has_languages_sources_and_lengths(subject: Subject) -> None:
    documents = (
        Document(SHORT, "khm", "news"),
        Document(LONG, "khm", "law"),
        Document("rain", "eng", "news"),
        Document("x" * 600, "eng", "news"),
    )
    texts = TextSet("set", documents)
    scores = score_texts(subject, texts)
    rows = {(r.language, r.by, r.group): r for r in rows_of(texts, scores)}
    assert {key for key in rows if key[1] == "all"} == {("khm", "all", ""), ("eng", "all", "")}
    assert ("khm", "source", "law") in rows
    assert ("eng", "source", "news") not in rows  # the only source of its language
    assert ("eng", "length", "up to 2 kB") in rows
    whole = rows["khm", "all", ""]
    bits = sum(direct(subject, t) for t in (SHORT, LONG)) / math.log(2)
    assert whole.bits_per_byte.value == pytest.approx(bits / len((SHORT + LONG).encode()), rel=1e-5)
    assert whole.bytes_per_token == 1.0
    assert whole.perplexity == pytest.approx(2**whole.bits_per_byte.value)
    assert difference(scores, scores, "khm").value == 0
    with pytest.raises(ValueError, match="other documents"):
        difference(scores, score_texts(subject, TextSet("set", documents[:2])), "khm")


def test_prompts_written_together_are_those_written_alone(subject: Subject) -> None:
    allowed = allowed_tokens(320, 259, [0, 2])
    prompts = [[0, 10, 11], [0, 20], list(range(3, 63))]
    room = [5, 9, 9]
    many = generate_many(
        subject.model, prompts, max_new_tokens=room, allowed=allowed, eos_ids=[1], batch_rows=3
    )
    options = {"allowed": allowed, "eos_id": 1, "temperature": 0.0}
    alone = [
        generate(subject.model, ids, max_new_tokens=most, **options)
        for ids, most in zip(prompts[:2], room[:2], strict=True)
    ]
    assert many[:2] == alone
    assert len(many[2]) <= 9  # a prompt without room in the context keeps its end


def test_what_is_asked_for_at_any_length_does_not_push_out_its_prompt(subject: Subject) -> None:
    options = {"allowed": allowed_tokens(320, 259, [0, 2]), "eos_ids": ()}
    prompts = [[0, 10, 11], list(range(3, 33)), list(range(3, 63))]
    kept, room = fit_prompts(subject.model, prompts, [200] * 3)
    assert kept == [*prompts[:2], prompts[2][-32:]]  # half of a context of 64
    assert room == [61, 34, 32]
    assert fit_prompts(subject.model, kept, room) == (kept, room)
    many = generate_many(subject.model, prompts, max_new_tokens=[200] * 3, **options)
    assert [len(ids) for ids in many] == room
    for prompt, ids in zip(prompts, many, strict=True):
        (alone,) = generate_many(subject.model, [prompt], max_new_tokens=[200], **options)
        assert alone == ids


def test_drawn_texts_follow_their_own_seed(subject: Subject) -> None:
    options = {"allowed": allowed_tokens(320, 259, [0, 2]), "eos_ids": [1], "temperature": 1.0}
    prompts = [[0, 10]] * 3
    first = generate_many(subject.model, prompts, max_new_tokens=[8] * 3, **options)
    assert first == generate_many(
        subject.model, prompts, max_new_tokens=[8] * 3, batch_rows=1, **options
    )
    assert first[0] != first[1]


def test_choices_and_pairs_are_lm_evals_item_by_item(wide_subject: Subject) -> None:
    pytest.importorskip("lm_eval", reason="the extra `harness` is not installed")
    from tonsai_pipeline.evaluate.harness.run import run_task

    items, subject = {item.id: item for item in load_suite()}, wide_subject
    for task, num_items in (("tonsai_khm_choice", 35), ("tonsai_khm_pairs", 50)):
        samples = run_task(subject, task)["samples"][task]
        assert len(samples) == num_items
        for sample in samples:
            item = items[sample["doc"]["id"]]
            if task == "tonsai_khm_choice":
                ours = subject.nats(choice_requests(subject.tokenizer, [item], subject.context))
            else:
                windows = [text_requests(t, subject.tokenizer, 512) for t in (item.good, item.bad)]
                ours = [sum(subject.nats(one)) for one in windows]
            theirs = [-float(response[0]) for response in sample["filtered_resps"]]
            assert ours == pytest.approx(theirs, abs=2e-3), item.id


def test_rolled_bits_per_byte_is_lm_evals(wide_subject: Subject, tmp_path, monkeypatch) -> None:
    pytest.importorskip("lm_eval", reason="the extra `harness` is not installed")
    import json

    from tonsai_pipeline.evaluate.harness import run_harness

    khmer = [f"{SHORT} {n} {LONG}" for n in range(5)]
    for language, lines in (("khm", khmer), ("eng", ["x"] * 5)):
        rows = "".join(json.dumps({"text": line}) + "\n" for line in lines)
        (tmp_path / f"ntrex128_{language}.jsonl").write_text(rows)
    monkeypatch.setenv("TONSAI_EVAL_DATA", str(tmp_path))
    subject = wide_subject
    scores, missing = run_harness(subject, ["tonsai_ntrex_khm_bpb"])
    assert missing == []
    theirs = next(score for score in scores if score.measure == "bits_per_byte")
    assert theirs.num_items == 2  # three of five are shown as examples
    from tonsai_pipeline.evaluate.harness.run import run_task

    docs = [
        sample["doc"]["khm"]
        for sample in run_task(subject, "tonsai_ntrex_khm_bpb")["samples"]["tonsai_ntrex_khm_bpb"]
    ]
    bits = sum(direct(subject, text) for text in docs) / math.log(2)
    assert theirs.value == pytest.approx(bits / sum(len(t.encode()) for t in docs), rel=1e-4)
    assert not any(score.measure.startswith("word") for score in scores)
