"""The server: the real `openai` client, what is refused and how, and the page in a real browser."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import openai
import pytest
import torch
import uvicorn
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from tonsai_pipeline.cli import app as tonsai
from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.serve.app import make_app
from tonsai_pipeline_tests.publish.conftest import PADDED, VOCAB_SIZE

ASKED = "តើ 2+3 ស្មើប៉ុន្មាន?"
MESSAGES: Any = [{"role": "user", "content": ASKED}]
NUM_TOKENS = 24


@contextmanager
def serving(opened: OpenModel, place: Path) -> Iterator[str]:
    """Serve on a free port and yield the address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(opened, place), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@pytest.fixture(scope="module")
def address(opened: OpenModel, chat_dir: Path) -> Iterator[str]:
    with serving(opened, chat_dir) as found:
        yield found


@pytest.fixture(scope="module")
def base_address(opened_base: OpenModel, base_dir: Path) -> Iterator[str]:
    with serving(opened_base, base_dir) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def base_client(base_address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base_address}/v1", api_key="none", max_retries=0)


def greedy_by_transformers(folder: Path, ids: list[int]) -> str:
    """What `generate` of transformers writes, rows without a token and markers left out."""
    model, tokenizer = (
        kind.from_pretrained(str(folder)) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    markers = [i for i in range(8) if i not in ends]
    written = model.generate(
        torch.tensor([ids]),
        do_sample=False,
        max_new_tokens=NUM_TOKENS,
        suppress_tokens=[*markers, *range(VOCAB_SIZE, PADDED)],
    )
    return str(tokenizer.decode(written[0, len(ids) :], skip_special_tokens=True))


def test_one_reply_by_every_route(
    chat_dir: Path, client: openai.OpenAI, opened: OpenModel, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(chat_dir))
    ids = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    assert (ids[0], ids.count(0)) == (0, 1)
    expected = greedy_by_transformers(chat_dir, ids)
    assert len(expected) > 10
    asked = {"model": opened.name, "messages": MESSAGES, "temperature": 0, "max_tokens": NUM_TOKENS}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.content == expected
    assert whole.usage.prompt_tokens == len(ids)
    pieces = list(
        client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    said = [one.choices[0].delta.content or "" for one in pieces if one.choices]
    assert "".join(said) == expected
    assert len([one for one in said if one]) > 3
    assert pieces[-1].usage == whole.usage
    assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    # A copy elsewhere, as it is given to others.
    copy = shutil.copytree(chat_dir, tmp_path / "copy")
    assert greedy_by_transformers(copy, ids) == expected
    done = CliRunner().invoke(
        tonsai, ["chat", str(copy), "--temperature", "0", "-n", str(NUM_TOKENS)], input=f"{ASKED}\n"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{expected}\n"


def test_a_text_is_gone_on_from_with_one_bos(
    base_client: openai.OpenAI, base_dir: Path, opened_base: OpenModel
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(base_dir))
    ids = [0, *tokenizer.encode(ASKED, add_special_tokens=False)]
    expected = greedy_by_transformers(base_dir, ids)
    asked = {"model": opened_base.name, "temperature": 0, "max_tokens": NUM_TOKENS}
    whole = base_client.completions.create(**asked, prompt=[ASKED, f"<|bos|>{ASKED}"])
    assert [one.text for one in whole.choices] == [expected, expected]
    assert whole.usage.prompt_tokens == 2 * len(ids)
    streamed = base_client.completions.create(**asked, prompt=ASKED, stream=True)
    assert "".join(one.choices[0].text for one in streamed) == expected


def test_a_stop_string_ends_and_a_seed_repeats(client: openai.OpenAI, opened: OpenModel) -> None:
    asked = {"model": opened.name, "messages": MESSAGES, "max_completion_tokens": 20}
    first, again = (
        client.chat.completions.create(**asked, seed=5).choices[0].message.content for _ in range(2)
    )
    assert first == again
    stop = first[5]
    cut = client.chat.completions.create(**asked, seed=5, stop=stop).choices[0]
    assert (cut.message.content, cut.finish_reason) == (first[: first.index(stop)], "stop")


def test_models_are_listed_and_another_name_is_not_found(
    client: openai.OpenAI, opened: OpenModel
) -> None:
    assert [one.id for one in client.models.list()] == [opened.name]
    assert client.models.retrieve(opened.name).id == opened.name
    with pytest.raises(openai.NotFoundError, match="model 'gpt-9' is not served; 'tuned' is"):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 2}, "n: not known here"),
        ({"tools": [{"type": "function"}]}, "tools: not known here"),
        ({"frequency_penalty": 0.5}, "frequency_penalty: not known here"),
        ({"temperature": -1}, "temperature: Input should be greater"),
        ({"messages": []}, "messages: List should have"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "must be the user's"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "reads text alone",
        ),
        ({"messages": [{"role": "user", "content": "a " * 2000}]}, "tokens are too many"),
    ],
)
def test_what_cannot_be_done_is_an_error_by_name(
    client: openai.OpenAI, opened: OpenModel, change: dict[str, Any], message: str
) -> None:
    asked: Any = {"model": opened.name, "messages": MESSAGES, **change}
    with pytest.raises(openai.BadRequestError, match=message):
        client.chat.completions.create(**asked)


