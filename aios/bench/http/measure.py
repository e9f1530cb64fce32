"""Measures the daemon's wires beside a bare route and the kernel's own call, in turns."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
from pydantic_core import to_json

from aios.bench import Report, at_least, at_most
from aios.bench.http.wires import BODIES, STREAMED, TOKENS, Connection
from aios.bench.overhead import noop_throughput
from aios.link.control import ask_daemon
from aios.link.launch import start_daemon
from aios.link.place import Place
from aios.python import child_path, module_command
from aios.server.tokens import home_token

CLIENTS = 8
START_S = 30.0
REMOTE = """
[models.far]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
model = "none"
"""


def main(quick: bool) -> Report:
    """Calls a second, latency, streamed tokens; what is left when clients vanish; how soon and large a daemon is."""
    rounds, calls, vanishing = (3, 300, 50) if quick else (7, 1_500, 1_000)
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        place = Path(scratch)
        environment = {**os.environ, "AIOS_HOME": str(place / "home"), "PYTHONPATH": child_path()}
        daemon, _ = stack.enter_context(_served(place, environment, "daemon"))
        token = home_token(place / "home" / "state" / "daemon" / "token")
        answers = asyncio.run(_answers(daemon, token))
        (place / "answers").write_bytes(to_json(answers))
        bare, _ = stack.enter_context(_served(place, environment, "bare", str(place / "answers")))
        figures = asyncio.run(_measured(daemon, bare, token, rounds, calls))
        home = Place(place / "home" / "state" / "daemon")
        figures["disconnect_leaks"] = asyncio.run(_leaks(daemon, token, home, vanishing))
    figures |= _start()
    return Report.of(
        "http",
        figures,
        [
            at_least("chat_share", 0.5),
            at_least("messages_share", 0.5),
            at_most("http_latency_ratio", 5.0),
            at_most("disconnect_leaks", 0),
            at_most("ready_s", 2.0),
            at_most("rss_mb", 150),
        ],
        notes=[
            "a share is calls a second over 1 / (1/bare + 1/noop): bare is a Starlette route that validates the same "
            "body and returns the same bytes, noop the kernel's own call; medians of rounds that take turns"
        ],
    )


@contextmanager
def _served(place: Path, environment: Mapping[str, str], kind: str, *more: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its URL and the process."""
    told = place / f"{kind}-url"
    command = module_command("aios.bench.http.server", str(told), kind, *more)
    with subprocess.Popen(command, env=dict(environment)) as process:
        try:
            until = time.monotonic() + START_S
            while not (told.exists() and told.read_text()):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the {kind} server did not start")
                time.sleep(0.02)
            yield told.read_text(), process.pid
        finally:
            process.terminate()


async def _answers(url: str, token: str) -> dict[str, str]:
    """What the daemon answers to each request, for the bare route to return."""
    found = {}
    for path, body in BODIES.items():
        connection = await Connection.to(url, token)
        connection.ask(path, body)
        found[path] = (await connection.answer()).decode()
        connection.close()
    return found


