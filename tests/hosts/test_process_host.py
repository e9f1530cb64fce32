"""Agents in processes of their own: real forks, real sockets, real kills."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.hosts import output, zygote_client
from aios.hosts import process as host_module
from aios.hosts.process import ProcessHost
from aios.hosts.session import Session
from aios.kernel import Lane, Limits, Run, Turn, by_family, lone_run
from aios.record import SqliteJournal
from aios.scheduler import Fifo
from aios.wall.agent import Walls
from aios_syscalls import ChatReply, Kill, ProcessInfo, ProcessState, Reply, Spawn, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

UNWALLED = Walls(level="off")
"""For programs that fork, or connect to a socket."""

PROGRAMS = {
    "fine": """
    print("for the log")
    return f"{task} from {agent.pid}: {await agent.ask('x')}" """,
    "many": """
    return ",".join(await gather(*(agent.ask(str(n)) for n in range(20))))""",
    "streams": """
    async with agent.stream("x") as stream:
        pieces = [piece async for piece in stream]
    return "|".join(pieces) + "=" + stream.reply.text""",
    "raises": """
    raise RuntimeError("boom")""",
    "spins": """
    while True: pass""",
    "sleeps": """
    import time
    time.sleep(1000)""",
    "leaves": """
    os._exit(3)""",
    "crashes": """
    os.kill(os.getpid(), 11)""",
    "exits": """
    sys.exit(4)""",
    "wrong": """
    return 5""",
    "parent": """
    return await agent.run("fine", "child")""",
    "nosy": """
    return ",".join(sorted(os.environ))""",
    "large": """
    try:
        await agent.ask("x" * 2_000_000)
    except BadRequest as error:
        return error.code
    return "accepted" """,
    "liar": """
    for frame in (b'{"id": 1}', b'not json', b'{"result": 7}'):
        await agent.port._frames.send(frame)
    await agent.ask("x")
    return "lied" """,
    "deaf": """
    from anyio import create_task_group
    async with create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(agent.ask, "large")
        await sleep(0.05)
        import time
        time.sleep(1000)""",
    "dead": """
    import json, time
    if os.fork() == 0:
        time.sleep(1000)  # and keeps the channel open
    call = {"call": "llm.chat", "messages": [{"role": "user", "content": "large"}]}
    channel = agent.port._frames._stream._sock
    channel.setblocking(True)
    for number in range(1, 200):
        channel.sendall(json.dumps({"id": number, "stream": False, "call": call}).encode() + bytes([10]))
    os._exit(7)""",
    "lends": """
    import socket
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(task)
        socket.send_fds(other, [b"x"], [agent.port._frames._stream._sock.fileno()])
        os._exit(7)""",
    "floods": """
    while True:
        os.write(1, b"x" * 65536)""",
    "prints much": """
    for _ in range(300):
        os.write(1, b"y" * 65536)
    print("the end")
    return "done" """,
    "lingers": """
    import atexit, time
    atexit.register(time.sleep, 1000)
    return "done" """,
    "lingers in a thread": """
    import threading, time
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return "done" """,
    "beside": """
    import helper
    import random
    return f"{helper.WORD} {hasattr(random, 'Random')}" """,
    "leaves a child": """
    import subprocess, time
    subprocess.Popen(["sleep", "1000"])
    time.sleep(1000)""",
    "divided": """
    if os.fork() == 0:
        import time
        time.sleep(1000)
    os._exit(7)""",
    "impatient": """
    from anyio import move_on_after
    for _ in range(200):
        with move_on_after(0.0002):
            await agent.receive()
    return await agent.ask("x")""",
    "endless": """
    return "x" * 2_000_000""",
    "odd": """
    raise ValueError("file \\udcff is missing")""",
    "cancels": """
    import anyio
    with anyio.move_on_after(0.05):
        await agent.ask("slow")
    return await agent.ask("x")""",
}
HEAD = """
import os, sys
from anyio import sleep
from aios.sdk import Agent, gather
from aios_syscalls import BadRequest
async def main(agent: Agent, task: str) -> str:"""


class Echo:
    """Answers ok in two pieces; never answers `slow`."""

    running = 0

    async def run(self, turn: Turn) -> Reply:
        self.running += 1
        try:
            if turn.call.messages[0].content == "slow":  # type: ignore[attr-defined]
                await anyio.sleep_forever()
            if turn.call.messages[0].content == "large":  # type: ignore[attr-defined]
                return ChatReply(text="x" * 4_000_000)
            turn.emit("o")
            await anyio.lowlevel.checkpoint()
            turn.emit("k")
        finally:
            self.running -= 1
        return ChatReply(text="ok")


Hosted = Callable[..., AbstractAsyncContextManager[Run]]


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    for name, body in PROGRAMS.items():
        (tmp_path / f"{name}.py").write_text(HEAD + body)

    @asynccontextmanager
    async def open_kernel(
        core: Echo | None = None,
        time_limit_s: float = 60,
        walls: Walls = Walls(),  # noqa: B008 - frozen
    ) -> AsyncIterator[Run]:
        host_ = ProcessHost(tmp_path / "logs", [tmp_path], walls)
        async with SqliteJournal(tmp_path / "j.db") as journal, host_ as host:
            opening = lone_run(
                [Lane("llm", core or Echo(), Fifo(), 4, meter=ChatMeter())],
                by_family,
                host,
                journal,
                limits=Limits(agent_time_limit_s=time_limit_s),
            )
            async with opening as kernel:
                yield kernel

    return open_kernel


async def run(kernel: Run, program: str, task: str = "") -> ProcessInfo:
    pid = (await kernel.submit(Spawn(program=program, task=task))).pid
    return (await kernel.submit(Wait(pid=pid))).process


async def test_programs_run_in_processes_of_their_own(hosted: Hosted, tmp_path: Path) -> None:
    async with hosted() as kernel:
        assert (await run(kernel, "fine", "hi")).result == "hi from 1: ok"
        assert (await run(kernel, "many")).result == ",".join(["ok"] * 20)
        assert (await run(kernel, "streams")).result == "o|k=ok"
        assert (await run(kernel, "parent")).result == "child from 5: ok"
        assert (await run(kernel, "large")).result == "bad_request"
    assert (tmp_path / "logs" / "1.log").read_text() == "for the log\n"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("raises", "RuntimeError at raises.py:7: boom"),
        ("leaves", "left with status 3"),
        ("crashes", "ended by SIGSEGV"),
        ("exits", "SystemExit"),
        ("wrong", "returned int, not str"),
        ("endless", "write a file and return its path"),
        ("odd", "is missing"),
        ("liar", "none of call, cancel, result, error"),
    ],
)
async def test_a_program_that_fails_says_why_and_harms_nobody(hosted: Hosted, program: str, says: str) -> None:
    async with hosted() as kernel:
        process = await run(kernel, program)
        assert process.state is ProcessState.FAILED
        assert says in str(process.error)
        assert (await run(kernel, "fine")).state is ProcessState.DONE


@pytest.mark.parametrize("program", ["spins", "sleeps", "deaf"])
async def test_a_program_that_never_returns_holds_up_nobody_and_can_be_killed(hosted: Hosted, program: str) -> None:
    async with hosted() as kernel:
        pid = (await kernel.submit(Spawn(program=program))).pid
        assert (await run(kernel, "fine")).state is ProcessState.DONE
        assert (await kernel.submit(Kill(pid=pid))).pids == (pid,)


async def test_a_program_that_never_returns_is_ended_at_its_time_limit(hosted: Hosted) -> None:
    async with hosted(time_limit_s=0.5) as kernel:
        assert "limit of 0.5 s" in str((await run(kernel, "deaf")).error)


@pytest.fixture
def borrower(tmp_path: Path) -> Iterator[str]:
    """A socket outside of every agent's process, where a channel that is sent to it stays open."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "borrower"))
        listener.listen()
        yield str(tmp_path / "borrower")


