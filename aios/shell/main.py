"""`aios shell`: opens what a shell needs, and lets it read."""

from __future__ import annotations

import sys
from pathlib import Path

from aios import config as configuration
from aios.cli.exit import Code
from aios.cli.output import stdout
from aios.cli.place import indexed
from aios.shell.ask import Asker
from aios.shell.loop import batch, interact
from aios.shell.session import Session


def shell(directory: str, *, config: Path | None = None, model: str | None = None) -> Code:
    """Work with files until the user leaves, or the lines of standard input end."""
    from aios_storage.library import Library

    from aios.cli.settings import settings

    place = indexed(directory)
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with (
        Asker(lambda: settings(config, model=model, root=place.root)) as asker,
        Library(place.root) as library,
    ):
        session = Session(library, stdout(), asker, place.path, interactive=interactive)
        if interactive:
            return interact(session, lambda: "", configuration.home("state") / "shell-history")
        return batch(session, sys.stdin)
