"""history, show, diff, restore and undo, as a user types them."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios_storage import Author, Files

NOT_TEXT = b"\xff\xfe\x00 end\r\n"


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A root with a file of the user's, which an agent then changed beside one of its own."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("one\n")
    files = Files(tmp_path)
    files.scan()
    agent = files.by(Author("writer", run="20260102-030405-abcd", pid=3))
    agent.write("docs/a.txt", b"two\n")
    agent.write("docs/new.bin", NOT_TEXT)
    return files


def test_history_is_told_newest_first_with_who_made_each_version(files: Files) -> None:
    lines = aios("history", "docs/a.txt").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["VERSION", "2", "1"]
    assert "writer (20260102-030405-abcd/3)  write" in lines[1]
    assert "external" in lines[2]
    told = json.loads(aios("history", "docs/a.txt", "--json", "-n", "1").stdout)
    assert [(each["number"], each["author"]["name"], each["path"]) for each in told] == [(2, "writer", "docs/a.txt")]


@pytest.mark.usefixtures("files")
def test_what_another_program_has_just_changed_is_the_last_version(tmp_path: Path) -> None:
    (tmp_path / "docs" / "a.txt").write_text("three\n")
    assert [each["number"] for each in json.loads(aios("history", "docs/a.txt", "--json").stdout)] == [3, 2, 1]
    assert "-two\n+three\n" in aios("diff", "docs/a.txt").stdout


@pytest.mark.usefixtures("files")
def test_paths_are_those_of_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path / "docs")
    assert aios("show", "a.txt").stdout == "two\n"
    assert aios("show", str(tmp_path / "docs" / "a.txt"), "--at", "1").stdout == "one\n"


@pytest.mark.usefixtures("files")
def test_a_file_is_shown_byte_for_byte() -> None:
    assert aios("show", "docs/new.bin").stdout_bytes == NOT_TEXT
    told = json.loads(aios("show", "docs/new.bin", "--json").stdout)
    assert base64.b64decode(told["base64"]) == NOT_TEXT
    assert json.loads(aios("show", "docs/a.txt", "--at", "-1", "--json").stdout)["text"] == "one\n"


@pytest.mark.usefixtures("files")
def test_a_diff_ends_with_one_where_nothing_changed() -> None:
    changed = aios("diff", "docs/a.txt", "--from", "1", "--to", "2")
    assert (changed.exit_code, changed.stdout.splitlines()[-2:]) == (0, ["-one", "+two"])
    same = aios("diff", "docs/a.txt", "--from", "2")
    assert (same.exit_code, same.stdout) == (1, "")


def test_a_restore_is_a_version_and_can_be_taken_back(files: Files, tmp_path: Path) -> None:
    result = aios("restore", "docs/a.txt")
    assert (result.exit_code, result.stdout) == (0, "docs/a.txt is version 3 now; to take it back: --at 2\n")
    assert (tmp_path / "docs" / "a.txt").read_text() == "one\n"
    assert aios("restore", "docs/a.txt", "--at", "2").exit_code == 0
    assert (tmp_path / "docs" / "a.txt").read_text() == "two\n"
    files.delete("docs/new.bin")
    assert aios("restore", "docs/new.bin").exit_code == 0
    assert (tmp_path / "docs" / "new.bin").read_bytes() == NOT_TEXT


def test_a_tag_and_a_time_name_versions_too(files: Files, tmp_path: Path) -> None:
    files.tag("draft")
    files.write("docs/a.txt", b"three\n")
    assert aios("show", "docs/a.txt", "--at", "draft").stdout == "two\n"
    assert aios("show", "docs/a.txt", "--at", "today").stdout == "three\n"
    early = aios("show", "docs/a.txt", "--at", "2 days ago")
    assert early.exit_code == 3
    assert "its first is of" in early.stderr
    nonsense = aios("restore", "docs/a.txt", "--at", "whenever")
    assert nonsense.exit_code == 2
    assert "yesterday" in nonsense.stderr


def test_undo_takes_back_a_run_and_says_what_it_must_keep(files: Files, tmp_path: Path) -> None:
    files.write("docs/a.txt", b"the user's\n")
    told = aios("undo", "--run", "20260102-030405-abcd", "--dry-run")
    assert told.exit_code == 0
    assert told.stdout == "kept docs/a.txt: user changed it in version 3\nwould remove docs/new.bin\n"
    assert (tmp_path / "docs" / "new.bin").exists()
    done = json.loads(aios("undo", "--agent", "writer", "--json").stdout)
    assert [(each["path"], bool(each["kept"])) for each in done] == [("docs/a.txt", True), ("docs/new.bin", False)]
    assert not (tmp_path / "docs" / "new.bin").exists()
    assert (tmp_path / "docs" / "a.txt").read_text() == "the user's\n"


@pytest.mark.usefixtures("files")
def test_undo_needs_to_know_whose() -> None:
    assert aios("undo").exit_code == 2
    assert aios("undo", "--run", "last").exit_code == 3
    nobody = aios("undo", "--agent", "nobody")
    assert (nobody.exit_code, nobody.stdout) == (1, "there is nothing to take back\n")


@pytest.mark.parametrize("command", ["history", "show", "diff", "restore"])
def test_where_nothing_is_indexed_it_says_what_to_do(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    result = aios(command, "a.txt")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "index it first: aios index ." in result.stderr


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("path", ["docs/never.txt", "nowhere/at/all.txt"])
def test_a_file_that_never_was_is_not_found(path: str) -> None:
    result = aios("history", path)
    assert result.exit_code == 3
    assert "no history" in result.stderr


def test_a_file_comes_back_with_its_directory(files: Files, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "docs")
    files.scan()
    assert [each["op"] for each in json.loads(aios("history", "docs/a.txt", "--json").stdout)] == [
        "external",
        "write",
        "external",
    ]
    assert aios("restore", "docs/a.txt").exit_code == 0
    assert (tmp_path / "docs" / "a.txt").read_text() == "two\n"
