"""How a conversation is written as text: ChatML, or the template of a base model; and where its replies stand.

<|bos|><|im_start|>user
សួស្តី<|im_end|>
<|im_start|>assistant
...<|im_end|>

messages ──ChatTemplate.turns──▶ [text, reply + end, text, reply + end, ...]     only replies and their ends are learned
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

#: Jinja, as `apply_chat_template` reads it. `generation` marks the tokens that instruction tuning learns.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}
        {{- message['content'] + '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|im_end|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

Message = Mapping[str, str]
"""`role` (system, user or assistant) and `content`."""

_PROBE = ({"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"})


class Turn(NamedTuple):
    """A stretch of a rendered conversation.

    Attributes:
        text: As it is tokenized, by itself: a reply begins where generation begins.
        is_reply: Whether the assistant writes it.
    """

    text: str
    is_reply: bool


class ChatTemplate:
    """A chat template, rendered as `transformers` renders it.

    Args:
        source: Jinja.
        tokens: Special tokens by the name that templates know them by, such as `bos_token`.

    Raises:
        ValueError: It is no template.

    Example:
        >>> template = ChatTemplate(CHAT_TEMPLATE, {"bos_token": "<|bos|>"})
        >>> template.end
        '<|im_end|>'
        >>> template.turns(
        ...     [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]
        ... )[1]
        Turn(text='2<|im_end|>', is_reply=True)
    """

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        self.source = source
        self._tokens = dict(tokens)
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, "jinja2.ext.loopcontrols"],
        )
        environment.globals["raise_exception"] = _raise
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ValueError(f"the chat template cannot be read: {error}") from error

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """Return a conversation as text, special tokens written out.

        Raises:
            ValueError: The template does not take these turns.
        """
        try:
            return self._template.render(
                messages=list(messages),
                add_generation_prompt=add_generation_prompt,
                **self._tokens,
            )
        except TemplateError as error:
            raise ValueError(f"the chat template refuses the conversation: {error}") from error

    def turns(self, messages: Sequence[Message]) -> list[Turn]:
        """Cut a rendered conversation into what is given and what is replied; white space after the end is given.

        Raises:
            ValueError: The template writes a turn otherwise when others follow it, so that no stretch of text is the
                reply that a model would have to write.
        """
        whole = self.render(messages)
        borders = [0]
        for place, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.render(messages[:place], add_generation_prompt=True)
            after = self.render(messages[: place + 1]).rstrip()
            if not whole.startswith(after) or not after.startswith(before):
                raise ValueError(
                    "the chat template writes earlier turns otherwise than they were written as replies"
                )
            borders += [len(before), len(after)]
        cuts = pairwise([*borders, len(whole)])
        return [Turn(whole[a:b], bool(n % 2)) for n, (a, b) in enumerate(cuts) if b > a]

    @cached_property
    def end(self) -> str:
        """The marker that ends a reply.

        Raises:
            ValueError: The template puts none after it.
        """
        reply = next(turn.text for turn in self.turns(_PROBE) if turn.is_reply)
        end = reply.partition(_PROBE[1]["content"])[2].strip()
        if not end:
            raise ValueError("the chat template ends a reply with no marker: no model could stop")
        return end


class _Generation(Extension):
    """Takes `{% generation %}` for what stands in it: `turns` finds the replies of any template."""

    tags = {"generation"}  # noqa: RUF012  # as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body: Any = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _raise(message: str) -> None:
    raise TemplateError(message)
