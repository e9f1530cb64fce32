"""A kernel with secrets around it, of which each has a token of its own, and who hunts for them.

Run as a program, this says as JSON which tokens a hunter sees: as a plain program, and as an agent behind each wall.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import anyio

from aios.boot import boot
from aios.config import Config, WallConfig
from aios.kernel import Run
from aios.models.scripted import ScriptedModel
from aios.python import code_command
from aios.wall.agent import rung
from aios_syscalls import Receive, Send, Spawn, Wait

NAMES = (
    *("key-file", "ssh-file", "project-file", "temporary-file", "shared-file", "runtime-file", "log-file"),
    *("record", "earlier-record", "sibling-log", "sibling-scratch", "sibling-memory", "sibling-environment"),
    *("sibling-descriptor", "kernel-environment", "kernel-arguments", "kernel-memory", "other-arguments"),
    *("other-environment", "other-memory", "other-directory", "other-descriptor", "unix-socket", "abstract-socket"),
    *("tcp", "shared-memory"),
)
OTHER = """
import os, sys
directory, descriptor, _arguments = sys.argv[1:]
memory = sys.stdin.buffer.readline()
os.chdir(directory)
file = open(descriptor, "rb")
os.unlink(descriptor)
os.rename(directory, os.path.join(os.path.dirname(directory), os.environ["DIRECTORY"]))
print("ready", flush=True)
sys.stdin.read()
"""
SIBLING = """
import json, os, secrets

def token(name):
    return f"hunted-sibling-{name}-{secrets.token_hex(16)}"

async def main(agent, task):
    if task.startswith("hunted-earlier"):
        return "done"
    memory = bytearray(token("memory").encode())
    os.environ["API_KEY"] = token("environment")
    open("notes", "w").write(token("scratch"))
    file = open("gone", "w+")
    file.write(token("descriptor"))
    file.flush()
    os.unlink("gone")
    print(token("log"), flush=True)
    await agent.send(0, json.dumps([os.getpid(), os.getcwd()]))
    await agent.receive()
    return "done"
