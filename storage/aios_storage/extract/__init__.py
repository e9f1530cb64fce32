"""Bytes of a file as text that can be searched, and what its own head says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import PurePosixPath

VERSION = 1
"""Raised when extractors say something else of the same bytes: then every index is made anew."""
MOST = 16 * 1024 * 1024
"""Bytes above which a file is found by its name and metadata alone."""


@dataclass(frozen=True, slots=True)
class Text:
    """What a file says. `fields` are pairs of a key, in lower case, and a value; a key may come again.

    `exact` says that the text is the file's bytes in UTF-8, so that offsets in one are those in the other.
    """

    text: str
    kind: str
    title: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    exact: bool = False


Extractor = Callable[[bytes], Text]
"""Raises ValueError for bytes that are not of its format."""

BY_SUFFIX: Mapping[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".rst": "markdown",
    ".html": "html",
    ".htm": "html",
    ".json": "data",
    ".csv": "data",
    ".tsv": "data",
    ".ipynb": "notebook",
    ".pdf": "documents",
    ".docx": "documents",
}
"""The module of each suffix; all else is plain text, or found by name alone."""


def extract(path: str, data: bytes) -> Text:
    """The text of a file; empty, with the kind of its suffix or `binary`, where there is none to be had."""
    suffix = PurePosixPath(path).suffix.lower()
    if len(data) > MOST:
        return Text("", suffix.lstrip(".") or "binary")
    for make in _candidates(suffix):
        try:
            return make(data)
        except ValueError:
            continue
    return Text("", suffix.lstrip(".") or "binary")


@cache
def _candidates(suffix: str) -> list[Extractor]:
    """The extractors to try; looking for those of others takes milliseconds, hence once for each suffix."""
    from aios_storage.extract import plain

    found: list[Extractor] = [
        point.load() for point in entry_points(group="aios.extractors") if f".{point.name}" == suffix
    ]
    module = BY_SUFFIX.get(suffix)
    if module is not None:
        found.append(import_module(f"aios_storage.extract.{module}").reader(suffix))
    return [*found, plain.reader(suffix)]
