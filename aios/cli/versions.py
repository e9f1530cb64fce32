"""The versions of a file, as rows and as JSON, and what taking them back did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from aios.cli.hits import flat
from aios.cli.output import clean, size
from aios.cli.table import grid

if TYPE_CHECKING:
    from aios_storage.version import Author, Undone, Version
    from rich.table import Table

DIFF = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}
"""Style by how a line of a diff begins; the longer ones first."""


def table(versions: Iterable[Version]) -> Table:
    """Versions, one a row, in the order given."""
    rows = grid(">VERSION", "WHEN", "BY", "WHAT", ">SIZE", "~PATH")
    for version in versions:
        note = f"  {clean(flat(version.note))}" if version.note else ""
        rows.add_row(
            str(version.number),
            when(version.time),
            by(version.author),
            Text(version.op, style="red" if version.op == "delete" else ""),
            "-" if version.sha256 is None else size(version.size),
            Text(f"{clean(flat(version.path))}{note}", no_wrap=True, overflow="ellipsis"),
        )
    return rows


def when(seconds: float) -> str:
    """A time since the epoch, as the clock on the wall had it."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")[:19]


def by(author: Author) -> str:
    """Who made a version, with the run and the process where it was an agent."""
    where = "/".join(str(part) for part in (author.run, author.pid) if part is not None)
    return clean(flat(f"{author.name} ({where})" if where else author.name))


def to_json(version: Version) -> dict[str, Any]:
    """A version's own fields; times in seconds since the epoch."""
    return asdict(version)


def show_diff(console: Console, text: str) -> None:
    """A unified diff, in colour on a terminal."""
    for line in text.splitlines():
        style = next((style for sign, style in DIFF.items() if line.startswith(sign)), "")
        console.print(Text(clean(line), style=style), soft_wrap=True)


def show_undone(console: Console, undone: Sequence[Undone], *, dry_run: bool) -> None:
    """What was taken back, and what was not and why."""
    for each in undone:
        sign = Text("kept  ", style="yellow") if each.kept else Text("would " if dry_run else "undone", style="green")
        console.print(sign, Text(f" {clean(flat(each.path))}: {clean(each.what)}"), soft_wrap=True)
