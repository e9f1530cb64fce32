"""Pictures in SVG, and XML: what is written in them stays where it is, and the markup around it becomes blanks."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode
from aios_storage.extract.head import title

_SILENT = re.compile(r"<(?:(style|script|metadata|defs)\b|(!--)|(\?)|(!DOCTYPE))", re.IGNORECASE)
_HIDDEN = {name: re.compile(rf"</{name}\s*+>", re.IGNORECASE) for name in ("style", "script", "metadata", "defs")}
_COMMENT, _INSTRUCTION, _CLOSE, _OPEN = map(re.compile, ("-->", r"\?>", ">", r"\["))
# The ends of a document type's square brackets and of itself, which are looked for ahead of all else.
_INNER, _AFTER = map(re.compile, (r"\]", "(?:>)"))
_MARKED, _CDATA_END = re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")
_TAG = re.compile(r"</?[^\W\d][^<>\"']*+(?:(?:\"[^\"]*+\"|'[^']*+')[^<>\"']*+)*+>")
_TITLE, _TITLE_END = re.compile(r"<title\b", re.IGNORECASE), re.compile(r"</title", re.IGNORECASE)
_DESCRIBED = re.compile(r"\s(?:aria-label|alt|inkscape:label|xlink:title)=[\"']([^\"'<>]*)[\"']")


def reader(suffix: str) -> Extractor:
    """Of files of this suffix."""
    return _svg if suffix == ".svg" else _xml


def _svg(data: bytes) -> ExtractedText:
    source = decode(data)[0]
    if "<svg" not in source[:100_000]:
        raise ValueError("it has no picture")
    text = _read(source)
    return ExtractedText(text, "svg", _title(source) or title(text))


def _xml(data: bytes) -> ExtractedText:
    """A document's text; of data, which is markup for the most part, all: its names and attributes say what it is."""
    source, exact = decode(data)
    text = _read(source)
    if len(text.split()) * 2 < len(source.split()):
        return ExtractedText(source, "xml", title(source), exact=exact)
    return ExtractedText(text, "xml", _title(source) or title(text))


class Ahead:
    """Where patterns are next found in a text; asked in order, it reads the text once for each of them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._next: dict[re.Pattern[str], re.Match[str] | None] = {}

    def __call__(self, pattern: re.Pattern[str], at: int) -> re.Match[str] | None:
        """The first match at a place or after it. `at` never falls from one call for a pattern to the next."""
        if pattern not in self._next or ((known := self._next[pattern]) and known.start() < at):
            self._next[pattern] = pattern.search(self._text, at)
        return self._next[pattern]


def replaced(
    source: str,
    opening: re.Pattern[str],
    end: Callable[[re.Match[str], Ahead], int | None],
    put: Callable[[str], str],
) -> str:
    """A text with what `put` makes of each stretch from an opening to its end, where it has one; in linear time."""
    ahead, at = Ahead(source), 0
    pieces: list[str] = []
    for match in opening.finditer(source):
        last = end(match, ahead) if match.start() >= at else None
        if last is not None:
            pieces += [source[at : match.start()], put(source[match.start() : last])]
            at = last
    return "".join([*pieces, source[at:]])


def _read(source: str) -> str:
    """What a reader sees, on the lines on which it is."""
    source = replaced(source, _SILENT, _end, _lines)
    source = replaced(source, _MARKED, _marked, lambda data: html.escape(data[len("<![CDATA[") : -len("]]>")]))
    return "\n".join(line.rstrip() for line in html.unescape(_TAG.sub(_said, source)).split("\n"))


def _title(source: str) -> str:
    """What the first title says that has an end."""
    begin = _TITLE.search(source)
    start = source.find(">", begin.end()) + 1 if begin else 0
    end = _TITLE_END.search(source, start) if start else None
    return html.unescape(source[start : end.start()]).strip()[:200] if end else ""


def _end(begin: re.Match[str], ahead: Ahead) -> int | None:
    """Where what a reader does not see ends."""
    hidden, comment, instruction, _ = begin.groups()
    if hidden:
        close = ahead(_CLOSE, begin.end()) if ahead(_HIDDEN[hidden.lower()], begin.end()) else None
        empty = close is None or begin.string[close.start() - 1] == "/"
        last = None if empty or close is None else ahead(_HIDDEN[hidden.lower()], close.end())
    elif comment or instruction:
        last = ahead(_COMMENT if comment else _INSTRUCTION, begin.end())
    else:
        last = _declared(begin, ahead)
    return last.end() if last else None


def _declared(begin: re.Match[str], ahead: Ahead) -> re.Match[str] | None:
    """The end of a document type, which may have brackets of its own in square ones."""
    close, bracket = ahead(_CLOSE, begin.end()), ahead(_OPEN, begin.end())
    if close and bracket and bracket.start() < close.start() and (inner := ahead(_INNER, bracket.end())):
        close = ahead(_AFTER, inner.end())
    return close


def _marked(begin: re.Match[str], ahead: Ahead) -> int | None:
    last = ahead(_CDATA_END, begin.end())
    return last.end() if last else None


def _lines(text: str) -> str:
    return " " + "\n" * text.count("\n")


def _said(match: re.Match[str]) -> str:
    """What a tag says of what it shows, and as many line ends as it has."""
    said = " ".join(_DESCRIBED.findall(match[0])).replace("\n", " ")
    return f" {said} " + "\n" * match[0].count("\n")
