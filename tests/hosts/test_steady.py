"""The event loop of a program whose run can be repeated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from aios.hosts.steady import SteadyLoop


def run(main: Callable[[SteadyLoop], Awaitable[None]]) -> None:
    async def held() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteadyLoop)
        await main(loop)

    anyio.run(held, backend_options={"loop_factory": SteadyLoop})


def test_until_it_is_held_it_is_a_usual_loop() -> None:
    async def main(loop: SteadyLoop) -> None:
        began = loop.time()
        await anyio.sleep(0.01)
        assert loop.time() - began >= 0.01
        assert abs(loop.time() - time.monotonic()) < 60

    run(main)


def test_what_a_program_computes_takes_none_of_its_time() -> None:
    async def main(loop: SteadyLoop) -> None:
        loop.hold(repeating=False)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass
        assert anyio.current_time() == 0
        with anyio.move_on_after(0.1) as scope:  # not over already, though its author has computed for longer
            await anyio.sleep(0.05)
        assert not scope.cancelled_caught
        assert anyio.current_time() == 0.05

    run(main)


def test_timers_ring_in_order_before_what_is_heard_after_them() -> None:
    said: list[str] = []

    async def rings(name: str, *waits: float) -> None:
        for wait in waits:
            await anyio.sleep(wait)
            said.append(f"{name} {anyio.current_time():.3f}")

    async def main(loop: SteadyLoop) -> None:
        loop.hold(repeating=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(rings, "a", 0.010, 0.010, 0.010)
            tasks.start_soon(rings, "b", 0.015, 10.0)
            for at in (5_000, 16_000, 25_000):
                assert await loop.settle(at) == at
                said.append(f"heard {at}")
            tasks.cancel_scope.cancel()

    run(main)
    assert said == ["heard 5000", "a 0.010", "b 0.015", "heard 16000", "a 0.020", "heard 25000"]


def test_while_all_is_repeated_no_time_passes_by_itself() -> None:
    async def main(loop: SteadyLoop) -> None:
        loop.hold(1_000, repeating=True)
        rung = False

        async def ring() -> None:
            nonlocal rung
            await anyio.sleep(0.001)
            rung = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ring)
            theirs = loop.create_future()
            loop.run_in_executor(None, time.sleep, 0.05).add_done_callback(lambda _: theirs.set_result(None))
            await theirs
            assert not rung
            loop.go_on()
            while not rung:
                await anyio.sleep(0.001)

    run(main)


@pytest.mark.parametrize("repeating", [True, False])
def test_a_program_that_polls_is_told_all_the_same(repeating: bool) -> None:
    passes: list[int] = []

    async def main(loop: SteadyLoop) -> None:
        loop.hold(repeating=repeating)
        spins, told = 0, False

        async def poll() -> None:
            nonlocal spins
            while not told:
                spins += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await loop.settle(0 if repeating else None)
            told = True
        passes.append(spins)

    run(main)
    run(main)
    assert passes[0] == passes[1]  # in the same pass each time


def test_a_cancellation_that_is_delivered_again_and_again_keeps_nothing_from_being_heard() -> None:
    async def main(loop: SteadyLoop) -> None:
        loop.hold(repeating=False)
        heard = anyio.Event()

        async def cleans_up() -> None:
            try:
                await anyio.sleep(100)
            finally:
                with anyio.CancelScope(shield=True):
                    await heard.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cleans_up)
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await loop.settle()
                heard.set()

    run(main)
