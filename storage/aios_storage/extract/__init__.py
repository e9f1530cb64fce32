"""Bytes of a file as text that can be searched, and what its own head says of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import PurePosixPath

from aios_storage.extract.encoding import NoText

_log = logging.getLogger(__name__)

VERSION = 5
"""Raised when extractors say something else of the same bytes: then every index is made anew."""
MAX_EXTRACTED_BYTES = 16 * 1024 * 1024
"""Bytes above which a file is found by its name and metadata alone."""


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """What a file says. `fields` are pairs of a key, in lower case, and a value; a key may come again.

    `exact` says that the text is the file's bytes in UTF-8, so that offsets in one are those in the other. `why` says
    of a file without a text what it is instead.
    """

    text: str
    kind: str
    title: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    exact: bool = False
    why: str = ""


reading_apart: ContextVar[str] = ContextVar("reading_apart", default="")
"""The file whose text is being extracted, for who tells what the libraries that read it have to say."""

Extractor = Callable[[bytes], ExtractedText]
"""Raises for bytes that are not of its format: then they are read as plain text."""
BINARY = frozenset((".pdf", ".docx"))
"""Formats that are no text, whatever their bytes look like."""

BY_SUFFIX: Mapping[str, str] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".rst": "markdown",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".svg": "markup",
    ".xml": "markup",
    ".json": "data",
    ".csv": "data",
    ".tsv": "data",
    ".ipynb": "notebook",
    ".pdf": "documents",
    ".docx": "documents",
}
"""The module of each suffix; all else is plain text, or found by name alone."""


def extract(path: str, data: bytes) -> ExtractedText:
    """The text of a file; empty, with the kind of its suffix or `binary`, where there is none to be had."""
    token = reading_apart.set(path)
    try:
        return _extract(PurePosixPath(path).suffix.lower(), path, data)
    finally:
        reading_apart.reset(token)


def _extract(suffix: str, path: str, data: bytes) -> ExtractedText:
    why = f"larger than {MAX_EXTRACTED_BYTES // 2**20} MiB"
    if len(data) <= MAX_EXTRACTED_BYTES:
        why = "in a format that cannot be read"
        for make in _candidates(suffix):
            try:
                return _clean(make(data))
            except Exception as error:  # parsers, of others too, raise whatever they like at files made to break them
                why = str(error) if isinstance(error, NoText) else why
                _log.debug("%s: %s cannot read it: %r", path, make.__module__, error)
    return ExtractedText("", _clean(ExtractedText("", suffix)).kind.lstrip(".") or "binary", why=why)


def _clean(text: ExtractedText) -> ExtractedText:
    """Without halves of characters, which JSON may name and no database takes."""
    fields = tuple((_whole(str(key)), _whole(str(value))) for key, value in text.fields)
    return ExtractedText(_whole(text.text), _whole(text.kind), _whole(str(text.title)), fields, text.exact, text.why)


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


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
    return found if suffix in BINARY else [*found, plain.reader(suffix)]
