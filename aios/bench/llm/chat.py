"""A chat server's work: concurrent clients with a system prompt in common, everyone warm, over HTTP and without it."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx2

from aios.bench.chart import Chart
from aios.bench.llm.ours import TimedStream, kernel_over, loaded, say, submit
from aios.bench.llm.peers import PeerProcess, PeerServer, cores, xllamacpp
from aios.bench.llm.workload import chats
from aios.kernel import Run
from aios_syscalls import AiosError, Chat, ModelFailed

SLOTS, CONTEXT, TOKENS = 16, 512, 32
CLIENTS = (8, 16)

Ask = Callable[[Chat], Awaitable[int]]
"""One request; how many tokens were written."""
RunClients = Callable[[Sequence[Sequence[Chat]]], Awaitable[tuple[int, float]]]
"""Each client's requests; tokens written and seconds."""

OURS_HTTP, OURS, SERVER, XLLAMACPP = "ours_http", "ours", "example_server", "xllamacpp"
LLAMA, LLAMA_CORES = "one_at_a_time", "one_at_a_time_all_cores"
"""llama_cpp.Llama as it comes, with half of the cores for writing, and with all."""
RATIOS = {
    "vs_example_server_8": (OURS_HTTP, SERVER, 8),
    "vs_example_server_16": (OURS_HTTP, SERVER, 16),
    "vs_xllamacpp_16": (OURS, XLLAMACPP, 16),
    "vs_one_at_a_time_16": (OURS, LLAMA, 16),
    "vs_one_at_a_time_all_cores_16": (OURS, LLAMA_CORES, 16),
}
"""The figure -> ours, the peer, clients: over HTTP against a server, without it against what runs in process."""
CHART = Chart(
    "chat server",
    "tokens/s of all clients",
    {
        name: {f"{clients} clients": f"chat{clients}_{name}_tokens_per_s" for clients in CLIENTS}
        for name in (OURS_HTTP, SERVER, OURS, XLLAMACPP, LLAMA, LLAMA_CORES)
    },
)


