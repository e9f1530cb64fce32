"""The command `aios`."""

from __future__ import annotations

import io
import os
import sys
import threading
from contextlib import suppress

from aios.dumpable import set_dumpable
from aios.python import leave_working_directory


def main() -> None:
    """Run the command line of this process, and end it."""
    leave_working_directory()
    set_dumpable(False)
    from aios.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an agent's answer may hold what the terminal's encoding does not
    try:
        app(prog_name="aios")
    except SystemExit as end:
        _leave(end)


def _leave(end: SystemExit) -> None:
    """End the process even though a worker thread may still be stuck in a call that was given up."""
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        raise end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(end.code if isinstance(end.code, int) else 0)
