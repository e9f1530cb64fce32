"""The virtual clock: hours pass at once, in the order of their timers, and a standstill is said."""

from __future__ import annotations

import time

import anyio
import anyio.to_thread
import pytest

from aios.simulate import clock
from aios_syscalls import KernelBug


def test_an_hour_takes_no_time_and_ends_on_time() -> None:
    began = time.perf_counter()

    async def main() -> float:
        await anyio.sleep(3600)
        return anyio.current_time()

    assert clock.run(main) == pytest.approx(3600)
    assert time.perf_counter() - began < 5


def test_tasks_go_on_in_the_order_of_their_timers_the_same_each_time() -> None:
    async def main() -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []

        async def tick(number: int, every: float) -> None:
            for _ in range(3):
                await anyio.sleep(every)
                seen.append((round(anyio.current_time(), 6), number))

        async with anyio.create_task_group() as tasks:
            for number, every in enumerate((0.5, 100.0, 0.7)):
                tasks.start_soon(tick, number, every)
        return seen

    assert clock.run(main) == clock.run(main)
    assert [number for _, number in clock.run(main)] == [0, 2, 0, 2, 0, 2, 1, 1, 1]


def test_a_deadline_ends_what_waits() -> None:
    async def main() -> tuple[bool, float]:
        with anyio.move_on_after(600) as scope:
            await anyio.Event().wait()
        return scope.cancelled_caught, anyio.current_time()

    caught, at = clock.run(main)
    assert caught
    assert at == pytest.approx(600)


def test_a_thread_is_waited_for_where_no_timer_is_due() -> None:
    def work() -> int:
        time.sleep(0.05)
        return 7

    async def main() -> int:
        return await anyio.to_thread.run_sync(work)

    assert clock.run(main) == 7


def test_a_standstill_is_an_error_and_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PATIENCE_S", 0.05)
    with pytest.raises(KernelBug, match="waits for another"):
        clock.run(anyio.Event().wait)
