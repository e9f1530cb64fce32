"""Text as it is, in whatever encoding, and code."""

from __future__ import annotations

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode
from aios_storage.extract.head import fields, title

_CODE_WORDS = """
.py .pyi .js .jsx .ts .tsx .c .h .cc .cpp .hpp .cs .go .rs .java .kt .swift .rb .php .pl .lua .sh .bash .zsh
.sql .r .jl .scala .hs .ml .ex .exs .clj .el .vim .toml .yaml .yml .ini .cfg .css .scss .make .cmake
"""
CODE = frozenset(_CODE_WORDS.split())


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""

    def read(data: bytes) -> ExtractedText:
        text, exact = decode(data)
        if suffix in CODE:
            return ExtractedText(text, suffix.lstrip("."), title(text), exact=exact)
        found = fields(text)
        return ExtractedText(text, "text", dict(reversed(found)).get("title", "") or title(text), found, exact)

    return read
