"""Processes of root and of an ordinary user, as far as this one may change who it is."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aios.python import code_command

NOBODY = 65534
DROP = """
import ctypes, os, sys, tempfile
from pathlib import Path
NOBODY, CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 65534, 0x20000, 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)

def done(answer):
    if answer != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

def bind(what, where):
    done(libc.mount(what.encode(), where.encode(), None, ctypes.c_ulong(MS_BIND | MS_REC), None))

def open_the_interpreter(closed):
    # An empty directory over the closed one, with nothing but the interpreter, in this process's view of the files.
    kept = tempfile.mkdtemp()
    done(libc.unshare(CLONE_NEWNS))
    done(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    bind(sys.base_prefix, kept)
    done(libc.mount(b"tmpfs", str(closed).encode(), b"tmpfs", ctypes.c_ulong(0), b"mode=755"))
    os.makedirs(sys.base_prefix)
    bind(kept, sys.base_prefix)

closed = [path for path in reversed(Path(sys.base_prefix).parents) if not path.stat().st_mode & 1]
if closed:
    open_the_interpreter(closed[0])
os.setgroups([])
os.setgid(NOBODY)
os.setuid(NOBODY)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@functools.cache
def users() -> tuple[str, ...]:
    """As whom code can run here, an ordinary user last.

    Root can run it as one too, unless root may not drop its rights here or cannot let others reach the interpreter.
    """
    if os.geteuid() != 0:
        return ("ordinary",)
    with start("import os, anyio, aios; print(os.getuid())", "ordinary") as process:
        return ("root", "ordinary") if process.communicate()[0].strip() == str(NOBODY) else ("root",)


def start(code: str, user: str, *arguments: str) -> subprocess.Popen[str]:
    """Python code in a process of this user, with a clean environment; its pid is that of the code."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}
    command = code_command(code, *arguments)
    if user == "ordinary" and os.geteuid() == 0:
        command = code_command(DROP, *command[1:])
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", env=environment)


def told(process: subprocess.Popen[str], within_s: float = 60) -> str:
    """What a process says until its end, which it has to come to. Raises TimeoutExpired, and has killed it then."""
    try:
        return process.communicate(timeout=within_s)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def own(place: Path, user: str) -> Path:
    """A directory that is there, for this user."""
    if os.geteuid() == 0 and user == "ordinary":
        for parent in place.parents:
            if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
                parent.chmod(parent.stat().st_mode | 0o011)  # pytest's are for their owner alone
        os.chown(place, NOBODY, NOBODY)
    return place


@contextmanager
def new_place(user: str) -> Iterator[Path]:
    """A directory of this user's that is gone afterwards; no other run of tests closes what it lies in."""
    with tempfile.TemporaryDirectory(prefix="aios-bench-", ignore_cleanup_errors=True) as directory:
        place = Path(directory).resolve() / "place"
        place.mkdir()
        yield own(place, user)
