"""What to say of an error that the wall around an agent has caused.

The system says EPERM or EACCES, which many things may mean. Behind a wall it is nearly always the wall; what was
refused is told by the error and by the calls that led to it.
"""

from __future__ import annotations

import errno
import linecache
import re
import socket
import traceback
from collections.abc import Iterator

from aios.wall.agent import FILE_BYTES, Level

MOST_CAUSES = 16
"""Errors in one chain that are looked at."""
STARTS = re.compile(r"\b(v?fork|forkpty|exec\w*|posix_spawnp?|spawn\w*|system|popen|Popen|fork_exec|_fork_exec)\b")
"""In the line of Python that was refused."""
NETWORK = ("socket.py", "selector_events.py", "base_events.py", "_socket.py")
PROGRAMS = ("subprocess.py", "popen_fork.py", "popen_spawn_posix.py", "util.py", "pty.py")
"""Files of the standard library and of trio, by their names."""


def refusal_hint(error: BaseException, level: Level) -> str:
    """A hint in brackets if the wall of this level has caused the error; else nothing."""
    if level == "off":
        return ""
    for each in _chain(error):
        if isinstance(each, socket.gaierror):
            return _network()
        if isinstance(each, OSError) and each.errno in (errno.EPERM, errno.EACCES):
            return _refused(each, level)
        if isinstance(each, OSError) and each.errno == errno.EFBIG:
            most = f"{FILE_BYTES >> 20} MiB"
            return f" (the wall around agents bounds a file to {most}; write several, or run it with --wall off)"
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from: libraries raise errors of their own."""
    each: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if each is None:
            return
        yield each
        each = each.__cause__ or each.__context__


def _refused(error: OSError, level: Level) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-3:]
    files = {frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2] for frame, _ in frames}
    line = linecache.getline(frames[-1][0].f_code.co_filename, frames[-1][1]) if frames else ""
    if files & set(PROGRAMS) or STARTS.search(line):
        return _programs(level)
    if error.filename is not None:
        return (
            " (the wall around agents opens no files but Python's, the program's own and its scratch directory's; use "
            "agent.read and agent.write for the others, or run it with --wall off if you trust it)"
        )
    if files & set(NETWORK) or "socket" in line or "connect" in line:
        return _network()
    return (
        " (the wall around agents may have refused it: an agent has no network, starts no programs, reaches no other "
        "processes and no files but its own; run it with --wall exec or --wall off if you trust it)"
    )


def _network() -> str:
    return (
        " (the wall around agents lets nothing through to the network; ask models and tools by the agent's syscalls, "
        "or run it with --wall off if you trust it)"
    )


def _programs(level: Level) -> str:
    if level == "exec":
        return (
            " (the wall around agents lets programs be started from Python's and the system's directories and from the "
            "scratch directory alone; run it with --wall off if you trust it)"
        )
    return " (the wall around agents lets none start programs or processes; run it with --wall exec if it has to)"
