"""A run that goes on without its terminal: a small runner in the background, which hosts the programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aios.config import new_run_directory
from aios.private import private_directory
from aios.python import child_path, module_command

FLAGS = ("-d", "--detach")


def start_runner(words: Sequence[str]) -> tuple[int, Path]:
    """Run the command of these words in a session of its own; its process, and the file that has what it prints."""
    place = private_directory(new_run_directory().with_suffix(".runner"))
    output = place / "output"
    command = module_command("aios", *(word for word in words if word not in FLAGS))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    runner = os.posix_spawn(
        command[0],
        command,
        {**os.environ, "PYTHONPATH": child_path()},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return runner, output


def own_words() -> Sequence[str]:
    """The words of this command, without its name."""
    return sys.argv[1:]
