"""Runs every probe in a process of its own: without a wall, as the control, and behind walls of each rung and level.

A wall without its control proves nothing: a probe counts that gets through where there is no wall.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aios.bench.wall.probes import LIBC, NUMBERS, PROBES, SECRET, Probe, ProbeTarget, call
from aios.python import code_command
from aios.wall import Level, Wall, dry_wall, enclose, landlock, put_up, scratch, search_path, seccomp

Found = dict[str, dict[str, str | None]]
"""By the kind of wall and the probe: the error that it ended with, None if it got through."""
CLOSED = ("home", "state")
"""Directories that agents have no business in."""


def prepare(place: Path, victim: int, address: int, held: list[socket.socket]) -> ProbeTarget:
    """What there is to be reached: files, sockets and shared memory of this process, and the word of a victim."""
    for directory in ("home/.ssh", "state", "sibling", "programs", "spare.d"):
        (place / directory).mkdir(parents=True)
    for file in ("home/.ssh/id", "state/journal.db", "state/2.log", "sibling/notes", "programs/agent.py"):
        (place / file).write_bytes(SECRET)
    for file in ("spare", "spare2", "spare4", "spare5", "programs/neighbour.py"):
        (place / file).write_bytes(b"")
    (place / "spare.l").symlink_to("spare")
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    names = str(place / "unix"), f"\0aios-{os.getpid()}"
    unix, abstract, datagrams = (socket.socket(socket.AF_UNIX, kind) for kind in (1, 1, 2))
    for listener, name in zip((unix, abstract), names, strict=True):
        listener.bind(name)
        listener.listen(64)
    datagrams.bind(names[0] + ".datagrams")
    datagrams.setblocking(False)
    held += [tcp, udp, unix, abstract, datagrams]
    shared = call(NUMBERS["shmget"], 0, ctypes.c_size_t(4096), 0o600)
    LIBC.shmat.restype = ctypes.c_void_p
    ctypes.memmove(LIBC.shmat(shared, None, 0), SECRET, len(SECRET))
    queue, semaphores = call(NUMBERS["msgget"], 0, 0o600), call(NUMBERS["semget"], 0, 1, 0o600)
    ports = tcp.getsockname()[1], udp.getsockname()[1]
    reached = (*ports, *names, shared, queue, semaphores, datagrams)
    return ProbeTarget(place, place / "home/.ssh/id", victim, address, *reached)


def remove(target: ProbeTarget) -> None:
    """What would outlive this process."""
    call(NUMBERS["shmctl"], target.shared, 0, None)
    call(NUMBERS["msgctl"], target.queue, 0, None)
    call(NUMBERS["semctl"], target.semaphores, 0, 0, 0)


def restore(target: ProbeTarget) -> None:
    """As it was: a probe may have succeeded."""
    with suppress(BlockingIOError):
        while True:  # once so many are unread that no more are taken, who sends one waits
            target.datagrams.recv(1)
    scratch.remove_scratch(target.place / "scratch")
    (target.place / "scratch").mkdir(mode=0o700)
    target.secret.chmod(0o600)
    target.secret.write_bytes(SECRET)
    target.secret.chmod(0o600)
    os.utime(target.secret, (2, 2))
    (target.place / "programs/agent.py").chmod(0o600)
    for file in ("spare", "spare2", "spare4", "spare5"):
        (target.place / file).touch()
        (target.place / file).chmod(0o600)
    (target.place / "spare.d").mkdir(exist_ok=True)
    for name in ("new", "new.l", "new.f", "spare3", "home/.ssh/hard"):
        (target.place / name).unlink(missing_ok=True)
    if (target.place / "new.d").exists():
        (target.place / "new.d").rmdir()


@dataclass(frozen=True)
class WallKind:
    """A kind of wall to try, and on which system: with this version of Landlock at most, with or without seccomp."""

    level: Level | None
    """None is none at all: the control."""
    landlock: int = 99
    seccomp: bool = True
    dry: bool = False
    """Not put up: what it would have refused is noted, and is the error that a probe ends with."""


CONTROL = {"control": WallKind(None)}
KINDS = {
    **CONTROL,
    "auto": WallKind("auto"),
    "auto without Landlock": WallKind("auto", landlock=0),
    "exec": WallKind("exec"),
}
OLDER = {
    **CONTROL,
    **{f"Landlock {version}": WallKind("auto", landlock=version) for version in (1, 2, 3, 4, 5, 6)},
    "without seccomp": WallKind("auto", seccomp=False),
    "without both": WallKind("auto", landlock=0, seccomp=False),
}
"""Systems of other years, and other builds."""
OF_LANDLOCK = ("files", "proc", "devices", "network", "processes", "passing")
"""Groups that older systems are tried with: the others are the filter's alone."""
NO_FILTERS = seccomp.Condition(0, (seccomp.PR_SET_SECCOMP,), allows=False)
NO_WALL, NOTES = "no wall: ", "noted"


