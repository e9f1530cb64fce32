"""Clients of the wires as processes: one a session, sub-agents below it, killed, bounded, out of agents' reach."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from aios.boot import run_on_daemon
from aios.config import Config, WallConfig
from aios.link.place import Place
from aios.server import callers
from aios.server.daemon import Daemon
from aios.server.tokens import home_token
from aios_syscalls import Denied, Spawn, Wait
from tests.daemon.conftest import ServedHome, Serving

pytestmark = pytest.mark.anyio

ASKED = {"model": "any", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def http(served: ServedHome) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {home_token(Place.of_home().token)}"}
    url = await served.daemon.listen()
    async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=None) as client:
        yield client


async def ask(client: httpx2.AsyncClient, session: str, **headers: str) -> httpx2.Response:
    told = {"x-claude-code-session-id": session, "user-agent": "claude-cli/2.1 (external)", **headers}
    return await client.post("/v1/messages", json=ASKED, headers=told)


def table(served: ServedHome) -> list[tuple[str, str, int]]:
    """Program, task and parent of each process of the sessions' run."""
    (run,) = served.kernel.runs.values()
    return [(each.program, each.task, each.parent) for each in run.processes if each.state.alive]


async def test_a_session_is_one_process_and_its_sub_agents_are_its_children(serving: Serving) -> None:
    async with serving("fine") as served, http(served) as client:
        for session in ("one", "two", "one"):
            assert (await ask(client, session)).status_code == 200
        assert (await ask(client, "one", **{"x-claude-code-agent-id": "helper"})).status_code == 200
        assert table(served) == [("claude-cli", "one", 0), ("claude-cli", "two", 0), ("claude-cli", "helper", 1)]


async def test_a_killed_session_is_told_to_stop_and_others_go_on(serving: Serving) -> None:
    async with serving("fine") as served, http(served) as client:
        for session in ("one", "two"):
            await ask(client, session)
        await served.ask(kill=1)
        told = await ask(client, "one")
        assert told.status_code == 400  # which a client does not try again
        assert "killed this session" in told.json()["error"]["message"]
        assert (await ask(client, "two")).status_code == 200


async def test_a_killed_sessions_answer_under_way_breaks_off(serving: Serving) -> None:
    async with serving("word " * 10_000, delay_s=0.01) as served, http(served) as client:
        asked = {**ASKED, "max_tokens": 10_000, "stream": True}
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
                async for piece in answer.aiter_bytes():
                    if b"word" in piece:
                        await served.ask(kill=1)
        assert (await served.ask(status=True))["calls"] == 0


async def test_a_token_has_so_many_sessions_and_no_more(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "MAX_SESSIONS", 3)
    async with serving("fine") as served, http(served) as client:
        codes = [(await ask(client, str(number))).status_code for number in range(4)]
        assert codes == [200, 200, 200, 429]
        refused = await ask(client, "fifth")
        assert int(refused.headers["retry-after"]) > 0
        await served.ask(kill=1)
        assert (await ask(client, "fifth")).status_code == 200


async def test_a_session_that_is_idle_for_too_long_ends(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "IDLE_S", 0.02)
    async with serving("fine") as served, http(served) as client:
        await ask(client, "one")
        while table(served):
            await anyio.lowlevel.checkpoint()
        assert (await ask(client, "one")).status_code == 200  # as another process


async def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    assert home_token(token) == home_token(token)
    token.chmod(0o644)
    with pytest.raises(Denied, match="mode 644"):
        home_token(token)


LOOKS = """
import socket

async def main(agent, task):
    found = []
    token, address = task.split()
    try:
        found.append(open(token).read().strip())
    except OSError:
        found.append("no token")
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
        found.append("connected")
    except OSError:
        found.append("no socket")
    return " ".join(found)
"""


@pytest.mark.whole
@pytest.mark.parametrize("level", ["auto", "off"])
async def test_an_agent_behind_the_wall_gets_neither_token_nor_socket(
    serving: Serving, tmp_path: Path, level: Any
) -> None:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "looks.py").write_text(LOOKS)
    (tmp_path / "root").mkdir()
    config = Config(root=tmp_path / "root", agents=(tmp_path / "programs",), wall=WallConfig(level=level))
    place = Place.of_home()
    async with serving("x"), run_on_daemon(config) as run:
        task = f"{place.token} {place.address}"
        pid = (await run.run.submit(Spawn(program="looks", task=task))).pid
        found = (await run.run.submit(Wait(pid=pid))).process
        wanted = "no token no socket" if level == "auto" else f"{home_token(place.token)} connected"
        assert found.result == wanted, found.error


def test_the_address_may_be_longer_than_a_sockets_path(tmp_path: Path) -> None:
    place = Place(tmp_path / ("long" * 30) / "daemon")
    place.directory.mkdir(parents=True)
    with place.listen() as listening:
        assert isinstance(listening, socket.socket)
        dialled = place.dial()
        assert dialled is not None
        dialled.close()


async def test_sessions_that_begin_after_a_reload_are_of_the_new_configuration(serving: Serving, home: Path) -> None:
    async with serving("fine") as served, http(served) as client:
        assert (await ask(client, "one")).status_code == 200
        (home / "config").mkdir(exist_ok=True, parents=True)
        (home / "config" / "config.toml").write_text("[budget]\ncalls = 2\n")
        assert (await served.ask(reload=True))["taken"] == ["budget"]
        codes = {who: [(await ask(client, who)).status_code for _ in range(4)] for who in ("one", "two", "three")}
        assert codes == {"one": [200] * 4, "two": [200, 200, 402, 402], "three": [200, 200, 402, 402]}
        assert len(served.kernel.runs) == 2
        await served.ask(kill=1)  # the last session of the old configuration
        with anyio.fail_after(10):
            while len(served.kernel.runs) > 1:
                await anyio.lowlevel.checkpoint()
        assert (await ask(client, "one")).status_code == 400
        assert (await ask(client, "four")).status_code == 200


async def test_http_is_served_where_it_was_unless_another_program_is_there(serving: Serving) -> None:
    async with serving("fine") as served:
        first = int((await served.daemon.listen()).rpartition(":")[2])
        place = served.place
    with Daemon(Config(), place)._bind() as again:
        assert again.getsockname()[1] == first
        with Daemon(Config(), place)._bind() as other:
            assert other.getsockname()[1] not in (0, first)
