"""The command `aios`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from aios.dumpable import set_dumpable
from aios.python import leave_working_directory


def main() -> None:
    """Run the command line of this process, and end it."""
    leave_working_directory()
    set_dumpable(False)
    from aios.cli.app import app
    from aios.terminal.streams import open_streams, say_logs

    if not open_streams():
        _refuse()
    say_logs()
    _leave(_ended(lambda: app(prog_name="aios")))


def _ended(run: Callable[[], object]) -> SystemExit:
    """How the command line ended, all its output written."""
    from aios.terminal.output import say
    from aios.terminal.streams import OutputFailed

    try:
        try:
            run()
        except SystemExit as end:
            sys.stdout.flush()
            return end
        return SystemExit(0)
    except OutputFailed as error:
        say(error.message)
    except BrokenPipeError:  # who read has enough, as `head` has
        pass
    return SystemExit(1)


def _refuse() -> None:
    """End, since there is nowhere to write results to."""
    from aios.terminal.output import say

    say("standard output is closed, so nothing can be told there; redirect it, for example: > /dev/null")
    sys.exit(1)


def _leave(end: SystemExit) -> None:
    """End the process even though a worker thread may still be stuck in a call that was given up.

    As Python has it, an end with words says them and is a failure.
    """
    end = _said(end)
    if all(thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()):
        raise end
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(end.code if isinstance(end.code, int) else 1)


def _said(end: SystemExit) -> SystemExit:
    """An end by a number, any words of it said."""
    from aios.terminal.output import talk

    if end.code is None or isinstance(end.code, int):
        return SystemExit(end.code or 0)
    talk(str(end.code))
    return SystemExit(1)
