"""RemoteModel against a real engine: llama-cpp-python's own server, on real weights, in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aios.artifacts import model_path
from aios.boot import boot
from aios.config import Config, RemoteModelConfig
from aios.models.base import Emit
from aios.models.local.supervisor.process import THREADS
from aios.models.remote.model import RemoteModel
from aios_syscalls import BadRequest, Chat, ChatReply, Message, ToolSpec, Usage
from tests.models.remote.fault_server import unpaused

pytestmark = [pytest.mark.anyio, pytest.mark.whole]
ONE_LOOP = pytest.mark.parametrize("anyio_backend", ["asyncio"])

CONTEXT = 512
LONG = 320
STARTS_WITHIN_S = 90
CITIES = ["Oslo", "Paris", "Rome"]
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"enum": CITIES}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
"""Without a free string: this server's grammar lets line breaks into one, which is no JSON."""
TOOL = ToolSpec(name="weather", description="the weather in a city over some days", parameters=WEATHER)

Ask = Callable[[Chat, Emit], Awaitable[ChatReply]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's base URL. A new request does not end the one that runs, as this server has it unless told."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    options = {
        "model": model_path(),
        "model_alias": "smollm2",
        "host": address[0],
        "port": address[1],
        "n_ctx": CONTEXT,
        "n_threads": 1,
        "interrupt_requests": False,
    }
    command = [sys.executable, "-m", "llama_cpp.server", *(f"--{name}={value}" for name, value in options.items())]
    environment = os.environ | THREADS | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=environment)
    try:
        await_listener(process, address, log)
        yield f"http://{address[0]}:{address[1]}/v1"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_listener(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")


def say(prompt: str, tokens: int = 40, **fields: Any) -> Chat:
    return Chat(messages=(Message(role="user", content=prompt),), max_tokens=tokens, **fields)


async def ask(server: str, chat: Chat, **options: Any) -> tuple[ChatReply, list[str]]:
    pieces: list[str] = []
    async with RemoteModel(server, "smollm2", **options) as model:
        return await unpaused(model, chat, pieces.append), pieces


def fits_weather(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"city", "days"}
        and value["city"] in CITIES
        and type(value["days"]) is int
    )


async def test_a_streamed_answer_is_the_whole_answer_in_pieces(server: str) -> None:
    chat = say("Tell me of the sea.")
    await ask(server, chat)  # from here on the server has the prompt computed, so both answers start from one state
    streamed, pieces = await ask(server, chat)
    whole, once = await ask(server, chat, stream=False)
    assert len(pieces) > 10
    assert "".join(pieces) == streamed.text == whole.text == once[0]
    assert len(once) == 1
    assert streamed.finish == whole.finish == "length"
    assert whole.usage.completion_tokens == 40
    assert whole.usage.prompt_tokens > 5
    assert streamed.usage in (Usage(), whole.usage)


@pytest.mark.parametrize("stream", [True, False])
@ONE_LOOP
async def test_a_required_tool_is_called_and_its_result_understood(server: str, stream: bool) -> None:
    named = {"tool_choice": {"type": "function", "function": {"name": "weather"}}}  # this server ignores "required"
    chat = say("How is the weather in Paris for 3 days?", 80, tools=(TOOL,), tool_choice="required")
    reply, _ = await ask(server, chat, stream=stream, extra=named)
    (use,) = reply.tool_uses
    assert (reply.finish, use.name) == ("tool_use", "weather")
    assert fits_weather(use.arguments)
    talk = (
        *chat.messages,
        Message(role="assistant", content=reply.text, tool_uses=reply.tool_uses),
        Message(role="tool", content="sunny, 21 degrees", tool_use_id=use.id),
    )
    after, _ = await ask(server, Chat(messages=talk, max_tokens=20), stream=stream)
    assert after.text
    assert not after.tool_uses


@pytest.mark.parametrize("stream", [True, False])
@ONE_LOOP
async def test_an_answer_keeps_to_its_schema(server: str, stream: bool) -> None:
    chat = say("A city, and how many days to stay there?", 80, response_schema=WEATHER)
    reply, pieces = await ask(server, chat, stream=stream, schemas="json_object")
    assert reply.finish == "stop"
    assert fits_weather(json.loads(reply.text))
    assert (len(pieces) > 1) is stream


@pytest.mark.parametrize("stream", [True, False])
@ONE_LOOP
async def test_a_stop_string_and_max_tokens_end_an_answer(server: str, stream: bool) -> None:
    full, _ = await ask(server, say("Tell me of the sea."), stream=stream)
    word = full.text.split()[8]
    stopped, pieces = await ask(server, say("Tell me of the sea.", stop=(word,)), stream=stream)
    assert stopped.finish == "stop"
    assert stopped.text == "".join(pieces) == full.text[: full.text.index(word)]
    short, _ = await ask(server, say("Tell me of the sea.", 5), stream=stream)
    assert short.finish == "length"
    assert short.text
    assert full.text.startswith(short.text)


@ONE_LOOP
async def test_a_prompt_over_the_servers_context_is_a_bad_request(server: str) -> None:
    with pytest.raises(BadRequest, match=f"maximum context length is {CONTEXT} tokens"):
        await ask(server, say("sea " * CONTEXT), stream=False)


@ONE_LOOP
async def test_an_answer_keeps_to_its_grammar(server: str) -> None:
    reply, _ = await ask(server, say("Is the sea wet?", grammar='root ::= "yes, it is" | "no, it is not"'))
    assert reply.text in ("yes, it is", "no, it is not")


async def frees_the_slot(generate: Ask) -> None:
    """A generation that is cancelled after its first piece keeps the next one waiting for a fraction of its length."""
    story = say("Write a long story about the sea.", LONG)
    began = anyio.current_time()
    told = await generate(story, lambda _: None)
    whole_s = anyio.current_time() - began
    assert told.finish == "length"
    pieces: list[str] = []
    with anyio.CancelScope() as scope:

        def leave(piece: str) -> None:
            pieces.append(piece)
            scope.cancel()

        await generate(story, leave)
    assert scope.cancelled_caught
    assert "".join(pieces) != told.text
    began = anyio.current_time()
    assert (await generate(say("Write a long story about the sea.", 1), lambda _: None)).finish == "length"
    assert anyio.current_time() - began < whole_s / 3


async def test_a_client_that_vanishes_frees_the_engine(server: str) -> None:
    async with RemoteModel(server, "smollm2") as model:
        await frees_the_slot(lambda chat, emit: unpaused(model, chat, emit))


async def test_a_cancelled_task_frees_the_engine_through_the_kernel(server: str, tmp_path: Path) -> None:
    far = RemoteModelConfig.model_validate({"kind": "openai", "base_url": server, "model": "smollm2", "slots": 1})
    async with boot(Config(models={"far": far}, root=tmp_path, isolate=False), directory=tmp_path / "run") as run:
        await frees_the_slot(run.run.port(0).submit)
