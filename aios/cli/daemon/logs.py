"""What the daemon has logged, and what an agent has printed."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from aios.config import journal_path, runs_directory
from aios.link.place import Place
from aios.record import run_of_process
from aios_syscalls import Denied, NotFound

BLOCK = 64 * 1024
LOOK_S = 0.2


def log_of(pid: int | None) -> Path:
    """The file of the daemon's log, or of what process `pid` has printed. Raises NotFound."""
    if pid is None:
        path = Place.of_home().log
        if not path.exists():
            raise NotFound(f"no daemon has run at {path.parent.parent} yet; start one: aios up")
        return path
    run = run_of_process(journal_path(), pid) if journal_path().exists() else None
    if run is None:
        raise NotFound(f"no process {pid} is on record; `aios ps --all` lists those that are")
    path = runs_directory() / run / "agents" / f"{pid}.log"
    if not path.exists():
        raise NotFound(f"process {pid} of run {run} has no log: it is no program that aios has started, or has no file")
    return path


def last_lines(path: Path, count: int, follow: bool = False) -> Generator[str, None, None]:
    """The last lines of a file; with `follow` then each that is added, also once another file has taken its place."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - another may take its place
    except OSError as error:
        raise Denied(f"{path} cannot be read: {error.strerror}; its owner is another user") from error
    try:
        _seek_lines(file, count)
        yield from _lines(file, whole=follow)
        while follow:
            time.sleep(LOOK_S)
            yield from _lines(file, whole=True)
            if _replaced(file, path):
                yield from _lines(file, whole=False)
                file.close()
                file = open(path, "rb")  # noqa: SIM115
    finally:
        file.close()


def _lines(file: BinaryIO, *, whole: bool) -> Iterator[str]:
    """What is left of a file; a line that has no end yet waits for it, where only `whole` ones are wanted."""
    while line := file.readline():
        if whole and not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line.decode("utf-8", "replace").rstrip("\n")


def _replaced(file: BinaryIO, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False  # its successor is to come


def _seek_lines(file: BinaryIO, count: int) -> None:
    """Go to where the last lines begin."""
    at, tail = file.seek(0, os.SEEK_END), b""
    while at and tail.count(b"\n") <= count:
        size = min(BLOCK, at)
        at = file.seek(at - size)
        tail = file.read(size) + tail
    lines = tail.removesuffix(b"\n").split(b"\n")
    before = sum(len(line) + 1 for line in lines[: max(0, len(lines) - count)])
    file.seek(at + min(before, len(tail)))
