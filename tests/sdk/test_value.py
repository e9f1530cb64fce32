"""Values out of answers of models that take no form: found in whatever stands around them, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from aios.sdk import Agent
from aios.sdk.value import values
from aios_syscalls import ChatReply, ModelFailed
from aios_syscalls.port import discard

pytestmark = pytest.mark.anyio


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


class One:
    """A port that gives one answer."""

    def __init__(self, text: str, finish: Any = "stop") -> None:
        self.reply = ChatReply(text=text, finish=finish)

    async def submit(self, call: Any, emit: Callable[[str], None] = discard) -> Any:
        return self.reply


OSLO = '{"name": "Oslo", "people": 7}'
ROME = '{"name": "Rome", "people": 9}'

FOUND = [
    OSLO,
    f"\n\n {OSLO} \n",
    f"```json\n{OSLO}\n```",
    f"```\n{OSLO}\n```",
    f"~~~ json\n{OSLO}\n~~~",
    f"Here you are:\n\n```json\n{OSLO}\n```\nAnything else?",
    f"  ```JSON\n  {OSLO}\n  ```",
    f"````\n{OSLO}\n````",
    f"```json\n{OSLO}",
    f"````\n```json\n````\n```\n{OSLO}\n```",
    f"```json\r\n{OSLO}\r\n```\r\n",
    f"The city is {OSLO}.",
    f"Sure! {OSLO} I hope that helps {{really}}.",
    f"A city {{as asked}}, [1]: {OSLO}",
    f'He said "{{" and then {OSLO}',
    f"<think>Perhaps {ROME}?</think>{OSLO}",
    f"<think>Perhaps {ROME}?</think>\n```json\n{OSLO}\n```",
    f"[THINK]{ROME}[/THINK]It is {OSLO}",
    f"perhaps {ROME}\n</think>\n{OSLO}",
    '{"name": "Oslo", "people": 7,}',
    '```json\n{\n  "name": "Oslo",\n  "people": 7,\n}\n```',
    'It is {"name": "Oslo", "people": 7, }.',
    f"{OSLO}\n{OSLO}",
    f"```python\nprint()\n```\n```json\n{OSLO}\n```",
    f"```json\n{OSLO}\n```\n\nIn short: {ROME.replace('Rome', 'Oslo')}",
    f"{ROME[:-1]}, nothing else\n</think>{OSLO}",
    f'Two things: {{"a": 1}} and {OSLO}',
]
MISSING = [
    ("", "is no valid City"),
    ("I cannot say.", "is no valid City"),
    (f"{OSLO} or {ROME}", "it holds 2 different ones"),
    (f"```json\n{OSLO}\n```\n```json\n{ROME}\n```", "it holds 2 different ones"),
    (f"<think>Perhaps {OSLO}", "is no valid City"),
    ('{"name": "Oslo", "people": -1}', "greater than or equal to 0"),
    ('It is {"name": "Oslo", "people": -1}.', "greater than or equal to 0"),
    ('```json\n{"name": "Oslo"}\n```', "people"),
    (f'{{"cities": [{OSLO}, {ROME}', "is no valid City"),
    (f'{{"best": {OSLO}, oops}}', "is no valid City"),
    ("{'name': 'Oslo', 'people': 7}", "is no valid City"),
    ("[" * 100_000, "is no valid City"),
    ('{"a":' * 50_000, "is no valid City"),
    ('{"' * 50_000, "is no valid City"),
    ("{x} " * 50_000, "is no valid City"),
    ('"' + r"\"" * 500_000, "is no valid City"),
    ("```json\n" * 50_001, "is no valid City"),
    ("{" + " " * 500_000 + "x", "is no valid City"),
    ("~~~\n```\n" * 50_000, "is no valid City"),
]


async def test_a_value_is_found_in_what_stands_around_it() -> None:
    for text in FOUND:
        assert await Agent(One(text), 1).extract("?", City) == City(name="Oslo", people=7), text


@pytest.mark.parametrize(("text", "why"), MISSING, ids=range(len(MISSING)))
async def test_what_holds_no_value_or_several_says_so(text: str, why: str) -> None:
    with pytest.raises(ModelFailed, match=why):
        await Agent(One(text), 1).extract("?", City)


async def test_of_an_answer_that_was_cut_off_no_part_is_taken() -> None:
    for text in (f"It is {OSLO}, and {OSLO[:-5]}", f"```json\n{OSLO}\n```\n```json\n{OSLO[:9]}"):
        with pytest.raises(ModelFailed, match="max_tokens cut it off"):
            await Agent(One(text, "length"), 1).extract("?", City)
    assert await Agent(One(f"<think>hm</think>{OSLO}\n", "length"), 1).extract("?", City)


@pytest.mark.parametrize(
    "text",
    [
        '"red"',
        "red",
        " Red.\n",
        "**red**",
        "`red`",
        "'red'",
        '```json\n"red"\n```',
        "```\nred\n```",
        'The answer is "red".',
        '{"answer": "red"}',
        '["red"]',
        'It is {"colour": "red"}, surely.',
        '<think>"blue"? no</think>"red"',
        "blue or red\n</think>\nred",
        '"red"\n"red"',
    ],
)
async def test_an_option_is_found_in_what_stands_around_it(text: str) -> None:
    assert await Agent(One(text), 1).pick("colour?", ["red", "blue", "light blue"]) == "red"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("green", "none of the options"),
        ("", "none of the options"),
        ("red or blue", "none of the options"),
        ('"red" or "blue"', "more than one of the options"),
        ('["red", "blue"]', "none of the options"),
        ('"reddish"', "none of the options"),
        ('<think>"red"', "none of the options"),
        ("[" * 50_000, "none of the options"),
    ],
    ids=range(8),
)
async def test_what_is_no_option_or_two_says_so(text: str, why: str) -> None:
    with pytest.raises(ModelFailed, match=why):
        await Agent(One(text), 1).pick("colour?", ["red", "blue"])


async def test_options_that_differ_by_capitals_alone_are_told_apart() -> None:
    assert await Agent(One('"us"'), 1).pick("?", ["US", "us"]) == "us"
    with pytest.raises(ModelFailed, match="none of the options"):
        await Agent(One('"Us"'), 1).pick("?", ["US", "us"])


PROSE = st.text(st.characters(exclude_characters='{}[]"`~<>\r', exclude_categories=["Cs"]), max_size=30)
DATA = st.dictionaries(
    st.text(max_size=4), st.integers() | st.text(max_size=6) | st.lists(st.booleans(), max_size=2), min_size=1
)


def read(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@given(PROSE, DATA, PROSE, st.booleans(), st.booleans())
def test_any_object_between_any_words_is_found(
    before: str, data: Any, after: str, fenced: bool, ascii_only: bool
) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only)
    around = f"{before}\n```json\n{text}\n```\n{after}" if fenced else before + text + after
    assert values(around, read) == [data]


@given(st.text(max_size=60))
def test_any_text_has_values_or_none(text: str) -> None:
    assert all(isinstance(value, dict) for value in values(text, read))
