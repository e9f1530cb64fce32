"""Files made to take for ever to read: each is done with in time that its size bounds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial

from pathspec import GitIgnoreSpec

from aios_storage.extract import extract
from aios_storage.ignore import Ignore
from aios_storage.snippet import Terms, snippet

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


SIZE = 400_000
"""Characters, of which what is quadratic would make 80,000,000,000 steps."""
FILES = {
    "blanks in a heading": ("a.md", "# a" + " " * SIZE + "b\n"),
    "closing signs": ("a.md", "# a" + "# " * SIZE + "b\n"),
    "empty headings": ("a.md", "#\n" * SIZE),
    "blanks under a heading": ("a.rst", "a\n===" + " \n" * SIZE + "b"),
    "signs under a heading": ("a.rst", "a\n" + "=" * SIZE + "b"),
    "a head of blanks": ("a.txt", "a: b\nc:" + " " * SIZE + "d\n"),
    "a key of blanks": ("a.txt", "a: b\nc" + " " * SIZE + "d\n"),
    "addresses": ("a.txt", "author: x\nby: " + "(@" * SIZE + "\n"),
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
