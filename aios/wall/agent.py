"""The wall around an agent: what its process may reach of the machine, from before its program is loaded.

| level | files | network | programs and processes |
|---|---|---|---|
| auto | Python, libraries, the program; a private scratch directory | none | none |
| exec | the same | none | any, behind the same wall |
| off | the user's | the user's | any |

Landlock guards files and seccomp the rest; neither can be taken off again, by the process or what it starts. How much
of that the machine has is its rung: "full" both, Landlock from version 4; "partial" seccomp, so files are open;
"none". A bound that the rung promises and that cannot be put up keeps the program from starting.
"""

from __future__ import annotations

import functools
import os
import resource
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from aios.wall import finders, landlock, pretended, readable, seccomp, wall_calls
from aios_syscalls import Denied

Level = Literal["auto", "exec", "off"]
Rung = Literal["full", "partial", "none"]
MEMORY_BYTES, DESCRIPTORS, FILE_BYTES = 4 << 30, 256, 64 << 20
LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_NOFILE: DESCRIPTORS,
    resource.RLIMIT_FSIZE: FILE_BYTES,
    resource.RLIMIT_CORE: 0,
}
"""Of a process; one that is lower already stays."""
FULL_FROM = 4
"""The version of Landlock that has files whole, truncation among them, and TCP."""


def rung() -> Rung:
    """How much of a wall this machine can put up."""
    if not seccomp.available():
        return "none"
    return "full" if landlock.version() >= FULL_FROM else "partial"


def describe_rung(rung: Rung) -> str:
    """What a rung means, in words."""
    return {
        "full": f"files by Landlock {landlock.version()}, network, programs and processes by seccomp",
        "partial": "network, programs and processes by seccomp; files are open, for there is no Landlock of version "
        f"{FULL_FROM} or newer",
        "none": "there is neither Landlock nor seccomp: agents can do whatever you can",
    }[rung]


@dataclass(frozen=True)
class Walls:
    """Which wall each program gets."""

    level: Level | None = None
    """None is auto, and was not asked for by the user."""
    programs: Mapping[str, Level] = field(default_factory=dict)
    """By the name of a program, or its path, where that differs."""
    closed: tuple[Path, ...] = ()
    """Directories that agents have no business in, beside the user's home: what is above them is not opened either."""
    own: tuple[Path, ...] = ()
    """Directories whose programs start also where the wall is not full."""
    dry: bool = False
    """Put none up, and note what it would have refused: for the user's own programs."""
    untrusted: tuple[Path, ...] = ()
    """Directories that the user has not said to trust: no program in them is run dry unless its wall may be off."""

    def level_of(self, name: str, path: Path, rung: Rung) -> Level:
        """The level for a program, or by which it is judged where its wall is not put up.

        Raises Denied for a stranger's behind less than a full wall, unless asked for, and without any.
        """
        told = self.programs.get(name, self.level)
        if self.dry:
            return self._judged(told, path)
        if told is None and rung != "full" and not self._is_own(path):
            raise Denied(
                f"{path} lies outside your own directories, and the wall around agents is {rung} here "
                f"({describe_rung(rung)}); run it with --wall auto if that is enough, or --wall off"
            )
        return told or "auto"

    def _judged(self, told: Level | None, path: Path) -> Level:
        if told == "off":
            return "auto"
        if not self._is_own(path):
            where = "lies outside your own directories"
        elif _lies_in(path, self.untrusted):
            where = "lies beside a configuration that you have not trusted"
        else:
            return told or "auto"
        raise Denied(
            f"{path} {where}, and --dry-wall runs a program without its wall; leave it out, or add --wall off if you "
            "trust the program with all that you may do",
            field="program",
        )

    def _is_own(self, path: Path) -> bool:
        """Whether a program lies where the user keeps his own, and nobody else can have put it there."""
        places = [each for each in (*self.own, *_usual()) if os.path.realpath(each) != os.path.sep]
        return _is_users(Path(os.path.realpath(path))) and _lies_in(path, places)


