"""Sixty requests in plain words, each with the exact operations that it means, or why it has to be refused.

The rules of the planner were written with `TUNING` in sight. `HELD_OUT` was written before them, and not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
"""A Wednesday."""

FILES: Mapping[str, str] = {
    "README.md": "# The project\n",
    "report.md": "# Report\n",
    "notes.txt": "notes\n",
    "todo.txt": "- pay the rent\n",
    "meeting.md": "# Meeting\n\nAnna and Bo met about the budget.\n",
    "config.toml": "debug = false\n",
    "budget 2026.csv": "month,sum\n",
    "src/main.py": "print('main')\n",
    "src/parser.py": "def parse(): ...\n",
    "src/util.py": "def util(): ...\n",
    "drafts/intro.md": "An introduction to the garden.\n",
    "drafts/chapter1.md": "The wedding.\n",
    "drafts/chapter2.md": "The garden in spring.\n",
    "data/results.csv": "a,b\n1,2\n",
    "data/old.csv": "a,b\n",
    "logs/server.log": "connection refused\n",
    "letters/anna.txt": "Dear Anna,\n",
    "letters/bank.docx": "",
    "archive/2025.txt": "old\n",
}

Refusal = str
ASK = "ask"
"""It does not say enough."""
NO_FILE = "no such file"
OUTSIDE = "outside"
NOT_FILES = "not about files"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said, and the operations by name with the arguments that are not their defaults; or the refusal."""

    text: str
    expected: Sequence[tuple[str, Mapping[str, Any]]] = ()
    refused: Refusal | None = None


def op(name: str, /, **arguments: Any) -> tuple[str, Mapping[str, Any]]:
    return name, arguments


def means(text: str, *expected: tuple[str, Mapping[str, Any]]) -> Prompt:
    return Prompt(text, expected)


def start(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)


def end(month: int, day: int, year: int = 2026) -> datetime:
    """The last instant of a day."""
    return start(month, day, year) + timedelta(days=1) - timedelta(microseconds=1)


HELD_OUT: Sequence[Prompt] = (
    means("What's in letters/anna.txt?", op("read", path="letters/anna.txt")),
    means("Put a copy of config.toml into archive", op("copy", path="config.toml", target="archive/config.toml")),
    means(
        "rename drafts/chapter2.md to drafts/chapter-two.md",
        op("move", path="drafts/chapter2.md", target="drafts/chapter-two.md"),
    ),
    means("Please get rid of data/old.csv", op("delete", path="data/old.csv")),
    means("Take notes.txt back to how it was two days ago", op("rollback", path="notes.txt", at=end(11, 23))),
    means("Undo everything the agent summarise did", op("undo", agent="summarise")),
    means("who changed report.md and when?", op("history", path="report.md")),
    means("show me version 3 of src/parser.py", op("show", path="src/parser.py", at=3)),
    means("What is different in todo.txt between versions 2 and 5?", op("diff", path="todo.txt", a=2, b=5)),
    means("find everything about the flood insurance", op("search", query="flood insurance")),
    means('look for "connection refused" in logs', op("search", query='"connection refused"', within="logs")),
    means("List what is in the src folder", op("list", path="src")),
    means("release the lock on todo.txt", op("unlock", path="todo.txt")),
    means('Overwrite config.toml with "debug = true"', op("write", path="config.toml", text="debug = true")),
    means("Add the line 'buy milk' to todo.txt", op("append", path="todo.txt", text="buy milk")),
    means("Give me a summary of meeting.md", op("summarise", path="meeting.md")),
    means("keep anyone else from writing to budget 2026.csv", op("lock", path="budget 2026.csv")),
    means("Share letters/bank.docx for two hours", op("share", path="letters/bank.docx", seconds=7200)),
    means("Mark the present state as release-1", op("tag", tag="release-1")),
    means("tell me whenever config.toml changes", op("watch", path="config.toml")),
    means(
        "Go through drafts and throw out the ones about the wedding",
        op("delete_matching", query="wedding", within="drafts"),
    ),
    means("Group the files about attention by author", op("group", query="attention", by="author")),
    means(
        "Bring back README.md as it was on the 3rd of November and then show me its history",
        op("rollback", path="README.md", at=end(11, 3)),
        op("history", path="README.md"),
    ),
    means(
        "Copy report.md to archive/report-old.md, then delete report.md",
        op("copy", path="report.md", target="archive/report-old.md"),
        op("delete", path="report.md"),
    ),
    means(
        "lock todo.txt and append 'call Bob' to it",
        op("lock", path="todo.txt"),
        op("append", path="todo.txt", text="call Bob"),
    ),
    means(
        'Save a search for "unpaid invoices" as a folder named unpaid',
        op("link", folder="unpaid", query='"unpaid invoices"'),
    ),
    Prompt("delete it", refused=ASK),
    Prompt("Show me ../../etc/passwd", refused=OUTSIDE),
    Prompt("What will the weather be tomorrow?", refused=NOT_FILES),
    Prompt("roll summary.md back to yesterday", refused=NO_FILE),
)

