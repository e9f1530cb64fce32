"""Runs parts of the harness, each in a process of its own whose disk is ruled."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.crash import disk
from tests.crash.counts import Counts, Report

ROOT = Path(__file__).parents[2]
SHARES = {"kills": 3.0, "power": 4.0, "io_errors": 1.0, "full": 0.0, "corruptions": 1.0, "planted": 3.0}
"""The parts, and what of the time each has."""


def run(part: str, budget_s: float, seed: int, report: Report = lambda _: None, **options: int) -> Counts:
    """What a part finds in about so many seconds, its first round at least. Raises RuntimeError where it breaks."""
    arguments, environment = disk.command(
        part, str(budget_s), str(seed), *(f"{key}={number}" for key, number in options.items())
    )
    counts = None
    with subprocess.Popen(arguments, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            what, value = json.loads(line)
            if what == "counts":
                counts = Counts(**value)
            else:
                report(value)
    if counts is None or child.returncode:
        raise RuntimeError(f"the part {part} of the crash harness broke off with status {child.returncode}")
    return counts
