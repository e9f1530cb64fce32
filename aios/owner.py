"""The owner of a root's index, started behind its wall."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from aios.python import module_command
from aios.wall import ServiceWall
from aios_storage import STORE_DIRECTORY, OwnedVectors, owner_address
from aios_syscalls.errors import StorageFailed


def meaning(root: Path, embedder: str, *options: str) -> OwnedVectors:
    """The nearest pieces below a root by meaning; a child that is started for it has a wall."""
    return OwnedVectors(root, embedder, *options, launcher=launcher(root, embedder))


def launcher(root: Path, embedder: str) -> list[str]:
    """The command that runs a module behind the wall of this root's owner."""
    return module_command("aios.wall.walled", json.dumps(asdict(wall(root, embedder))))


def wall(root: Path, embedder: str) -> ServiceWall:
    """What an owner may do: all below its root, its socket, the readers of documents in children of its own.

    The network is open for an embedder that has a URL, and for no other.
    """
    _, _, argument = embedder.partition(":")
    return ServiceWall(
        read=(argument,) if Path(argument).is_absolute() else (),
        # Not its own directory alone: whoever finds the change of a process that was killed half done finishes it.
        write=(str(root.absolute()),),
        sockets=tuple(_socket_directory(root)),
        programs=True,
        network="://" in argument,
        watches=True,
        temporary=str(root.absolute() / STORE_DIRECTORY),
        closed=(str(root.absolute()), str(Path.home())),
    )


def _socket_directory(root: Path) -> Iterator[str]:
    with suppress(OSError, StorageFailed):  # the owner finds the same, and says it
        yield str(owner_address(root).parent)
