"""JSON in OpenAI's form -> what is asked of the model, or which field is refused and why.

    {"messages": [...], "temperature": 0.2, "stream": true} ──ChatRequest──▶ messages, Sampling

A field that would change the reply and is not known here is an error, never ignored.

Source: OpenAI API reference, "Chat Completions" and "Completions".
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tonsai_pipeline.serve.prompt import Message
from tonsai_pipeline.serve.reply import Sampling

#: Fields that would change the reply, and the values of them that change nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "logprobs": (None, False, 0),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "tools": (None, []),
    "functions": (None, []),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
}


class RequestError(ValueError):
    """A request that cannot be answered.

    Args:
        message: What is wrong, and what would be right.
        param: The field.
        code: OpenAI's name of the case, where there is one.
        status: HTTP status.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status

    def as_dict(self) -> dict[str, Any]:
        """Return it in OpenAI's form."""
        return {
            "error": {
                "message": str(self),
                "type": "invalid_request_error",
                "param": self.param,
                "code": self.code,
            }
        }


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False
    """Whether a last chunk counts tokens."""


class _Request(BaseModel):
    """What both kinds of request have."""

    model_config = ConfigDict(extra="ignore")

    default_tokens: ClassVar[int]

    model: str = ""
    temperature: float = Field(default=1.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_ignored(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise RequestError("a JSON object is wanted")
        for name, harmless in _REFUSED.items():
            if given.get(name) not in harmless:
                raise RequestError(f"{name}: not known here; leave it out", param=name)
        # A null means the default, as OpenAI has it.
        return {name: value for name, value in given.items() if value is not None}

    def sampling(self, *, seed: int) -> Sampling:
        """Return how the reply is drawn.

        Args:
            seed: For a request without one.
        """
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Sampling(
            max_new_tokens=self._num_tokens(),
            temperature=self.temperature,
            top_p=self.top_p,
            seed=abs(seed if self.seed is None else self.seed) % 2**31,
            stop=tuple(stop),
        )

    def _num_tokens(self) -> int:
        return self.max_tokens or self.default_tokens

    @classmethod
    def read(cls, given: Any) -> Self:
        """Check a request.

        Raises:
            RequestError: A field is missing, of another type, or refused.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            cause = first.get("ctx", {}).get("error")
            if isinstance(cause, RequestError):
                raise cause from error
            param = ".".join(str(one) for one in first["loc"])
            raise RequestError(f"{param}: {first['msg']}".lstrip(": "), param=param) from error


class CompletionRequest(_Request):
    """`/v1/completions`: texts to go on from."""

    default_tokens: ClassVar = 16

    prompt: str | list[str]

    @property
    def prompts(self) -> list[str]:
        """The texts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class Turn(BaseModel):
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: str

    @model_validator(mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        """Join parts of text; a developer's message is a system message."""
        if not isinstance(given, dict):
            return given
        content, role = given.get("content"), given.get("role")
        if isinstance(content, list):
            if any(not isinstance(p, dict) or p.get("type") != "text" for p in content):
                raise ValueError("this model reads text alone")
            content = "".join(str(part["text"]) for part in content)
        return {"role": "system" if role == "developer" else role, "content": content}


class ChatRequest(_Request):
    """`/v1/chat/completions`: a conversation to answer."""

    default_tokens: ClassVar = 1 << 20

    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    drop_oldest_turns: bool = False
    """Ours: where the context is full, forget the oldest turns and say how many; else that is an error."""

    @field_validator("messages")
    @classmethod
    def _ends_with_the_user(cls, turns: list[Turn]) -> list[Turn]:
        if turns[-1].role != "user":
            raise ValueError("the last message must be the user's")
        return turns

    @property
    def conversation(self) -> list[Message]:
        """The messages."""
        return [turn.model_dump() for turn in self.messages]

    def _num_tokens(self) -> int:
        return self.max_completion_tokens or super()._num_tokens()
