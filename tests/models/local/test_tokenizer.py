"""A process that counts the tokens of prompts: as the model does, whatever that is busy with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from aios.models.local.supervisor.client import LocalModel
from aios.models.local.supervisor.tokenizer import Tokenizer
from aios_syscalls import BadRequest, Chat, Message, ModelFailed, NamedTool, ToolSpec, ToolUse

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

ADD = ToolSpec(
    name="add", description="Add two numbers.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}}
)
SUB = ADD.model_copy(update={"name": "subtract"})
CHATS = (
    Chat(messages=(Message(role="user", content="Write about the sea."),), max_tokens=4),
    Chat(
        messages=(Message(role="system", content="Be brief. \u00e9\u4e2d"), Message(role="user", content="?")),
        max_tokens=4,
    ),
    Chat(messages=(Message(role="user", content="What is 2 and 3?"),), tools=(ADD,), max_tokens=4),
)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def processes_of(module: str) -> Iterator[psutil.Process]:
    for process in psutil.Process().children(recursive=True):
        if module in " ".join(process.cmdline()):
            yield process


async def test_it_counts_as_the_model_does_and_starts_anew_when_it_was_killed(gguf: Path) -> None:
    async with LocalModel(gguf, context=512, slots=2, requantize=False) as model:
        for chat in CHATS:
            reply: Any = await model.generate(chat, None, None, lambda _text: None)
            assert await model.count_tokens(chat) == reply.usage.prompt_tokens
        (counting,) = processes_of("engine.tokenizer")
        os.kill(counting.pid, signal.SIGKILL)
        assert await model.count_tokens(CHATS[0])
    assert list(processes_of("engine.tokenizer")) == []


async def test_many_questions_at_once_have_their_own_answers(gguf: Path) -> None:
    counter = Tokenizer(gguf)
    found: dict[int, int] = {}

    async def ask(number: int) -> None:
        found[number] = await counter.count(Chat(messages=(Message(role="user", content="word " * number),)))

    try:
        async with anyio.create_task_group() as tasks:
            for number in range(26):
                tasks.start_soon(ask, number)
    finally:
        await counter.close()
    counts = [found[number] for number in range(26)]
    assert counts == sorted(counts)
    assert counts[25] - counts[5] == 20


async def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"no model")
    counter = Tokenizer(tmp_path / "no.gguf")
    with pytest.raises(ModelFailed):
        await counter.count(CHATS[0])


async def test_a_chosen_tool_is_the_one_that_is_called(gguf: Path) -> None:
    async with LocalModel(gguf, context=512, slots=2, requantize=False) as model:
        for name in ("add", "subtract"):
            chat = CHATS[2].model_copy(
                update={"tools": (ADD, SUB), "tool_choice": NamedTool(name=name), "max_tokens": 60}
            )
            reply: Any = await model.generate(chat, None, None, lambda _text: None)
            assert [use.name for use in reply.tool_uses] == [name]
            assert isinstance(reply.tool_uses[0], ToolUse)
        missing = CHATS[2].model_copy(update={"tool_choice": NamedTool(name="divide")})
        with pytest.raises(BadRequest, match="is none of the chat's tools"):
            await model.generate(missing, None, None, lambda _text: None)
