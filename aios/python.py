"""How the project starts Python: a child never imports what lies in the working directory.

`python -m` and `python -c` put the working directory first on the module search path, so that a `random.py` there
runs instead of the standard library's. `-P` leaves it out; relative entries of PYTHONPATH, the empty one among them,
mean the same directory and are left out here. A child reads modules from where its parent does, and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module in a child."""
    return [sys.executable, "-P", "-m", module, *arguments]


def code_command(code: str, *arguments: str) -> list[str]:
    """The command that runs Python source in a child."""
    return [sys.executable, "-P", "-c", code, *arguments]


def child_path() -> str:
    """The PYTHONPATH of a child that finds the modules that this process finds."""
    return _joined(sys.path)


def without_relative(path: str) -> str:
    """A search path, as of PYTHONPATH or LD_LIBRARY_PATH, without the entries that depend on the working directory."""
    return _joined(path.split(os.pathsep))


def leave_working_directory() -> None:
    """Import nothing more from the working directory by way of PYTHONPATH, here or in children that inherit it."""
    given = os.environ.get("PYTHONPATH")
    if given is None:
        return
    relative = {os.path.abspath(entry) for entry in given.split(os.pathsep) if not os.path.isabs(entry)}
    absolute = without_relative(given)
    os.environ["PYTHONPATH"] = absolute
    kept = absolute.split(os.pathsep)
    sys.path[:] = [entry for entry in sys.path if entry in kept or os.path.abspath(entry) not in relative]


def _joined(entries: Iterable[str]) -> str:
    return os.pathsep.join(entry for entry in entries if os.path.isabs(entry))