"""
Tokens = dict[str, str]


class Secrets:
    """What lies around the kernel, and who else there is."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.tokens: Tokens = {name: f"hunted-{name}-{secrets.token_hex(16)}" for name in NAMES}
        self.programs, self.home, self.runtime = place / "programs", place / "home", place / "runtime"
        self._held: list[Any] = []

    def __enter__(self) -> Secrets:
        self._write()
        self._listen()
        self._share()
        self._start_another()
        return self

    def __exit__(self, *_: object) -> None:
        self.other.kill()
        self.other.wait()
        for held in self._held:
            held.close()
        for file in (self.temporary, self.shared):
            file.unlink()
        ctypes.CDLL(None).shmctl(self.segment, 0, None)

    def _write(self) -> None:
        for directory in (
            self.programs,
            self.home / ".ssh",
            self.home / "config",
            self.runtime,
            self.place / "project",
        ):
            directory.mkdir(parents=True)
        self._put(self.home / "config" / "credentials", "key-file")
        self._put(self.home / ".ssh" / "id", "ssh-file")
        self._put(self.place / "project" / "notes.txt", "project-file")
        self._put(self.runtime / "token", "runtime-file")
        self._put(self.home / "history.log", "log-file")
        self.temporary = Path(tempfile.gettempdir(), f"hunted-{os.getpid()}")
        self.shared = Path("/dev/shm", f"hunted-{os.getpid()}")
        self._put(self.temporary, "temporary-file")
        self._put(self.shared, "shared-file")
        (self.programs / "sibling.py").write_text(SIBLING)
        for name in ("hunter.py", "unwalled.py"):
            shutil.copy(Path(__file__).with_name("hunter.py"), self.programs / name)

    def _put(self, path: Path, name: str) -> None:
        path.write_text(self.tokens[name])
        path.chmod(0o600)

    def _listen(self) -> None:
        unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.unix, self.abstract = str(self.runtime / "agent.sock"), f"\0hunted-{os.getpid()}"
        unix.bind(self.unix)
        abstract.bind(self.abstract)
        tcp = socket.create_server(("127.0.0.1", 0))
        self.port = tcp.getsockname()[1]
        for listener, name in ((unix, "unix-socket"), (abstract, "abstract-socket"), (tcp, "tcp")):
            listener.listen(16)
            threading.Thread(target=self._answer, args=(listener, self.tokens[name].encode()), daemon=True).start()

    def _answer(self, listener: socket.socket, token: bytes) -> None:
        while True:
            with listener.accept()[0] as peer:
                peer.send(token)

    def _share(self) -> None:
        library, token = ctypes.CDLL(None), self.tokens["shared-memory"].encode()
        self.segment = library.shmget(0, ctypes.c_size_t(4096), 0o600)
        library.shmat.restype = ctypes.c_void_p
        ctypes.memmove(library.shmat(self.segment, None, 0), token, len(token))

    def _start_another(self) -> None:
        """A process of the same user that is none of aios."""
        directory, descriptor = self.place / "other", self.place / "descriptor"
        directory.mkdir()
        self._put(descriptor, "other-descriptor")
        environment = {"API_KEY": self.tokens["other-environment"], "DIRECTORY": self.tokens["other-directory"]}
        self.other = subprocess.Popen(
            code_command(OTHER, str(directory), str(descriptor), self.tokens["other-arguments"]),
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.other.stdin
        assert self.other.stdout
        self._held += [self.other.stdin, self.other.stdout]
        self.other.stdin.write(self.tokens["other-memory"].encode() + b"\n")
        self.other.stdin.flush()
        assert self.other.stdout.readline() == b"ready\n"

    def hints(self, *pids: int) -> dict[str, Any]:
        """All that a hunter could wish to know."""
        return {
            "pids": [*pids, self.other.pid],
            "home": str(self.home),
            "sockets": [self.unix, self.abstract],
            "port": self.port,
            "files": [str(self.home / "config" / "credentials"), str(self.temporary), str(self.shared)],
            "places": [str(self.home), str(self.place), str(self.runtime), str(self.programs)],
        }


async def as_agents(order: dict[str, Any]) -> dict[str, list[str]]:
    """What agents see behind a wall and without, and what a plain program sees at the same time."""
    tokens: Tokens = order["tokens"]
    walls = WallConfig(level="auto", programs={"unwalled": "off"})
    config = Config(root=Path(order["root"]), agents=(Path(order["programs"]),), wall=walls)
    async with boot(config, models=[ScriptedModel("x")]) as run:
        await ended(run.run, "sibling", tokens["earlier-record"])
    async with boot(config, models=[ScriptedModel("x")]) as run:
        sibling = (await run.run.submit(Spawn(program="sibling", task=tokens["record"]))).pid
        pid, scratch = json.loads((await run.run.submit(Receive())).body)
        await until_it_is_in(run.journal.parent, tokens["record"])
        await until_it_is_in(run.directory / "agents", "hunted-sibling-log")
        hints = json.dumps({**order["hints"], "pids": [*order["hints"]["pids"], os.getpid(), pid]})
        found = {name: json.loads(await ended(run.run, name, hints)) for name in ("hunter", "unwalled")}
        found["program"] = as_program(Path(order["programs"]) / "hunter.py", hints)
        await run.run.submit(Send(to=sibling, body="end"))
        await run.run.submit(Wait(pid=sibling))
    assert not Path(scratch).exists()
    return found


async def ended(kernel: Run, program: str, task: str) -> str:
    """The result of a program."""
    pid = (await kernel.submit(Spawn(program=program, task=task))).pid
    process = (await kernel.submit(Wait(pid=pid))).process
    assert process.error is None, process.error
    return process.result or ""


async def until_it_is_in(directory: Path, text: str) -> None:
    """Records and logs are written by others, a moment later."""
    with anyio.fail_after(60):
        while not any(text.encode() in file.read_bytes() for file in directory.iterdir() if file.is_file()):
            await anyio.sleep(0.01)


def as_program(hunter: Path, hints: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-P", str(hunter)], input=hints, stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[str] = json.loads(ended.stdout)
    return found


KERNEL = """
import json, sys
import anyio
from tests.attacks import hunted
kept = json.loads(sys.stdin.read())
print(json.dumps(anyio.run(hunted.as_agents, kept)))
"""


def kernel(around: Secrets) -> dict[str, list[str]]:
    """A kernel of its own process, with a key in its environment and a secret among its arguments."""
    environment = {
        **os.environ,
        "AIOS_HOME": str(around.home),
        "HOME": str(around.home),
        "XDG_RUNTIME_DIR": str(around.runtime),
        "OPENAI_API_KEY": around.tokens["kernel-environment"],
    }
    order = {
        "tokens": {name: around.tokens[name] for name in ("record", "earlier-record", "kernel-memory")},
        "hints": around.hints(),
        "root": str(around.place / "project"),
        "programs": str(around.programs),
    }
    ended = subprocess.run(
        code_command(KERNEL, around.tokens["kernel-arguments"]),
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=around.place / "project",
        check=True,
    )
    found: dict[str, list[str]] = json.loads(ended.stdout)
    return found


def main(place: Path) -> None:
    """Say who sees what."""
    with Secrets(place) as around:
        found = kernel(around)
    print(json.dumps({"rung": rung(), "found": found}))
