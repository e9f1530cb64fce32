"""The daemon as a process of its own: how it is started and ended, and what is left of one that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest
from typer.testing import CliRunner, Result

from aios.artifacts import model_path
from aios.boot.remote import DaemonRun, run_on_daemon
from aios.cli.app import app
from aios.config import Config, journal_path
from aios.link.control import ask_daemon
from aios.link.greeting import greeted
from aios.link.launch import daemon_environment
from aios.link.order import RunOrder, run_part
from aios.link.place import Place
from aios.record import History, SqliteJournal, runs
from aios.sdk.socket_port import SocketPort
from aios_syscalls import Cancelled, Chat, Message, NoKernel, Spawn

pytestmark = pytest.mark.whole

TALKER = """
async def main(agent, task):
    try:
        return await agent.chat("Tell me everything.", max_tokens=100_000)
    finally:
        print("tidied up", flush=True)
"""
MODEL = model_path()
"""Where it lies for the user: these tests have a home of their own."""
REMOTE = '[models.far]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nmodel = "x"\n'


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@contextmanager
def scripted_daemon() -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that is ready, in a process that ends with the context."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("scripted_daemon.py"))]
    with subprocess.Popen(command, env=daemon_environment(), stderr=subprocess.DEVNULL) as process:
        try:
            anyio.run(_ready)
            yield process
        finally:
            process.kill()


async def _ready() -> None:
    with anyio.fail_after(30):
        while True:
            try:
                if (await ask_daemon(Place.of_home(), {"status": True}))["ready"]:
                    return
            except NoKernel:
                await anyio.sleep(0.02)


@pytest.fixture
def talker(tmp_path: Path) -> Path:
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "talker.py").write_text(TALKER)
    return tmp_path


async def with_run(directory: Path, work: Callable[[DaemonRun], Awaitable[Any]]) -> Any:
    """What `work` comes to with a run on the daemon, two of whose processes wait for the model."""
    config = Config(root=directory, agents=(directory / "programs",), models={}, wall={"level": "off"})
    async with run_on_daemon(config) as run:
        for _ in range(2):
            await run.run.submit(Spawn(program="talker", task=""))
        with anyio.fail_after(30):
            while (await ask_daemon(Place.of_home(), {"status": True}))["running"] < 2:
                await anyio.sleep(0.02)
        return await work(run)


def the_run() -> History:
    (run,) = runs(journal_path())
    return History.of(run.events())


def test_up_starts_one_that_outlives_the_command_and_down_ends_it(home: Path) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text(REMOTE)
    try:
        told = json.loads(aios("up", "--json").stdout)
        process = psutil.Process(told["os_pid"])
        assert (told["new"], told["state"]) == (True, "ready")
        assert (os.getsid(process.pid), process.cwd()) == (process.pid, "/")
        again = aios("up")
        assert f"runs already, as process {process.pid}" in again.stdout
        assert "far (8 slots)" in aios("status").stdout
        assert "begins as process" in aios("logs", "-n", "5").stdout
        restarted = json.loads(aios("restart", "--json").stdout)
        assert restarted["os_pid"] != process.pid
        assert aios("down").stdout == f"the daemon, process {restarted['os_pid']}, has ended\n"
        assert aios("status").exit_code == 4
    finally:
        aios("down")


def test_one_that_does_not_come_to_start_says_why(home: Path) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text("[models.gone]\npath = 'gone.gguf'\n")
    result = aios("up")
    assert result.exit_code == 4
    assert "did not start" in result.stderr
    assert "gone.gguf" in result.stderr


def test_what_a_killed_daemon_left_open_ends_on_record_and_its_clients_hear_of_it_at_once(talker: Path) -> None:
    async def kill(run: DaemonRun) -> None:
        process.kill()
        with pytest.raises((Cancelled, NoKernel)):
            await run.run.submit(Spawn(program="talker", task=""))

    with scripted_daemon() as process:
        anyio.run(with_run, talker, kill)
        process.wait()
    assert the_run().open_calls > 0
    assert aios("ps").stdout == ""  # nobody takes what it left for living
    with scripted_daemon() as process:
        assert (the_run().died, the_run().ended_once()) == (True, True)
        assert {each.error and each.error["code"] for each in the_run().processes.values()} == {"no_kernel"}
        table = json.loads(aios("ps", "--all", "--json").stdout)["processes"]
        assert ["kernel died" in row["error"]["message"] for row in table] == [True, True]
        assert "broken off" in aios("runs").stdout


def test_a_hundred_streams_of_a_killed_daemon_are_cut_and_all_on_record_with_their_ends(tmp_path: Path) -> None:
    cut: list[int] = []

    async def stream(number: int, begun: list[int]) -> None:
        order = RunOrder(id=f"r{number}", config=run_part(Config(root=tmp_path), []))
        frames, _ = await greeted(Place.of_home(), "client", order=order.model_dump(mode="json"), program="tester")
        async with frames, anyio.create_task_group() as tasks:
            await frames.receive()
            port = SocketPort(frames)
            tasks.start_soon(port.listen)
            message = Message(role="user", content="Tell me everything.")
            try:
                await port.submit(Chat(messages=(message,), max_tokens=100_000), lambda _text: begun.append(number))
            except Cancelled:
                cut.append(number)

    async def streams() -> None:
        begun: list[int] = []
        async with anyio.create_task_group() as tasks:
            for number in range(100):
                tasks.start_soon(stream, number, begun)
            with anyio.fail_after(60):
                while len(set(begun)) < 100:
                    await anyio.sleep(0.05)
            process.kill()

    with scripted_daemon() as process:
        anyio.run(streams)
        process.wait()
    assert sorted(cut) == [*range(100)]
    anyio.run(_open_journal)
    found = [History.of(run.events()) for run in runs(journal_path())]
    assert len(found) == 100
    assert all(history.died and history.ended_once() for history in found)
    assert [call.state for history in found for call in history.calls.values() if call.name == "llm.chat"] == (
        ["cancelled"] * 100
    )


def test_two_commands_at_once_start_one_daemon(home: Path) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text(REMOTE)
    command = [sys.executable, "-P", "-m", "aios", "up", "--json"]
    try:
        both = [subprocess.Popen(command, env=daemon_environment(), stdout=subprocess.PIPE) for _ in range(2)]
        told = [json.loads(each.communicate()[0]) for each in both]
        assert len({each["os_pid"] for each in told}) == 1
        assert sorted(each["new"] for each in told) == [False, True]
    finally:
        aios("down")


def test_a_daemon_has_nothing_that_depends_on_the_directory_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_HOME", "my home")
    environment = daemon_environment()
    assert environment["AIOS_HOME"] == str(tmp_path / "my home")
    assert all(os.path.isabs(each) for each in environment["PYTHONPATH"].split(os.pathsep))


def test_the_run_of_one_that_is_told_to_end_has_its_own_end_on_record(talker: Path) -> None:
    async def tell(run: DaemonRun) -> None:
        process.send_signal(signal.SIGTERM)

    with scripted_daemon() as process:
        anyio.run(with_run, talker, tell)
        assert process.wait() == 0
    before = [*runs(journal_path())[0].events()]
    assert (the_run().closed, the_run().died, the_run().ended_once()) == (True, False, True)
    anyio.run(_open_journal)
    assert [*runs(journal_path())[0].events()] == before


async def _open_journal() -> None:
    async with SqliteJournal(journal_path()):
        pass


def test_kill_ends_a_process_and_with_9_leaves_it_no_time(talker: Path) -> None:
    async def kill(run: DaemonRun) -> dict[str, str]:
        first, second = (row["pid"] for row in json.loads((await told("ps", "--json")).stdout)["processes"])
        assert (await told("kill", str(first))).stdout == f"ended: {first}\n"
        assert (await told("kill", "-9", str(second))).stdout == f"ended: {second}\n"
        assert (await told("ps", "--json")).stdout == (await told("ps", "--json", "--tree")).stdout
        return {"asked": (await told("logs", str(first))).stdout, "at once": (await told("logs", str(second))).stdout}

    async def told(*words: str) -> Result:
        return await anyio.to_thread.run_sync(aios, *words)

    with scripted_daemon():
        printed = anyio.run(with_run, talker, kill)
    assert "tidied up" in printed["asked"]
    assert "tidied up" not in printed["at once"]


def test_what_a_killed_daemon_had_started_ends_by_itself_in_the_midst_of_its_work(home: Path, tmp_path: Path) -> None:
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.toml").write_text(f"[models.tiny]\npath = '{MODEL}'\nslots = 1\n")

    async def work() -> dict[psutil.Process, list[str]]:
        frames, _ = await greeted(Place.of_home(), "client", order=order.model_dump(mode="json"), program="tester")
        async with frames, anyio.create_task_group() as tasks:
            await frames.receive()
            port = SocketPort(frames)
            tasks.start_soon(port.listen)
            words: list[str] = []
            tasks.start_soon(_talk, port, words)
            while not words:
                await anyio.sleep(0.02)
            found = {each: each.cmdline() for each in daemon.children(recursive=True)}
            daemon.kill()
        return found

    order = RunOrder(id="r", config=run_part(Config(root=tmp_path), []))
    try:
        daemon = psutil.Process(json.loads(aios("up", "--json").stdout)["os_pid"])
        children = anyio.run(work)
    finally:
        aios("down")
    assert any("aios.models.local.engine.worker" in command for command in children.values())
    _, alive = psutil.wait_procs([*children], 20)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


async def _talk(port: SocketPort, words: list[str]) -> None:
    message = Message(role="user", content="Tell me a story.")
    with suppress(Cancelled):
        await port.submit(Chat(messages=(message,), max_tokens=1_500), words.append)


def test_the_log_gives_way_to_a_new_one_with_all_that_goes_to_standard_error(tmp_path: Path) -> None:
    code = (
        "import logging, os, sys\n"
        "from pathlib import Path\n"
        "from aios.server.log_file import DaemonLog\n"
        "log = logging.getLogger('x')\n"
        "log.addHandler(DaemonLog(Path(sys.argv[1]), max_bytes=1000, kept=2))\n"
        "for number in range(300): log.warning('line %d of the log', number)\n"
        "os.write(2, b'a crash')\n"
    )
    log = tmp_path / "log"
    with open(log, "wb") as stderr:
        subprocess.run(
            [sys.executable, "-P", "-c", code, str(log)], stderr=stderr, env=daemon_environment(), check=True
        )
    assert sorted(path.name for path in tmp_path.glob("log*")) == ["log", "log.1", "log.2"]
    assert log.read_text().endswith("line 299 of the log\na crash")
    assert all(path.stat().st_size <= 1100 for path in tmp_path.glob("log*"))
    assert log.stat().st_mode & 0o077 == 0


def test_a_detached_run_goes_on_when_its_command_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "later.py").write_text("async def main(agent, task):\n    return f'{task} in {agent.pid}'\n")
    words = ["run", "-d", "later.py=done", "--root", str(tmp_path), "--wall", "off"]
    monkeypatch.setattr(sys, "argv", ["aios", *words])
    with scripted_daemon():
        told = aios(*words)
        assert told.exit_code == 0, told.output
        (output,) = (tmp_path / "home" / "state" / "runs").glob("*/output")
        runner = int(re.findall(r"is process (\d+)", told.output + told.stderr)[0])
        psutil.wait_procs([psutil.Process(runner)] if psutil.pid_exists(runner) else [], timeout=60)
        assert "done in " in output.read_text()
