"""The versions of a file, as rows and as JSON, and what taking them back did."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from aios.cli.files.results import flat
from aios.terminal.output import clean, print_json, size, write_exactly
from aios.terminal.table import grid

if TYPE_CHECKING:
    from rich.table import Table

    from aios_storage import Author, Undone, Version

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
    """Who made a version, with the run and the call where it was an agent."""
    call = author.pid if author.call is None else f"{author.pid}.{author.call}"
    where = "/".join(str(part) for part in (author.run, call) if part is not None)
    return clean(flat(f"{author.name} ({where})" if where else author.name))


def to_json(version: Version) -> dict[str, Any]:
    """A version's own fields; times in seconds since the epoch."""
    return asdict(version)


def print_bytes(path: str, data: bytes, *, as_json: bool) -> None:
    """A file's bytes as they are; harmless ones on a terminal; in JSON as base64 where they are not UTF-8."""
    if as_json:
        try:
            print_json({"path": path, "text": data.decode("utf-8")})
        except UnicodeDecodeError:
            print_json({"path": path, "base64": base64.b64encode(data).decode()})
    elif sys.stdout.isatty():
        text = clean(data.decode("utf-8", "replace"))
        print(text, end="" if text.endswith("\n") else "\n")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def show_diff(console: Console, text: str) -> None:
    """A unified diff, in colour on a terminal and byte for byte elsewhere, where a program may apply it."""
    if not console.is_terminal and console.file is sys.stdout:
        write_exactly(text)
        return
    for line in text.splitlines():
        style = next((style for sign, style in DIFF.items() if line.startswith(sign)), "")
        console.print(Text(clean(line), style=style), soft_wrap=True)


def show_undone(console: Console, undone: Sequence[Undone], *, dry_run: bool) -> None:
    """What was taken back, and what was not and why."""
    for each in undone:
        path = clean(flat(each.path))
        if each.kept is not None:
            line = Text.assemble(("kept", "yellow"), f" {path}: {clean(each.kept)}")
        else:
            verb = "restore" if each.restored is not None else "remove"
            said = f"would {verb}" if dry_run else f"{verb.removesuffix('e')}ed"
            line = Text.assemble((said, "green"), f" {path}", f" as in version {each.restored}" * bool(each.restored))
        console.print(line, soft_wrap=True)
    if not undone:
        console.print("there is nothing to take back", style="dim")
