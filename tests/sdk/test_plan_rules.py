"""What the rules read, and what they rightly do not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from time import time_ns
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.bench.fs_prompts import FILES, HELD_OUT, NOW, TUNING, Prompt
from aios.fs.operations import OPERATIONS, Risk
from aios.fs.parse import parse
from aios.fs.request import Known, RequestRefused, Why, mask

KNOWN = Known(
    {
        **dict.fromkeys(FILES, "file"),
        **dict.fromkeys(("src", "drafts", "data", "logs", "letters", "archive"), "directory"),
        "index.md": "file",
        "site/index.md": "file",
    },
    frozenset({"gone.md"}),
)


def said(text: str) -> list[tuple[str, dict[str, Any]]] | Why | None:
    """The operations with the arguments that are not their defaults, or why not."""
    try:
        steps = parse(text, KNOWN, NOW)
    except RequestRefused as error:
        return error.why
    return None if steps is None else [(s.op, s.model_dump(exclude={"op"}, exclude_defaults=True)) for s in steps]


def day(number: int, *, end: bool = True) -> datetime:
    clock = time(23, 59, 59, 999_999) if end else time()
    return datetime.combine(date(2026, 11, number), clock, UTC)


@pytest.mark.parametrize("prompt", [*HELD_OUT, *TUNING], ids=lambda prompt: prompt.text)
def test_a_request_is_read_exactly_or_not_at_all(prompt: Prompt) -> None:
    found = said(prompt.text)
    if prompt.refused:
        assert found is None or isinstance(found, Why)
    elif found is not None:
        assert found == [
            (
                name,
                OPERATIONS[name]
                .model_validate({"op": name, **given})
                .model_dump(exclude={"op"}, exclude_defaults=True),
            )
            for name, given in prompt.expected
        ]


def test_most_requests_that_mean_something_are_read() -> None:
    meant = [prompt for prompt in (*HELD_OUT, *TUNING) if not prompt.refused]
    assert sum(said(prompt.text) is not None for prompt in meant) >= 0.9 * len(meant)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_each_example_means_its_operation(operation: Any) -> None:
    words = ["notes.txt", "data.csv", "a.txt", "old.log", "report.md", "todo.txt", "config.toml", "meeting.md"]
    known = Known({**dict.fromkeys(words, "file"), "drafts": "directory"})
    steps = parse(operation.example, known, NOW)
    assert steps is not None
    assert [step.op for step in steps] == [operation.model_fields["op"].default]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delete it", Why.ASK),
        ("delete everything", Why.ASK),
        ("rm -rf all files", Why.ASK),
        ("show me /etc/passwd", Why.OUTSIDE),
        ("delete ../notes.txt", Why.OUTSIDE),
        ("move notes.txt to ~/elsewhere.txt", Why.OUTSIDE),
        ("copy notes.txt to src/../../x", Why.OUTSIDE),
        ("open nothing.txt", Why.NO_FILE),
        ("open gone.md", Why.NO_FILE),
        ("delete *.md", Why.NO_FILE),
        ("delete notes.txt and open it", Why.NO_FILE),
        ("copy notes.txt to old.txt and delete it", Why.ASK),
        ("copy notes.txt to report.md", Why.ASK),
        ("move notes.txt into the photos folder", Why.NO_FILE),
        ("roll report.md back to tomorrow", None),
        ("roll report.md back to 03/05/2026", Why.ASK),
        ("delete the drafts about the garden from last week", Why.ASK),
        ("delete notes.txt unless it is important", None),
        ("do not delete notes.txt", None),
        ("don't delete notes.txt", None),
        ("never delete notes.txt", None),
        ("find out who deleted notes.txt", None),
        ("find files by agent planner about taxes", None),
        ("move notes.txt up", None),
        ("delete notes.txt tomorrow", None),
        ("delete notes.txt if it is old", None),
        ("undo what I did today", None),
        ("restore report.md", Why.ASK),
        ("restore report.md to the last version", Why.ASK),
        ("write hello to notes.txt", Why.ASK),
        ("share report.md with Anna", None),
        ("should I delete notes.txt?", None),
        ("open notes.txt and make it nicer", None),
        ("", None),
    ],
)
def test_what_is_unclear_is_not_guessed(text: str, expected: Why | None) -> None:
    assert said(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("could you please open notes.txt for me?", [("read", {"path": "notes.txt"})]),
        ('open "budget 2026.csv"', [("read", {"path": "budget 2026.csv"})]),
        ("OPEN ./notes.txt", [("read", {"path": "notes.txt"})]),
        (
            "delete notes.txt, todo.txt and README.md",
            [("delete", {"path": p}) for p in ("notes.txt", "todo.txt", "README.md")],
        ),
        (
            "move notes.txt and todo.txt to archive",
            [("move", {"path": p, "target": f"archive/{p}"}) for p in ("notes.txt", "todo.txt")],
        ),
        (
            "move notes.txt to archive, then open it",
            [("move", {"path": "notes.txt", "target": "archive/notes.txt"}), ("read", {"path": "archive/notes.txt"})],
        ),
        (
            "make a folder called photos and move notes.txt into photos",
            [
                ("create", {"path": "photos", "kind": "directory"}),
                ("move", {"path": "notes.txt", "target": "photos/notes.txt"}),
            ],
        ),
        ("restore gone.md", [("rollback", {"path": "gone.md", "at": -1})]),
        ("roll report.md back a week", [("rollback", {"path": "report.md", "at": day(18)})]),
        ("roll report.md back three versions", [("rollback", {"path": "report.md", "at": -3})]),
        ("search notes.txt for cats", [("search", {"query": "cats", "within": "notes.txt"})]),
        ("lock report.md for two hours", [("lock", {"path": "report.md", "seconds": 7200})]),
        ("restore gone.md to version 2", [("rollback", {"path": "gone.md", "at": 2})]),
        ("go back to version 7 of report.md", [("rollback", {"path": "report.md", "at": 7})]),
        ("revert report.md to the tag Final-1", [("rollback", {"path": "report.md", "at": "Final-1"})]),
        ("roll report.md back two versions back", [("rollback", {"path": "report.md", "at": -2})]),
        (
            "restore report.md to how it was before the 3rd of November",
            [("rollback", {"path": "report.md", "at": day(2)})],
        ),
        ("restore report.md to its previous version", [("rollback", {"path": "report.md", "at": -1})]),
        ("what changed in report.md since Monday?", [("diff", {"path": "report.md", "a": day(23, end=False)})]),
        ("show me report.md's history", [("history", {"path": "report.md"})]),
        ("find cars and trains", [("search", {"query": "cars and trains"})]),
        ("find notes about cars in drafts", [("search", {"query": "cars", "within": "drafts"})]),
        ("find cars and delete notes.txt", [("search", {"query": "cars"}), ("delete", {"path": "notes.txt"})]),
        ("find python files about parsers", [("search", {"query": "parsers", "types": ("py",)})]),
        (
            "find invoices from last week",
            [("search", {"query": "invoices", "since": day(16, end=False), "until": day(22)})],
        ),
        (
            'append "and then delete report.md" to notes.txt',
            [("append", {"path": "notes.txt", "text": "and then delete report.md"})],
        ),
        ('append "/etc/passwd" to notes.txt', [("append", {"path": "notes.txt", "text": "/etc/passwd"})]),
        ("restore yesterday's version of report.md", [("rollback", {"path": "report.md", "at": day(24)})]),
        ("rename report.md final.md", [("move", {"path": "report.md", "target": "final.md"})]),
        ("create new.txt with content 'x'", [("create", {"path": "new.txt", "text": "x"})]),
        ("cat src/main.py", [("read", {"path": "src/main.py"})]),
        ("ls drafts", [("list", {"path": "drafts"})]),
        ("replace 'a' with '' in drafts", [("replace", {"find": "a", "by": "", "within": "drafts"})]),
        ("replace 'a' by 'b' everywhere", [("replace", {"find": "a", "by": "b"})]),
        ("share report.md", [("share", {"path": "report.md"})]),
    ],
)
def test_words_and_arguments(text: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert said(text) == expected


def test_a_missing_file_is_told_with_what_may_be_meant() -> None:
    with pytest.raises(RequestRefused, match=r"did you mean drafts/intro\.md"):
        parse("open intro.md", KNOWN, NOW)


def test_whatever_overwrites_destroys_takes_back_or_gives_away_asks() -> None:
    assert {name for name, each in OPERATIONS.items() if each.risk is Risk.ASKS} == {
        "write",
        "delete",
        "delete_matching",
        "replace",
        "undo",
        "share",
    }


def test_masks_are_taken_off_as_they_were_put_on() -> None:
    text = 'copy budget 2026.csv to archive, then add "a ⟦0⟧ b" to notes.txt'
    request = mask(text, KNOWN)
    assert request.masked == "copy ⟦0⟧ to ⟦1⟧, then add ⟦2⟧ to ⟦3⟧"
    assert request.plain(request.masked) == text.replace("⟦0⟧", "[0]")


@pytest.mark.parametrize(
    "text",
    ["find " + "a, " * 300 + "open zzz qqq", "find " + "between and " * 150, "move " + "notes.txt and " * 120 + "x"],
)
def test_long_requests_are_read_or_not_in_no_time(text: str) -> None:
    began = time_ns()
    said(text)
    assert time_ns() - began < 5e9


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([*"abc", "delete", "notes.txt", "and", "it", "⟦0⟧", '"', "'", "../x", "to", ",", "\n"]),
        max_size=12,
    )
)
def test_any_text_is_read_or_refused(words: list[str]) -> None:
    found = said(" ".join(words))
    assert found is None or isinstance(found, Why | list)