def attempt(probe: Probe, target: ProbeTarget, kind: WallKind) -> str | None:
    """The error that a probe ends with in a process of its own; None if it got through.

    Raises OSError where the wall could not be put up: that is neither.
    """
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.close(reading)
            os.write(writing, outcome(probe, target, kind).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read().decode()
    _, status = os.waitpid(child, 0)
    if said.startswith(NO_WALL):
        raise OSError(said)
    if kind.dry:
        return _noted(target)
    # One that has become another program says nothing.
    return (None if status == 0 else f"ended with {status}") if not said else (None if said == "through" else said)


def outcome(probe: Probe, target: ProbeTarget, kind: WallKind) -> str:
    """Puts the wall up around this process and tries the probe: "through", or the error."""
    signal.alarm(20)
    try:
        _enter(target, kind)
    except BaseException as error:
        return f"{NO_WALL}{error!r}"
    try:
        probe(target)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except BaseException as error:
        return repr(error)
    return "through"


def _enter(target: ProbeTarget, kind: WallKind) -> None:
    room = target.place / "scratch"
    os.chdir(room)
    if kind.level is None:
        return
    _make_older(kind)
    enclose()
    closed = tuple(str(target.place / each) for each in CLOSED)
    wall = Wall(kind.level, str(target.place / "programs" / "agent.py"), str(room), closed, str(target.place / NOTES))
    if kind.dry:
        dry_wall.note_refusals(wall)
    else:
        put_up(wall)


def _make_older(kind: WallKind) -> None:
    """Have this process see a system that has less. Raises OSError where that cannot be."""
    versions = min(kind.landlock, landlock.version())
    landlock.version = lambda: versions  # type: ignore[assignment]
    missing = [seccomp.SeccompRule("landlock_create_ruleset", (444, 444))] if not kind.landlock else []
    if not kind.seccomp:
        missing += [
            seccomp.SeccompRule("seccomp", (317, 277)),
            seccomp.SeccompRule("prctl", (157, 167), condition=NO_FILTERS),
        ]
    if missing:
        LIBC.prctl(38, 1, 0, 0, 0)
        if not seccomp.install(missing) and seccomp.available():
            raise OSError("what an older system has not could not be taken away")


def _noted(target: ProbeTarget) -> str | None:
    """What was noted of a probe, and is not for the next one."""
    notes = target.place / NOTES
    acts = dry_wall.read_notes(notes.read_text().splitlines())
    notes.unlink()
    return "; ".join(f"{each.act.kind} {each.act.object}" for each in acts) or None


VICTIM = f"""
import ctypes, os, sys
word = ctypes.create_string_buffer({SECRET!r}, 64)
print(os.getpid(), ctypes.addressof(word), flush=True)
sys.stdin.read()
"""


def tried_on_older(place: Path) -> Found:
    """The same on systems that have less, of the probes for which that matters."""
    return tried(place, OLDER, {name: each for name, each in PROBES.items() if name.partition(": ")[0] in OF_LANDLOCK})


def tried(place: Path, kinds: Mapping[str, WallKind] = KINDS, probes: Mapping[str, Probe] = PROBES) -> Found:
    """What came of probes behind each kind of wall, around what is made in an empty directory to be reached."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with _target(place) as target:
        return {name: {each: _afresh(probes[each], target, kind) for each in probes} for name, kind in kinds.items()}


def _afresh(probe: Probe, target: ProbeTarget, kind: WallKind) -> str | None:
    restore(target)
    return attempt(probe, target, kind)


@contextmanager
def _target(place: Path) -> Iterator[ProbeTarget]:
    held: list[socket.socket] = []
    command = code_command(VICTIM)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout
        pid, address = map(int, victim.stdout.readline().split())
        target = prepare(place, pid, address, held)
        search_path(tuple(str(place / each) for each in CLOSED))
        try:
            yield target
        finally:
            remove(target)
            victim.kill()
            for each in held:
                each.close()
