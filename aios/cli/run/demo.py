"""The demonstration: what it runs, and the files that it runs on."""

from __future__ import annotations

import shutil
from pathlib import Path

from aios.cli.machine.inventory import shipped_texts
from aios.cli.run.jobs import ProgramJob
from aios.config import new_run_directory
from aios_syscalls import NotFound, StorageFailed

JOBS = (
    ProgramJob("planner", "reviews"),
    ProgramJob("writer", "a lighthouse keeper"),
    ProgramJob("extract", "biography.txt"),
    ProgramJob("summarise", "town-news.txt"),
    ProgramJob("classify", "reviews"),
    ProgramJob("answer", "Where was Elena Marchetti born?"),
    ProgramJob("tool_user", "What is 17 * 23?"),
    ProgramJob("writer", "a baker and a storm"),
    ProgramJob("summarise", "incident-report.md"),
    ProgramJob("extract", "job-ad.txt"),
    ProgramJob("answer", "When does the bakery begin work?"),
    ProgramJob("tool_user", "How many days are there from 2025-01-01 to 2025-03-15?"),
    ProgramJob("classify", "travel-note.txt"),
    ProgramJob("summarise", "travel-note.txt"),
    ProgramJob("extract", "press-release.txt"),
    ProgramJob("writer", "two friends and an old map"),
)
"""Taken in turn when there are more agents than jobs."""


def prepare() -> tuple[Path, Path]:
    """The directory of a new run, and in it its own copy of the shipped texts, which its agents may change."""
    directory = new_run_directory()
    texts = shipped_texts()
    if texts is None:
        raise NotFound("the demo's texts are not installed; run it from a checkout: scripts/run")
    files = directory / "files"
    try:
        shutil.copytree(texts, files)
    except OSError as error:
        raise StorageFailed(
            f"the demo's texts cannot be copied to {files}: {error}; free space or set AIOS_HOME"
        ) from error
    return directory, files
