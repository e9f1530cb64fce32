"""The shell as a person has it, on a real pseudo-terminal, and as a program has it, by a pipe."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from aios.cli.shell.commands import DO
from aios.cli.shell.files import editor
from aios.cli.shell.verbs import VERBS
from tests.shell.conftest import RUN, Batch
from tests.shell.terminal import Terminal

MakeTerminal = Callable[..., Terminal]


def test_every_verb_does_something() -> None:
    assert VERBS.keys() - {"search"} == DO.keys()


# -- on a terminal


@pytest.mark.whole
def test_a_plain_line_is_a_search_whose_results_have_numbers(terminal: MakeTerminal) -> None:
    with terminal() as shell:
        shell.until("all found by meaning · owner: idle")
        shell.enter("who governs the town")
        shell.until("1  docs/mayor.txt:1  vec")
        shell.until("Peter Novak was elected mayor")
        shell.enter("hist 1")
        shell.until("writer (20260102-030405-abcd/3)")
        shell.enter("diff 1")
        shell.until("+Peter Novak")
        assert any(cell.fg == "green" for cell in shell.screen.buffer[row(shell, "+Peter Novak")].values())
        shell.enter("cat 1 1")
        shell.until("\nMaria Keller was elected mayor")
        shell.enter("quit")
        assert shell.end() == 0


@pytest.mark.whole
def test_the_toolbar_tells_what_is_pending_and_who_owns_the_index(terminal: MakeTerminal, root: Path) -> None:
    with terminal() as shell:
        shell.until("4 files · all found by meaning · owner: idle")
        (root / "new.txt").write_text("A lighthouse keeper lives alone.\n")
        shell.until("5 files · all found by meaning · owner: idle")
        shell.enter("someone who tends a lamp at the sea")
        shell.until("1  new.txt:1  vec")
        leave(shell)


@pytest.mark.whole
def test_matches_are_marked_and_nothing_wraps(terminal: MakeTerminal) -> None:
    with terminal(columns=40) as shell:
        shell.until("texts>")
        shell.enter("litre of water")
        shell.until("boils a litre")
        line = row(shell, "boils a litre")
        marked = {shell.screen.buffer[line][at].data for at in range(40) if shell.screen.buffer[line][at].fg == "red"}
        assert set("litre") <= marked
        assert shell.screen.display[line].rstrip().endswith("…")


@pytest.mark.whole
def test_scope_is_shown_and_taken_back(terminal: MakeTerminal) -> None:
    with terminal() as shell:
        shell.until("texts>")
        shell.enter("water")
        shell.until("old/boil.py")
        shell.enter("in docs")
        shell.until("texts in docs>")
        shell.until("docs/kettle.md")
        shell.enter("since yesterday")
        shell.until("texts in docs since yesterday>")
        shell.enter("in")
        shell.until("texts since yesterday>")
        shell.enter("cd old")
        shell.until("texts/old since yesterday>")
        shell.enter("water")
        shell.until("1  boil.py:1")
        shell.enter("cd ..")
        shell.enter("cd ../..")
        shell.until("lies outside")


@pytest.mark.whole
def test_completion_knows_verbs_files_and_results(terminal: MakeTerminal) -> None:
    with terminal() as shell:
        shell.until("texts>")
        shell.type("ca\t")
        shell.until("> cat")
        shell.type("docs/ze\t")
        shell.until("> cat docs/zebra.txt")
        shell.enter("")
        shell.until("striped animal")
        shell.enter("zebra")
        shell.until("docs/zebra.txt:1")
        shell.type("hist \t")
        shell.until(lambda text: "docs/zebra.txt" in text.rpartition("> hist")[2])
        shell.type("\x03")


@pytest.mark.whole
def test_interrupting_a_command_keeps_the_shell(terminal: MakeTerminal) -> None:
    with terminal() as shell:
        shell.until("texts>")
        shell.enter("!echo started; sleep 600")
        shell.until("\nstarted")
        shell.type("\x03")
        shell.enter("ls")
        shell.until("docs/")
        shell.enter("restore nothing")
        shell.until("usage: restore")
        leave(shell)


@pytest.mark.whole
def test_what_the_editor_changes_is_a_version(root: Path, environment: Mapping[str, str], tmp_path: Path) -> None:
    vim = tmp_path / "vim"
    vim.write_text('#!/bin/sh\necho "$1" >> "$2"\n')
    vim.chmod(0o755)
    command = [sys.executable, "-m", "aios", "shell", str(root)]
    with Terminal(command, environment={**environment, "EDITOR": str(vim)}) as shell:
        shell.until("all found by meaning")
        shell.enter("closed lid")
        shell.until("1  docs/kettle.md:4")
        shell.enter("open 1")
        shell.enter("diff 1")
        shell.until("++4")  # the line that it was told
        leave(shell)


@pytest.mark.whole
def test_lines_are_remembered_in_the_state_directory(terminal: MakeTerminal, tmp_path: Path) -> None:
    with terminal() as shell:
        shell.until("texts>")
        shell.enter("zebra stripes")
        shell.until("docs/zebra.txt")
        leave(shell)
    assert "zebra stripes" in (tmp_path / "home" / "state" / "shell-history").read_text()
    with terminal() as shell:
        shell.until("texts>")
        shell.type("zeb")
        shell.until("> zebra stripes")  # suggested, as it was typed before
        shell.type("\x1b[C\r")
        shell.until("docs/zebra.txt:1")


# -- by a pipe


@pytest.mark.whole
def test_by_a_pipe_there_is_no_prompt_no_colour_and_the_last_lines_code(batch: Batch) -> None:
    ran = batch("search litre of water", "hist docs/mayor.txt", "search water -zebra +nowhere")
    assert "\x1b" not in ran.stdout + ran.stderr
    assert "texts>" not in ran.stdout
    assert ran.stdout.splitlines()[:2] == [
        "1  docs/kettle.md:3  both 1.00",
        "   It boils a litre of water in three minutes.",
    ]
    assert f"writer ({RUN}/3)" in ran.stdout
    assert "nothing found" in ran.stderr
    assert ran.returncode == 1
    assert batch("# nothing", "quit", "restore x y").returncode == 0


@pytest.mark.whole
def test_restore_and_undo(batch: Batch, root: Path) -> None:
    ran = batch("restore docs/mayor.txt 1", "cat docs/mayor.txt", "undo", "cat docs/mayor.txt")
    assert ran.stdout == (
        "docs/mayor.txt is version 3 now; `undo` takes it back\n"
        "Maria Keller was elected mayor of Ashford.\n"
        "docs/mayor.txt is version 4 now\n"
        "Peter Novak was elected mayor of Ashford.\n"
    )
    assert batch("undo").returncode == 2


@pytest.mark.whole
def test_undo_of_a_run(batch: Batch, root: Path) -> None:
    ran = batch(f"undo --run {RUN}", "cat docs/mayor.txt")
    assert ran.stdout == ("restored docs/mayor.txt as in version 1\nMaria Keller was elected mayor of Ashford.\n")


@pytest.mark.whole
def test_more_and_like(batch: Batch, root: Path) -> None:
    for number in range(12):
        (root / f"hut{number}.txt").write_text(f"A hut in the mountains, number {number}.\n")
    ran = batch("hut in the mountains", "more", "more", "like 1")
    assert ran.returncode == 0
    numbers = [line.split()[0] for line in ran.stdout.splitlines() if ":1" in line]
    assert numbers[:12] == [str(number) for number in range(1, 13)]
    assert "nothing was searched for" in batch("more").stderr


@pytest.mark.whole
def test_sentences_that_begin_with_a_verb(batch: Batch) -> None:
    ran = batch("like a zebra", "in the savannah", "open nothing", "since forever animal")
    assert ran.stdout.count("docs/zebra.txt:1") >= 2
    assert "no directory the is here: searching for these words" in ran.stderr
    assert "to look for these words: search open nothing" in ran.stderr


@pytest.mark.whole
def test_paths_with_blanks_and_numbers_for_names(batch: Batch, root: Path) -> None:
    (root / "a b.txt").write_text("blank\n")
    (root / "7").write_text("seven\n")
    assert batch(r"cat a\ b.txt", "cat 'a b.txt'", "cat 7").stdout == "blank\nblank\nseven\n"
    ran = batch("cat 8")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "there is no result 8: nothing was found yet" in ran.stderr


@pytest.mark.whole
def test_a_command_of_the_system_runs_where_we_are_and_is_seen(batch: Batch) -> None:
    ran = batch("cd docs", "!pwd; printf 'An okapi lives here.' > okapi.txt", "search okapi", "!exit 3")
    assert ran.stdout.splitlines()[0].endswith("/texts/docs")
    assert "1  okapi.txt:1" in ran.stdout
    assert ran.returncode == 1


@pytest.mark.whole
def test_help(batch: Batch) -> None:
    told = batch("help").stdout
    assert all(verb.usage in told for verb in VERBS.values())
    assert "restore" in batch("help restore").stdout
    assert batch("help nonsense").returncode == 3


def test_an_editor_is_told_the_line_where_it_understands() -> None:
    assert editor(7, {"EDITOR": "/usr/bin/vim -X", "PAGER": "more"}) == ["/usr/bin/vim", "-X", "+7"]
    assert editor(7, {"VISUAL": "code --wait"}) == ["code", "--wait"]
    assert editor(7, {}) == ["less", "+7"]


def leave(shell: Terminal) -> None:
    """Press Ctrl-D at the prompt: before, it would be for whatever runs."""
    shell.until(lambda text: re.search(r"^texts.*>\n+ \d+ files", text, re.MULTILINE) is not None)
    shell.type("\x04")
    assert shell.end() == 0


def row(shell: Terminal, text: str) -> int:
    """The line of the screen that has a text."""
    return next(number for number, line in enumerate(shell.screen.display) if text in line)
