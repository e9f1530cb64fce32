"""What a search found: as lines like grep's, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from aios.terminal.output import clean

if TYPE_CHECKING:
    from aios_storage import Hit, Pending

PATH, LINE, MARK, DIM = "magenta", "green", "bold red", "dim"
"""The colours of grep."""

Spell = Callable[[str], str]
"""Turns a path of the root into what the user would call it."""


def grep(hits: Iterable[Hit], context: int = 0, spell: Spell = str) -> Iterator[Text]:
    """A line `path:line: snippet` for each hit; with context its lines, as grep has them, and `--` between hits."""
    for number, hit in enumerate(hits):
        if context and number:
            yield Text("--", style=DIM)
        for line, text in marked_lines(hit) if context else [best(hit)]:
            sign = ":" if line == hit.best else "-"
            where = Text.assemble((clean(flat(spell(hit.path))), PATH), sign, (str(line), LINE), f"{sign} ")
            yield where + (text if context else stripped(text))


def paths(hits: Iterable[Hit], spell: Spell = str) -> Iterator[str]:
    """The paths of the hits, each once."""
    yield from dict.fromkeys(clean(flat(spell(hit.path))) for hit in hits)


def numbered(hits: Sequence[Hit], first: int = 1, spell: Spell = str) -> Iterator[Text]:
    """Two lines for each hit: its number, path, line and score, then the line that was found."""
    width = len(str(first + len(hits) - 1))
    for number, hit in enumerate(hits, first):
        yield Text.assemble(
            (f"{number:>{width}}", "bold cyan"),
            "  ",
            (clean(flat(spell(hit.path))), PATH),
            (f":{hit.best}", LINE),
            (f"  {hit.why} {hit.score:.2f}", DIM),
        )
        yield Text(" " * (width + 2)) + stripped(best(hit)[1])


def best(hit: Hit) -> tuple[int, Text]:
    """The one line that is shown of a hit, and its number."""
    lines = list(marked_lines(hit))
    return next((line for line in lines if line[0] == hit.best), lines[0])


def marked_lines(hit: Hit) -> Iterator[tuple[int, Text]]:
    """The lines of a hit's snippet, each with its number and with what matched in it marked."""
    offset = 0
    for line, raw in enumerate(hit.snippet.split("\n"), hit.at):
        text = Text(flat(clean(raw)))
        for start, end in hit.marks:
            if start < offset + len(raw) and end > offset:
                text.stylize(MARK, max(start - offset, 0), min(end - offset, len(raw)))
        yield line, text
        offset += len(raw) + 1


def stripped(text: Text) -> Text:
    """A line without the blanks around it."""
    plain = text.plain
    return text[len(plain) - len(plain.lstrip()) : len(plain.rstrip())] if plain.strip() else Text("")


def flat(text: str) -> str:
    """Text on one line and as long as before: what breaks lines or moves the cursor becomes a blank or U+FFFD."""
    return "".join(" " if char == "\t" else "\ufffd" if char in BREAKS else char for char in text)


BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


def to_json(hit: Hit, spell: Spell = str) -> dict[str, Any]:
    """Everything that is known of a hit; `path` is the root's name of it, `file` the user's.

    `line` and `text` are the line that `grep` prints; the piece that it is of goes from `first_line` to `last_line`.
    """
    line, text = best(hit)
    known = {**asdict(hit), "first_line": hit.line, "line": line, "text": stripped(text).plain}
    return {**known, "file": spell(hit.path)}


def waiting(pending: Pending) -> str:
    """What is not embedded yet, in words; empty when all is."""
    if not pending.files:
        return ""
    return f"{pending.files:,} {'file' if pending.files == 1 else 'files'} pending"
