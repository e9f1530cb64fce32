"""Opens what a command works on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aios.cli.files.root import alike, indexed
from aios_syscalls.errors import NotFound

if TYPE_CHECKING:
    from aios_storage import At, Files, Library

FEW = 8
"""Pieces that a search embeds itself, which takes a quarter of a second."""


@contextmanager
def files(path: str) -> Iterator[tuple[Files, str]]:
    """The files of the root that a path lies in, and the root's name of it. Raises NotFound where nothing is indexed.

    What other programs did to it has been recorded. It has no index behind it: whoever searches next catches up.
    """
    from aios_storage import Files

    place = indexed(path)
    with Files(place.root) as found:
        ignore = found.ignore()
        if place.path != "." and not ignore.covers(place.path):
            found.scan([place.path], ignore)
        yield found, place.path


@contextmanager
def library(path: str, *, few: bool = True) -> Iterator[tuple[Library, str]]:
    """The library of the root that a path lies in, and the root's name of it. Raises NotFound where nothing is indexed.

    Meaning is for the owner of the index to find where there is one, else for this process. What other programs have
    just written is found too; with `few` by its meaning as well, where that is little.
    """
    from aios_storage import OwnerClient

    if not os.path.lexists(os.path.expanduser(alike(path))):
        raise NotFound(f"there is no {path} to search in; check the path", field="path")
    place = indexed(path)
    with opened(place.root) as found:
        if not isinstance(found.finder.nearest, OwnerClient):  # which watches, and embeds
            found.refresh((place.path,))
            if few and found.embedder is not None and 0 < found.pending().chunks <= FEW:
                found.embed()
        yield found, place.path


@contextmanager
def opened(root: Path, *, ask: bool = True) -> Iterator[Library]:
    """The library of a root, which is made one if it was none; unless `ask`, no owner is looked for."""
    from aios_storage import Library, OwnerClient
    from aios_storage.embedders import open_embedder

    owner = OwnerClient.find(root) if ask else None
    spec = None if owner else embedder()
    try:
        with Library(root, open_embedder(spec) if spec else None, owner) as found:
            yield found
    finally:
        if owner:
            owner.close()


def embedder() -> str | None:
    """The embedder in force, as `open_embedder` takes it; None where none is configured, or it was not fetched."""
    from aios.artifacts import default_embedder
    from aios.cli.machine.settings import configuration

    spec = configuration().files.embedder or default_embedder()
    return None if spec == "none" else spec


def version(files: Files, text: str) -> At:
    """The version that `text` names. Raises BadRequest."""
    from aios.cli.files import when

    return when.at(text, files.tags())


def run_id(text: str) -> str:
    """The id of a recorded run by its beginning or `last`; else `text` itself, for its record may be gone."""
    from aios.cli.record.runs import resolve

    try:
        return resolve(text).id
    except NotFound:
        if text == "last":
            raise
        return text
