"""Prompts from chats, tool calls from answers."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aios.cores.prompt_lengths import Length, PromptLengths
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.template import Template, parse_tool_uses
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, ToolSpec, ToolUse

pytestmark = pytest.mark.whole

ADD = ToolSpec(name="add", description="Adds numbers.", parameters={"type": "object", "properties": {"a": {}}})
CONTROLS = ("<s>", "</s>", "<|im_start|>", "<|im_end|>")
ECHO = "{% for message in messages %}{{ message.content }}{% endfor %}"
NOW = Message(role="user", content="now")
FIRST = 0x110000
"""The id of the first control token, after all characters."""


class Letters:
    """A vocabulary of characters and some control tokens, with any template."""

    control_texts = frozenset(CONTROLS)

    def __init__(self, template: str | None = None, begin: int | None = None) -> None:
        self._template, self.begin = template, begin

    def metadata(self, key: str) -> str | None:
        return self._template

    def spelling(self, which: str) -> str:
        return {"bos": "<s>", "eos": "</s>"}[which]

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        parts = re.split(f"({'|'.join(map(re.escape, CONTROLS))})", text) if special else [text]
        return [
            each
            for part in parts
            for each in ([FIRST + CONTROLS.index(part)] if part in CONTROLS and special else map(ord, part))
        ]

    def read(self, tokens: list[int]) -> str:
        """Text with control tokens in brackets."""
        return "".join(chr(token) if token < FIRST else f"[{CONTROLS[token - FIRST]}]" for token in tokens)


def prompt(vocabulary: Letters, *messages: Message, **fields: Any) -> str:
    return vocabulary.read(Template(vocabulary).tokens(Chat(messages=messages, **fields)))


def test_no_template_falls_back_to_chatml_and_says_so() -> None:
    assert Template(Letters()).fallback
    assert prompt(Letters(), Message(role="user", content="hi")) == (
        "[<|im_start|>]user\nhi[<|im_end|>]\n[<|im_start|>]assistant\n"
    )


def test_control_tokens_of_callers_are_plain_text() -> None:
    message = Message(role="user", content="a<|im_end|>\ue0f10\ue0f2b")
    text = prompt(Letters("{{ bos_token }}{{ messages[0].content | trim }}{{ eos_token }}"), message)
    assert text == "[<s>]a<|im_end|>\ufffd0\ufffdb[</s>]"


def test_the_first_token_is_not_doubled() -> None:
    said = "{% for message in messages %}{{ message.content }}{% endfor %}"
    message = Message(role="user", content="x")
    assert prompt(Letters("{{ bos_token }}" + said, begin=FIRST), message) == "[<s>]x"
    assert prompt(Letters(said, begin=FIRST), message) == "[<s>]x"


def test_tools_are_described_where_the_template_does_not() -> None:
    use = ToolUse(id="1", name="add", arguments={"a": 1})
    text = prompt(
        Letters(),
        Message(role="system", content="Be brief."),
        Message(role="user", content="1+1?"),
        Message(role="assistant", tool_uses=(use,)),
        Message(role="tool", content="2", tool_use_id="1"),
        tools=(ADD,),
    )
    assert "Be brief.\n\nYou may call functions." in text
    assert '{"name": "add", "description": "Adds numbers."' in text
    assert '[<|im_start|>]assistant\n<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>[<|im_end|>]' in text
    assert "[<|im_start|>]user\n<tool_response>2</tool_response>[<|im_end|>]" in text
    assert "functions" not in prompt(Letters(), Message(role="user", content="hi"), tools=(ADD,), tool_choice="none")


def test_a_template_that_knows_tools_gets_them() -> None:
    source = (
        "{% for tool in tools %}{{ tool.function | tojson }};{% endfor %}"
        "{% for message in messages %}{{ message.role }} {{ message.content }}{% for call in message.tool_calls %}:"
        "{{ call.function.name }}{{ call.function.arguments | tojson }}{% endfor %};{% endfor %}"
    )
    use = ToolUse(id="1", name="add", arguments={"a": "<é>"})
    messages = Message(role="assistant", tool_uses=(use,)), Message(role="tool", content="2", tool_use_id="1")
    text = prompt(Letters(source), *messages, tools=(ADD,))
    assert text.startswith('{"name": "add", "description": "Adds numbers."')
    assert text.endswith(';assistant :add{"a": "<é>"};tool 2;')


def test_messages_that_a_template_refuses_are_the_callers_fault() -> None:
    short = "{% if messages[-1].content | length > 99 %}{{ raise_exception('too long') }}{% endif %}" + ECHO
    with pytest.raises(BadRequest, match="too long") as caught:
        prompt(Letters(short), Message(role="user", content="x" * 100))
    assert caught.value.field == "messages"


@pytest.mark.parametrize("source", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ 1 / 0 }}"])
def test_a_template_cannot_reach_out_or_change_things(source: str) -> None:
    with pytest.raises(BadRequest):
        prompt(Letters("{% if messages[-1].content == 'now' %}" + source + "{% endif %}" + ECHO), NOW)
    assert prompt(Letters("{{ messages[-1].content }}"), NOW) == "now"


def test_a_broken_template_is_the_models_fault() -> None:
    with pytest.raises(ModelFailed, match="chat template"):
        Template(Letters("{% for %}"))


def test_the_shipped_model_has_its_own_template(llama: LlamaModel, template: Template) -> None:
    tokens = template.tokens(Chat(messages=(Message(role="user", content="hi <|im_end|>"),)))
    text = b"".join(llama.piece(token, special=True) for token in tokens).decode()
    assert text.endswith("<|im_start|>user\nhi <|im_end|><|im_end|>\n<|im_start|>assistant\n")
    assert [token for token in tokens if llama.ends(token)] == llama.tokenize("<|im_end|>", special=True) * 2


@pytest.mark.parametrize(
    ("text", "rest", "names"),
    [
        ('Sure.<tool_call>\n{"name": "x", "arguments": {"a": {}}}\n</tool_call>', "Sure.", ["x"]),
        ('<tool_call>{"name": "add", "arguments": {}}', "", ["add"]),
        (
            '<tool_call>{"name":"add","arguments":{}}</tool_call><tool_call>{"name":"x","arguments":{}}</tool_call>',
            "",
            ["add", "x"],
        ),
        (' {"name": "add", "parameters": {"a": 1}}\n', "", ["add"]),
        ('[{"name": "add", "arguments": {}}, {"name": "add", "arguments": {}}]', "", ["add", "add"]),
        ('{"name": "unknown", "arguments": {}}', '{"name": "unknown", "arguments": {}}', []),
        ("<tool_call>{broken}</tool_call>", "<tool_call>{broken}</tool_call>", []),
        ('{"name": "add", "arguments": "a"}', '{"name": "add", "arguments": "a"}', []),
        ("[]", "[]", []),
        ("plain", "plain", []),
    ],
)
def test_tool_calls_are_found_in_answers(text: str, rest: str, names: list[str]) -> None:
    found, uses = parse_tool_uses(text, [ADD, ToolSpec(name="x")])
    assert (found, [use.name for use in uses], [use.id for use in uses]) == (
        rest,
        names,
        [str(n) for n in range(len(names))],
    )


def test_what_a_model_wrote_is_told_from_what_it_was_asked() -> None:
    chat = Chat(
        messages=(
            Message(role="user", content="a"),
            Message(role="assistant", content="b<s>", generated=True),
            Message(role="assistant", content="c"),
        )
    )

    def alone(template: str) -> str:
        vocabulary = Letters(template)
        return vocabulary.read([~code for code in Template(vocabulary).tagged(chat) if code < 0])

    plain = "{% for message in messages %}<|im_start|>{{ message.content }}{% endfor %}!"
    assert alone(plain) == "b<s>"
    # A template that takes replies apart gets them read like everything else.
    assert alone(plain.replace("message.content", "message.content.split('\ue0f4') | join")) == ""
    text = Letters(plain).read(Template(Letters(plain)).tokens(chat))
    assert text == "[<|im_start|>]a[<|im_start|>]b<s>[<|im_start|>]c!"


def test_a_prompts_tokens_are_guessed_by_its_length(template: Template) -> None:
    # Pieces of this project's own texts, in one to six messages, half of them with a system message.
    random, lengths = Random(1), PromptLengths()
    texts = [path.read_text("utf-8") for path in Path(__file__).parents[3].rglob("*.md") if path.stat().st_size > 9_000]

    def piece() -> str:
        text, size = random.choice(texts), random.randint(40, 1_500)
        start = random.randrange(len(text) - size)
        return text[start : start + size]

    errors: dict[str, list[float]] = {"learnt": [], "quarter": [], "going on": []}
    for number in range(200):
        messages = [Message(role="system", content=piece())] * random.randint(0, 1)
        messages += [
            Message(role=("user", "assistant")[each % 2], content=piece()) for each in range(random.choice((1, 3, 5)))
        ]
        for turn in range(2):
            chat = Chat(messages=tuple(messages))
            length, tokens = Length.of(chat), len(template.tagged(chat))
            if number >= 20:
                errors["going on" if turn else "learnt"].append(abs(lengths.guess(number, length) / tokens - 1))
                errors["quarter"].append(abs(length.characters / 4 / tokens - 1))
            lengths.observe(number, length, tokens)
            messages += [Message(role="assistant", content=piece()[:200]), Message(role="user", content=piece()[:200])]
    means = {name: sum(each) / len(each) for name, each in errors.items()}
    assert means["learnt"] < 0.14
    assert means["going on"] < 0.06
    assert means["learnt"] < 0.6 * means["quarter"]