@pytest.mark.parametrize("program", ["dead", "divided", "lends"])
async def test_a_process_that_exits_ends_whatever_was_under_way_for_it(
    hosted: Hosted, borrower: str, program: str
) -> None:
    async with hosted(walls=UNWALLED) as kernel:
        process = await run(kernel, program, borrower)
        assert process.state is ProcessState.FAILED
        assert "left with status 7" in str(process.error)


async def test_without_a_watch_on_the_process_it_would_last_until_its_time_limit(
    hosted: Hosted, borrower: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "_hang_up", lambda self: anyio.sleep_forever())
    async with hosted(time_limit_s=1, walls=UNWALLED) as kernel:
        assert "limit of 1 s" in str((await run(kernel, "lends", borrower)).error)


async def test_kill_ends_the_operating_system_process(hosted: Hosted) -> None:
    async with hosted() as kernel:
        pid = (await kernel.submit(Spawn(program="spins"))).pid
        assert (await run(kernel, "fine")).state is ProcessState.DONE
        assert (await kernel.submit(Kill(pid=pid))).pids == (pid,)
        (zygote,) = [each for each in psutil.Process().children() if "aios.hosts.zygote" in each.cmdline()]
        assert zygote.children() == []


async def test_cancelling_whoever_runs_the_kernel_ends_its_agents(hosted: Hosted) -> None:
    with anyio.move_on_after(0.5) as scope:
        async with hosted() as kernel:
            for _ in range(3):
                await kernel.submit(Spawn(program="spins"))
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not [each for each in psutil.Process().children() if "aios.hosts.zygote" in each.cmdline()]


