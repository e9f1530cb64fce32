"""HTML: what a reader sees, the title, and what `meta` says."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

from aios_storage.extract import ExtractedText, Extractor
from aios_storage.extract.encoding import decode

_WHOLE = re.compile(r"""<[^>"']*+(?:(?:"[^"]*+"|'[^']*+')[^>"']*+)*+>""")
_HIDDEN = frozenset(("script", "style", "template", "noscript", "svg", "head"))
_BLOCKS_WORDS = """
p div section article header footer main ul ol li table tr h1 h2 h3 h4 h5 h6 pre blockquote br hr dt dd
"""
_BLOCKS = frozenset(_BLOCKS_WORDS.split())


def reader(_suffix: str) -> Extractor:
    """Of HTML files."""
    return read


def read(data: bytes) -> ExtractedText:
    """The text of a page."""
    page = _Page()
    page.feed(_finished(decode(data)[0]))
    page.close()
    lines = (" ".join(line.split()) for line in "".join(page.text).splitlines())
    text = "\n".join(line for line in lines if line)
    return ExtractedText(text, "html", " ".join("".join(page.title).split())[:200], tuple(page.fields))


def _finished(source: str) -> str:
    """A page without what begins and never ends: the parser would look for each of those ends through all the rest."""
    source = source.replace("<![", "<!x[")  # a comment up to the next bracket, as HTML has it
    last = source.rfind("-->") + 1
    source = source[:last] + source[last:].replace("<!--", "")
    end = source.rfind(">") + 1
    return source[:end] + source[end:].partition("<")[0]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.title: list[str] = []
        self.fields: list[tuple[str, str]] = []
        self._hidden: list[str] = []
        self._open: Counter[str] = Counter()
        self._titled = False

    def check_for_whole_start_tag(self, i: int) -> int:
        """Where a tag ends: behind its bracket, or the first one where a quote in it never ends."""
        whole = _WHOLE.match(self.rawdata, i)
        return whole.end() if whole else self.rawdata.find(">", i) + 1 or -1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
            self._open[tag] += 1
        if tag == "title":
            self._titled = True
        if tag == "meta":
            given = dict(attrs)
            if (name := given.get("name")) and (content := given.get("content")):
                self.fields.append((name.lower(), content))
        if tag in _BLOCKS:
            self.text.append("\n")

    def handle_endtag(self, tag: str) -> None:
        while self._open[tag]:
            inner = self._hidden.pop()
            self._open[inner] -= 1
            if inner == tag:
                break
        if tag == "title":
            self._titled = False
        if tag in _BLOCKS:
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        if self._titled:
            self.title.append(data)
        elif not self._hidden:
            self.text.append(data)