async def measure(model: Path, rounds: int, each: int) -> tuple[dict[str, float | None], dict[str, str]]:
    """Figures, and reasons for those that are missing; `each` requests a client and round, medians over the rounds."""
    rates: dict[tuple[str, int], list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        contenders = await _contenders(stack, model, reasons)
        number = 0
        for round in range(-1, rounds):  # the first warms everyone up: the same system prompt, other questions
            stage = f"round {round + 1}" if round >= 0 else "warming up"
            for clients in CLIENTS:
                asked = [chats(number + each * client, each, TOKENS) for client in range(clients)]
                number += clients * each
                for name, run in [*contenders.items()]:
                    say(f"chat server, {clients} clients, {name}, {stage}")
                    try:
                        tokens, seconds = await run(asked)
                    except AiosError as error:
                        reasons[name] = error.message
                        del contenders[name]
                        continue
                    if round >= 0:
                        rates[name, clients].append(tokens / seconds)
    return _figures(rates, reasons)


def _figures(
    rates: Mapping[tuple[str, int], Sequence[float]], reasons: Mapping[str, str]
) -> tuple[dict[str, float | None], dict[str, str]]:
    figures: dict[str, float | None] = {}
    missing: dict[str, str] = {}
    for figure, (ours, peer, clients) in RATIOS.items():
        if lost := reasons.get(ours) or reasons.get(peer):
            figures[figure], missing[figure] = None, lost
        else:
            figures[figure] = statistics.median(rates[ours, clients]) / statistics.median(rates[peer, clients])
    for name, row in CHART.series.items():
        for clients, figure in zip(CLIENTS, row.values(), strict=True):
            figures[figure] = None if name in reasons else statistics.median(rates[name, clients])
            if name in reasons:
                missing[figure] = reasons[name]
    return figures, missing


async def _contenders(stack: AsyncExitStack, model: Path, reasons: dict[str, str]) -> dict[str, RunClients]:
    """Everyone, ready; for a peer that cannot be had, the reason."""
    local = await stack.enter_async_context(loaded(model, SLOTS, CONTEXT))
    kernel = await stack.enter_async_context(kernel_over(local))
    endpoint = await stack.enter_async_context(PeerServer.ours(model, SLOTS, CONTEXT))
    contenders: dict[str, RunClients] = {
        OURS_HTTP: _over_http(endpoint),
        OURS: lambda asked: _clients(asked, _in_process(kernel)),
    }
    settings = {"model": str(model), "slots": SLOTS, "context": CONTEXT, "threads": cores()}

    async def server() -> RunClients:
        return _over_http(await stack.enter_async_context(PeerServer.example(model, SLOTS, CONTEXT, cores())))

    async def threads() -> RunClients:
        python = await anyio.to_thread.run_sync(xllamacpp)
        return _threads(await stack.enter_async_context(PeerProcess.started("xllamacpp", settings, python)))

    async def llama(threads: int | None) -> RunClients:
        return _llama(await stack.enter_async_context(PeerProcess.started("llama", {**settings, "threads": threads})))

    starts: dict[str, Callable[[], Awaitable[RunClients]]] = {
        SERVER: server,
        XLLAMACPP: threads,
        LLAMA: lambda: llama(None),
        LLAMA_CORES: lambda: llama(cores()),
    }
    for name, start in starts.items():
        say(f"starting {name}")
        try:
            contenders[name] = await start()
        except AiosError as error:
            reasons[name] = error.message
    return contenders


async def _clients(asked: Sequence[Sequence[Chat]], ask: Ask) -> tuple[int, float]:
    """Clients together, each with its requests one after the other."""
    tokens = 0

    async def client(chats: Sequence[Chat]) -> None:
        nonlocal tokens
        for chat in chats:
            written = await ask(chat)  # not within the sum, which would be of before the wait
            tokens += written

    began = time.perf_counter()
    try:
        async with anyio.create_task_group() as tasks:
            for chats in asked:
                tasks.start_soon(client, chats)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures  # what ends one client ends them all
    return tokens, time.perf_counter() - began


def _in_process(kernel: Run) -> Ask:
    async def ask(chat: Chat) -> int:
        return (await submit(kernel, chat, TimedStream())).usage.completion_tokens

    return ask


def _over_http(server: PeerServer) -> RunClients:
    async def run(asked: Sequence[Sequence[Chat]]) -> tuple[int, float]:
        async with server.awake() as http:

            async def ask(chat: Chat) -> int:
                try:
                    response = await http.post("/v1/chat/completions", json={**request(chat), "model": "bench"})
                    response.raise_for_status()
                    return int(response.json()["usage"]["completion_tokens"])
                except (httpx2.HTTPError, KeyError, ValueError) as error:
                    raise ModelFailed(f"{server.name} did not answer: {error!r}") from error

            return await _clients(asked, ask)

    return run


def _threads(peer: PeerProcess) -> RunClients:
    async def run(asked: Sequence[Sequence[Chat]]) -> tuple[int, float]:
        answer = await peer.ask({"clients": [[request(chat) for chat in chats] for chats in asked]})
        return answer["tokens"], answer["seconds"]

    return run


def _llama(peer: PeerProcess) -> RunClients:
    async def run(asked: Sequence[Sequence[Chat]]) -> tuple[int, float]:
        scripts = [
            {"opening": asks[:-1], "says": [asks[-1]["content"]], "tokens": chat.max_tokens}
            for chats in asked
            for chat in chats
            if (asks := request(chat)["messages"])
        ]
        answer = await peer.ask({"scripts": scripts, "again": False})
        return answer["tokens"], answer["seconds"]

    return run


def request(chat: Chat) -> dict[str, Any]:
    """A chat as OpenAI's API has it, greedy."""
    messages = [{"role": each.role, "content": each.content} for each in chat.messages]
    return {"messages": messages, "max_tokens": chat.max_tokens, "temperature": 0, "stream": False}
