"""The demonstration: what it runs, and the files that it runs on."""

from __future__ import annotations

import shutil
from pathlib import Path

from aios.cli.machine.inventory import shipped_texts
from aios.cli.run.jobs import Job
from aios.config import new_run_directory
from aios_syscalls import NotFound, StorageFailed

JOBS = (
    Job("planner", "reviews"),
    Job("writer", "a lighthouse keeper"),
    Job("extract", "biography.txt"),
    Job("summarise", "town-news.txt"),
    Job("classify", "reviews"),
    Job("answer", "Where was Elena Marchetti born?"),
    Job("tool_user", "What is 17 * 23?"),
    Job("writer", "a baker and a storm"),
    Job("summarise", "incident-report.md"),
    Job("extract", "job-ad.txt"),
    Job("answer", "When does the bakery begin work?"),
    Job("tool_user", "How many days are there from 2025-01-01 to 2025-03-15?"),
    Job("classify", "travel-note.txt"),
    Job("summarise", "travel-note.txt"),
    Job("extract", "press-release.txt"),
    Job("writer", "two friends and an old map"),
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
