"""The page about new syscalls shows a change to the code as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "new_syscall.md"


def changes() -> dict[str, list[str]]:
    """The lines of the page's diff, by the file that they are of."""
    (diff,) = re.findall(r"^```diff\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    parts = re.split(r"^diff --git a/(\S+) b/\1\n--- .*\n\+\+\+ .*\n", diff, flags=re.MULTILINE)
    return {path: lines.splitlines() for path, lines in zip(parts[1::2], parts[2::2], strict=True)}


def missing(path: str, lines: list[str]) -> list[str]:
    """What the change takes for lines of a file, and is none."""
    there = (ROOT / path).read_text("utf-8").splitlines()
    return [line for line in lines if line[:1] in (" ", "-") and line[1:] not in there]


def test_a_new_syscall_touches_three_files() -> None:
    assert [path for path in changes() if not path.startswith(("tests/", "docs/"))] == [
        "aios/cores/file_service.py",
        "aios/sdk/file_calls.py",
        "syscalls/aios_syscalls/file.py",
    ]


@pytest.mark.parametrize("path", changes())
def test_the_lines_around_the_change_are_there(path: str) -> None:
    assert missing(path, changes()[path]) == []


@pytest.mark.parametrize("path", changes())
def test_what_it_adds_is_new(path: str) -> None:
    added = [line[1:] for line in changes()[path] if line.startswith("+") and "HashFile" in line]
    assert added
    there = (ROOT / path).read_text("utf-8").splitlines()
    assert not set(added) & set(there)


def test_control_a_line_that_is_gone_is_missed() -> None:
    assert missing("aios/sdk/file_calls.py", [" class NoSuchClass:", "+new"]) == [" class NoSuchClass:"]
