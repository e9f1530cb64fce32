"""Which walls the agents of a run get, and what is noted where they get none by the user's wish."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aios.config import Config, home, runs_directory
from aios.hosts import default_directories, find_program, program_name
from aios.hosts.process import ProcessHost, noted_in
from aios.kernel import Host
from aios.regular import read_regular
from aios.wall import NotedAct, Walls, read_notes
from aios_syscalls import BadRequest

MOST_NOTES = 16 * 1024 * 1024
"""Bytes of what is noted of one process."""


@dataclass(frozen=True, slots=True)
class DryWall:
    """A wish of the user's: no wall, but a list of what it would have refused."""

    untrusted: tuple[Path, ...] = ()
    """Directories with a configuration that is not trusted, whose programs are not taken for the user's own."""


def walls(config: Config, directory: Path, dry: DryWall | None = None) -> Walls:
    """What a wall leaves closed is what the kernel serves itself, by its own rules, or keeps to itself."""
    closed = (config.root, directory, home("config"), home("state"), home("cache"))
    return Walls(
        config.wall.level,
        config.wall.programs,
        tuple(path.absolute() for path in closed),
        (*config.agents, *default_directories(), config.root),
        dry=dry is not None,
        untrusted=dry.untrusted if dry else (),
    )


def agents_logs(directory: Path) -> Path:
    """Where a run's directory has what its agents have printed."""
    return directory / "agents"


def wall_facts(config: Config, host: Host, dry: DryWall | None) -> dict[str, Any] | None:
    """What the record of a run says of its walls; None where agents have no processes."""
    if not isinstance(host, ProcessHost):
        return None
    level = config.wall.level or "auto"
    facts = {"rung": host.rung, "namespaces": host.namespaces}
    return {"level": level, **facts} if dry is None else {"level": "off", **facts, "dry": True}


def check_dry_wall(programs: Iterable[str], config: Config, dry: DryWall) -> None:
    """Raises Denied for a program that may not run without its wall, BadRequest where agents have no processes."""
    if not config.isolate:
        raise BadRequest(
            "--dry-wall watches an agent's own process, and there is none; leave --no-isolate out", "isolate"
        )
    directories = (*config.agents, *default_directories())
    chosen = walls(config, runs_directory(), dry)
    for program in programs:
        chosen.level_of(program_name(program, directories), find_program(program, directories), "full")


def noted(directory: Path, pid: int) -> list[NotedAct]:
    """What the wall of a process would have refused, of a run under DryWall, by the run's directory.

    Raises NotFound where nothing was noted, for the process did not come to start.
    """
    data = read_regular(noted_in(agents_logs(directory), pid), most=MOST_NOTES).data
    return read_notes(data.decode("utf-8", "replace").splitlines())
