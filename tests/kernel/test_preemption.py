"""What preemption costs, in the kernel: slices are for writing, and as long as their switches are worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from trio.testing import MockClock

from aios.context import Snapshot
from aios.cores.llm import LlmCore
from aios.models.base import NOBODY, Caller, Emit
from aios.models.scripted import ScriptedModel
from aios.record import Kind
from aios.scheduler import Quantum, RoundRobin
from aios.scheduler.quantum import FIRST_SLICE, MIN_SLICE
from aios_syscalls import Chat, ChatReply

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})])
TOKEN_S = 0.0625


class Restoring(ScriptedModel):
    """A scripted model whose paused answers take `restore_s` to come back."""

    def __init__(self, words: int, restore_s: float) -> None:
        super().__init__("word " * words, delay_s=TOKEN_S)
        self._restore_s = restore_s

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        if snapshot is not None:
            await anyio.sleep(self._restore_s)
        return await super().generate(chat, snapshot, budget, emit, caller)


async def run(opened: Any, say: Callable[..., Chat], restore_s: float, slice: int, quantum: Quantum | None) -> Any:
    """Two long answers that share a slot; the kernel's bench when they are done."""
    observe = quantum.observe if quantum else (lambda _tokens, _seconds: None)
    core = LlmCore(Restoring(1500, restore_s), resumed=observe)
    async with opened(core, RoundRobin(slice), quantum=quantum) as bench, anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(bench.run.submit, say(tokens=1500))
    return bench


@VIRTUAL
@pytest.mark.parametrize("restore_s", [0.0, 4.0])
async def test_a_call_paused_k_times_has_written_k_quanta_whatever_its_restores_took(
    opened: Any, say: Any, restore_s: float
) -> None:
    bench = await run(opened, say, restore_s, 40, None)
    for number in bench.history.calls:
        paused = [each.data["tokens"] for each in bench.events if each.id == number and each.kind is Kind.PAUSED]
        assert paused == [40 * (count + 1) for count in range(len(paused))]
        assert len(paused) == 1500 // 40


@VIRTUAL
async def test_costly_switches_get_long_slices_and_free_ones_short_ones(opened: Any, say: Any) -> None:
    free, costly = Quantum(), Quantum()
    await run(opened, say, 0.0, MIN_SLICE, free)
    bench = await run(opened, say, 5 * TOKEN_S, MIN_SLICE, costly)
    assert free.slice == MIN_SLICE
    assert costly.slice == 100
    told = [each.data["slice"] for each in bench.events if each.kind is Kind.STARTED]
    assert told[0] == FIRST_SLICE
    assert told[-1] in (100, 200)
    assert bench.history.slices == {"llm": told[-1]}
