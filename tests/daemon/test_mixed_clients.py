"""Clients of both wires and of `aios.connect` at once on a real model: each gets the text that it gets alone."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx2
import pytest

import aios
from aios.artifacts import model_path
from aios.config import Config, LocalModelConfig
from aios.link.place import Place
from aios.server.daemon import Daemon
from aios.server.tokens import home_token

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

CLIENTS, TOKENS = 16, 24
FILE = Path(os.environ.get("AIOS_TEST_GGUF") or model_path())
"""Looked up before a test has a home of its own."""
Ask = Callable[[int], Awaitable[str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def question(number: int) -> str:
    return f"Write one sentence about the number {number}."


def by_wire(http: httpx2.AsyncClient, path: str) -> Ask:
    async def ask(number: int) -> str:
        asked = {"model": "m", "messages": [{"role": "user", "content": question(number)}], "max_tokens": TOKENS}
        said = (await http.post(path, json=asked, headers={"session-id": f"{path} {number}"})).json()
        text: str = said["content"][0]["text"] if "content" in said else said["choices"][0]["message"]["content"]
        return text

    return ask


async def by_connection(number: int) -> str:
    async with aios.connect(f"client-{number}") as agent:
        return (await agent.chat(question(number), max_tokens=TOKENS)).text


async def test_sixteen_clients_at_once_get_the_texts_that_each_gets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    config = Config(models={"m": LocalModelConfig(path=FILE, slots=4, requantize=False)})
    daemon, listening = Daemon(config, Place.of_home()), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.serve, listening.set)
        await listening.wait()
        url = await daemon.listen()
        headers = {"authorization": f"Bearer {home_token(Place.of_home().token)}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=None) as http:
            ways = [by_wire(http, "/v1/chat/completions"), by_wire(http, "/v1/messages"), by_connection]
            alone = [await ways[number % 3](number) for number in range(CLIENTS)]
            together: dict[int, str] = {}

            async def ask(number: int) -> None:
                together[number] = await ways[number % 3](number)

            async with anyio.create_task_group() as asking:
                for number in range(CLIENTS):
                    asking.start_soon(ask, number)
        tasks.cancel_scope.cancel()
    assert [together[number] for number in range(CLIENTS)] == alone
    assert len(set(alone)) > CLIENTS // 2
