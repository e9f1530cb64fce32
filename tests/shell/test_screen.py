"""The prompt on a real pseudo-terminal, before any file system is behind it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.shell.terminal import Terminal

pytestmark = pytest.mark.whole

PROGRAM = """
import itertools, sys
from pathlib import Path
from aios.cli.shell.screen import Screen

class Known:
    def results(self): return ["docs/deep.md"]
    def entries(self, directory): return [("notes.txt", False), ("docs", True)] if directory == "." else []

counts = itertools.count(1)
with Screen(Known(), lambda: ("here", "since yesterday"), lambda: f"told {next(counts)} times", Path(sys.argv[1])) as s:
    while True:
        try:
            print(f"<{s.read()}>")
        except KeyboardInterrupt:
            print("dropped")
        except EOFError:
            break
"""


def screen(past: Path) -> Terminal:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    return Terminal([sys.executable, "-c", PROGRAM, str(past)], environment=environment)


def prompted_again(said: str) -> Callable[[str], bool]:
    """Whether something was said and keys are read again: between two prompts the terminal takes Ctrl-D for itself."""
    return lambda text: said in text and text.rstrip().endswith("yesterday>")


def test_it_prompts_reads_and_remembers(tmp_path: Path) -> None:
    past = tmp_path / "state" / "past"
    with screen(past) as terminal:
        terminal.until("here since yesterday>")
        terminal.enter("what is a lease")
        terminal.until(prompted_again("<what is a lease>"))
        terminal.type("half a li\x03")
        terminal.until(prompted_again("dropped"))
        terminal.type("\x04")
        assert terminal.end() == 0
    assert past.stat().st_mode & 0o077 == 0
    with screen(past) as terminal:
        terminal.until("here since yesterday>")
        terminal.type("\x1b[A")  # the arrow up
        terminal.until("> what is a lease")
        terminal.type("\r\x04")
        assert terminal.end() == 0
        assert "<what is a lease>" in terminal.text


def test_tab_completes_verbs_paths_and_numbers(tmp_path: Path) -> None:
    with screen(tmp_path / "past") as terminal:
        terminal.until(">")
        terminal.type("res\t")
        terminal.until("> restore")
        terminal.enter("2 yesterday")
        terminal.until("<restore 2 yesterday>")
        terminal.type("cat no\t")
        terminal.until("> cat notes.txt")
        terminal.enter("")
        terminal.until("<cat notes.txt>")
        terminal.type("open \t")
        terminal.until("docs/deep.md")  # what the result 1 is
        terminal.type("\x03\x04")
        assert terminal.end() == 0


def test_the_toolbar_is_kept_up_to_date_without_a_key(tmp_path: Path) -> None:
    with screen(tmp_path / "past") as terminal:
        terminal.until("told 2 times")
        terminal.until("told 4 times")
        terminal.type("\x04")
        assert terminal.end() == 0
