"""Opens the library that a command works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aios.cli import moments
from aios.cli.place import indexed

if TYPE_CHECKING:
    from aios_storage.files import Files
    from aios_storage.library import Library
    from aios_storage.version import At


@contextmanager
def directory(path: str) -> Iterator[tuple[Library, str]]:
    """The library of the root that a directory lies in, and the root's name of that directory. Raises NotFound."""
    from aios_storage.library import Library

    place = indexed(path)
    with Library(place.root) as library:
        yield library, place.path


file = directory
"""The same of a file, which may be gone."""


def version(files: Files, text: str) -> At:
    """The version that `text` names. Raises BadRequest."""
    return moments.at(text, files.tags())


def run_id(text: str) -> str:
    """The id of a recorded run by its beginning or `last`; else `text` itself, for its record may be gone."""
    from aios.cli.runs import resolve
    from aios_syscalls.errors import NotFound

    try:
        return resolve(text).parent.name
    except NotFound:
        if text == "last":
            raise
        return text
