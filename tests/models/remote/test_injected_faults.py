"""A thousand calls over two real servers of which one fails often, or both now and then."""

from __future__ import annotations

import random
import threading
from contextlib import ExitStack

import anyio
import pytest

from aios.models.remote.model import RemoteModel
from aios.record import Kind
from aios.routing.retries import MAX_ATTEMPTS
from aios.routing.router import Profile
from aios_syscalls import ModelFailed
from tests.cores.routed import Routed, chat, routed
from tests.models.remote.fault_server import LAST_CHUNK, STREAM, FaultServer, Peer, chunked, events, head

pytestmark = pytest.mark.anyio

CALLS, AT_ONCE = 1000, 16
GOOD = STREAM + chunked(
    events(
        {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
        "[DONE]",
    )
)
FAULTS = [head(status, "Content-Length: 0") for status in (429, 500, 502, 503)]


class Flaky:
    """Answers a share of requests with a fault, as the dice have it."""

    def __init__(self, share: float, seed: int) -> None:
        self.faults, self._share, self._dice, self._lock = 0, share, random.Random(seed), threading.Lock()

    def __call__(self, peer: Peer) -> bool:
        with self._lock:
            fault = self._dice.choice(FAULTS) if self._dice.random() < self._share else None
            self.faults += fault is not None
        peer.send(fault or GOOD + LAST_CHUNK)
        return True


async def thousand(bench: Routed) -> list[str]:
    """The errors of the calls that were not answered, so many of them being made at a time."""
    errors: list[str] = []
    numbers = iter(range(CALLS))

    async def worker() -> None:
        for number in numbers:
            try:
                assert await bench.ask(chat(f"call {number}", max_tokens=9)) == ("Hello", "Hello")
            except ModelFailed as error:
                errors.append(error.message)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(worker)
    return errors


@pytest.mark.parametrize(
    ("strategy", "shares", "success"),
    [
        ("explicit", (0.3, 0.0), 0.995),
        ("round_robin", (0.3, 0.0), 0.995),
        ("round_robin", (0.1, 0.1), 0.99),
        ("learned", (0.1, 0.1), 0.99),
    ],
)
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_thousand_calls(strategy: str, shares: tuple[float, float], success: float) -> None:
    flaky = [Flaky(share, seed) for seed, share in enumerate(shares)]
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer([each])) for each in flaky]
        models = [RemoteModel(server.url, "m", name=name) for name, server in zip("ab", servers, strict=True)]
        async with routed(*models, strategy=strategy, profiles={name: Profile() for name in "ab"}) as bench:
            errors = await thousand(bench)
        sent = sum(len(server.seen) for server in servers)
        starts = max(len(record_lanes) for record_lanes in lanes(bench).values())
    faults, answered = sum(each.faults for each in flaky), CALLS - len(errors)
    print(f"{strategy} {shares}: {answered} of {CALLS} answered, {sent} requests, {faults} faults")
    assert faults > 0
    assert all("HTTP" in error or "unhealthy" in error for error in errors)
    assert answered >= success * CALLS
    assert sent <= 1.3 * CALLS
    assert starts <= MAX_ATTEMPTS


def lanes(bench: Routed) -> dict[int, list[str]]:
    """Of each call, the lanes on which it began."""
    found: dict[int, list[str]] = {}
    for event in bench.events:
        if event.kind is Kind.STARTED:
            found.setdefault(event.n, []).append(event.data["lane"])
    return found
