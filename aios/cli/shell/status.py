"""The line below the prompt: how much can be found, what is pending, and who looks after the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aios.cli.files.results import waiting
from aios_syscalls.errors import AiosError

if TYPE_CHECKING:
    from aios_storage import Library, OwnedVectors


def status(library: Library, meaning: OwnedVectors | None) -> str:
    """It in words; never raises what the library or the owner do."""
    try:
        count, pending = library.index.count(), library.pending()
    except AiosError as error:
        return error.message
    files = f"{count:,} {'file' if count == 1 else 'files'}"
    return " · ".join((files, waiting(pending) or "all found by meaning", _owner(meaning)))


def _owner(meaning: OwnedVectors | None) -> str:
    if meaning is None:
        return "no embedding model: keywords only"
    if meaning.owner is None:
        return "owner: starting"
    try:
        said = meaning.owner.status()
    except AiosError:
        return "owner: gone"
    speed = f" {said['chunks_per_s']:,.0f}/s" if said["phase"] == "embedding" and said["chunks_per_s"] else ""
    return f"owner: {said['phase']}{speed}"
