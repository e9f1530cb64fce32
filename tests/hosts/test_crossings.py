"""Graphs of agents in processes of their own: how often they cross the socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aios.cores.chat_meter import ChatMeter
from aios.frames import Frames
from aios.hosts.process import ProcessHost
from aios.kernel import Lane, Turn, by_family, lone_run
from aios.record import History, SqliteJournal, read_events
from aios.scheduler import Fifo
from aios_syscalls import Chat, ChatReply, Reply, Spawn, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

PROGRAM = """
from aios.sdk import Agent
async def main(agent: Agent, task: str) -> str:
    graph = agent.graph()
    step = graph.chat("0")
    for number in range(1, 10):
        step = graph.chat(f"{number}<{step}>")
    text = (await step).text
    try:
        bad = graph.chat("bad")
        await graph.chat(f"after {bad}")
    except Exception as error:
        return f"{text} {type(error).__name__}"
    return "no error"
"""


class Echo:
    """Says what it was told, and fails on `bad`."""

    async def run(self, turn: Turn) -> Reply:
        assert isinstance(turn.call, Chat)
        text = turn.call.messages[0].content
        if text == "bad":
            raise ValueError("bad")
        return ChatReply(text=text)


async def test_a_chain_of_ten_crosses_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chain.py").write_text(PROGRAM)
    received: list[Any] = []
    receive = Frames.receive

    async def counted(self: Frames) -> Any:
        received.append(await receive(self))
        return received[-1]

    monkeypatch.setattr(Frames, "receive", counted)
    path = tmp_path / "j.db"
    async with SqliteJournal(path) as journal, ProcessHost(tmp_path / "logs", [tmp_path]) as host:
        async with lone_run([Lane("llm", Echo(), Fifo(), 4, meter=ChatMeter())], by_family, host, journal) as kernel:
            pid = (await kernel.submit(Spawn(program="chain"))).pid
            process = (await kernel.submit(Wait(pid=pid))).process
    text = "".join(f"{number}<" for number in range(9, 0, -1)) + "0" + ">" * 9
    assert process.result == f"{text} InputFailed"
    assert [frame["call"]["call"] for frame in received if "call" in frame] == ["process.graph"] * 2
    assert len(received) == 3
    history = History.of(read_events(path))
    assert history.ended_once()
    assert sum(call.name == "llm.chat" for call in history.calls.values()) == 11
