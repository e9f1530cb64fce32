"""`aios exec`: any program as a process of the kernel."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import psutil
from anyio.abc import Process

from aios.config import Config, new_run_directory
from aios.frames import Frames
from aios.link.greeting import greeted
from aios.link.order import RunOrder, run_part
from aios.link.place import Place
from aios.terminal.output import say
from aios_syscalls import BadRequest, NotFound

KEYS = re.compile(
    r"(^|_)(API_KEY|API_TOKEN|AUTH_TOKEN|OAUTH_TOKEN|BEARER_TOKEN\w*)$|^(HF_TOKEN|HUGGING_FACE_HUB_TOKEN)$"
)
"""Names of environment variables that hold the keys of providers."""
PROVIDERS = re.compile(r"^(OPENAI|ANTHROPIC|AZURE_OPENAI|CLAUDE_CODE_USE)_")
"""Names that tell a client's library which provider to ask, and how."""
HOSTS = "127.0.0.1,localhost,::1"
DEFAULT_CONTEXT = 8_192
KILL_S = 2.0
"""For which a command that is killed may end by itself."""


async def execute(
    command: Sequence[str], config: Config, name: str | None, priority: int, place: Place | None = None
) -> int:
    """Run a command on the daemon, whose models it is led to; its exit code. Raises NoKernel, NotFound."""
    program = name or Path(command[0]).name
    order = RunOrder(
        id=new_run_directory().name,
        config=run_part(config, []),
        facts={"command": list(command), "directory": os.getcwd()},
        priority=priority,
    )
    greeting = {"order": order.model_dump(mode="json"), "program": program, "task": " ".join(command)[:4_096]}
    frames, _ = await greeted(place or Place.of_home(), "command", **greeting)
    async with frames:
        led = await _receive(frames)
        environment = surroundings(os.environ, led, config, program)
        return await _run(command, environment, frames, led["pid"])


def surroundings(given: Mapping[str, str], led: Mapping[str, Any], config: Config, program: str) -> dict[str, str]:
    """A command's environment: the daemon's URL and the command's own token in place of the user's keys."""
    own = {getattr(model, "api_key_env", None) for model in config.models.values()}
    kept = {key: value for key, value in given.items() if not (KEYS.search(key) or PROVIDERS.match(key) or key in own)}
    url, token = str(led["url"]), str(led["token"])
    proxied = {key: ",".join(filter(None, (kept.get(key), HOSTS))) for key in ("NO_PROXY", "no_proxy")}
    return {
        **kept,
        **proxied,
        "AIOS_URL": url,
        "AIOS_TOKEN": token,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": token,
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": token,
        # Claude Code asks about a key that it finds there, and needs none.
        **({} if program == "claude" else {"ANTHROPIC_API_KEY": token}),
        **_claude_code(led["models"], config.model),
    }


def _claude_code(models: Sequence[Mapping[str, Any]], wanted: str | None) -> dict[str, str]:
    """What Claude Code needs to know of a model that is not its vendor's."""
    if not models:
        return {}
    model = next((each for each in models if each["name"] == wanted), models[0])
    context = int(model["context"] or DEFAULT_CONTEXT)
    names = ("ANTHROPIC_MODEL", *(f"ANTHROPIC_DEFAULT_{size}_MODEL" for size in ("OPUS", "SONNET", "HAIKU")))
    return {
        **dict.fromkeys(names, str(model["name"])),
        "CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(context),
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(max(256, context // 8)),
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


async def _receive(frames: Frames) -> dict[str, Any]:
    """What the command is led to. Raises what the daemon refuses with."""
    from aios_syscalls import NoKernel
    from aios_syscalls.errors import from_wire

    try:
        said: dict[str, Any] = await frames.receive()
    except anyio.EndOfStream:
        raise NoKernel("the daemon hung up; see why: aios logs") from None
    if "error" in said:
        raise from_wire(said["error"])
    return said


async def _run(command: Sequence[str], environment: Mapping[str, str], frames: Frames, pid: int) -> int:
    try:
        process = await anyio.open_process(command, stdin=None, stdout=None, stderr=None, env=environment)
    except FileNotFoundError:
        raise NotFound(f"there is no command {command[0]!r}; check its name and PATH", field="command") from None
    except OSError as error:
        raise BadRequest(f"{command[0]!r} cannot be run: {error.strerror}", "command") from None
    async with process:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pass_signals_on, process)
            tasks.start_soon(_kill_when_told, process, frames, pid)
            await process.wait()
            tasks.cancel_scope.cancel()
    status = process.returncode or 0
    return status if status >= 0 else 128 - status


async def _pass_signals_on(process: Process) -> None:
    """A terminal's Ctrl-C reaches the command by itself; what is sent to us alone goes on to it."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for number in signals:
            if number != signal.SIGINT:
                with suppress(ProcessLookupError):
                    process.send_signal(number)


async def _kill_when_told(process: Process, frames: Frames, pid: int) -> None:
    """Once the daemon hangs up, the command and all that it has started end."""
    with suppress(anyio.EndOfStream, ValueError):
        while True:
            await frames.receive()
    say(f"process {pid} was killed, or its daemon has gone; the command ends")
    await anyio.to_thread.run_sync(_end_tree, process.pid)


def _end_tree(os_pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(os_pid)
        doomed = [*top.children(recursive=True), top]
        _each(doomed, "terminate")
        _, alive = psutil.wait_procs(doomed, KILL_S)
        _each(alive, "kill")


def _each(processes: Iterable[psutil.Process], verb: str) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            getattr(process, verb)()
