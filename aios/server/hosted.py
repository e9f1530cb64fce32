"""What a client does for its run: it hosts the processes and runs the tools, so the daemon imports no user's code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import anyio

from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.hosts.serve import serve_agent
from aios.kernel import Turn
from aios.link.peer import Peer
from aios.server.channels import ARRIVE_S, Arrival, Channels
from aios_syscalls import AgentFailed, Cancelled, Reply
from aios_syscalls.port import ProcessPort
from aios_syscalls.wire import call_to_object, reply_from_object


class ClientHost:
    """Runs each program in a process of the client's, over a channel of that process's own."""

    def __init__(self, client: Peer, channels: Channels) -> None:
        self._client, self._channels = client, channels
        self._held = HeldBytes.of_all()
        self._agents: dict[int, _ClientAgent] = {}

    async def find(self, program: str) -> str:
        return str(await self._client.ask({"find": program}))

    async def run(self, program: str, task: str, port: ProcessPort, pid: int) -> str:
        agent = self._agents[pid] = _ClientAgent(self._client, program, pid)
        async with self._channels.expected() as arrival:
            try:
                agent.order = await self._client.ask({"start": pid, "program": program, "secret": arrival.secret})
                return await serve_agent(agent, task, await _frames(arrival, program), port, self._held)
            finally:
                # Before its channel is closed, which it would take for the end of the kernel.
                del self._agents[pid]
                with anyio.CancelScope(shield=True), suppress(Cancelled):
                    await self._client.ask({"end": pid, "at_once": agent.at_once})

    def end_at_once(self, pids: Iterable[int]) -> None:
        """When these come to be ended, they get no time to end by themselves."""
        for pid in pids:
            if agent := self._agents.get(pid):
                agent.at_once = True

    def exited(self, pid: int) -> None:
        """A process has ended, as the client says."""
        if agent := self._agents.get(pid):
            agent.exited.set()


class ClientTools:
    """The tool family, served by the client."""

    def __init__(self, client: Peer) -> None:
        self._client = client

    async def run(self, turn: Turn) -> Reply:
        outcome = await self._client.ask({"tool": call_to_object(turn.call)})
        reply: Reply = reply_from_object(turn.call, {"ok": outcome})
        return reply


class _ClientAgent:
    """A process of the client's; see `AgentProcess`."""

    def __init__(self, client: Peer, program: str, pid: int) -> None:
        self.program = program
        self.order: Mapping[str, Any] = {}
        self.exited = anyio.Event()
        self.at_once = False
        """Whether it is to be killed rather than asked to end."""
        self._client, self._pid = client, pid

    async def leave(self) -> None:
        await self._client.ask({"leave": self._pid})

    async def exit_reason(self) -> str:
        return str(await self._client.ask({"exit_reason": self._pid}))


async def _frames(arrival: Arrival, program: str) -> Frames:
    with anyio.move_on_after(ARRIVE_S):
        await arrival.here.wait()
    if arrival.frames is None:
        raise AgentFailed(f"{program} was started and did not connect within {ARRIVE_S:g} s; try again")
    return arrival.frames
