"""A run without the wall around an agent, in which what the wall would have refused is noted.

An audit hook (PEP 578) sees what Python does in the agent's own process, and judges it as `verdict.py` says. All else
is as behind the wall: the scratch directory is HOME, TMPDIR and the working directory. The notes are lines of JSON: an
act `[kind, object]` when it is new, and `[number of the act, count]` as it comes again.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, get_args

from aios.wall import landlock
from aios.wall.agent import Wall, move_in, opened
from aios.wall.verdict import Act, ActKind, WallJudge

MOST_ACTS = 1_000
"""Different acts of one process that are noted; more of a kind are counted together."""
MOST_TEXT = 1_000
"""Characters of what an act was of."""
OTHERS = "(others)"


@dataclass(frozen=True)
class NotedAct:
    """An act that would have been refused, and how often it was tried."""

    act: Act
    count: int


def note_refusals(wall: Wall) -> None:
    """Note from now on, for good, what `wall` would refuse this process. Raises OSError."""
    move_in(wall)
    landlock.separate()
    sys.dont_write_bytecode = True  # it would not be written behind the wall, and nobody would notice
    hook = _Hook(WallJudge(*opened(wall), exec=wall.level == "exec"), _Notes(wall.notes))
    atexit.register(hook.close)
    sys.addaudithook(hook)


def read_notes(lines: Iterable[str]) -> list[NotedAct]:
    """What was noted, in the order in which it came first; a line that is cut off, or is none, counts for nothing."""
    acts: list[Act] = []
    counts: list[int] = []
    for line in lines:
        with suppress(ValueError):
            match json.loads(line):
                case [str(kind), str(object)] if kind in get_args(ActKind):
                    acts.append(Act(kind, object))  # type: ignore[arg-type]
                    counts.append(1)
                case [int(number), int(count)] if 0 <= number < len(acts):
                    counts[number] = max(counts[number], count)
    return [NotedAct(act, count) for act, count in zip(acts, counts, strict=True)]


class _Notes:
    """Counts acts, and writes what a reader needs even if the process is killed: new acts, and each doubling."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counts: dict[Act, int] = {}
        self._write("")

    def add(self, act: Act) -> None:
        key = self._key(act)
        self._counts[key] = count = self._counts.get(key, 0) + 1
        if count == 1:
            self._write(json.dumps([key.kind, key.object]) + "\n")
        elif count & (count - 1) == 0:
            self._write(json.dumps([list(self._counts).index(key), count]) + "\n")

    def close(self) -> None:
        """Write all counts as they are."""
        self._write("".join(json.dumps([number, count]) + "\n" for number, count in enumerate(self._counts.values())))

    def _key(self, act: Act) -> Act:
        short = act if len(act.object) <= MOST_TEXT else Act(act.kind, f"{act.object[:MOST_TEXT]}...")
        return short if short in self._counts or len(self._counts) < MOST_ACTS else Act(act.kind, OTHERS)

    def _write(self, text: str) -> None:
        # By its path each time: the program may close any descriptor, and have it mean another file.
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(file)


class _Hook:
    """What Python calls before each act. It never raises, for that would refuse the act."""

    def __init__(self, judge: WallJudge, notes: _Notes) -> None:
        self._judge, self._notes = judge, notes
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._inside: set[int] = set()
        """Threads that are judging: what they do for that is nobody's act."""

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._judge.judges(event) and threading.get_ident() not in self._inside and os.getpid() == self._pid:
            with self._unwatched():
                self._note(event, arguments)

    def close(self) -> None:
        """Write how often each act was tried; what a fork of this process counts is not told."""
        if os.getpid() == self._pid:
            with self._unwatched(), self._lock, suppress(OSError):
                self._notes.close()

    @contextmanager
    def _unwatched(self) -> Iterator[None]:
        thread = threading.get_ident()
        self._inside.add(thread)
        try:
            yield
        finally:
            self._inside.discard(thread)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        try:
            # The frame above this one and __call__: who acts.
            act = self._judge.refused(event, arguments, sys._getframe(2))
        except Exception as error:
            act = Act("unjudged", f"{event}: {type(error).__name__}")
        if act is not None:
            with self._lock, suppress(OSError):  # a full disk costs the notes alone
                self._notes.add(act)
