"""What a run is to do: programs, each with its task."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aios.config import Config
from aios.hosts import default_directories, find_program, is_path, passed_over
from aios.project import Project
from aios.terminal.output import me, say
from aios_syscalls import BadRequest, Denied, NotFound


class ProgramJob(NamedTuple):
    """One process to start."""

    program: str
    task: str


def parse(words: Sequence[str], task: str | None) -> list[ProgramJob]:
    """The jobs that `PROGRAM` and `PROGRAM=TASK` name; `task` is for those without one, `-` reads it from stdin."""
    if task == "-":
        task = sys.stdin.read().strip()
    jobs = []
    for word in words:
        program, equals, own = _divided(word)
        if not program:
            raise BadRequest(f"{word!r} names no program; write PROGRAM or PROGRAM=TASK", "program")
        jobs.append(ProgramJob(program, own if equals else task or ""))
    return jobs


def _divided(word: str) -> tuple[str, str, str]:
    """Program, `=` and task; of a file whose name has a `=` in it all of the name is the program."""
    ends = [at for at, char in enumerate(f"{word}=") if char == "="]
    for end in reversed(ends):
        if word[:end].endswith(".py") and os.path.isfile(word[:end]):
            return word[:end], word[end : end + 1], word[end + 1 :]
    return word.partition("=")


def sealing(jobs: Sequence[ProgramJob], config: Config) -> Config:
    """The configuration under which agents cannot change the files that the jobs run."""
    files = [Path(job.program).absolute() for job in jobs if is_path(job.program)]
    return config.model_copy(update={"read_only": (*config.read_only, *dict.fromkeys(files))})


def cycle(jobs: Sequence[ProgramJob], count: int | None) -> list[ProgramJob]:
    """`count` jobs, taken in turn; all of them once without a count."""
    return list(jobs) if count is None else list(itertools.islice(itertools.cycle(jobs), count))


def check(jobs: Sequence[ProgramJob], config: Config, project: Project = Project()) -> None:  # noqa: B008 - frozen
    """Tell which programs here are not the ones that their names find.

    Raises, before a model is loaded for it, NotFound for a program that there is not, and Denied for one that is only
    in a directory that a file names which is not trusted.
    """
    directories = (*config.agents, *default_directories())
    for program in dict.fromkeys(job.program for job in jobs):
        try:
            found = find_program(program, directories)
        except NotFound:
            if _named_by(project, program):
                raise Denied(f"the program {program!r} is named by {project.needed}", field="program") from None
            raise
        if local := passed_over(program, directories):
            here = os.path.relpath(local)
            say(f"{program} is {found}, not {here}, which is run by its path: {me()} run ./{here}")


def _named_by(project: Project, program: str) -> bool:
    """Whether a program lies in a directory of programs that is left out."""
    places = project.left_out.get("agents")
    names = [place for place in places if isinstance(place, str)] if isinstance(places, list) else []
    return "/" not in program and any(os.path.isfile(os.path.join(place, f"{program}.py")) for place in names)
