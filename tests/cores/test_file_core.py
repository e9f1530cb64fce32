"""FileCore: every call of the family, and a disk that hangs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import anyio
import pytest
from anyio import to_thread

from aios.cores.file import FileCore
from aios.kernel.core import Turn
from aios_storage import Root, beneath
from aios_syscalls import (
    AppendFile,
    BadRequest,
    CreateFile,
    DeleteFile,
    Denied,
    Exists,
    FileCall,
    FileDone,
    ListFiles,
    MoveFile,
    NotFound,
    ReadFile,
    Reply,
    StatFile,
    Syscall,
    WriteFile,
)

R = TypeVar("R", bound=Reply)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    with Root(tmp_path) as root:
        yield root


async def ask(core: FileCore, call: Syscall[R]) -> R:
    reply = await core.run(Turn(call=call, pid=1, budget=None, snapshot=None, emit=lambda _: None))
    assert isinstance(reply, call.reply_type())
    return reply


@pytest.mark.anyio
async def test_every_call_of_the_family_is_served(root: Root, tmp_path: Path) -> None:
    core = FileCore(root)
    calls: list[Syscall[Any]] = [
        CreateFile(path="d", kind="directory"),
        CreateFile(path="d/a", data=b"one"),
        AppendFile(path="d/a", data=b"two"),
        MoveFile(path="d/a", target="b"),
        WriteFile(path="c", data=b"x"),
        DeleteFile(path="d"),
    ]
    done = [await ask(core, call) for call in calls]
    assert done == [FileDone(path=path) for path in ("d", "d/a", "d/a", "b", "c", "d")]
    assert (await ask(core, ReadFile(path="b", offset=2, length=3))).data == b"etw"
    listing = (await ask(core, ListFiles())).entries
    assert [(entry.path, entry.kind, entry.size) for entry in listing] == [("b", "file", 6), ("c", "file", 1)]
    info = (await ask(core, StatFile(path="b"))).info
    assert info == listing[0]
    assert info.modified == (tmp_path / "b").stat().st_mtime
    served = {type(call) for call in calls} | {ReadFile, ListFiles, StatFile}
    assert served == set(get_args(FileCall))


@pytest.mark.anyio
async def test_errors_are_the_abis(root: Root) -> None:
    core = FileCore(root)
    await ask(core, WriteFile(path="a", data=b"x"))
    cases: list[tuple[Syscall[Any], type[Exception]]] = [
        (ReadFile(path="b"), NotFound),
        (CreateFile(path="a"), Exists),
        (ReadFile(path="../a"), Denied),
        (ReadFile(path=""), BadRequest),
        (WriteFile(path=".bashrc", data=b"x"), Denied),
    ]
    for call, kind in cases:
        with pytest.raises(kind):
            await ask(core, call)


@pytest.mark.anyio
async def test_a_disk_that_hangs_stops_neither_the_loop_nor_a_cancelled_caller(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = threading.Event(), threading.Event()
    real = beneath.real

    def hang(fd: int, parts: tuple[str, ...]) -> tuple[str, ...]:
        if parts == ("slow",):
            stuck.set()
            free.wait()
        return real(fd, parts)

    monkeypatch.setattr(beneath, "real", hang)
    core = FileCore(root)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, core, ReadFile(path="slow"))
            await to_thread.run_sync(stuck.wait)
            await ask(core, WriteFile(path="a", data=b"x"))
            tasks.cancel_scope.cancel()
    finally:
        free.set()
