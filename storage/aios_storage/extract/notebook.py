"""Jupyter notebooks: their cells, without outputs."""

from __future__ import annotations

import json

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode
from aios_storage.extract.head import title


def reader(_suffix: str) -> Extractor:
    """Of notebooks."""
    return read


def read(data: bytes) -> ExtractedText:
    """The text of a notebook. Raises ValueError for what is none."""
    notebook = json.loads(decode(data)[0])
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise ValueError("it has no cells")
    cells = [cell for cell in notebook["cells"] if isinstance(cell, dict)]
    sources = [cell.get("source", "") for cell in cells]
    text = "\n\n".join("".join(source) if isinstance(source, list) else str(source) for source in sources)
    language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "")
    return ExtractedText(text, "notebook", title(text), (("language", language),) if language else ())
