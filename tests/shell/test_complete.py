"""What Tab offers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from aios.cli.shell.complete import ShellCompleter, last_word, quoted, unquoted
from aios.cli.shell.line import split

TREE = {
    ".": [("docs", True), ("a b.md", False), ("notes.txt", False), (".hidden", False)],
    "docs": [("deep.md", False)],
}


class Tree:
    """Two results and a few files."""

    def results(self) -> Sequence[str]:
        return ("docs/deep.md", "notes.txt")

    def entries(self, directory: str) -> Iterable[tuple[str, bool]]:
        return TREE.get(directory, ())


def offers(line: str) -> list[str]:
    """The lines that Tab would make of this one."""
    found = ShellCompleter(Tree()).get_completions(Document(line), CompleteEvent())
    return [line[: len(line) + each.start_position] + each.text for each in found]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("re", ["restore "]),
        ("xyz", []),
        ("what is", []),
        ("cat no", ["cat notes.txt"]),
        ("cat 2", ["cat 2"]),
        ("cat ", ["cat 1", "cat 2", r"cat a\ b.md", "cat docs/", "cat notes.txt"]),
        (r"cat a\ ", [r"cat a\ b.md"]),
        ("cat .", ["cat .hidden"]),
        ("cat docs/", ["cat docs/deep.md"]),
        ("cat nowhere/", []),
        ("cat 2 no", []),
        ("cd ", ["cd docs/"]),
        ("in d", ["in docs/"]),
        ("since la", ["since last monday", "since last week"]),
        ("since last m", ["since last monday"]),
        ("undo --r", ["undo --run "]),
        ("help cd", ["help cd"]),
        ("more ", []),
    ],
)
def test_offers(line: str, completed: list[str]) -> None:
    assert offers(line) == completed


def test_the_empty_line_offers_every_verb() -> None:
    assert {"search ", "open ", "cat ", "restore ", "quit "} <= set(offers(""))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_completed_path_is_read_as_one_word(path: str) -> None:
    assert unquoted(quoted(path)) == path
    assert last_word(f"before {quoted(path)}") == quoted(path)
    assert split(f"cat {quoted(path)}") == ["cat", path]
