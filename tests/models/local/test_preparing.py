"""What one call needs before it begins holds up nobody else's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json, to_json

from aios.models.local.engine import worker as module
from aios.models.local.engine.grammar import Grammar, compile_grammar
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.preparing import Bell, Preparing
from aios.models.local.engine.worker import EngineWorker, WorkerPipe
from aios.models.local.supervisor.client import LocalModel
from aios_syscalls import BadRequest, Chat, Message, Rank, ToolSpec, ToolUse

pytestmark = pytest.mark.whole

WORDS = [f"{number * 7919 % 1_000_003:06d}-word" for number in range(20_000)]
SETTINGS = {"memory_bytes": 1 << 24, "disk_bytes": 0, "mode": "exact", "slots": 2, "context": 128}
PATIENCE_S = 60
"""After which a test has failed."""


class Client:
    """The other end of a worker's socket, whose loop runs in a thread of this process."""

    def __init__(self, llama: LlamaModel) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        self._socket, self._file = ours, ours.makefile("rb")
        self._theirs = theirs
        self._worker = EngineWorker(WorkerPipe(theirs), SETTINGS, llama, {})
        self.thread = threading.Thread(target=self._worker.serve)
        self.thread.start()
        assert "ready" in self._next()

    def _next(self) -> dict[str, Any]:
        frame: dict[str, Any] = from_json(self._file.readline())
        return frame

    def send(self, **command: Any) -> None:
        self._socket.sendall(to_json(command) + b"\n")

    def start(self, id: int, chat: Chat) -> None:
        self.send(start={"id": id, "chat": chat, "pid": 0, "seed": 1, "tokens": [], "budget": None, "stream": False})

    def ends(self, count: int) -> dict[int, dict[str, Any]]:
        """The next ends, by the calls that have them."""
        found: dict[int, dict[str, Any]] = {}
        while len(found) < count:
            for result in self._next()["step"]:
                if "end" in result:
                    found[result["id"]] = result["end"]
        return found

    def close(self) -> None:
        self._file.close()
        self._socket.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self._theirs.close()


@pytest.fixture(scope="module")
def client(llama: LlamaModel) -> Iterator[Client]:
    made = Client(llama)
    yield made
    made.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Until it is set, no grammar is ready."""
    opened = threading.Event()

    def wait(model: LlamaModel, chat: Chat) -> Grammar | None:
        assert opened.wait(PATIENCE_S)
        return compile_grammar(model, chat)

    monkeypatch.setattr(module, "compile_grammar", wait)
    return opened


def ask(schema: Any = None, tokens: int = 8) -> Chat:
    return Chat(messages=(Message(role="user", content="Name a colour."),), response_schema=schema, max_tokens=tokens)


def test_others_are_served_while_a_grammar_is_made(client: Client, gate: threading.Event) -> None:
    client.start(1, ask({"enum": WORDS}, tokens=24))
    for id in (2, 3, 4):
        client.start(id, ask())
        assert client.ends(1)[id]["reply"]["text"]
    gate.set()
    assert from_json(client.ends(1)[1]["reply"]["text"]) in WORDS


def test_an_idle_worker_hears_that_a_grammar_is_ready(client: Client, gate: threading.Event) -> None:
    client.start(11, ask({"type": "boolean"}))
    client.send(stats=19)
    assert client.ends(1)[19]["stats"]["running"] == 0
    gate.set()
    assert client.ends(1)[11]["reply"]["text"] in ("true", "false")


def test_a_refused_grammar_ends_its_own_call_alone(client: Client, gate: threading.Event) -> None:
    client.start(21, ask({"type": "nonsense"}))
    client.start(22, ask())
    assert "reply" in client.ends(1)[22]
    gate.set()
    error = client.ends(1)[21]["error"]
    assert (error["code"], error["field"]) == ("bad_request", "response_schema")


def test_a_call_that_is_given_up_meanwhile_never_begins(client: Client, gate: threading.Event) -> None:
    client.start(31, ask({"type": "boolean"}))
    client.send(drop=31)
    gate.set()
    client.start(32, ask({"type": "null"}))
    assert client.ends(1)[32]["reply"]["text"] == "null"
    client.send(stats=39)
    assert client.ends(1)[39]["stats"]["running"] == 0


def test_an_answer_is_the_same_whether_it_was_made_ready_beside_the_loop_or_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for id, long in ((41, 0), (42, 10**6)):
        monkeypatch.setattr(module, "LONG", long)
        client.start(id, ask())
        texts.append(client.ends(1)[id]["reply"]["text"])
    assert texts[0] == texts[1] != ""


def test_what_nobody_wants_any_more_is_discarded() -> None:
    bell, discarded = Bell(), list[str]()
    rung, go = threading.Event(), threading.Event()
    preparing = Preparing[str](rung.set, discarded.append)

    def slow(text: str) -> Callable[[], str]:
        return lambda: (go.wait(PATIENCE_S), text)[1]

    preparing.begin(1, slow("dropped"))
    preparing.drop(1)
    preparing.begin(2, slow("wanted"))
    go.set()
    found: dict[int, str] = {}
    while not found or not discarded:
        assert rung.wait(PATIENCE_S)
        found |= {id: future.result() for id, future in preparing.ready()}
    assert (found, discarded) == ({2: "wanted"}, ["dropped"])
    preparing.close()
    bell.close()


def test_a_bell_that_nobody_hears_never_waits() -> None:
    bell = Bell()
    for _ in range(100_000):
        bell.ring()
    bell.silence()
    bell.close()


def deep(levels: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


@pytest.mark.anyio
async def test_what_is_nested_too_deeply_is_refused_by_name_before_a_worker_reads_it(gguf: Path) -> None:
    arguments = {"a": deep(190)}
    said = Message(role="assistant", tool_uses=(ToolUse(id="1", name="t", arguments=arguments),))
    user = Message(role="user", content="x")
    calls = {
        "response_schema": [
            ask().model_copy(update={"response_schema": deep(levels)}) for levels in (185, 250, 100_000)
        ],
        "tools": [Chat(messages=(user,), tools=(ToolSpec.model_construct(name="t", parameters=deep(200)),))],
        "messages": [Chat(messages=(user, said))],
    }
    async with LocalModel(gguf, context=128, slots=1, requantize=False) as model:
        pid = model.pid
        for field, chats in calls.items():
            for chat in chats:
                with pytest.raises(BadRequest, match="nested too deeply") as caught:
                    await model.generate(chat, None, None, lambda _text: None)
                assert caught.value.field == field
        with pytest.raises(BadRequest, match="nested too deeply"):
            await model.rank(Rank(messages=(user,), tools=calls["tools"][0].tools, options=("a", "b")))
        with pytest.raises(BadRequest, match="cannot be written as JSON"):
            half = Message.model_construct(role="user", content="\ud800")
            await model.generate(ask().model_copy(update={"messages": (half,)}), None, None, lambda _text: None)
        reply = await model.generate(ask(deep(100), tokens=120), None, None, lambda _text: None)
        assert str(getattr(reply, "text", "")).startswith("[")
        assert model.pid == pid
