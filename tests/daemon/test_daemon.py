"""The daemon of a home: what it answers, how it ends, and what it makes of clients that are wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, cast

import anyio
import anyio.lowlevel
import pytest

from aios.boot import boot_kernel
from aios.config import Config, SchedulerConfig, journal_path
from aios.frames import Frames
from aios.link.control import ask_daemon
from aios.link.greeting import PROTOCOL, greeted, greeting
from aios.link.place import MAX_ADDRESS, Place
from aios.models.scripted import ScriptedModel
from aios.record import History, runs
from aios.scheduler import FairGittins, Gittins
from aios.server import daemon as daemon_module
from aios.server.daemon import Daemon, check_user
from aios.server.open_files import allow_many_files
from aios_syscalls import AiosError, BadRequest, Cancelled, Conflict, Denied, NoKernel, NotFound, StorageFailed

pytestmark = pytest.mark.anyio

LONG = " ".join(["word"] * 20_000)


async def until(holds: Any) -> None:
    """Until something holds that others are about to do."""
    with anyio.fail_after(20):
        while not await holds():
            await anyio.lowlevel.checkpoint()


async def test_it_tells_how_it_is(serving: Any, tmp_path: Path) -> None:
    async with serving() as served, served.client(tmp_path):
        status = await served.ask(status=True)
        assert (status["os_pid"], status["ready"], status["ending"]) == (os.getpid(), True, False)
        assert (status["models"], [*status["runs"].values()]) == ({"scripted": 1}, [1])
        assert status["socket"] == str(served.place.address)
        assert served.place.owner() == os.getpid()
    assert served.place.owner() is None
    assert not served.place.address.exists()


async def test_a_client_is_answered_and_its_run_is_on_record_with_its_end(
    serving: Any, chat: Any, tmp_path: Path
) -> None:
    async with serving("good day") as served:
        async with served.client(tmp_path) as (port, pid, _):
            assert (await port.submit(chat())).text == "good day"
        await until(lambda: _no_runs(served))
    (run,) = runs(journal_path())
    history = History.of(run.events())
    assert history.closed
    assert history.processes[pid].state == "done"
    assert history.ended_once()


async def test_a_second_daemon_on_the_same_home_is_refused(serving: Any) -> None:
    async with serving() as served:
        with pytest.raises(Conflict, match=f"process {os.getpid()}; see it with: aios status"):
            await Daemon(served.daemon.config, served.place).serve()
        assert (await served.ask(status=True))["ready"]  # the first one is as it was


async def test_after_it_has_ended_another_may_serve_the_home(serving: Any) -> None:
    for _ in range(2):
        async with serving() as served:
            await served.ask(stop=True)
            await served.ended.wait()
            with pytest.raises(NoKernel, match="aios up"):
                await served.ask(status=True)


async def test_the_socket_and_the_lock_of_one_that_was_killed_are_in_nobodys_way(serving: Any) -> None:
    place = Place.of_home()
    place.make()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place.address))
    # As after a reboot: the number is another process's now, which began later.
    place.lock.write_text(json.dumps({"os_pid": os.getpid(), "began": 1.0}))
    assert place.owner() is None
    async with serving() as served:
        assert (await served.ask(status=True))["ready"]


async def test_on_a_file_system_without_locks_the_one_that_answers_is_found(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_file: int, _how: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    async with serving() as served:
        assert (await served.ask(status=True))["ready"]
        # Another process's, which lives and answers.
        served.place.lock.write_text(json.dumps({"os_pid": os.getppid(), "began": 1e12}))
        with pytest.raises(Conflict, match="a daemon serves"):
            await Daemon(served.daemon.config, served.place).serve()
        served.place.lock.write_text(json.dumps({"os_pid": os.getpid(), "began": 1e12}))


@pytest.mark.parametrize("name", ["with spaces", "überall 日本", "x" * 100])
async def test_a_home_may_have_any_name(
    serving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / name))
    async with serving() as served:
        assert (await served.ask(status=True))["socket"].startswith(str(tmp_path / name))
    assert len(name) < 100 or len(str(served.place.address)) > MAX_ADDRESS


async def test_a_home_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageFailed, match="AIOS_HOME"):
        Place.of_home().make()


# How it ends


async def test_told_to_end_it_sends_off_what_waits_and_cuts_what_runs_when_its_time_is_over(
    serving: Any, chat: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "GRACE_S", 0.3)
    ends: dict[str, str] = {}

    async def ask(port: Any, text: str) -> None:
        try:
            ends[text] = (await port.submit(chat(text))).text
        except AiosError as error:
            ends[text] = error.message

    async with serving(LONG, delay_s=0.01) as served, served.client(tmp_path) as (port, _, _):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, port, "runs")
            await until(lambda: _under_way(served, 1))
            tasks.start_soon(ask, port, "waits")
            await until(lambda: _under_way(served, 2))
            os.kill(os.getpid(), signal.SIGTERM)
        await served.ended.wait()
    assert [*ends] == ["waits", "runs"]
    assert "this call waited for its turn" in ends["waits"]
    assert ends["runs"] == "the kernel has gone"
    (run,) = runs(journal_path())
    history = History.of(run.events())
    assert (history.closed, history.ended_once()) == (True, True)


async def test_what_runs_and_is_quick_enough_is_answered_though_the_daemon_ends(
    serving: Any, chat: Any, tmp_path: Path
) -> None:
    async with serving("one two three four", delay_s=0.05) as served, served.client(tmp_path) as (port, _, _):
        replies = []

        async def ask() -> None:
            replies.append((await port.submit(chat())).text)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: _under_way(served, 1))
            await served.ask(stop=True)
        await served.ended.wait()
    assert replies == ["one two three four"]


async def test_with_wait_runs_end_first_and_new_ones_are_refused_meanwhile(
    serving: Any, chat: Any, tmp_path: Path
) -> None:
    async with serving() as served, anyio.create_task_group() as tasks:
        async with served.client(tmp_path) as (port, _, _):
            tasks.start_soon(_ask, served, "wait")
            await until(lambda: _ending(served))
            with pytest.raises(NoKernel, match="takes no more runs"):
                async with served.client(tmp_path):
                    pass
            assert (await port.submit(chat())).text == "fine"
            assert not served.ended.is_set()
        await served.ended.wait()


async def test_who_asks_to_wait_and_hangs_up_takes_that_back(serving: Any, chat: Any, tmp_path: Path) -> None:
    async with serving() as served, served.client(tmp_path):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_ask, served, "wait")
            await until(lambda: _ending(served))
            tasks.cancel_scope.cancel()
        await until(lambda: _not_ending(served))
        async with served.client(tmp_path) as (port, _, _):
            assert (await port.submit(chat())).text == "fine"


class SlowToLoad(ScriptedModel):
    """Never comes to be ready."""

    async def __aenter__(self) -> Self:
        await anyio.sleep_forever()
        return self


async def test_models_that_take_long_to_load_do_not_keep_it_from_ending(serving: Any) -> None:
    async with serving(model=SlowToLoad("fine")) as served:
        status = await served.ask(status=True)
        assert (status["ready"], status["models"]) == (False, {})
        await served.ask(stop=True)
        with anyio.fail_after(20):
            await served.ended.wait()


async def test_one_that_a_command_has_started_ends_when_nobody_needs_it(serving: Any, tmp_path: Path) -> None:
    async with serving(idle_s=0.1) as served:
        async with served.client(tmp_path):
            pass
        with anyio.fail_after(20):
            await served.ended.wait()


async def test_a_killed_client_loses_its_connection_and_the_others_keep_theirs(
    serving: Any, chat: Any, tmp_path: Path
) -> None:
    async with (
        serving() as served,
        served.client(tmp_path) as (_, pid, frames),
        served.client(tmp_path) as (other, _, _),
    ):
        assert await served.ask(kill=pid) == [pid]
        with pytest.raises((Cancelled, anyio.EndOfStream, anyio.BusyResourceError)):
            await frames.receive()
        assert (await other.submit(chat())).text == "fine"
        with pytest.raises(NotFound, match="aios ps"):
            await served.ask(kill=10_000)
        with pytest.raises(NotFound):
            await served.ask(kill=0)


async def test_a_changed_configuration_is_taken_over_as_far_as_that_goes(serving: Any, home: Path) -> None:
    async with serving() as served:
        (home / "config").mkdir(parents=True, exist_ok=True)
        file = home / "config" / "config.toml"
        file.write_text("seed = 7\n[limits]\ncalls = 3\n[scheduler]\npolicy = 'fifo'\n")
        assert await served.ask(reload=True) == {"taken": ["limits"], "left": ["scheduler", "seed"]}
        assert served.daemon.config.limits.calls == 3
        assert served.daemon.config.scheduler.policy != "fifo"
        file.write_text("limits = 'none'\n")
        with pytest.raises(BadRequest, match="limits"):
            await served.ask(reload=True)
        assert served.daemon.config.limits.calls == 3


# Clients that are wrong


async def answer_to(place: Place, sent: bytes) -> Any:
    """What the daemon answers to bytes."""
    sock = place.dial()
    assert sock is not None
    sock.sendall(sent)
    async with Frames.over(sock) as frames:
        return await frames.receive()


@pytest.mark.parametrize(
    ("sent", "code", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_request", "not JSON"),
        (b"\x00\xff\xfe\n", "bad_request", "not JSON"),
        (b"[" * 100_000 + b"\n", "bad_request", "not JSON"),
        (b"null\n", "conflict", "aios restart"),
        (b'{"aios":99,"version":"9.9","for":"run"}\n', "conflict", "client 9.9"),
        (b'{"aios":%d,"for":"tea"}\n' % PROTOCOL, "bad_request", "nobody connects for 'tea'"),
        (b'{"aios":%d,"for":"run"}\n' % PROTOCOL, "bad_request", "the order of a run"),
        (b'{"aios":%d,"for":"run","order":{"id":"../x","config":{}}}\n' % PROTOCOL, "bad_request", "id"),
        (b'{"aios":%d,"for":"run","order":{"id":"x","config":{"root":7}}}\n' % PROTOCOL, "bad_request", "root"),
        (b'{"aios":%d,"for":"process","secret":"guessed"}\n' % PROTOCOL, "denied", "secret"),
    ],
)
async def test_a_greeting_that_is_none_gets_a_typed_answer(serving: Any, sent: bytes, code: str, says: str) -> None:
    async with serving() as served:
        answer = await answer_to(served.place, sent)
        assert answer["error"]["code"] == code
        assert says in answer["error"]["message"]
        assert (await served.ask(status=True))["ready"]


async def test_who_does_not_come_to_an_end_of_its_greeting_is_sent_off(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "GREETING_S", 0.2)
    async with serving() as served, anyio.create_task_group() as tasks:
        sock = served.place.dial()
        assert sock is not None

        async def drip() -> None:
            with suppress(BrokenPipeError, ConnectionResetError):  # sent off
                while True:
                    sock.send(b"x")
                    await anyio.sleep(0.01)

        async with Frames.over(sock) as frames:
            tasks.start_soon(drip)
            with anyio.fail_after(20), pytest.raises(anyio.EndOfStream):
                await frames.receive()
            tasks.cancel_scope.cancel()


async def test_a_thousand_idle_connections_keep_nobody_from_being_served(
    serving: Any, chat: Any, tmp_path: Path
) -> None:
    allow_many_files()
    async with serving() as served:
        idle = [served.place.dial() for _ in range(1_000)]
        try:
            async with served.client(tmp_path) as (port, _, _):
                assert (await port.submit(chat())).text == "fine"
                assert (await served.ask(status=True))["connections"] > 900
        finally:
            for each in idle:
                assert each is not None
                each.close()
        await until(lambda: _connections(served, 1))


async def test_a_question_that_nobody_knows_is_a_bad_request(serving: Any) -> None:
    async with serving() as served:
        with pytest.raises(BadRequest, match="another version"):
            await ask_daemon(served.place, {"dance": True})


class SomebodysSocket:
    """A connection of the user who has this number."""

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def getsockopt(self, _level: int, _option: int, _size: int) -> bytes:
        return struct.pack("3i", 1, self._uid, 1)


def test_another_user_is_denied_and_its_own_is_not() -> None:
    check_user(cast(socket.socket, SomebodysSocket(os.getuid())))
    with pytest.raises(Denied, match="its own user"):
        check_user(cast(socket.socket, SomebodysSocket(os.getuid() + 1)))


async def test_a_daemon_that_hangs_up_on_its_greeting_is_told_from_none(home: Path) -> None:
    place = Place.of_home()
    place.make()
    with place.listen() as sock:
        sock.setblocking(False)

        async def hang_up() -> None:
            await anyio.wait_readable(sock)
            sock.accept()[0].close()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang_up)
            with pytest.raises(NoKernel, match="aios logs"):
                await greeted(place, "control")
    assert greeting("control")["aios"] == PROTOCOL


async def _ask(served: Any, question: str) -> None:
    await ask_daemon(served.place, {question: True}, within_s=None)


async def _no_runs(served: Any) -> bool:
    return not (await served.ask(status=True))["runs"]


async def _ending(served: Any) -> bool:
    return bool((await served.ask(status=True))["ending"])


async def _not_ending(served: Any) -> bool:
    return not await _ending(served)


async def _connections(served: Any, count: int) -> bool:
    return bool((await served.ask(status=True))["connections"] == count)


async def _under_way(served: Any, calls: int) -> bool:
    status = await served.ask(status=True)
    return bool(status["running"] + status["waiting"] == calls)


async def test_the_models_are_shared_evenly_between_clients_unless_a_policy_is_configured(
    serving: Any, tmp_path: Path
) -> None:
    async with serving() as served, served.client(tmp_path), served.client(tmp_path):
        (lane,) = served.kernel.lanes.values()
        assert isinstance(lane.scheduler, FairGittins)
        tenants = {process.tenant for run in served.kernel.runs.values() for process in run.processes}
        assert len(tenants) == 2
    assert not lane.scheduler._accounts


async def test_a_configured_policy_stays(home: Path) -> None:
    config = Config(scheduler=SchedulerConfig(policy="gittins"))
    async with boot_kernel(config, models=[ScriptedModel("x")], shared=True) as booted:
        (lane,) = booted.kernel.lanes.values()
        assert isinstance(lane.scheduler, Gittins)
