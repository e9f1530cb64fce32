"""`aios run --dry-wall`: who may run so, and what their walls would have refused."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aios.cli.run.jobs import ProgramJob
from aios.config import Loaded
from aios.terminal.output import say
from aios.terminal.table import label
from aios_syscalls import AiosError

if TYPE_CHECKING:
    from aios.boot import ActKind, DryWall, NotedAct
    from aios.cli.run.execution import RunOutcome

WORDS: Mapping[ActKind, str] = {
    "read": "files read (in its place: agent.read, or a file beside the program)",
    "list": "directories listed (in its place: agent.list)",
    "write": "files made or written (in its place: agent.write, or the scratch directory, which is TMPDIR)",
    "remove": "files removed or moved (in its place: agent.delete and agent.move)",
    "mode": "modes and times of files set (the wall says that it is done, and does nothing)",
    "owner": "owners and attributes of files set",
    "network": "network (in its place: the agent's syscalls for models and tools)",
    "program": "programs started (--wall exec allows it)",
    "process": "processes forked (--wall exec allows it)",
    "reach": "other processes reached",
    "limit": "limits raised",
    "system": "the system changed",
    "unjudged": "acts that could not be judged; please report them",
}
"""In the order in which they are told."""
MOST_LINES = 20
"""Of one kind of one process; the rest is counted."""
SEEN = "this is what Python did in the agents' own processes; C code, and programs that they start, were not watched"


@dataclass(frozen=True)
class Listed:
    """What the wall of one process would have refused."""

    pid: int
    program: str
    noted: Sequence[NotedAct]
    why: str = ""
    """Why there is no list, where there is none."""


def dry_walls(jobs: Iterable[ProgramJob], loaded: Loaded) -> DryWall:
    """The wish to run these jobs without their walls. Raises Denied for programs that are not the user's own."""
    from aios.boot import DryWall, check_dry_wall

    found = loaded.project
    untrusted = (Path.cwd(),) if found.path is not None and found.why else ()
    dry = DryWall(untrusted)
    check_dry_wall(dict.fromkeys(job.program for job in jobs), loaded.config, dry)
    return dry


def found(outcome: RunOutcome) -> list[Listed]:
    """For each process of a run that has ended, by pid."""
    from aios.boot import noted

    assert outcome.run is not None
    directory, listed = outcome.run.directory, []
    for process in outcome.history.processes.values():
        try:
            listed.append(Listed(process.pid, process.program, noted(directory, process.pid)))
        except AiosError as error:
            listed.append(Listed(process.pid, process.program, (), error.message))
    return listed


def to_json(listed: Iterable[Listed]) -> list[dict[str, Any]]:
    """For each process its acts, each once with its count; `error` is there where there is no list."""
    return [
        {
            "pid": each.pid,
            "program": each.program,
            "refused": [{"kind": one.act.kind, "object": one.act.object, "count": one.count} for one in each.noted],
            **({"error": each.why} if each.why else {}),
        }
        for each in listed
    ]


def tell(listed: Iterable[Listed]) -> None:
    """The same on standard error, by kind and the most frequent first."""
    for each in listed:
        who = f"process {each.pid} {label(each.program)}"
        if each.why:
            say(f"--dry-wall: there is no list for {who}: {each.why}")
        elif not each.noted:
            say(f"--dry-wall: the wall would have refused {who} nothing")
        else:
            say(f"--dry-wall: the wall would have refused {who}:")
            for line in _lines(each.noted):
                say(f"  {line}")
    say(SEEN)


def _lines(noted: Sequence[NotedAct]) -> Iterable[str]:
    for kind, words in WORDS.items():
        mine = sorted((one for one in noted if one.act.kind == kind), key=lambda one: -one.count)
        if mine:
            yield f"{words}:"
        for one in itertools.islice(mine, MOST_LINES):
            yield f"  {one.count} x {one.act.object}"
        if len(mine) > MOST_LINES:
            yield f"  and {len(mine) - MOST_LINES} more; --json lists them"
