"""Opens what a command works on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aios.cli import moments
from aios.cli.place import indexed

if TYPE_CHECKING:
    from aios_storage import At, Files


@contextmanager
def files(path: str) -> Iterator[tuple[Files, str]]:
    """The files of the root that a path lies in, and the root's name of it. Raises NotFound where nothing is indexed.

    What other programs did to it has been recorded. It has no index behind it: whoever searches next catches up.
    """
    from aios_storage import Files

    place = indexed(path)
    with Files(place.root) as found:
        if place.path != "." and found.heads(place.path):
            found.scan([place.path])
        yield found, place.path


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
