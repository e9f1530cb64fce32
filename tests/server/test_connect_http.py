"""`aios.connect` with a URL and a token: the same agent over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from pydantic_core import from_json, to_json

import aios
from aios.client.gone import listening
from aios.client.http_port import HttpPort
from aios.client.order import client_order
from aios.link.greeting import greeting
from aios.sdk import Agent
from aios_syscalls import (
    BadRequest,
    Budget,
    BudgetExceeded,
    Cancelled,
    Conflict,
    Denied,
    NoKernel,
    NotFound,
    Overloaded,
)
from tests.server.connecting import LONG, HttpDaemon, TellingModel, daemon_over_http, happens

pytestmark = pytest.mark.anyio
TOKEN = "token-of-ann"
CALLS, SESSION = "/aios/v1/calls", "/aios/v1/session"


async def test_a_client_over_http_asks_streams_and_keeps_files(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        async with aios.connect("far", tmp_path, url=daemon.url, token=TOKEN) as agent:
            assert await agent.ask("hello") == "you said hello"
            async with agent.stream("one\u2028two") as stream:
                assert [piece async for piece in stream] == ["you ", "said ", "one\u2028", "two"]
            await agent.write("note.txt", "kept")
            assert [row.program for row in await agent.ps()] == ["far"]
    assert (tmp_path / "note.txt").read_text() == "kept"


async def test_many_calls_at_once_are_each_answered(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as agent:
            answers = await agent.gather(*(agent.ask(str(n)) for n in range(40)))
    assert answers == [f"you said {n}" for n in range(40)]


async def test_errors_are_those_of_the_kernel(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN, budget=Budget(calls=2)) as agent:
            with pytest.raises(NotFound):
                await agent.read("nothing")
            await agent.ask("one")
            with pytest.raises(BudgetExceeded):
                await agent.ask("two")


async def test_a_large_answer_comes_whole(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 5_000_000)
    with daemon_over_http(TellingModel()) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as agent:
            assert await agent.read_bytes("large") == b"x" * 5_000_000


async def test_a_root_that_is_not_there_is_refused_over_http_too(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        with pytest.raises(NotFound, match="no directory"):
            async with aios.connect(root=tmp_path / "nowhere", url=daemon.url, token=TOKEN):
                pass


async def test_a_wrong_token_opens_nothing_and_the_right_one_does(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        for token in ("wrong", "", "töken"):
            with pytest.raises((Denied, BadRequest), match="token"):
                async with aios.connect(root=tmp_path, url=daemon.url, token=token):
                    pass
        assert daemon.runs() == 0
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN):
            assert daemon.runs() == 1


async def test_a_session_is_of_its_token_alone(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        async with raw_session(daemon, tmp_path) as (http, session):
            call = {"session": session, "stream": False, "call": {"call": "process.list"}}
            theirs = await post(http, CALLS, call, "token-of-bob")
            ours = await post(http, CALLS, call, TOKEN)
    assert theirs["error"]["code"] == "no_kernel"
    assert "ok" in ours


async def test_a_url_where_no_daemon_is_says_so(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        with pytest.raises(NoKernel, match="no daemon of aios"):
            async with aios.connect(root=tmp_path, url=f"{daemon.url}/elsewhere", token=TOKEN):
                pass
    for url in (daemon.url, "http://127.0.0.1:1"):
        with pytest.raises(NoKernel, match="aios up"):
            async with aios.connect(root=tmp_path, url=url, token=TOKEN):
                pass
    for url in ("127.0.0.1:1", "ftp://127.0.0.1"):
        with pytest.raises(BadRequest, match="aios token --url"):
            async with aios.connect(root=tmp_path, url=url, token=TOKEN):
                pass


async def test_a_killed_client_is_told_so_over_http_and_others_go_on(tmp_path: Path) -> None:
    model = TellingModel()
    told: list[str] = []

    async def ask(agent: Agent) -> None:
        with pytest.raises(Cancelled, match="killed") as caught:
            await agent.chat("for ever", max_tokens=LONG)
        told.append(caught.value.message)

    with daemon_over_http(model) as daemon:
        async with (
            aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as killed,
            aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as other,
            other.stream("for ever", max_tokens=LONG) as stream,
        ):
            assert await anext(stream) == "tick "
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, killed)
                await reach(model, 2)
                await anyio.to_thread.run_sync(daemon.kill, killed.pid)
            assert len(told) == 1
            with pytest.raises(Cancelled, match="killed"):
                await killed.ask("again")
            assert await anext(stream) == "tick "  # the control: nobody killed this one


async def test_a_lost_session_cancels_its_calls_and_ends_its_process(tmp_path: Path) -> None:
    model = TellingModel()
    with daemon_over_http(model) as daemon:
        async with anyio.create_task_group() as tasks:
            async with raw_session(daemon, tmp_path) as (_, session):
                tasks.start_soon(forget_answer, daemon, {"session": session, "stream": True, "call": for_ever()})
                await happens(model.busy)
                assert daemon.runs() == 1  # the control: as long as the session is there, its call runs
                assert model.running == 1
            await happens(model.idle)
            with anyio.fail_after(20):
                while daemon.runs():
                    await anyio.lowlevel.checkpoint()


async def test_who_hangs_up_on_a_call_cancels_it_and_keeps_the_session(tmp_path: Path) -> None:
    model = TellingModel()
    with daemon_over_http(model) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as agent:
            async with agent.stream("for ever", max_tokens=LONG) as stream:
                assert await anext(stream) == "tick "
            await happens(model.idle)
            assert await agent.ask("next") == "you said next"


async def test_when_the_daemon_goes_calls_over_http_say_so(tmp_path: Path) -> None:
    model = TellingModel()
    with daemon_over_http(model) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as agent:
            with pytest.raises(NoKernel, match="aios up"):
                async with agent.stream("for ever", max_tokens=LONG) as stream:
                    assert await anext(stream) == "tick "
                    daemon.end()
                    async for _ in stream:
                        pass
            with pytest.raises(NoKernel):
                await agent.ask("again")


async def test_a_token_has_so_many_sessions_and_others_have_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aios.server.http_calls.MAX_SESSIONS", 1)
    with daemon_over_http(TellingModel()) as daemon:
        async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN):
            with pytest.raises(Overloaded, match="sessions"):
                async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN):
                    pass
            async with aios.connect(root=tmp_path, url=daemon.url, token="token-of-bob") as other:
                assert await other.ask("me") == "you said me"


async def test_a_client_that_does_not_read_its_answers_holds_up_nobody_over_http(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 5_000_000)
    with daemon_over_http(TellingModel()) as daemon:
        async with raw_session(daemon, tmp_path) as (http, session):
            call = {"call": "file.read", "path": "large"}
            body = to_json({"session": session, "stream": False, "call": call})
            async with http.stream("POST", CALLS, content=body), http.stream("POST", CALLS, content=body):
                async with aios.connect(root=tmp_path, url=daemon.url, token=TOKEN) as other:
                    assert await other.ask("me") == "you said me"
        with anyio.fail_after(20):
            while daemon.runs():
                await anyio.lowlevel.checkpoint()


async def test_what_is_no_call_gets_a_typed_answer(tmp_path: Path) -> None:
    with daemon_over_http(TellingModel()) as daemon:
        async with raw_session(daemon, tmp_path) as (http, session):
            large = {"session": session, "call": {"call": "llm.chat", "x": "x" * 2_000_000}}
            wrong: list[tuple[Any, str]] = [
                (large, "bad_request"),
                ([], "bad_request"),
                ({"session": session}, "bad_request"),
                ({"session": session, "call": {"call": "no.such"}}, "bad_request"),
                ({"session": 7, "call": {"call": "process.list"}}, "no_kernel"),
                ({"session": "x", "call": {"call": "process.list"}}, "no_kernel"),
            ]
            for said, code in wrong:
                assert (await post(http, CALLS, said, TOKEN))["error"]["code"] == code
            text = await http.post(CALLS, content=b"{}", headers=head(TOKEN) | {"content-type": "text/plain"})
            assert text.status_code == 400
            deep = await http.post(CALLS, content=b"[" * 100_000, headers=head(TOKEN))
            assert from_json(deep.content)["error"]["code"] == "bad_request"
            assert (await http.get(CALLS, headers=head(TOKEN))).status_code == 405
            assert (await http.post(CALLS, content=b"{}", headers=head("wrong"))).status_code == 401


async def test_a_client_of_another_protocol_is_told_so_over_http(tmp_path: Path) -> None:
    said = {**greeting("client", order=client_order(tmp_path, None, None, 0)), "aios": 99}
    with daemon_over_http(TellingModel()) as daemon:
        async with httpx2.AsyncClient(base_url=daemon.url) as http:
            answer = await post(http, SESSION, said, TOKEN)
    assert answer["error"]["code"] == Conflict.code
    assert "aios restart" in answer["error"]["message"]


@asynccontextmanager
async def raw_session(daemon: HttpDaemon, root: Path) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """A session of a client that does what it likes."""
    said = greeting("client", order=client_order(root, None, None, 0), program="raw")
    async with httpx2.AsyncClient(base_url=daemon.url, headers=head(TOKEN), timeout=None) as http:
        port = HttpPort(http, daemon.url)
        async with listening(port.listen, to_json(said)):
            await port.opened()
            yield http, port.session


async def forget_answer(daemon: HttpDaemon, said: dict[str, Any]) -> None:
    async with httpx2.AsyncClient(base_url=daemon.url, timeout=None) as http:
        await post(http, CALLS, said, TOKEN)


async def post(http: httpx2.AsyncClient, path: str, said: Any, token: str) -> Any:
    """The last line of the answer."""
    response = await http.post(path, content=to_json(said), headers=head(token))
    return from_json(response.content.splitlines()[-1])


def head(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def for_ever() -> dict[str, Any]:
    return {"call": "llm.chat", "messages": [{"role": "user", "content": "for ever"}], "max_tokens": 100_000}


async def reach(model: TellingModel, running: int) -> None:
    """Wait until so many calls run."""
    with anyio.fail_after(20):
        while model.running != running:
            await anyio.lowlevel.checkpoint()
