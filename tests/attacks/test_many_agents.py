"""Very many agents at once: what the kernel, the zygote and the disk hold meanwhile, and that nothing of it stays."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest

from aios.hosts.process import ProcessHost
from aios.kernel import Run, by_family, lone_run
from aios.record import SqliteJournal
from aios.wall.agent import Walls
from aios_syscalls import Overloaded, ProcessInfo, Receive, Send, Spawn, Wait

pytestmark = pytest.mark.whole

MANY = 150
"""All alive at the same moment; 1,000 take seven times as long and as much."""
WAITS = """
async def main(agent, task):
    open("notes", "w").write("x")
    await agent.send(0, "here")
    return (await agent.receive()).body
"""
MOST_BYTES = 40 << 20
"""Of memory that one agent may take, beside what it shares with the others."""


async def ended(kernel: Run, *pids: int) -> list[ProcessInfo]:
    return [(await kernel.submit(Wait(pid=pid))).process for pid in pids]


def test_many_agents_at_once_take_bounded_room_and_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)

    async def run() -> None:
        with anyio.fail_after(120):
            await work()

    async def work() -> None:
        async with SqliteJournal(tmp_path / "j.db") as journal:
            async with ProcessHost(tmp_path / "logs", [tmp_path], Walls("auto")) as host:
                async with lone_run([], by_family, host, journal) as kernel:
                    await ended(kernel, await spawn(kernel))  # what is made once is there
                    own = psutil.Process()
                    (zygote,) = own.children()
                    before = own.num_fds(), zygote.num_fds()
                    pids = [await spawn(kernel) for _ in range(MANY)]
                    alive = zygote.children()
                    assert len(alive) == MANY
                    # A channel in the kernel; a log and the pipe to it in the zygote.
                    assert (own.num_fds(), zygote.num_fds()) == (before[0] + MANY, before[1] + 2 * MANY)
                    assert max(agent.memory_full_info().uss for agent in alive[:5]) < MOST_BYTES
                    for pid in pids:
                        await kernel.submit(Send(to=pid, body="end"))
                    assert all(process.result == "end" for process in await ended(kernel, *pids))
                    assert (own.num_fds(), zygote.num_fds()) == before
                    assert (zygote.children(), list(host._scratch.iterdir())) == ([], [])
                    scratch = host._scratch
            assert not scratch.exists()

    async def spawn(kernel: Run) -> int:
        pid = (await kernel.submit(Spawn(program="waits"))).pid
        await kernel.submit(Receive())
        if not (tmp_path / "logs").joinpath("2.log").exists():
            await kernel.submit(Send(to=pid, body="end"))
        return pid

    anyio.run(run)


def test_more_agents_than_there_are_descriptors_for_are_told_so_and_the_next_one_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def run() -> None:
        with anyio.fail_after(120):
            await work()

    async def work() -> None:
        async with SqliteJournal(tmp_path / "j.db") as journal:
            async with ProcessHost(tmp_path / "logs", [tmp_path], Walls("auto")) as host:
                async with lone_run([], by_family, host, journal) as kernel:
                    first = (await kernel.submit(Spawn(program="waits"))).pid
                    await kernel.submit(Receive())
                    held = [os.dup(0)]
                    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, hard))
                    try:
                        with suppress(OSError):
                            while True:
                                held.append(os.dup(0))
                        with pytest.raises(Overloaded, match="ulimit -n"):
                            await kernel.submit(Spawn(program="waits"))
                        os.close(held.pop())  # enough to look for the program, and not for a channel to it
                        (refused,) = await ended(kernel, (await kernel.submit(Spawn(program="waits"))).pid)
                    finally:
                        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                        for fd in held:
                            os.close(fd)
                    assert refused.error is not None
                    assert (refused.error["code"], "ulimit -n" in str(refused.error)) == ("overloaded", True)
                    later = (await kernel.submit(Spawn(program="waits"))).pid
                    await kernel.submit(Receive())
                    for pid in (first, later):
                        await kernel.submit(Send(to=pid, body="end"))
                    assert [process.result for process in await ended(kernel, first, later)] == ["end", "end"]

    anyio.run(run)
