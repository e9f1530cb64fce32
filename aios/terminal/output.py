"""What goes to stdout and stderr, and how: tables and colour for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from aios.terminal.invisible import JOINERS, SELECTORS, UNSEEN, joins, varies

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 160
"""Columns of what goes to a file or a pipe, where nothing says otherwise; tables are as wide as they are."""
MIN_COLUMNS = 40
"""Columns below which a width is nonsense, or of a terminal that had better wrap the lines itself."""
MAX_COLUMNS = 10_000
USUAL_COLUMNS = 80

STEERING = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""General categories of what is no visible text."""
DRAWN = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that have a form (Unicode's Prepended_Concatenation_Mark)."""
_PLAIN = re.compile("[\n\t -~]*")


def stdout() -> Console:
    """Where data goes."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where talk goes."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from aios.terminal.console import CleanConsole

    stream = sys.stderr if stderr else sys.stdout
    columns = width(stream, os.environ)
    return CleanConsole(stderr=stderr, width=columns, markup=False, highlight=False, emoji=False)


def width(stream: TextIO, environment: Mapping[str, str]) -> int:
    """The columns to write a stream in: those that COLUMNS says, then the terminal's, where they make sense."""
    told = environment.get("COLUMNS", "")
    if told.isascii() and told.isdecimal() and len(told) < 9 and MIN_COLUMNS <= int(told) <= MAX_COLUMNS:
        return int(told)
    if not stream.isatty():
        return WIDTH
    return columns if MIN_COLUMNS <= (columns := terminal_columns(stream)) <= MAX_COLUMNS else USUAL_COLUMNS


def terminal_columns(stream: TextIO) -> int:
    """The columns that a terminal says it has; 0 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


_SAID: ContextVar[set[str] | None] = ContextVar("said", default=None)


def say(text: str, *, once: bool = False) -> None:
    """A line of talk on stderr, harmless whatever is quoted in it: no further line can pass for one of ours.

    `once` says it once in a command.
    """
    said = _SAID.get()
    if once and said is not None:
        if text in said:
            return
        said.add(text)
    talk("aios: " + text.rstrip("\n").replace("\n", "\n  "))


def talk(text: str, end: str = "\n") -> None:
    """Text on stderr as it is, but harmless; where that cannot be written there is nobody to tell."""
    with suppress(OSError, ValueError):
        print(clean(text), end=end, file=sys.stderr, flush=True)


def begin_saying() -> None:
    """Let a new command say everything once."""
    _SAID.set(set())


def out(text: str) -> None:
    """A line of data on stdout, or several: harmless on a terminal, as they are elsewhere."""
    line = text if text.endswith("\n") else f"{text}\n"
    if sys.stdout.isatty():
        print(clean(line), end="")
    else:
        write_exactly(line)


def write_exactly(text: str) -> None:
    """These characters on stdout in UTF-8, whatever the encoding of the terminal is that there is not."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()


def print_json(value: Any, *, line: bool = False) -> None:
    """One JSON value on stdout; on one line when it is part of a stream."""
    print(json.dumps(plain(value), indent=None if line else 2))


def _harmless(before: str, here: str, after: str) -> bool:
    if here in "\n\t" or here in DRAWN:
        return True
    if here in JOINERS:
        return joins(before, here, after)
    if here in SELECTORS:
        return varies(before, here, after)
    return here not in UNSEEN and unicodedata.category(here) not in STEERING


def plain(value: Any) -> Any:
    """Any value as JSON has it, a call or reply of the kernel's too; a number that JSON has not is null."""
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(json.loads(json.dumps(value, default=_plain)), inf_nan_mode="null")


def clean(text: str) -> str:
    """Text without what could steer a terminal, or hide from who reads it; as long as before.

    U+FFFD stands for controls, halves of characters, private and unassigned characters, line separators, and for what
    nobody sees: all format characters, fillers, and joiners and variation selectors where `invisible` knows no use for
    them. So no word is split unseen, and what a text could hide is at most one character after one that it can change,
    while emoji, Persian and Devanagari stay as they are. Format characters that are drawn, such as the Arabic sign of
    numbers, all stay.
    """
    if _PLAIN.fullmatch(text):
        return text
    kept = ["\0"]
    for here, after in zip(text, f"{text[1:]}\0", strict=True):
        kept.append(here if _harmless(kept[-1], here, after) else "\ufffd")
    return "".join(kept[1:])


def headline(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in clean(text).splitlines() if line.strip()), "")


def seconds(value: float) -> str:
    """A duration in at most six characters."""
    if value < 0.0995:
        return f"{value * 1000:.0f}ms"
    if value < 9.95:
        return f"{value:.1f}s"
    if value < 599.5:
        return f"{value:.0f}s"
    minutes = round(value / 60)
    return f"{minutes}m" if minutes < 600 else f"{minutes // 60}h"


def dollars(value: float) -> str:
    """An amount of money: cents, or two digits of what is less than ten of them."""
    if value <= 5e-10:
        return "0"
    return f"{value:,.{min(9, max(2, 1 - math.floor(math.log10(value))))}f}"


def size(count: int) -> str:
    """A number of bytes as people say it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count} B"


def me() -> str:
    """How the user calls this command from where they are."""
    import shutil

    called = sys.argv[0]
    if os.path.basename(called) != "aios":
        return f"{os.path.basename(sys.executable)} -m aios"
    found = shutil.which("aios")
    return "aios" if found and os.path.samefile(found, called) else os.path.relpath(called)


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump else str(value)
