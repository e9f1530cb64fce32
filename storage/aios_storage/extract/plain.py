"""Text as it is, in whatever encoding, and code."""

from __future__ import annotations

import codecs

from aios_storage.extract import Extractor, Text
from aios_storage.extract.head import fields, title

_CODE_WORDS = """
.py .pyi .js .jsx .ts .tsx .c .h .cc .cpp .hpp .cs .go .rs .java .kt .swift .rb .php .pl .lua .sh .bash .zsh
.sql .r .jl .scala .hs .ml .ex .exs .clj .el .vim .toml .yaml .yml .ini .cfg .xml .css .scss .make .cmake
"""
CODE = frozenset(_CODE_WORDS.split())
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""

    def read(data: bytes) -> Text:
        text, exact = decode(data)
        if suffix in CODE:
            return Text(text, suffix.lstrip("."), title(text), exact=exact)
        found = fields(text)
        return Text(text, "text", dict(reversed(found)).get("title", "") or title(text), found, exact)

    return read


def decode(data: bytes) -> tuple[str, bool]:
    """Bytes as text, and whether they are its UTF-8. Raises ValueError for what is no text."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), False
    if b"\0" in data[:8192]:
        raise ValueError("it has NULs: binary")
    try:
        return data.decode("utf-8"), True
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    odd = sum(1 for char in text[:8192] if char < " " and char not in "\t\n\r\f\x1b")
    if odd > len(text[:8192]) // 20:
        raise ValueError("it has too many control characters: binary")
    return text, False
