"""A process that has loaded all that is needed and runs no thread: parts of the harness run in it, and fork from it.

Started by `parts.run`: `python -m tests.crash.warm PART BUDGET SEED [KEY=NUMBER ...]`; says lines of JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import sys
import threading
from typing import Any

from aios.record import sqlite

MODULES = ("aios.record", "aios_storage.library", "aios_storage.versions.files", "aios_storage.search.saved", "anyio")


def say(what: str, value: Any) -> None:
    """One line for whoever started this."""
    print(json.dumps([what, value]), flush=True)


def main(part: str, budget_s: str, seed: str, *more: str) -> None:
    """Run one part."""
    for name in MODULES:
        importlib.import_module(name)
    logging.disable(logging.CRITICAL)  # dead kernels and failing disks are told thousands of times
    sqlite.TICK_S = 0.0  # nobody waits for a batch to fill
    options = {key: int(number) for key, _, number in (each.partition("=") for each in more)}
    module = importlib.import_module(f"tests.crash.{part}")
    gc.freeze()
    if threading.active_count() > 1:
        raise RuntimeError(f"a process that forks must run no thread: {threading.enumerate()}")
    counts = module.run(float(budget_s), int(seed), lambda number: say("tried", number), **options)
    say("counts", counts.to_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
