"""PDF and Word files, where pypdf and python-docx are installed (the extra `docs`)."""

from __future__ import annotations

import io

from aios_storage.extract import Extractor, Text
from aios_storage.extract.head import title

NO_READER = "of a format whose reader is not installed: pip install 'aios-kernel[docs]'"


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""
    return _pdf if suffix == ".pdf" else _docx


def _pdf(data: bytes) -> Text:
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError:
        return Text("", "pdf", why=NO_READER)
    try:
        document = PdfReader(io.BytesIO(data))
        text = "\n\n".join(page.extract_text() for page in document.pages)
        info = document.metadata
    except (PyPdfError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no PDF that can be read: {error}") from error
    found = [("title", info.title), ("author", info.author), ("subject", info.subject)] if info else []
    fields = tuple((key, value) for key, value in found if value)
    return Text(text, "pdf", dict(fields).get("title", "") or title(text), fields)


def _docx(data: bytes) -> Text:
    try:
        from docx import Document
    except ImportError:
        return Text("", "docx", why=NO_READER)
    try:
        document = Document(io.BytesIO(data))
    except Exception as error:  # python-docx lets through whatever its zip and XML readers raise
        raise ValueError(f"no Word file that can be read: {error}") from error
    lines = [paragraph.text for paragraph in document.paragraphs]
    lines += ["\t".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows]
    properties = document.core_properties
    found = [("title", properties.title), ("author", properties.author), ("subject", properties.subject)]
    fields = tuple((key, value) for key, value in found if value)
    text = "\n".join(lines)
    return Text(text, "docx", dict(fields).get("title", "") or title(text), fields)
