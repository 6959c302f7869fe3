"""Conversations as text: replies are cut out of any template, and ours is read as transformers reads it."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tonsai_pipeline.tokenizer.chat import CHAT_TEMPLATE, ChatTemplate

CONVERSATION = [
    {"role": "system", "content": "អ្នកជាជំនួយការ"},
    {"role": "user", "content": "សួស្តី"},
    {"role": "assistant", "content": "ជម្រាបសួរ!"},
    {"role": "user", "content": "2 + 3"},
    {"role": "assistant", "content": "5"},
]
REPLIES = ["ជម្រាបសួរ!<|im_end|>", "5<|im_end|>"]
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '<|h|>' + m['role'] + '\\n\\n' + m['content'] | trim + '<|eot|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|h|>assistant\\n\\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] }}</s>{% endif %}{% endfor %}"
)
#: As Qwen 3: what was thought is shown in the last reply only.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['role'] == 'assistant' and loop.last %}<think></think>{% endif %}{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OURS = ChatTemplate(CHAT_TEMPLATE, {"bos_token": "<|bos|>"})


def replies(template: ChatTemplate, messages: list[dict[str, str]]) -> list[str]:
    return [turn.text for turn in template.turns(messages) if turn.is_reply]


def test_replies_and_their_ends_are_cut_out() -> None:
    assert replies(OURS, CONVERSATION) == REPLIES
    assert "".join(turn.text for turn in OURS.turns(CONVERSATION)) == OURS.render(CONVERSATION)


@pytest.mark.parametrize(
    ("source", "end", "first"),
    [(LLAMA, "<|eot|>", "ជម្រាបសួរ!<|eot|>"), (MISTRAL, "</s>", " ជម្រាបសួរ!</s>")],
)
def test_replies_of_other_templates(source: str, end: str, first: str) -> None:
    template = ChatTemplate(source, {"bos_token": "<s>"})
    assert template.end == end
    assert replies(template, CONVERSATION[1:])[0] == first


def test_a_template_that_rewrites_earlier_turns_is_refused() -> None:
    template = ChatTemplate(THINKING, {})
    assert replies(template, CONVERSATION[1:3]) == ["<think></think>ជម្រាបសួរ!<|im_end|>"]
    with pytest.raises(ValueError, match="earlier turns otherwise"):
        template.turns(CONVERSATION[1:])


def test_a_template_without_an_end_is_refused() -> None:
    template = ChatTemplate("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", {})
    with pytest.raises(ValueError, match="no marker"):
        _ = template.end


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        ChatTemplate("{% for %}", {})


def test_a_template_that_refuses_is_quoted() -> None:
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(ValueError, match="roles must alternate"):
        template.render(CONVERSATION)


def test_pieces_have_the_ids_and_the_mask_that_transformers_gives() -> None:
    tokenizer = byte_tokenizer()
    auto = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", chat_template=CHAT_TEMPLATE
    )
    given = auto.apply_chat_template(
        CONVERSATION, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = [], []
    for text, is_reply in OURS.turns(CONVERSATION):
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        mask += [int(is_reply)] * len(piece)
    assert ids == given["input_ids"]
    assert mask == given["assistant_masks"]
    assert ids.count(tokenizer.token_to_id("<|bos|>")) == 1


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer of bytes and the markers of a chat."""
    specials = ["<|bos|>", "<|eos|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        models.BPE(vocab={token: i for i, token in enumerate([*specials, *alphabet])}, merges=[])
    )
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in specials])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