async def test_calls_that_are_cancelled_at_once_leave_no_trace(hosted: Hosted) -> None:
    async with hosted() as kernel:
        assert (await run(kernel, "impatient")).result == "ok"


async def test_a_cancelled_call_frees_its_slot(hosted: Hosted) -> None:
    core = Echo()
    async with hosted(core) as kernel:
        assert (await run(kernel, "cancels")).result == "ok"
        assert core.running == 0


async def test_an_agent_inherits_no_secret(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with hosted() as kernel:
        names = (await run(kernel, "nosy")).result or ""
    assert "PATH" in names
    assert "OPENAI_API_KEY" not in names


async def test_when_the_zygote_dies_its_agents_are_lost_and_the_next_ones_get_another(hosted: Hosted) -> None:
    async with hosted(walls=UNWALLED) as kernel:
        await run(kernel, "fine")
        (zygote,) = [each for each in psutil.Process().children() if "aios.hosts.zygote" in each.cmdline()]
        lost = [(await kernel.submit(Spawn(program=program))).pid for program in ("spins", "sleeps", "leaves a child")]
        agents = await started(zygote, 4)
        os.kill(zygote.pid, signal.SIGKILL)
        for pid in lost:
            process = (await kernel.submit(Wait(pid=pid))).process
            assert process.state is ProcessState.FAILED
            assert "was lost: the process that starts agents was ended by SIGKILL" in str(process.error)
        assert (await run(kernel, "fine")).state is ProcessState.DONE
        assert not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in agents)


async def started(zygote: psutil.Process, number: int) -> list[psutil.Process]:
    """The descendants of the zygote, once there are so many."""
    while len(found := zygote.children(recursive=True)) < number:
        await anyio.lowlevel.checkpoint()
    return found


async def test_what_a_process_prints_is_kept_up_to_a_bound(hosted: Hosted, tmp_path: Path) -> None:
    async with hosted() as kernel:
        assert (await run(kernel, "prints much")).result == "done"
    text = (tmp_path / "logs" / "1.log").read_bytes()
    assert text == b"y" * output.MAX_BYTES + b"\n" + output.REST.encode()


async def test_a_flood_of_output_fills_no_disk_and_holds_up_nobody(
    hosted: Hosted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hosted() as kernel:
        pids = [(await kernel.submit(Spawn(program="floods"))).pid for _ in range(3)]
        logs = [tmp_path / "logs" / f"{pid}.log" for pid in pids]
        while not all(log.exists() and log.stat().st_size > output.MAX_BYTES for log in logs):
            assert (await run(kernel, "fine")).state is ProcessState.DONE
        for pid in pids:
            await kernel.submit(Kill(pid=pid))
    assert {log.stat().st_size for log in logs} == {output.MAX_BYTES + 1 + len(output.REST)}


@pytest.mark.parametrize("program", ["lingers", "lingers in a thread"])
async def test_a_process_that_does_not_end_after_its_result_is_ended(
    hosted: Hosted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(host_module, "LEAVE_S", 0.2)
    async with hosted() as kernel:
        process = await run(kernel, program)
        assert (process.state, process.result) == (ProcessState.DONE, "done")
    assert "[aios] ended: it went on for 0.2 s after its result" in (tmp_path / "logs" / "1.log").read_text()


async def test_a_program_finds_what_lies_beside_it_but_no_module_is_replaced(hosted: Hosted, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WORD = 'helped'\n")
    (tmp_path / "random.py").write_text("raise SystemError\n")
    async with hosted() as kernel:
        assert (await run(kernel, "beside")).result == "helped True"


async def test_a_zygote_that_does_not_answer_is_replaced(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hosted() as kernel:
        await run(kernel, "fine")
        monkeypatch.setattr(zygote_client, "START_S", 0.2)
        (zygote,) = [each for each in psutil.Process().children() if "aios.hosts.zygote" in each.cmdline()]
        zygote.suspend()
        monkeypatch.setattr(zygote_client.ZygoteClient, "kill", patient(zygote_client.ZygoteClient.kill, monkeypatch))
        assert (await run(kernel, "fine")).state is ProcessState.DONE
        assert not zygote.is_running()


def patient(
    kill: Callable[[zygote_client.ZygoteClient], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[[zygote_client.ZygoteClient], None]:
    """Kills, and gives the next one all the time that it needs."""

    def killing(client: zygote_client.ZygoteClient) -> None:
        monkeypatch.setattr(zygote_client, "START_S", 30)
        kill(client)

    return killing
