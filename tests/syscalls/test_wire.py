"""The ABI travels through JSON unchanged, and bad JSON is refused with the field's name."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import aios_syscalls
from aios_syscalls import (
    AiosError,
    BadRequest,
    Chat,
    ChatReply,
    FileContent,
    KernelBug,
    Message,
    Overloaded,
    Rank,
    Ranked,
    RankReply,
    ReadFile,
    Reply,
    Sampling,
    Syscall,
    WriteFile,
)
from aios_syscalls.base import MAX_CALL_BYTES
from aios_syscalls.errors import BY_CODE, from_wire
from aios_syscalls.table import TABLE
from aios_syscalls.wire import call_from_json, call_to_json, outcome_to_json, reply_from_object

CHAT = Chat(messages=(Message(role="user", content="hällo \U0001f600"),), stop=("\n",), sampling=Sampling(seed=7))
RANK = Rank(messages=CHAT.messages, prefix='"', options=('é"', 'b"'), neutral=("N/A",))


def test_every_syscall_is_in_the_table_and_names_its_reply() -> None:
    public = {value for value in vars(aios_syscalls).values() if isinstance(value, type) and value is not Syscall}
    calls = {cls for cls in public if issubclass(cls, Syscall) and "[" not in cls.__name__}
    assert set(TABLE.values()) == calls
    assert all(issubclass(cls.reply_type(), Reply) for cls in calls)
    assert {name.partition(".")[0] for name in TABLE} == {"llm", "tool", "file", "process"}


def test_a_call_survives_the_wire() -> None:
    for call in (CHAT, CHAT.model_copy(update={"grammar": 'root ::= "é"'}), RANK):
        assert call_from_json(call_to_json(call)) == call


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=4))
def test_likelihoods_survive_the_wire_to_the_last_bit(values: list[float]) -> None:
    ranked = tuple(Ranked(option=str(n), log_likelihood=value, score=-value) for n, value in enumerate(values))
    reply = RankReply(options=ranked, best=1)
    assert reply_from_object(RANK, json.loads(outcome_to_json(reply))) == reply
    assert reply.choice == "1"


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20))
def test_bytes_survive_the_wire(data: bytes, path: str) -> None:
    call = WriteFile(path=path, data=data)
    assert call_from_json(call_to_json(call)) == call
    reply = FileContent(path=path, data=data)
    assert reply_from_object(ReadFile(path=path), json.loads(outcome_to_json(reply))) == reply


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b'{"call": "llm.shout"}', "call"),
        (b'{"call": 3}', "call"),
        (b"{}", "call"),
        (b'{"call": "llm.chat"}', "messages"),
        (b'{"call": "llm.chat", "messages": []}', "messages"),
        (b'{"call": "llm.chat", "messages": [{"role": "boss"}]}', "messages.0.role"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "max_tokens": 0}', "max_tokens"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "colour": "red"}', "colour"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "grammar": ""}', "grammar"),
        (b'{"call": "llm.chat", "messages": [{"role": "user"}], "grammar": "x", "response_schema": {}}', "grammar"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a"]}', "options"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a", "a"]}', "options"),
        (b'{"call": "llm.rank", "messages": [{"role": "user"}], "options": ["a", ""]}', "options.1"),
        (b'{"call": "llm.rank", "messages": [{"role": "system"}], "options": ["a", "b"], "neutral": ["x"]}', "neutral"),
        (b'{"call": "llm.embed", "texts": []}', "texts"),
        (b'{"call": "llm.embed", "texts": ["a", ""]}', "texts.1"),
        (b'{"call": "llm.embed", "texts": [' + b",".join([b'"a"'] * 257) + b"]}", "texts"),
        (b'{"call": "file.read", "path": "a", "deadline_s": -1}', "deadline_s"),
    ],
)
def test_a_malformed_call_names_the_field(data: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        call_from_json(data)
    assert caught.value.field == field
    assert caught.value.to_wire().get("field", "") == field


def test_a_call_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(BadRequest, match="over the limit"):
        call_from_json(b" " * (MAX_CALL_BYTES + 1))


def test_calls_are_frozen() -> None:
    with pytest.raises(ValidationError):
        CHAT.max_tokens = 3  # type: ignore[misc]


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_errors_survive_the_wire_and_pickle(code: str) -> None:
    error = BY_CODE[code]("what, why, what next")
    for copy in (from_wire(json.loads(json.dumps(error.to_wire()))), pickle.loads(pickle.dumps(error))):
        assert type(copy) is type(error)
        assert copy.to_wire() == error.to_wire()


def test_an_error_is_raised_where_the_reply_was_awaited() -> None:
    outcome: dict[str, Any] = json.loads(outcome_to_json(Overloaded("full", retry_after_s=2.5)))
    with pytest.raises(Overloaded) as caught:
        reply_from_object(CHAT, outcome)
    assert caught.value.retry_after_s == 2.5
    assert reply_from_object(CHAT, json.loads(outcome_to_json(ChatReply(text="x")))) == ChatReply(text="x")


def test_an_unknown_error_code_is_our_fault() -> None:
    error = from_wire({"code": "odd", "message": "m"})
    assert isinstance(error, KernelBug)
    assert isinstance(error, AiosError)
