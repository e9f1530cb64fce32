"""Peers: environments of their own, made in the cache at first need; processes that stand still when not asked."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.to_thread
import httpx2
import psutil
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from aios.bench.llm.ours import say
from aios.config import home
from aios.python import child_path, module_command
from aios_syscalls import ModelFailed

ENGINE = "llama-cpp-python"
XLLAMACPP = "xllamacpp==2026.10.11549"
SERVER = "examples/server/server.py"
CONTENDER = Path(__file__).with_name("contender.py")
ANSWER_S, START_S = 1800.0, 120.0
MAX_LINE_BYTES = 1 << 24


def cores() -> int:
    """The threads that every contender is given: one for each core that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, psutil.cpu_count(logical=False) or allowed)


class Environment:
    """A virtual environment for one peer, in the cache. Raises ModelFailed when it cannot be made."""

    def __init__(self, name: str) -> None:
        self.name, self.place = name, home("cache") / "peers" / name
        self.python = self.place / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it was made to its end."""
        return (self.place / "ready").is_file()

    def make(self) -> None:
        """An empty one, in the place of what may be there."""
        say(f"making an environment for the peer {self.name} in {self.place}; this happens once")
        try:
            shutil.rmtree(self.place, ignore_errors=True)
            venv.create(self.place, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ModelFailed(
                f"no environment for the peer {self.name} could be made in {self.place}: {error}; "
                "free some disk there, or set AIOS_HOME"
            ) from error

    def pip(self, *arguments: str) -> None:
        """Run pip in it."""
        command = [str(self.python), "-m", "pip", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = next(reversed(re.findall(r"ERROR: (.+)", done.stderr)), done.stderr.strip()[-300:])
            raise ModelFailed(
                f"the peer {self.name} could not be installed: {reason}; check the network and pip's index, "
                "then run this again"
            )

    def finish(self) -> None:
        """It is whole now."""
        (self.place / "ready").touch()


def xllamacpp() -> Path:
    """The interpreter that has xllamacpp."""
    environment = Environment(re.sub(r"\W+", "-", XLLAMACPP))
    if not environment.ready:
        environment.make()
        environment.pip("install", "--only-binary", ":all:", XLLAMACPP)
        environment.finish()
    return environment.python


def example_server() -> tuple[Path, Path]:
    """The interpreter for the example server in the source distribution of the engine that we use, and its file."""
    version = metadata.version(ENGINE)
    environment = Environment(f"example-server-{version}")
    script = environment.place / SERVER
    if not environment.ready:
        environment.make()
        # pip asks a source distribution for its metadata before it keeps it, and that one answers by its build backend.
        environment.pip("install", "scikit-build-core")
        with tempfile.TemporaryDirectory(dir=environment.place) as work:
            source = ["--no-deps", "--no-binary", ENGINE, "--no-build-isolation", f"{ENGINE}=={version}", "-d", work]
            environment.pip("download", *source)
            _extract(next(Path(work).glob("*.tar.gz")), script)
        needed = {*dependencies(script.read_text("utf-8")), *(metadata.requires(ENGINE) or ())}
        environment.pip("install", *sorted(each for each in needed if "extra ==" not in each and each != ENGINE))
        environment.finish()
    _lend_engine(environment)
    return environment.python, script


def dependencies(script: str) -> list[str]:
    """What a script says it needs (PEP 723)."""
    block = re.search(r"(?m)^# /// script$\n((?:^#.*$\n)+?)^# ///$", script)
    lines = block[1].splitlines() if block else []
    needed: list[str] = tomllib.loads("\n".join(line[2:] for line in lines)).get("dependencies", [])
    return needed


def _extract(archive: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as opened:
        member = next((each for each in opened if each.name.partition("/")[2] == SERVER), None)
        content = opened.extractfile(member) if member else None
        if content is None:
            raise ModelFailed(f"{archive.name} has no {SERVER}; this peer is not in that version")
        target.write_bytes(content.read())


def _lend_engine(environment: Environment) -> None:
    """Show the peer the very build of llama.cpp that we use: compiling another takes minutes and may differ."""
    found = importlib.util.find_spec("llama_cpp")
    if found is None or not found.submodule_search_locations:
        raise ModelFailed("the package llama_cpp is not installed; run scripts/setup")
    site = next((environment.place / "lib").glob("python*/site-packages"))
    link = site / "llama_cpp"
    link.unlink(missing_ok=True)
    link.symlink_to(found.submodule_search_locations[0])


class PeerProcess:
    """A process that answers jobs, a line each. It is stopped whenever it is not asked, so it cannot disturb others."""

    def __init__(self, name: str, process: Process, talk: IO[bytes]) -> None:
        assert process.stdout
        self.name, self._process, self._talk = name, process, talk
        self._lines = BufferedByteReceiveStream(process.stdout)

    @classmethod
    @asynccontextmanager
    async def started(
        cls,
        kind: str,
        settings: Mapping[str, Any],
        python: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[PeerProcess]:
        """`contender.py KIND` with these settings, ready. Raises ModelFailed when it does not get ready."""
        command = [str(python or sys.executable), str(CONTENDER), kind]
        # Ours needs what we import; the others shall see none of it.
        path = {} if python else {"PYTHONPATH": child_path()}
        async with running(kind, command, {**path, **(environment or {})}) as (process, talk):
            peer = cls(kind, process, talk)
            await peer.ask(settings, START_S)
            yield peer

    async def ask(self, job: Mapping[str, Any], timeout_s: float = ANSWER_S) -> dict[str, Any]:
        """Its answer. Raises ModelFailed when it dies or does not answer in time."""
        assert self._process.stdin
        try:
            with anyio.fail_after(timeout_s):
                self._process.send_signal(signal.SIGCONT)
                await self._process.stdin.send(json.dumps(job).encode() + b"\n")
                line = await self._lines.receive_until(b"\n", MAX_LINE_BYTES)
        except (anyio.BrokenResourceError, anyio.IncompleteRead, anyio.EndOfStream, ProcessLookupError):
            raise ModelFailed(f"the peer {self.name} died: {tail(self._talk)}") from None
        except TimeoutError:
            raise ModelFailed(f"the peer {self.name} did not answer within {timeout_s:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGSTOP)
        answer: dict[str, Any] = json.loads(line)
        return answer


class PeerServer:
    """A peer that is asked over HTTP."""

    def __init__(self, name: str, process: Process, port: int, still: bool) -> None:
        self.name, self.port = name, port
        self._process, self._still = process, still

    @asynccontextmanager
    async def awake(self) -> AsyncIterator[httpx2.AsyncClient]:
        """A client of it, while it runs; afterwards it stands still."""
        url, limits = f"http://127.0.0.1:{self.port}", httpx2.Limits(max_connections=None)
        self._signal(signal.SIGCONT)
        try:
            async with httpx2.AsyncClient(base_url=url, timeout=ANSWER_S, limits=limits, trust_env=False) as client:
                yield client
        finally:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        if self._still:
            with suppress(ProcessLookupError):  # that it is dead, the requests tell
                self._process.send_signal(number)

    @classmethod
    @asynccontextmanager
    async def example(cls, model: Path, slots: int, context: int, threads: int) -> AsyncIterator[PeerServer]:
        """llama-cpp-python's example server, as its own configurations set it up."""
        python, script = await anyio.to_thread.run_sync(example_server)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        settings = {
            "server": {"port": port},
            "model": {
                "path": str(model),
                "n_ctx": slots * context,
                "n_seq_max": slots,
                "n_batch": BATCH,
                "n_ubatch": BATCH,
                "threads": threads,
                "threads_batch": threads,
                "store_logits": False,
            },
        }
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(settings, file)
            file.flush()
            name = "the example server"
            command = [str(python), str(CONTENDER), "example", str(script), "-C", file.name]
            async with running(name, command) as (process, talk):
                server = cls(name, process, port, still=True)
                async with server.awake() as client:
                    await _healthy(name, client, process, talk)
                yield server

    @classmethod
    @asynccontextmanager
    async def ours(cls, model: Path, slots: int, context: int) -> AsyncIterator[PeerServer]:
        """Our kernel behind HTTP. It is never stopped: its kernel would take its worker for hung."""
        command = module_command("aios.bench.llm.endpoint", str(model), str(slots), str(context))
        path = {"PYTHONPATH": child_path()}
        async with running("our endpoint", command, path) as (process, talk):
            assert process.stdout
            try:
                with anyio.fail_after(START_S):
                    line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100)
            except (TimeoutError, anyio.IncompleteRead, anyio.EndOfStream):
                raise ModelFailed(f"our endpoint did not start: {tail(talk)}") from None
            yield cls("our endpoint", process, int(line), still=False)


BATCH = 128
"""What the example server's own configurations give it."""


async def _healthy(name: str, client: httpx2.AsyncClient, process: Process, talk: IO[bytes]) -> None:
    with anyio.move_on_after(START_S):
        while process.returncode is None:
            with suppress(httpx2.TransportError):
                if (await client.get("/healthz")).status_code == 200:
                    return
            await anyio.sleep(0.1)
    raise ModelFailed(f"{name} did not start: {tail(talk)}")


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Process, IO[bytes]]]:
    """A process and what it says on stderr; it is ended afterwards, gently if it can be."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | dict(environment or {})
    with tempfile.TemporaryFile() as talk:
        try:
            process = await anyio.open_process(command, stderr=talk, env=variables)
        except OSError as error:
            raise ModelFailed(f"{name} could not be started: {error}") from error
        try:
            yield process, talk
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(ProcessLookupError):
                    process.terminate()
                    process.send_signal(signal.SIGCONT)
                with anyio.move_on_after(10):
                    await process.wait()
                with suppress(ProcessLookupError):
                    process.kill()
                await process.aclose()


def tail(talk: IO[bytes]) -> str:
    """The last line of what a process said: of a traceback, the one that tells."""
    talk.seek(0)
    lines = talk.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it gave no reason")
