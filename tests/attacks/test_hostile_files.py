"""Files made to take for ever to read: each is done with in time that its size bounds."""

from __future__ import annotations

import csv
import io
import os
import re
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import docx
import pytest
from pathspec import GitIgnoreSpec

from aios_storage import parse_query
from aios_storage.extract import apart, extract
from aios_storage.extract.encoding import NoText
from aios_storage.index.words import fold, indexed, split
from aios_storage.search.snippet import Terms, snippet
from aios_storage.versions.ignore import Ignore

ENOUGH = 5.0
"""Seconds of this thread's processor: a hundred times what is linear needs; what is not would need hours."""


def cost(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


def grows(work: Callable[[int], object], size: int, times: int = 4) -> float:
    """How many times as long work takes on something `times` as large; the best of three, against what runs beside."""
    little, much = (min(cost(partial(work, each)) for _ in range(3)) for each in (size, size * times))
    return much / max(little, 1e-6)


def of(data: bytes) -> Ignore:
    return Ignore(lambda path, most: data[:most] if path == ".gitignore" else None)


PATTERNS = {
    "stars": ("*a" * 10 + "b", "a" * 100),
    "more stars": ("*a" * 2000 + "b", "a" * 4000),
    "stars and any": ("*?a" * 1300 + "b", "a" * 4000),
    "stars and sets": ("*[a-c]" * 600 + "d", "a" * 4000),
    "deep stars": ("**/a/" * 800 + "b", "/".join("a" * 2000)),
    "stars in deep stars": ("**/*a*a/" * 500 + "b", "/".join(["aaa"] * 1000)),
    "any depth": ("/**/*/**/*/" * 300 + "b", "/".join("a" * 2000)),
    "an open set": ("*[" * 2000, "a" * 4000),
}


def test_no_pattern_of_an_ignore_file_takes_long_for_a_path() -> None:
    slow = {}
    for name, (pattern, path) in PATTERNS.items():
        taken = cost(partial(of(pattern.encode()), path, False))
        if taken > ENOUGH:
            slow[name] = taken
    assert not slow
    # The control: a matcher that tries each way to share a name among the stars.
    assert grows(lambda stars: GitIgnoreSpec.from_lines(["*a" * stars + "b"]).check_file("a" * 24), 2, 3) > 20


def test_a_long_ignore_file_costs_each_path_little() -> None:
    lines = "".join(f"*a*{number}b\n" for number in range(60_000)).encode()
    ignore = of(lines)
    assert cost(lambda: [ignore(f"{'a' * 200}{at}", False) for at in range(20)]) < ENOUGH
    names = "".join(f"name{number}\n" for number in range(60_000)).encode()
    ignore = of(names)
    assert ignore("name59999", False)


SIZE = 200_000
"""Characters, of which what is quadratic would make 20,000,000,000 steps."""
FILES = {
    "blanks in a heading": ("a.md", "# a" + " " * SIZE + "b\n"),
    "closing signs": ("a.md", "# a" + "# " * SIZE + "b\n"),
    "empty headings": ("a.md", "#\n" * SIZE),
    "blanks under a heading": ("a.rst", "a\n===" + " \n" * SIZE + "b"),
    "signs under a heading": ("a.rst", "a\n" + "=" * SIZE + "b"),
    "a head of blanks": ("a.txt", "a: b\nc:" + " " * SIZE + "d\n"),
    "a key of blanks": ("a.txt", "a: b\nc" + " " * SIZE + "d\n"),
    "addresses": ("a.txt", "author: x\nby: " + "(@" * SIZE + "\n"),
    "quotes in a table": ("a.csv", ',"a",\n' + '"' * 3000 + "x\n"),
    "quoted columns": ("a.csv", ',"a",\n' + ("," + '"' * 3000) + "x\n" + ',"' * SIZE),
    "signs in an address": ("a.txt", "author: x\nby: (" + "@" * SIZE + "\n"),
    **{
        f"{word[:12]} in {name}": (name, f"{head}{word * (SIZE // len(word))}{tail}")
        for name, head in (("a.xml", "<?xml?>"), ("a.svg", "<svg>"), ("a.html", "<html>"))
        for word in (
            "<!DOCTYPE[", "<!DOCTYPE ", "<!DOCTYPE[]", "<script>", "<script ", "<script/", "<style><script>", "<!--",
            "<?", "<![CDATA[", "<![if ", "<title>", "<title", "<a '", '<a b="', "<a \"'", "<a b=c ", "</", "</a ", "<",
            "<a alt='", "&", "&#", "<svg>", "</script ", "<!", "]]>", "<a/",
        )
        for tail in ("", ">", "</x>")
    },
}  # fmt: skip


def test_no_text_file_takes_long_to_read() -> None:
    slow = {}
    for name, (path, text) in FILES.items():
        taken = cost(partial(extract, path, text.encode()))
        if taken > ENOUGH:
            slow[name] = taken
    assert not slow
    # The controls: patterns that look for an end from each beginning, or share out blanks in each way.
    assert grows(lambda size: re.findall(r"<script>.*?</script>", "<script>" * size, re.DOTALL), 500) > 8
    assert grows(lambda size: csv.Sniffer().sniff(',"a",\n' + '"' * size + "x\n"), 25) > 8
    heading = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
    assert grows(lambda size: heading.search("# a" + " " * size + "b\n"), 60) > 8


LINES = (
    "![",
    "](",
    "](a",
    "](a(b",
    "a-",
    "a=",
    "a='",
    'a="b" ',
    "<a ",
    "<!--",
    "[",
    ":a",
    ".. a",
    " ",
    "aa",
    "</",
    "(",
)


def test_no_line_takes_long_to_show() -> None:
    terms, slow = Terms(["needle"]), {}
    for word in LINES:
        for text in (word * (SIZE // len(word)), "needle " + word * (SIZE // len(word)) + ">"):
            taken = cost(partial(snippet, text, 1, 1, terms))
            if taken > ENOUGH:
                slow[word] = taken
    assert not slow
    assert grows(lambda size: re.sub(r"!\[[^\]]*\]", "", "![" * size), 500) > 8


def word_file(paragraphs: int, lies: bool = False) -> bytes:
    document, out, made = docx.Document(), io.BytesIO(), io.BytesIO()
    document.add_paragraph("herons")
    document.save(out)
    with zipfile.ZipFile(out) as before, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            part = before.read(name)
            if name == "word/document.xml":
                part = part.replace(b"<w:sectPr", b"<w:p/>" * paragraphs + b"<w:sectPr", 1)
                size = len(part)
            after.writestr(name, part)
    data = made.getvalue()
    return data.replace(struct.pack("<I", size), struct.pack("<I", 2000)) if lies else data


def pdf(*objects: bytes) -> bytes:
    numbered = b"".join(b"%d 0 obj\n%s\nendobj\n" % (at, each) for at, each in enumerate(objects, 1))
    return b"%PDF-1.4\n" + numbered + b"trailer\n<</Root 1 0 R>>\nstartxref\n0\n%%EOF\n"


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def pages(levels: int) -> bytes:
    """A tree of nodes each of which has the next one ten times: 10 ** levels pages."""
    nodes = [b"<</Type/Pages/Count 1000000000/Kids[%s]>>" % (b"%d 0 R " % (at + 3) * 10) for at in range(levels)]
    return pdf(CATALOG, *nodes, b"<</Type/Page/MediaBox[0 0 9 9]>>")


def operators(count: int) -> bytes:
    """A page whose contents are so many operators, packed."""
    packed = zlib.compress(b"BT /F 9 Tf (a) Tj ET\n" * count, 9)
    stream = b"<</Filter/FlateDecode/Length %d>>stream\n%s\nendstream" % (len(packed), packed)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    return pdf(CATALOG, b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, stream, font)


@pytest.mark.whole
def test_a_document_that_unpacks_to_too_much_is_found_by_its_name() -> None:
    assert "herons" in extract("a.docx", word_file(1000)).text  # the control: less of the same is read
    for data in (word_file(14_000_000), word_file(14_000_000, lies=True)):
        before = os.times()
        text = extract("a.docx", data)
        after = os.times()
        assert (text.text, text.kind) == ("", "docx")
        assert text.why
        assert after.children_user - before.children_user + after.user - before.user < 20
        assert len(data) < 200_000


@pytest.mark.whole
def test_a_document_that_takes_too_long_or_too_much_is_given_up() -> None:
    little = 120 * 2**20
    # The controls: within the same limits less of the same is read.
    assert "a" in apart.read(".pdf", operators(100), memory=little).text
    assert apart.read(".pdf", pages(2)).text
    assert "herons" in apart.read(".docx", word_file(10), memory=little).text
    with pytest.raises(NoText, match="memory or"):  # the processor's time
        apart.read(".pdf", operators(1_500_000), seconds=1)
    with pytest.raises(NoText, match="memory or"):
        apart.read(".pdf", operators(500_000), memory=little)
    with pytest.raises(ValueError, match=r"no PDF|memory or"):  # pypdf has a limit of its own here
        apart.read(".pdf", pages(8))
    with pytest.raises(ValueError, match=r"no Word file|memory or"):
        apart.read(".docx", word_file(500_000), memory=little)


def test_who_reads_documents_is_told_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert "OPENAI_API_KEY" not in apart._surroundings()


def test_no_pile_of_marks_takes_long_to_index_or_to_look_for() -> None:
    few = SIZE // 4
    pile = "a" + "\u0301" * few + "\u0323" * few + " \u05b0" + "\u05c1\u05b0" * few + " needle"
    works: tuple[Callable[..., object], ...] = (indexed, split, fold, parse_query, partial(snippet, pile, 1, 1))
    for work in works:
        assert cost(partial(work, Terms(["needle"]) if isinstance(work, partial) else pile)) < ENOUGH
    assert split(pile)[-1] == "needle"
    assert fold("e\u0301\u0323" * 3)[0] == fold("e\u0323\u0301" * 3)[0]
    # The control: canonical ordering swaps each mark with each.
    assert grows(lambda size: unicodedata.normalize("NFKC", "a" + "\u0301" * size + "\u0323" * size), 500) > 8
