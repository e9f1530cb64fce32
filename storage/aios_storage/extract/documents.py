"""PDF and Word files, where pypdf and python-docx are installed (the extra `docs`)."""

from __future__ import annotations

import io
import resource
import time
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec

from aios_storage.extract import MAX_EXTRACTED_BYTES, ExtractedText, Extractor
from aios_storage.extract.encoding import NoText
from aios_storage.extract.head import title

NO_READER = "of a format whose reader is not installed: pip install 'aios-kernel[docs]'"
UNPACKED = 128 * 1024 * 1024
"""Bytes of all that a Word file holds, counted while unpacking: what its directory says of them may be untrue."""
ELEMENTS = 2_000_000
"""Tags of a Word file's XML, each of which takes some hundred bytes to read."""
_PIECE = 1024 * 1024
_LIBRARIES = {".pdf": "pypdf", ".docx": "docx"}


def reader(suffix: str) -> Extractor:
    """Of files of this suffix; what is none at first sight is not looked into."""
    return partial(_apart, suffix)


def _apart(suffix: str, data: bytes) -> ExtractedText:
    from aios_storage.extract import apart

    if find_spec(_LIBRARIES[suffix]) is None:
        return ExtractedText("", suffix.lstrip("."), why=NO_READER)
    if not (data.startswith(b"PK") if suffix == ".docx" else b"%PDF" in data[:1024] or b"startxref" in data):
        raise ValueError(f"it does not begin as a {suffix} does")
    return apart.read(suffix, data)


def _pdf(data: bytes) -> ExtractedText:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        document = PdfReader(io.BytesIO(data))
        text = "\n\n".join(_pages(document.pages[at].extract_text() for at in range(len(document.pages))))
        info = document.metadata
    except (PyPdfError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no PDF that can be read: {error}") from error
    found = [("title", info.title), ("author", info.author), ("subject", info.subject)] if info else []
    fields = tuple((key, value) for key, value in found if value)
    return ExtractedText(text, "pdf", dict(fields).get("title", "") or title(text), fields)


def _pages(pages: Iterator[str]) -> Iterator[str]:
    """The pages there is time and room for."""
    room, seconds = MAX_EXTRACTED_BYTES, resource.getrlimit(resource.RLIMIT_CPU)[0]
    for page in pages:
        yield page
        room -= len(page)
        if room < 0 or time.process_time() > seconds / 2 > 0:
            return


def _docx(data: bytes) -> ExtractedText:
    from docx import Document

    try:
        _weigh(data)
        document = Document(io.BytesIO(data))
    except (NoText, MemoryError):
        raise
    except Exception as error:  # python-docx lets through whatever its zip and XML readers raise
        raise ValueError(f"no Word file that can be read: {error}") from error
    lines = [paragraph.text for paragraph in document.paragraphs]
    lines += ["\t".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows]
    properties = document.core_properties
    found = [("title", properties.title), ("author", properties.author), ("subject", properties.subject)]
    fields = tuple((key, value) for key, value in found if value)
    text = "\n".join(lines)
    return ExtractedText(text, "docx", dict(fields).get("title", "") or title(text), fields)


def _weigh(data: bytes) -> None:
    """Raises NoText for an archive that holds more than a document does."""
    room, tags = UNPACKED, ELEMENTS
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            with archive.open(info) as file:
                while piece := file.read(_PIECE):
                    room -= len(piece)
                    tags -= piece.count(b"<")
                    if min(room, tags) < 0:
                        raise NoText(f"more than {UNPACKED // 2**20} MiB or {ELEMENTS:,} tags when it is unpacked")


READERS: Mapping[str, Extractor] = {".pdf": _pdf, ".docx": _docx}
