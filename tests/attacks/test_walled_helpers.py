"""The kernel's own helpers behind their walls: the process of a local model, and the owner of an index.

Each wall is put up by the function of the product, and a program of attempts runs in place of the helper's own; the
control is the same program without. The helpers themselves are asked of the system whether they have one.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import anyio
import pytest

from aios import owner
from aios.artifacts import model_path
from aios.bench.wall.users import own, start, told, users
from aios.models.local.supervisor.process import WorkerProcess
from aios.wall import seccomp
from aios.wall.agent import rung
from tests.storage.walled import start as start_owner

pytestmark = pytest.mark.whole

ATTEMPTS = """
import json, mmap, os, signal, socket, subprocess, sys, threading
from pathlib import Path

def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()

def send_datagram(place):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", f"{place}/log.sock")

def connect(place):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{place}/other.sock")

def listen(place):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{place}/runtime/aios/own.sock")
        sock.listen()
    os.unlink(f"{place}/runtime/aios/own.sock")

def listen_tcp():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()

def renice_group():
    os.setpgid(0, 0)
    os.setpriority(os.PRIO_PGRP, 0, os.getpriority(os.PRIO_PGRP, 0))

def map_file(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        assert data[:4] == b"GGUF"

def work():
    import numpy, psutil
    thread = threading.Thread(target=lambda: numpy.ones((64, 64)) @ numpy.ones((64, 64)))
    thread.start()
    thread.join()
    psutil.Process().memory_info(), psutil.virtual_memory(), psutil.cpu_count(logical=False)

def attempts(place, port, victim):
    yield "read a key", lambda: Path(place, "home/.ssh/id").read_text()
    yield "list the state", lambda: os.listdir(Path(place, "state"))
    yield "read beside the model", lambda: Path(place, "models/notes.txt").read_text()
    yield "write beside the model", lambda: Path(place, "models/planted").write_text("x")
    yield "write the model", lambda: open(f"{place}/models/m-00001-of-00002.gguf", "r+b").write(b"GGUF")
    yield "connect by TCP", lambda: socket.create_connection(("127.0.0.1", port)).close()
    yield "send by UDP", lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
    yield "listen on TCP", listen_tcp
    yield "ask another's socket", lambda: connect(place)
    yield "send another's socket a datagram", lambda: send_datagram(place)
    yield "signal another process", lambda: os.kill(victim, 0)
    yield "renice another process", lambda: os.setpriority(os.PRIO_PROCESS, victim, 1)
    yield "renice a group", renice_group
    yield "fork", fork
    yield "start a program", lambda: subprocess.run(["true"], check=True)
    yield "map a model", lambda: map_file(f"{place}/models/m-00001-of-00002.gguf")
    yield "map its other part", lambda: map_file(f"{place}/models/m-00002-of-00002.gguf")
    yield "write the cache", lambda: Path(place, "aios/cache/models/x").write_text("x")
    yield "write states", lambda: Path(place, "aios/cache/context/x").write_text("x")
    yield "write the root", lambda: Path(place, "root/x").write_text("x")
    yield "listen", lambda: listen(place)
    yield "choose cores", lambda: os.sched_setaffinity(0, os.sched_getaffinity(0))
    yield "work", work
    yield "give way", lambda: os.nice(1)

def main():
    place, port, victim, kind, wall = sys.argv[1:]
    if kind == "model":
        from aios.models.local.engine.walled import close_in
        close_in(Path(place, "models/m-00001-of-00002.gguf"))
    if kind == "owner":
        from aios.wall.service import ServiceWall, put_up_service
        put_up_service(ServiceWall.of(json.loads(wall)))
    done = []
    for name, act in attempts(place, int(port), int(victim)):
        try:
            act()
            done.append(name)
        except OSError as error:
            print(name, error, file=sys.stderr)
    print(json.dumps(done))

main()
"""
OF_FILES = {
    "read a key",
    "list the state",
    "read beside the model",
    "write beside the model",
    "write the model",
    "write the root",
    "map a model",
    "map its other part",
    "write the cache",
    "write states",
}
"""What is open wherever Landlock is missing."""
OF_A_MODEL = {
    "map a model",
    "map its other part",
    "write the cache",
    "write states",
    "choose cores",
    "work",
    "give way",
}
OF_AN_OWNER = {"write the root", "listen", "fork", "start a program", "choose cores", "work", "give way"}
OF_A_NETWORK = {"connect by TCP", "send by UDP", "listen on TCP"}
"""Of an owner whose embedder has a URL; Unix sockets of others are a matter of files."""


@pytest.fixture
def place() -> Iterator[Path]:
    """What there is to be reached, and what is needed.

    Not in pytest's directory: that is closed to other users again whenever a session begins beside this one.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(os.path.realpath(name))
        for each in ("home/.ssh", "state", "models", "aios/cache/models", "aios/cache/context", "root", "runtime/aios"):
            (place / each).mkdir(parents=True)
        (place / "home/.ssh/id").write_text("the user's secret")
        (place / "models/notes.txt").write_text("not the model's")
        for part in (1, 2):
            (place / f"models/m-0000{part}-of-00002.gguf").write_bytes(b"GGUF")
        yield place


def done(place: Path, user: str, kind: str, wall: str = "") -> set[str]:
    """Which attempts succeed of a process of this user behind such a wall."""
    for path in (place, *place.rglob("*")):
        own(path, user)
    names = (str(place / "other.sock"), str(place / "log.sock"))
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as other,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        start("import sys; print('ready', flush=True); sys.stdin.read()", user) as victim,
    ):
        assert victim.stdout
        assert victim.stdout.readline() == "ready\n"  # from here on it is this user's
        for sock, name in zip((other, log), names, strict=True):
            Path(name).unlink(missing_ok=True)
            sock.bind(name)
            own(Path(name), user)
        other.listen()
        code = f"import os; os.environ['AIOS_HOME'] = {str(place / 'aios')!r}; os.environ['HOME'] = {str(place)!r}\n"
        arguments = (str(place), str(server.getsockname()[1]), str(victim.pid), kind, wall)
        with start(code + ATTEMPTS, user, *arguments) as process:
            return set(json.loads(told(process)))


