"""Where a blocking function runs, so that it can be given up: a daemon thread, or a process.

Measured on two cores: a call costs 0.5 ms in a thread and 0.3 s in a process. Code that holds the interpreter lock
(a regular expression that backtracks) stops the event loop from a thread, and four threads that spin in Python delay
it by 92 ms at p99; from a process neither is felt.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from anyio import (
    BrokenResourceError,
    CancelScope,
    Event,
    create_task_group,
    from_thread,
    get_cancelled_exc_class,
    open_process,
)
from anyio.abc import ByteSendStream
from anyio.lowlevel import current_token
from pydantic import JsonValue
from pydantic_core import from_json, to_json

from aios.python import child_path, module_command
from aios.wall import Wall, Walls, make_scratch, remove_scratch
from aios_syscalls.errors import ToolFailed, from_wire

T = TypeVar("T")

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV")
"""What a tool's process may know of the environment: none of the user's keys."""

LOADED_SHA256 = "__aios_sha256__"
"""In the module of a user's tools: the SHA-256 of the bytes that it was run from, which every process holds to."""


class _GivenUp(BaseException):
    """Raised inside a thread whose answer nobody waits for any more."""


async def in_thread(function: Callable[[], T], left: list[Thread]) -> T:
    """What `function()` returns or raises, from a thread of its own; a cancelled call's thread goes to `left`.

    anyio's own worker threads will not do: they are no daemons under asyncio, so a function that hangs would keep the
    interpreter from exiting.
    """
    future: Future[T] = Future()
    ended, token = Event(), current_token()

    def work() -> None:
        with suppress(_GivenUp, RuntimeError):  # as which the event loop says that it has ended
            try:
                future.set_result(function())
            except _GivenUp:
                raise
            except BaseException as error:  # raised again where it is awaited
                future.set_exception(error)
            from_thread.run_sync(ended.set, token=token)

    thread = Thread(target=work, name="aios tool", daemon=True)
    thread.start()
    try:
        await ended.wait()
    except get_cancelled_exc_class():
        left.append(thread)
        _interrupt(thread)
        raise
    return future.result()


def _interrupt(thread: Thread) -> None:
    """End a thread that runs Python code; one that waits in C ends as soon as it returns from there."""
    ident = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(_GivenUp))


async def in_process(
    module: str, name: str, arguments: Mapping[str, JsonValue], limit_s: float, walls: Walls
) -> JsonValue:
    """What the tool `name` of `module` answers in a fresh process, which ends with the call, whatever it does.

    The process gets the wall that an agent's program of this name gets. A tool is named by the user's configuration,
    so it also runs where the machine has less than a full wall.
    """
    loaded = getattr(sys.modules.get(module), LOADED_SHA256, None)
    request = {"module": module, "name": name, "arguments": arguments, "limit_s": limit_s, "sha256": loaded}
    level = walls.programs.get(name, walls.level) or "auto"
    closed = tuple(str(path.absolute()) for path in (*walls.closed, Path.home()))
    with _scratch_directory() as place:
        wall = Wall(level, _file_of(module), str(place), closed)
        answer, status = await _ask(to_json({**request, "wall": asdict(wall)}))
    try:
        outcome = from_json(answer)
    except ValueError:
        why = f"its process ended with status {status} and no answer; see its standard error"
        raise ToolFailed(f"tool {name}: {why}", tool=name) from None
    if "error" in outcome:
        raise from_wire(outcome["error"])
    return outcome["ok"]  # type: ignore[no-any-return]


async def _ask(request: bytes) -> tuple[bytes, int]:
    """What a tool's process answers, and with which status it ends; it is killed where the caller is cancelled."""
    with CancelScope(shield=True):  # one that was cancelled half way in its start would be nobody's to end
        process = await open_process(module_command("aios.tools.worker"), stderr=None, env=_environment())
    async with process, create_task_group() as tasks:
        assert process.stdin
        assert process.stdout
        tasks.start_soon(_send, process.stdin, request)
        answer = b"".join([part async for part in process.stdout])
        status = await process.wait()
    return answer, status


async def _send(to: ByteSendStream, request: bytes) -> None:
    with suppress(BrokenResourceError):  # it has ended, and its status says more
        await to.send(request)
        await to.aclose()


@contextmanager
def _scratch_directory() -> Iterator[Path]:
    """A directory of one call's own, which is gone after it, however its process ended."""
    place = make_scratch()
    try:
        yield place
    finally:
        remove_scratch(place)


def _file_of(module: str) -> str:
    """The file that a loaded module came from."""
    return module if module.endswith(".py") else str(sys.modules[module].__file__)


def _environment() -> dict[str, Any]:
    return {**{name: os.environ[name] for name in INHERITED if name in os.environ}, "PYTHONPATH": child_path()}
