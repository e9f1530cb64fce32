"""The end of an agent's process: that of any Python program, without taking the interpreter down.

Taking it down would touch every object that the agent shares with the zygote and so copy most of its memory, which
takes ten times as long as the rest of a small agent's life. So only what the agent itself has made is ended here. How
long that may take is for the kernel to say, which kills a process that does not come to its end.
"""

from __future__ import annotations

import atexit
import gc
import io
import itertools
import os
import sys
import threading
import types
import weakref
from contextlib import suppress
from typing import NoReturn

from aios.dumpable import libc

FILE = io.IOBase.__mro__[1]
"""The base of all files, without the register of an abstract class, which takes long to ask."""


def leave(status: int, shared: int) -> NoReturn:
    """End this process: its threads, `atexit` handlers, modules and open files first.

    `shared` is the number of modules that the process began with. Nothing that these ends raise keeps others from
    being reached; like Python, they print it.
    """
    try:
        _step(threading._shutdown)  # type: ignore[attr-defined]
        _step(atexit._run_exitfuncs)
        _step(_flush_files)  # in a cycle of objects the collector may close what is below a buffer first
        _step(_forget_modules, shared)
        _step(gc.collect)
        _step(_flush_files)
        _step(libc().fflush, None)
    finally:
        os._exit(status)


def _step(end: object, *arguments: object) -> None:
    try:
        end(*arguments)  # type: ignore[operator]
    except BaseException:  # the next step is still due, whatever this one raised
        with suppress(BaseException):
            sys.excepthook(*sys.exc_info())


def _forget_modules(shared: int) -> None:
    """Let go of the agent's modules, so that what only they hold is finalized, with its globals whole.

    Then those are cleared that something else still holds (as `finalize_modules` of CPython's pylifecycle.c).
    """
    # They are the last ones. To look at the others would copy the memory that their names lie in.
    names = list(itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - shared)))
    own = [reference for name in names if (reference := _let_go(name)) is not None]
    gc.collect()
    for reference in own:
        if (module := reference()) is None:
            continue
        space = vars(module)
        private = [name for name in space if name.startswith("_") and not name.startswith("__")]
        for name in [*private, *(name for name in space if name != "__builtins__")]:
            space[name] = None


def _let_go(name: str) -> weakref.ref[types.ModuleType] | None:
    module = sys.modules.pop(name)
    return weakref.ref(module) if isinstance(module, types.ModuleType) else None


def _flush_files() -> None:
    """Write out the files that somebody still holds; those of before the fork are out of the collector's sight."""
    objects = gc.get_objects()
    kinds = {kind for kind in set(map(type, objects)) if FILE in kind.__mro__}
    files = [each for each in objects if type(each) in kinds]
    # Text before bytes: the one's buffer goes through the other's.
    for file in sorted(files, key=lambda file: not isinstance(file, io.TextIOBase)):
        with suppress(OSError, ValueError):
            if not file.closed:
                file.flush()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
