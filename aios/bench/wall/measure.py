"""What one user finds of the wall: probes, honest programs, and what it adds to an agent's start. Prints JSON."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from aios.bench.wall.attempts import KINDS, Found, tried
from aios.bench.wall.honest import HONEST, NEIGHBOUR
from aios.hosts.process import ProcessHost
from aios.kernel import Run, by_family, lone_run
from aios.record import SqliteJournal
from aios.wall import Level, Walls, rung
from aios_syscalls import Spawn, Wait

NOTHING = "async def main(agent, task):\n    return task\n"
"""The program whose spawn is timed."""
SCRATCH = """
import os, tempfile
os.chdir(tempfile.mkdtemp(dir={!r}))
os.environ['HOME'] = os.environ['TMPDIR'] = os.getcwd()
tempfile.tempdir = None
"""
ITEMS = list(enumerate(HONEST))


@dataclass(frozen=True)
class WallSize:
    """How much is measured."""

    kinds: tuple[str, ...] = tuple(KINDS)
    levels: tuple[Level, ...] = ("off", "auto", "exec")
    """At which honest programs run; off is their control."""
    pairs: int = 400
    warm: int = 40
    """Pairs before those that count."""


def main(place: Path, quick: bool) -> None:
    """Measure as this user, in an empty directory of this user's."""
    size = WallSize(kinds=("control", "auto"), levels=("off", "auto"), pairs=40, warm=10) if quick else WallSize()
    found = {
        "honest": anyio.run(_honest, _new(place, "honest"), size),
        "pairs": anyio.run(_spawns, _new(place, "spawns"), size),
        "found": _probes(_new(place, "probes"), size),
        "rung": rung(),
    }
    print(json.dumps(found))


def _new(place: Path, name: str) -> Path:
    made = place / name
    made.mkdir()
    return made


def _probes(place: Path, size: WallSize) -> Found:
    return tried(place, {name: KINDS[name] for name in size.kinds})


@asynccontextmanager
async def _kernel(place: Path, level: Level) -> AsyncIterator[Run]:
    """A kernel whose agents are behind walls of this level; programs are those in `place`."""
    walls, logs = Walls(level=level), place / f"{level}-logs"
    async with SqliteJournal(place / f"{level}.db") as journal, ProcessHost(logs, [place], walls) as host:
        async with lone_run([], by_family, host, journal) as kernel:
            yield kernel


async def _ended(kernel: Run, program: str) -> str | None:
    """The error of a program; None if it had a result."""
    pid = (await kernel.submit(Spawn(program=program))).pid
    error = (await kernel.submit(Wait(pid=pid))).process.error
    return None if error is None else str(error["message"])


async def _honest(place: Path, size: WallSize) -> Found:
    """By level and what a program does: its error, or None."""
    (place / "neighbour.py").write_text(NEIGHBOUR)
    found: Found = {}
    for level in size.levels:
        async with _kernel(place, level) as kernel:
            programs = {name: _write(place, f"honest_{level}_{number}", level, HONEST[name]) for number, name in ITEMS}
            found[level] = {name: await _ended(kernel, program) for name, program in programs.items()}
    return found


def _write(place: Path, name: str, level: Level, code: str) -> str:
    """A program's name, once it is there. Without a wall it has to make the empty directory that a wall comes with."""
    lines = [*(SCRATCH.format(str(place)) if level == "off" else "").splitlines(), *code.strip().splitlines()]
    body = "".join(f"    {line}\n" for line in lines)
    (place / f"{name}.py").write_text(f"async def main(agent, task):\n{body}    return 'done'\n")
    return name


async def _spawns(place: Path, size: WallSize) -> list[tuple[float, float]]:
    """Seconds from spawn to result, with the wall and without, one right after the other; who is first changes."""
    (place / "nothing.py").write_text(NOTHING)
    pairs = []
    async with _kernel(place, "auto") as walled, _kernel(place, "off") as open:
        with _uncollected():
            for number in range(size.warm + size.pairs):
                taken = {}
                for kernel in (walled, open) if number % 2 else (open, walled):
                    began = time.perf_counter()
                    error = await _ended(kernel, "nothing")
                    taken[kernel] = time.perf_counter() - began
                    if error is not None:
                        raise OSError(f"an agent that does nothing failed: {error}")
                pairs.append((taken[walled], taken[open]))
    return pairs[size.warm :]


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection, which would fall on one of a pair."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


if __name__ == "__main__":
    main(Path(sys.argv[1]), "quick" in sys.argv[2:])
