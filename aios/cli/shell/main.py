"""`aios shell`: opens what a shell needs, and lets it read."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aios import config as configuration
from aios.cli.files.open import embedder
from aios.cli.files.root import indexed
from aios.cli.machine.settings import settings
from aios.cli.shell.ask import Asker
from aios.cli.shell.loop import batch, interact
from aios.cli.shell.session import ShellSession
from aios.cli.shell.status import status
from aios.owner import meaning as meaning_of
from aios.terminal.exit import Code
from aios.terminal.output import stdout
from aios_storage import Library, OwnedVectors
from aios_syscalls.errors import AiosError


def shell(directory: str, *, config: Path | None = None, model: str | None = None) -> Code:
    """Work with files until the user leaves, or the lines of standard input end."""
    place = indexed(directory)
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with (
        Asker(lambda: settings(config, model=model, root=place.root)) as asker,
        _meaning(place.root) as meaning,
        Library(place.root, nearest=meaning) as library,
    ):
        library.refresh()
        session = ShellSession(library, stdout(), asker, place.path, interactive=interactive)
        if interactive:
            past = configuration.home("state") / "shell-history"
            return interact(session, lambda: status(library, meaning), past)
        return batch(session, sys.stdin)


@contextmanager
def _meaning(root: Path) -> Iterator[OwnedVectors | None]:
    """The owner of the index, or a child that becomes it while the user already types."""
    spec = embedder()
    if spec is None:
        yield None
        return
    meaning = meaning_of(root, spec)

    def begin() -> None:
        with suppress(AiosError):  # it is tried again, and told, when it is needed
            meaning.reach()

    threading.Thread(target=begin, name="owner", daemon=True).start()
    try:
        yield meaning
    finally:
        meaning.close()
