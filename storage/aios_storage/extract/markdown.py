"""Markdown and reStructuredText: the text as it is, the title from its first heading."""

from __future__ import annotations

import re

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode
from aios_storage.extract.head import fields, title

_ATX = re.compile(r"^#{1,6}\s++(.+)$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(\S.*+)\n[=\-~^\"*+#]{3,}+\s*$", re.MULTILINE)


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""
    heading, close = (_UNDERLINED, str.rstrip) if suffix == ".rst" else (_ATX, _heading)

    def read(data: bytes) -> ExtractedText:
        text, exact = decode(data)
        found = fields(text)
        first = heading.search(text[:20_000])
        named = dict(reversed(found)).get("title") or (close(first[1]) if first else "") or title(text)
        return ExtractedText(text, "rst" if suffix == ".rst" else "markdown", named[:200], found, exact)

    return read


def _heading(line: str) -> str:
    """What a heading says, without the signs that close it."""
    return line.rstrip().rstrip("#").rstrip() or line.strip()
