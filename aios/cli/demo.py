"""The demonstration: what it runs, and the files that it runs on."""

from __future__ import annotations

import shutil
from pathlib import Path

from aios.cli.inventory import shipped_texts
from aios.cli.jobs import Job
from aios.config import new_run_id, runs_directory
from aios_syscalls import NotFound, StorageFailed

JOBS = (
    Job("summarise", "town-news.txt"),
    Job("extract", "incident-report.md"),
    Job("classify", "reviews"),
    Job("answer", "In which town does the story happen?"),
    Job("planner", "press-release.txt"),
    Job("tool_user", "What is 17 * 23?"),
    Job("summarise", "biography.txt"),
    Job("extract", "job-ad.txt"),
)
"""Taken in turn when there are more agents than jobs."""


def prepare() -> tuple[str, Path]:
    """The id of a new run, and its own copy of the shipped texts, which its agents may change."""
    run_id = new_run_id()
    texts = shipped_texts()
    if texts is None:
        raise NotFound("the demo's texts are not installed; run it from a checkout: scripts/run")
    files = runs_directory() / run_id / "files"
    try:
        shutil.copytree(texts, files)
    except OSError as error:
        raise StorageFailed(
            f"the demo's texts cannot be copied to {files}: {error}; free space or set AIOS_HOME"
        ) from error
    return run_id, files
