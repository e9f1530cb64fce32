"""What goes to stdout and stderr, and how: tables and colour for people, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""

BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def stdout() -> Console:
    """Where data goes."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where talk goes."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False)


def say(text: str) -> None:
    """One line of talk on stderr, harmless whatever is quoted in it."""
    print(f"aios: {clean(text)}", file=sys.stderr, flush=True)


def print_json(value: Any, *, line: bool = False) -> None:
    """One JSON value on stdout; on one line when it is part of a stream."""
    print(json.dumps(value, indent=None if line else 2, default=_plain))


def plain(value: Any) -> Any:
    """A call or reply as JSON values, whether it comes from the kernel or from a journal."""
    return json.loads(json.dumps(value, default=_plain))


def clean(text: str) -> str:
    """Text without the control characters by which an agent could write to the terminal as it likes."""
    return "".join(char if char in "\n\t" or _harmless(char) else "\ufffd" for char in text)


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


def _harmless(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cs") and char not in BIDI


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump else str(value)