def test_a_full_context_is_an_error_or_forgets_and_says_so(
    client: openai.OpenAI, opened: OpenModel
) -> None:
    turns = [
        {"role": role, "content": "a b c d e f " * 6} for role in ("user", "assistant") * 10
    ] + MESSAGES
    asked: Any = {"model": opened.name, "messages": turns, "max_tokens": 8}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked)
    assert caught.value.code == "context_length_exceeded"
    found = client.chat.completions.create(**asked, extra_body={"drop_oldest_turns": True})
    dropped = found.model_extra["dropped_messages"]
    assert 0 < dropped < 20
    assert dropped % 2 == 0


def test_a_base_model_takes_no_turns_and_says_what_to_ask(
    base_client: openai.OpenAI, opened_base: OpenModel
) -> None:
    with pytest.raises(openai.BadRequestError, match=r"base model.*use /v1/completions"):
        base_client.chat.completions.create(model=opened_base.name, messages=MESSAGES)


def test_parts_of_text_and_a_developer_are_understood(
    client: openai.OpenAI, opened: OpenModel
) -> None:
    first = {"model": opened.name, "temperature": 0, "max_tokens": 8}
    plain = client.chat.completions.create(
        **first, messages=[{"role": "system", "content": "s"}, *MESSAGES]
    )
    parts = client.chat.completions.create(
        **first,
        messages=[
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": ASKED}]},
        ],
    )
    assert parts.choices[0].message.content == plain.choices[0].message.content


def test_other_sites_and_other_machines_are_turned_away(chat_dir: Path, address: str) -> None:
    rebound = httpx.get(f"{address}/v1/models", headers={"host": "evil.example"})
    assert rebound.status_code == 400
    plain = httpx.post(f"{address}/v1/completions", content=b'{"prompt": "x"}')
    assert plain.status_code == 415
    assert httpx.get(f"{address}/../app.py").status_code == 404
    page = httpx.get(address)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    refused = CliRunner().invoke(tonsai, ["serve", str(chat_dir), "--host", "0.0.0.0"])
    assert refused.exit_code == 2
    assert "only this machine" in refused.output


def test_who_hangs_up_makes_room_for_the_next(
    address: str, client: openai.OpenAI, opened: OpenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    num_steps, forward = [0], opened.model.forward

    def slow(*args: Any, **kwargs: Any) -> Any:
        num_steps[0] += 1
        time.sleep(0.05)
        return forward(*args, **kwargs)

    monkeypatch.setattr(opened.model, "forward", slow)
    body = {"messages": MESSAGES, "stream": True, "max_tokens": 200, "temperature": 0}
    with httpx.stream("POST", f"{address}/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    client.chat.completions.create(model=opened.name, messages=MESSAGES, max_tokens=2)
    assert num_steps[0] < 100


def open_page(browser: Any, address: str) -> tuple[Any, list[str]]:
    """Open the page and return it with the list of errors that its console will show."""
    page = browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
    page.set_default_timeout(20_000)
    errors: list[str] = []
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("h1:not(:text-is('tonsai'))")
    return page, errors


@pytest.mark.slow
def test_the_page_talks_stops_and_copies(
    browser: Any,
    address: str,
    client: openai.OpenAI,
    opened: OpenModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page, errors = open_page(browser, address)
    page.click("summary")
    page.fill("#temperature", "0")
    page.fill("#max_tokens", str(NUM_TOKENS))
    page.fill("#system", "ចម្លើយ")
    page.fill("#text", ASKED)
    page.press("#text", "Enter")
    page.wait_for_selector("article.assistant button.copy")
    system: Any = {"role": "system", "content": "ចម្លើយ"}
    expected = client.chat.completions.create(
        model=opened.name, messages=[system, *MESSAGES], temperature=0, max_tokens=NUM_TOKENS
    )
    shown = page.text_content("article.assistant span")
    assert shown == expected.choices[0].message.content
    page.click("button.copy")
    page.wait_for_selector("button.copy:has-text('Copied')")
    assert page.evaluate("navigator.clipboard.readText()") == shown
    assert page.evaluate("document.fonts.check('16px \"Tonsai Khmer\"', 'ខ')")

    forward = opened.model.forward
    monkeypatch.setattr(
        opened.model, "forward", lambda *a, **k: (time.sleep(0.05), forward(*a, **k))[1]
    )
    page.fill("#max_tokens", "200")
    page.fill("#text", "<b>again</b>")
    page.click("#send")
    page.wait_for_selector("article.assistant >> nth=1 >> span:not(:empty)")
    page.click("#stop")
    page.wait_for_selector("p.note:has-text('Stopped.')")
    assert page.text_content("article.user >> nth=1") == "<b>again</b>"
    assert page.is_visible("#send")
    page.click("#new")
    assert page.query_selector("article") is None
    assert errors == []


@pytest.mark.slow
def test_the_page_of_a_base_model_goes_on_from_a_text_and_shows_errors(
    browser: Any, base_address: str, base_client: openai.OpenAI, opened_base: OpenModel
) -> None:
    page, errors = open_page(browser, base_address)
    assert "A base model" in page.text_content("p.note")
    page.click("summary")
    assert not page.is_visible("#system")
    page.fill("#temperature", "0")
    page.fill("#max_tokens", "8")
    page.fill("#text", ASKED)
    page.click("#send")
    page.wait_for_selector("article.assistant button.copy")
    expected = base_client.completions.create(
        model=opened_base.name, prompt=ASKED, temperature=0, max_tokens=8
    )
    assert page.text_content("article.assistant span") == ASKED + expected.choices[0].text
    assert errors == []
    page.fill("#text", "word " * 2000)
    page.click("#send")
    page.wait_for_selector("p.bad:has-text('tokens are too many')")
