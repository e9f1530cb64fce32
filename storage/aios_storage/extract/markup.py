"""Pictures in SVG, and XML: what is written in them stays where it is, and the markup around it becomes blanks."""

from __future__ import annotations

import html
import re

from aios_storage.extract import Extractor, Text
from aios_storage.extract.encoding import decode
from aios_storage.extract.head import title

_HIDDEN = r"<(style|script|metadata|defs)\b[^>]*(?<!/)>.*?</\1\s*>"
_SILENT = re.compile(rf"{_HIDDEN}|<!--.*?-->|<\?.*?\?>|<!DOCTYPE[^>\[]*(?:\[.*?\])?[^>]*>", re.DOTALL | re.IGNORECASE)
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_TAG = re.compile(r"</?[^\W\d][^<>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^<>\"']*)*>")
_TITLE = re.compile(r"<title\b[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_DESCRIBED = re.compile(r"\s(?:aria-label|alt|inkscape:label|xlink:title)=[\"']([^\"'<>]*)[\"']")


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""
    return _svg if suffix == ".svg" else _xml


def _svg(data: bytes) -> Text:
    source = decode(data)[0]
    if "<svg" not in source[:100_000]:
        raise ValueError("it has no picture")
    text = _read(source)
    named = _TITLE.search(source)
    return Text(text, "svg", html.unescape(named[1]).strip()[:200] if named else title(text))


def _xml(data: bytes) -> Text:
    """A document's text; of data, which is markup for the most part, all: its names and attributes say what it is."""
    source, exact = decode(data)
    text = _read(source)
    if len(text.split()) * 2 < len(source.split()):
        return Text(source, "xml", title(source), exact=exact)
    named = _TITLE.search(source)
    return Text(text, "xml", html.unescape(named[1]).strip()[:200] if named else title(text))


def _read(source: str) -> str:
    """What a reader sees, on the lines on which it is."""
    source = _SILENT.sub(_lines, source)
    source = _CDATA.sub(lambda match: html.escape(match[1]), source)
    return "\n".join(line.rstrip() for line in html.unescape(_TAG.sub(_said, source)).split("\n"))


def _lines(match: re.Match[str]) -> str:
    return " " + "\n" * match[0].count("\n")


def _said(match: re.Match[str]) -> str:
    """What a tag says of what it shows, and as many line ends as it has."""
    said = " ".join(_DESCRIBED.findall(match[0])).replace("\n", " ")
    return f" {said} " + "\n" * match[0].count("\n")
