"""A model -> OpenAI's endpoints and a page for the browser, on this machine alone.

    POST /v1/chat/completions   a conversation, for a tuned model
    POST /v1/completions        a text to go on from, for any model
    GET  /v1/models             what is served
    GET  /                      the page

One request is computed at a time; the others wait for their turn. Whoever hangs up stops the network.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tonsai_pipeline.model.opened import OpenModel
from tonsai_pipeline.serve.prompt import Typed
from tonsai_pipeline.serve.reply import Reply
from tonsai_pipeline.serve.request import ChatRequest, CompletionRequest, RequestError

#: Names under which this machine reaches itself; a page of another name (DNS rebinding) is turned away.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PAGES = {
    "": ("serve", "page/index.html", "text/html; charset=utf-8"),
    "page.css": ("serve", "page/page.css", "text/css; charset=utf-8"),
    "page.js": ("serve", "page/page.js", "text/javascript; charset=utf-8"),
    "regular.woff2": ("text", "fonts/NotoSansKhmer-Regular.woff2", "font/woff2"),
    "bold.woff2": ("text", "fonts/NotoSansKhmer-Bold.woff2", "font/woff2"),
}
#: Nothing from elsewhere, and no script but ours, whatever a model writes.
_POLICY = {"content-security-policy": "default-src 'self'; img-src data:; frame-ancestors 'none'"}
_MAX_BODY_BYTES = 8 << 20


@dataclass(frozen=True)
class _Kind:
    """How the two kinds of answer are named and shaped."""

    name: str
    prefix: str
    is_chat: bool

    def choice(self, index: int, text: str, reason: str | None) -> dict[str, Any]:
        """Return a whole answer."""
        said = (
            {"message": {"role": "assistant", "content": text}} if self.is_chat else {"text": text}
        )
        return {"index": index, **said, "logprobs": None, "finish_reason": reason}

    def piece(self, index: int, text: str | None, reason: str | None) -> dict[str, Any]:
        """Return a piece of one."""
        if not self.is_chat:
            return self.choice(index, text or "", reason)
        delta = {} if text is None else {"role": "assistant", "content": text}
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}


_CHAT = _Kind("chat.completion", "chatcmpl", True)
_TEXT = _Kind("text_completion", "cmpl", False)


class Service:
    """Answers the requests of one model.

    Args:
        opened: The model.
        place: Where it is from; a folder says how text is normalized.
    """

    def __init__(self, opened: OpenModel, place: Path | str) -> None:
        self._opened = opened
        self._typed = Typed(opened, place)
        self._turn = asyncio.Lock()
        self._created = int(time.time())

    async def models(self, _: Request) -> Response:
        """List the model; `tonsai` says what the page must know."""
        return _json({"object": "list", "data": [self._description()]})

    async def model(self, request: Request) -> Response:
        """Describe the model."""
        self._check_name(request.path_params["name"])
        return _json(self._description())

    async def chat(self, request: Request) -> Response:
        """Answer a conversation."""
        asked = ChatRequest.read(await _body(request))
        self._check_name(asked.model)
        if not self._opened.takes_turns:
            raise RequestError(
                f"{self._opened.name} is a base model, which takes no turns: use /v1/completions, or a tuned model"
            )
        sampling = asked.sampling(seed=random.randrange(2**31))
        try:
            fitted = self._typed.turns(
                asked.conversation,
                max_new_tokens=sampling.max_new_tokens,
                drop_oldest=asked.drop_oldest_turns,
            )
        except ValueError as error:
            raise _too_long(error, "messages") from error
        reply = Reply(self._opened, fitted.ids, sampling)
        about = {"dropped_messages": fitted.num_dropped} if asked.drop_oldest_turns else {}
        return await self._answer(request, asked, _CHAT, [reply], about)

    async def complete(self, request: Request) -> Response:
        """Go on from texts."""
        asked = CompletionRequest.read(await _body(request))
        self._check_name(asked.model)
        sampling = asked.sampling(seed=random.randrange(2**31))
        try:
            prompts = [
                self._typed.text(text, max_new_tokens=sampling.max_new_tokens)
                for text in asked.prompts
            ]
        except ValueError as error:
            raise _too_long(error, "prompt") from error
        replies = [Reply(self._opened, ids, sampling) for ids in prompts]
        return await self._answer(request, asked, _TEXT, replies, {})

    async def _answer(
        self,
        request: Request,
        asked: ChatRequest | CompletionRequest,
        kind: _Kind,
        replies: Sequence[Reply],
        about: dict[str, Any],
    ) -> Response:
        head = {
            "id": f"{kind.prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self._opened.name,
            **about,
        }
        if asked.stream:
            chunked = kind.name + (".chunk" if kind.is_chat else "")
            wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
            events = self._events({**head, "object": chunked}, kind, replies, wants_usage)
            return StreamingResponse(events, media_type="text/event-stream")
        for reply in replies:
            async with aclosing(self._pieces(reply)) as pieces:
                async for _ in pieces:
                    if await request.is_disconnected():
                        return Response(status_code=499)
        choices = [kind.choice(i, r.text, r.finish_reason) for i, r in enumerate(replies)]
        return _json({**head, "object": kind.name, "choices": choices, "usage": _usage(replies)})

    async def _events(
        self, head: dict[str, Any], kind: _Kind, replies: Sequence[Reply], wants_usage: bool
    ) -> AsyncIterator[bytes]:
        """Yield server-sent events: a chunk a piece, the end of each reply, the count, and `[DONE]`."""
        for index, reply in enumerate(replies):
            async with aclosing(self._pieces(reply)) as pieces:
                async for piece in pieces:
                    yield _event({**head, "choices": [kind.piece(index, piece, None)]})
            yield _event({**head, "choices": [kind.piece(index, None, reply.finish_reason)]})
        if wants_usage:
            yield _event({**head, "choices": [], "usage": _usage(replies)})
        yield b"data: [DONE]\n\n"

    async def _pieces(self, reply: Reply) -> AsyncGenerator[str, None]:
        """Compute a reply in a thread, when it is its turn."""
        async with self._turn:
            pieces = iter(reply)
            try:
                while (piece := await run_in_threadpool(next, pieces, None)) is not None:
                    yield piece
            finally:
                pieces.close()  # pyright: ignore[reportAttributeAccessIssue]  # a generator

    def _description(self) -> dict[str, Any]:
        opened = self._opened
        about = {"takes_turns": opened.takes_turns, "context": opened.context}
        head = {"id": opened.name, "object": "model", "created": self._created, "owned_by": "local"}
        return {**head, "tonsai": about}

    def _check_name(self, name: str) -> None:
        if name not in ("", self._opened.name):
            raise RequestError(
                f"model '{name}' is not served; '{self._opened.name}' is",
                param="model",
                code="model_not_found",
                status=404,
            )


def make_app(opened: OpenModel, place: Path | str) -> Starlette:
    """Return the web application of a model.

    Args:
        opened: The model.
        place: Where it is from; a folder says how text is normalized.
    """
    service = Service(opened, place)
    return Starlette(
        routes=[
            Route("/v1/models", service.models),
            Route("/v1/models/{name:path}", service.model),
            Route("/v1/chat/completions", service.chat, methods=["POST"]),
            Route("/v1/completions", service.complete, methods=["POST"]),
            Route("/{name:path}", _page),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, "[::1]"])],
        exception_handlers={RequestError: _refused},
    )


async def _page(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _PAGES:
        raise HTTPException(404)
    package, path, kind = _PAGES[name]
    content = (resources.files(f"tonsai_pipeline.{package}") / path).read_bytes()
    return Response(content, media_type=kind, headers=_POLICY)


async def _body(request: Request) -> Any:
    """Read JSON. Another site's page can send any other type without asking, so only this one is taken."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RequestError("content-type: send application/json", status=415)
    if int(request.headers.get("content-length") or 0) > _MAX_BODY_BYTES:
        raise RequestError(f"a request of more than {_MAX_BODY_BYTES:,} bytes", status=413)
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise RequestError(f"not JSON: {error}") from error


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _json(error.as_dict(), status=error.status)


def _too_long(error: ValueError, param: str) -> RequestError:
    code = "context_length_exceeded" if "too many" in str(error) else None
    return RequestError(str(error), param=param, code=code)


def _usage(replies: Sequence[Reply]) -> dict[str, int]:
    asked = sum(len(reply.prompt_ids) for reply in replies)
    written = sum(reply.num_tokens for reply in replies)
    return {
        "prompt_tokens": asked,
        "completion_tokens": written,
        "total_tokens": asked + written,
    }


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _event(value: object) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
