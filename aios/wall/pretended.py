"""Modes and times of files, which the wall only says that it sets (`wall_calls.METADATA`).

The system answers before it has looked for the file. So Python looks first: a file that is not there is an error still,
by which `Path.touch` knows that it has to make one.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

PRETENDED = ("chmod", "utime")
"""Functions of `os`."""


def look_first() -> None:
    """Have those functions raise in this process what they raise of a file that cannot be found."""
    for name in PRETENDED:
        function = getattr(os, name)
        looking = _looking(function)
        setattr(os, name, looking)
        for known in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks):
            if function in known:
                known.add(looking)


def _looking(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def looking(
        path: Any, *arguments: Any, dir_fd: int | None = None, follow_symlinks: bool = True, **more: Any
    ) -> None:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        function(path, *arguments, dir_fd=dir_fd, follow_symlinks=follow_symlinks, **more)

    return looking