async def _measured(daemon: str, bare: str, token: str, rounds: int, calls: int) -> dict[str, float]:
    rates: dict[str, list[float]] = {}
    latencies: dict[str, list[float]] = {"daemon": [], "bare": []}
    for _ in range(rounds):
        for path, name in (("/v1/chat/completions", "chat"), ("/v1/messages", "messages")):
            for who, url in (("bare", bare), ("daemon", daemon)):
                rates.setdefault(f"{who}_{name}", []).append(await _rate(url, token, path, calls))
        rates.setdefault("noop", []).append(await _noop(calls))
        for who, url in (("bare", bare), ("daemon", daemon)):
            latencies[who] += await _latencies(url, token, calls // 5)
        for name, url, path in (("daemon_tokens", daemon, "/v1/chat/completions"), ("bare_tokens", bare, "/stream")):
            rates.setdefault(name, []).append(await _streamed(url, token, path, calls // 50))
    middle = {name: statistics.median(each) for name, each in rates.items()}
    p50 = {who: statistics.median(each) * 1_000 for who, each in latencies.items()}
    return {
        **{f"{name}_share": _share(middle, name) for name in ("chat", "messages")},
        "http_latency_ratio": p50["daemon"] / p50["bare"],
        "stream_token_ratio": middle["daemon_tokens"] / middle["bare_tokens"],
        **{f"{name}_per_s": rate for name, rate in middle.items()},
        **{f"{who}_p50_ms": value for who, value in p50.items()},
    }


def _share(middle: Mapping[str, float], name: str) -> float:
    bound = 1 / (1 / middle[f"bare_{name}"] + 1 / middle["noop"])
    return middle[f"daemon_{name}"] / bound


async def _noop(calls: int) -> float:
    """In a process's own thread, as the overhead bench measures it."""
    with tempfile.TemporaryDirectory() as directory:
        return await asyncio.to_thread(anyio.run, noop_throughput, Path(directory) / "noop.db", calls)


async def _rate(url: str, token: str, path: str, calls: int) -> float:
    """Calls a second of some clients together."""

    async def client() -> None:
        connection = await Connection.to(url, token)
        for _ in range(calls // CLIENTS):
            connection.ask(path, BODIES[path])
            await connection.answer()
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return calls // CLIENTS * CLIENTS / (time.perf_counter() - began)


async def _latencies(url: str, token: str, calls: int) -> list[float]:
    connection, found = await Connection.to(url, token), []
    path = "/v1/chat/completions"
    for _ in range(calls):
        began = time.perf_counter()
        connection.ask(path, BODIES[path])
        await connection.answer()
        found.append(time.perf_counter() - began)
    connection.close()
    return found


async def _streamed(url: str, token: str, path: str, calls: int) -> float:
    """Tokens a second of one client that is streamed to."""
    connection = await Connection.to(url, token)
    began = time.perf_counter()
    for _ in range(max(1, calls)):
        connection.ask(path, STREAMED)
        await connection.answer()
    took = time.perf_counter() - began
    connection.close()
    return max(1, calls) * TOKENS / took


async def _leaks(url: str, token: str, place: Place, clients: int) -> float:
    """What is left of clients that vanish at random moments: calls under way, descriptors, processes."""
    dice = random.Random(1)

    async def vanish() -> None:
        connection = await Connection.to(url, token)
        connection.ask("/v1/chat/completions", STREAMED)
        await asyncio.sleep(dice.random() * 0.05)
        connection.abort()

    before = await _held(place)
    for _ in range(0, clients, CLIENTS):
        await asyncio.gather(*(vanish() for _ in range(CLIENTS)))
    for _ in range(100):
        after = await _held(place)
        if sum(max(0, after[name] - before[name]) for name in before) == 0:
            return 0.0
        await asyncio.sleep(0.05)
    return float(sum(max(0, after[name] - before[name]) for name in before))


async def _held(place: Place) -> dict[str, int]:
    status: dict[str, Any] = await ask_daemon(place, {"status": True})
    process = psutil.Process(status["os_pid"])
    return {"calls": status["calls"], "descriptors": process.num_fds(), "children": len(process.children())}


def _start() -> dict[str, float]:
    """How soon a daemon without a local model answers, and how much memory it has then."""
    with tempfile.TemporaryDirectory() as scratch:
        before = os.environ.get("AIOS_HOME")
        os.environ["AIOS_HOME"] = scratch
        try:
            config = Path(scratch, "config", "config.toml")
            config.parent.mkdir()
            config.write_text(REMOTE)
            began = time.perf_counter()
            started = start_daemon(Place.of_home())
            status = anyio.run(started.ready)
            ready = time.perf_counter() - began
            rss = psutil.Process(status["os_pid"]).memory_info().rss / 2**20
            anyio.run(ask_daemon, Place.of_home(), {"stop": True})
            started.process.wait(START_S)
        finally:
            if before is None:
                del os.environ["AIOS_HOME"]
            else:
                os.environ["AIOS_HOME"] = before
    return {"ready_s": ready, "rss_mb": rss}
