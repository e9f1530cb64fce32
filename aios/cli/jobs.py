"""What a run is to do: programs, each with its task."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import NamedTuple

from aios.config import Config
from aios.hosts import program as programs
from aios_syscalls import BadRequest


class Job(NamedTuple):
    """One process to start."""

    program: str
    task: str


def parse(words: Sequence[str], task: str | None) -> list[Job]:
    """The jobs that `PROGRAM` and `PROGRAM=TASK` name; `task` is for those without one, `-` reads it from stdin."""
    if task == "-":
        task = sys.stdin.read().strip()
    jobs = []
    for word in words:
        program, equals, own = word.partition("=")
        if not program:
            raise BadRequest(f"{word!r} names no program; write PROGRAM or PROGRAM=TASK", "program")
        jobs.append(Job(program, own if equals else task or ""))
    return jobs


def cycle(jobs: Sequence[Job], count: int | None) -> list[Job]:
    """`count` jobs, taken in turn; all of them once without a count."""
    return list(jobs) if count is None else list(itertools.islice(itertools.cycle(jobs), count))


def check(jobs: Sequence[Job], config: Config) -> None:
    """Raises NotFound for a program that there is not: before a model is loaded for it."""
    directories = (*config.agents, *programs.default_directories())
    for program in {job.program for job in jobs}:
        programs.find(program, directories)