TUNING: Sequence[Prompt] = (
    means(
        "roll report.md back to last Tuesday and tell me what changed",
        op("rollback", path="report.md", at=end(11, 24)),
        op("diff", path="report.md", a=-1),
    ),
    means("open README.md", op("read", path="README.md")),
    means(
        'replace "Anna" with "Anne" in all letters about the bank',
        op("replace", find="Anna", by="Anne", query="bank", within="letters"),
    ),
    means("What is in the virtual folder unpaid?", op("follow", folder="unpaid")),
    means("List all files below data, recursively", op("list", path="data", recursive=True)),
    means("When was report.md last modified?", op("stat", path="report.md")),
    means('Create a file called ideas.txt containing "first idea"', op("create", path="ideas.txt", text="first idea")),
    means("mkdir photos", op("create", path="photos", kind="directory")),
    means('Append "- renew passport" to todo.txt', op("append", path="todo.txt", text="- renew passport")),
    means('Write "hello" to notes.txt', op("write", path="notes.txt", text="hello")),
    means("mv drafts/intro.md archive", op("move", path="drafts/intro.md", target="archive/intro.md")),
    means(
        "duplicate report.md as report-copy.md and open report-copy.md",
        op("copy", path="report.md", target="report-copy.md"),
        op("read", path="report-copy.md"),
    ),
    means("delete logs/server.log", op("delete", path="logs/server.log")),
    means("delete the drafts about the garden", op("delete_matching", query="garden", within="drafts")),
    means(
        "search for solar panels in Markdown files changed since Monday",
        op("search", query="solar panels", types=("md",), since=start(11, 23)),
    ),
    means(
        "Which files did the agent planner write yesterday?",
        op("search", query="", agent="planner", since=start(11, 24), until=end(11, 24)),
    ),
    means("history of config.toml", op("history", path="config.toml")),
    means("show report.md as of 1 November", op("show", path="report.md", at=end(11, 1))),
    means("diff report.md against yesterday", op("diff", path="report.md", a=end(11, 24))),
    means("Describe in words how report.md changed since version 4", op("compare", path="report.md", a=4)),
    means("restore src/util.py to the version before", op("rollback", path="src/util.py", at=-1)),
    means("Undo run 20261124-101500-ab12", op("undo", run="20261124-101500-ab12")),
    means(
        "tag report.md as draft-2 and share it for a day",
        op("tag", tag="draft-2", paths=("report.md",)),
        op("share", path="report.md", seconds=86400),
    ),
    means(
        "Make a virtual folder climate of everything about climate change, then remove the virtual folder unpaid",
        op("link", folder="climate", query="climate change"),
        op("unlink", folder="unpaid"),
    ),
    means("files about both taxes and Berlin", op("join", left="taxes", right="Berlin", how="and")),
    means("summarise drafts/chapter1.md", op("summarise", path="drafts/chapter1.md")),
    Prompt("restore the old one", refused=ASK),
    Prompt("copy report.md to /etc/cron.d/report", refused=OUTSIDE),
    Prompt("Write me a poem about autumn", refused=NOT_FILES),
    Prompt("delete everything", refused=ASK),
)