def _lies_in(path: Path, places: Iterable[Path]) -> bool:
    real = Path(os.path.realpath(path))
    return any(real.is_relative_to(os.path.realpath(place)) for place in places)


def homes() -> tuple[Path, ...]:
    """The user's home, if he has one: a user of a container that nobody has named has none."""
    try:
        return (Path.home(),)
    except RuntimeError:
        return ()


def _usual() -> Iterator[Path]:
    yield from homes()
    with suppress(FileNotFoundError):  # it was removed
        yield Path.cwd()


def _is_users(file: Path) -> bool:
    """Whether a file is this user's or root's, in a directory that not everybody writes to."""
    try:
        owner = file.stat().st_uid
    except OSError:
        return False
    return owner in (0, os.getuid()) and not readable.is_anybodys(file.parent)


@dataclass(frozen=True)
class Wall:
    """The wall around one agent."""

    level: Level
    program: str
    """Its file, without links: what is beside it is what is beside the file itself, as for Python's own scripts."""
    scratch: str
    """Its directory, which is there: HOME, TMPDIR and the working directory."""
    closed: tuple[str, ...] = ()
    notes: str = ""
    """A file in which what it would refuse is noted, instead of putting it up; see `dry_wall.py`."""

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Self:
        """One that came as JSON."""
        return cls(**{**wire, "closed": tuple(wire["closed"])})


@functools.cache
def python_files(closed: tuple[str, ...]) -> tuple[Path, ...]:
    """`readable.of_python`, looked for once in a process and those that it forks, without what lies below another."""
    found = sorted({Path(os.path.realpath(path)) for path in readable.of_python(map(Path, closed)) if path.exists()})
    kept: list[Path] = []
    for path in found:
        if not kept or not path.is_relative_to(kept[-1]):
            kept.append(path)
    return tuple(kept)


@functools.cache
def search_path(closed: tuple[str, ...]) -> finders.Names:
    """What is open of the directories on the search path that are not open themselves; looked for once, as above."""
    return finders.on_search_path(python_files(closed))


def put_up(wall: Wall) -> None:
    """Put the wall around this process, for good. Only before it has other threads. Raises OSError."""
    if wall.level == "off":
        landlock.separate()
        return
    move_in(wall)
    read, write = opened(wall)
    finders.install(finders.beside(Path(wall.program).parent, _beside(wall), search_path(wall.closed)))
    pretended.look_first()
    _limit()
    with_exec = wall.level == "exec"
    landlock.confine(read, write, exec=with_exec)
    rules = wall_calls.rules(os.getpid(), exec=with_exec, truncate=landlock.version() >= landlock.TRUNCATES)
    if seccomp.available() and not seccomp.install(tuple(rules)):
        raise OSError("the system has seccomp, but takes no filter; the agent is not started without its wall")


def opened(wall: Wall) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """What this process may read behind its wall, directories with all below them; and what it may write to as well."""
    read = (*python_files(wall.closed), *readable.of_process(), *_beside(wall))
    return read, (Path("/dev/null"), Path(wall.scratch))


@functools.cache
def _beside(wall: Wall) -> tuple[Path, ...]:
    return tuple(readable.of_program(Path(wall.program), [Path(each) for each in wall.closed]))


def move_in(wall: Wall) -> None:
    """Make the scratch directory this process's HOME, TMPDIR and working directory."""
    os.chdir(wall.scratch)
    os.environ["HOME"] = os.environ["TMPDIR"] = wall.scratch
    tempfile.tempdir = None


def _limit() -> None:
    for which, most in LIMITS.items():
        lowest = min((bound for bound in resource.getrlimit(which) if bound != resource.RLIM_INFINITY), default=most)
        resource.setrlimit(which, (min(most, lowest), min(most, lowest)))