def expected(everything: set[str], needed: set[str]) -> set[str]:
    """What of all a helper's wall lets through on this machine, if it needs these."""
    return {"full": needed, "partial": needed | (everything & OF_FILES), "none": everything}[rung()]


@pytest.mark.parametrize("user", users())
def test_the_process_of_a_model_has_its_files_and_nothing_else(place: Path, user: str) -> None:
    everything = done(place, user, "control")
    assert everything >= OF_A_MODEL | OF_FILES | OF_A_NETWORK | {"ask another's socket", "signal another process"}
    assert done(place, user, "model") == expected(everything, OF_A_MODEL)


@pytest.mark.parametrize("user", users())
def test_the_owner_of_an_index_has_its_root_and_a_network_only_for_an_embedder_with_a_url(
    place: Path, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "runtime"))
    (place / "runtime/aios").chmod(0o700)
    local = owner.wall(place / "root", "hashing:64")
    remote = owner.wall(place / "root", "openai:http://127.0.0.1:1/v1#m")
    assert (local.network, remote.network) == (False, True)
    everything = done(place, user, "control")
    assert done(place, user, "owner", json.dumps(asdict(local))) == expected(everything, OF_AN_OWNER)
    open_sockets = everything & {"ask another's socket", "send another's socket a datagram"}
    through = done(place, user, "owner", json.dumps(asdict(remote)))
    assert through == expected(everything, OF_AN_OWNER | OF_A_NETWORK | open_sockets)


def test_the_helpers_in_use_have_a_wall(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place / "runtime"))
    (place / "runtime/aios").chmod(0o700)
    serving = start_owner(place / "root", "hashing:64")
    try:
        found = {"owner": bounds(serving.status()["pid"])}
    finally:
        serving.stop()
    found["worker"] = anyio.run(bounds_of_a_worker)
    wall = {"NoNewPrivs": "1", "Seccomp": "2" if seccomp.available() else "0"}
    assert found == {"owner": wall, "worker": wall} or sys.platform != "linux"


async def bounds_of_a_worker() -> dict[str, str]:
    settings = {"slots": 1, "context": 256, "gpu_layers": 0, "requantize": False, "embed": False, "heartbeat_s": 1}
    async with WorkerProcess.spawn(model_path()) as worker:
        worker.send({"path": str(model_path()), **settings})
        assert "needs" in await worker.receive()  # and it waits until it may load
        return bounds(worker.pid)


def bounds(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in map(partition, lines) if name in ("NoNewPrivs", "Seccomp")}


def partition(line: str) -> tuple[str, str, str]:
    return line.partition(":")
