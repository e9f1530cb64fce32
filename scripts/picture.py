"""Runs `aios shell` in a pseudo-terminal on a few texts, types, and saves what its screen shows as SVG."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from itertools import groupby
from pathlib import Path

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

from tests.cli import weights
from tests.shell.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
AIOS = [sys.executable, "-m", "aios"]
ROWS, COLUMNS = 36, 100
TYPED = (
    ("in reviews cleaning machine that makes too much noise", "vacuum.txt"),
    ("hist 1", "VERSION"),
    ("diff 1", "@@"),
    ("restore 1 1", "undo"),
    ("? Where was Elena Marchetti born?", "sources"),
)
"""Lines, each with what shows that it was done."""

FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
"""Fetches no font: whoever looks has one."""


def draw(screen: pyte.Screen) -> str:
    """The screen as SVG."""
    console = Console(record=True, width=screen.columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    last = max((row for row, line in enumerate(screen.display) if line.strip()), default=0)
    for row in range(last + 1):
        line = Text(no_wrap=True)
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        for look, run in groupby(cells, style):
            line.append("".join(cell.data for cell in run), look)
        console.print(line, soft_wrap=True)
    return console.export_svg(title="aios shell", theme=DIMMED_MONOKAI, code_format=FORMAT)


def style(cell: pyte.screens.Char) -> Style:
    """How a cell looks."""
    return Style(
        color=colour(cell.fg), bgcolor=colour(cell.bg), bold=cell.bold, italic=cell.italics, reverse=cell.reverse
    )


def colour(name: str) -> str | None:
    """A colour of pyte as one of rich."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    name = {"brown": "yellow", "brightbrown": "brightyellow"}.get(name, name)
    return name.replace("bright", "bright_")


def session(work: Path) -> pyte.Screen:
    """What the screen shows after everything was typed."""
    texts = work / "texts"
    shutil.copytree(ROOT / "agents" / "texts", texts)
    environment = {**os.environ, "AIOS_HOME": str(work / "home"), "TERM": "xterm-256color", "PYTHONPATH": paths()}
    weights.link(work / "home")
    subprocess.run([*AIOS, "index", str(texts)], env=environment, check=True)
    vacuum = texts / "reviews" / "vacuum.txt"
    vacuum.write_text(vacuum.read_text("utf-8").replace("249 euros", "229 euros"), "utf-8")
    with Terminal([*AIOS, "shell", str(texts)], environment=environment, rows=ROWS, columns=COLUMNS) as terminal:
        terminal.until("owner: idle")
        for line, seen in TYPED:
            terminal.enter(line)
            terminal.until(partial(done, line, seen))
        return terminal.screen


def done(line: str, seen: str, text: str) -> bool:
    """Whether a line was answered: what shows it is below it, and so is a new prompt."""
    _, typed, after = text.rpartition(f"> {line}")
    return bool(typed) and seen in after and "\ntexts>\n" in after


def paths() -> str:
    return os.pathsep.join(str(ROOT / part) for part in (".", "syscalls", "storage"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aios-picture-") as directory:
        Path(sys.argv[1]).write_text(draw(session(Path(directory))), "utf-8")
