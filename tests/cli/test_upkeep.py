"""`aios files ...`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app
from aios_storage import Files

SECRET = "the combination is 48151623"


def aios(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root whose one file has five versions."""
    with Files(tmp_path) as files:
        for number in range(1, 6):
            files.write("a.txt", f"{SECRET} {number}\n".encode())
    return tmp_path


@pytest.mark.usefixtures("root")
def test_fsck_reads_everything_and_ends_with_one_when_something_is_wrong(root: Path) -> None:
    told = json.loads(aios("files", "fsck", "--json").stdout)
    assert (told["versions"], told["files"], told["problems"]) == (5, 1, [])
    assert "all is well" in aios("files", "fsck").stdout
    with Files(root) as files, files.version_store.transaction() as connection:
        connection.execute("DELETE FROM blob")
    broken = aios("files", "fsck")
    assert broken.exit_code == 1
    assert "a.txt in version" in broken.stdout


@pytest.mark.usefixtures("root")
def test_pruning_keeps_what_it_is_told_to() -> None:
    assert aios("files", "prune").exit_code == 2
    assert json.loads(aios("files", "prune", "--count", "2", "--json").stdout)["versions"] == 3
    assert [each["number"] for each in json.loads(aios("history", "a.txt", "--json").stdout)] == [5, 4]
    assert "0 versions are gone" in aios("files", "prune", "--age", "1 hour ago").stdout
    assert aios("files", "gc").exit_code == 0


def test_a_purge_is_confirmed_and_leaves_no_trace(root: Path) -> None:
    aios("search", "combination", "--mode", "keyword")
    for wrong in ([], ["--confirm", "b.txt"]):
        refused = aios("files", "purge", "a.txt", *wrong)
        assert refused.exit_code == 2
        assert "--confirm a.txt" in refused.stderr
    assert (root / "a.txt").exists()
    assert json.loads(aios("files", "purge", "a.txt", "--confirm", "a.txt", "--json").stdout)["versions"] >= 5
    assert not (root / "a.txt").exists()
    assert aios("history", "a.txt").exit_code == 3
    kept = [file for file in root.rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if b"48151623" in file.read_bytes()]


@pytest.mark.parametrize("command", ["status", "rebuild", "fsck", "prune", "gc", "purge", "reembed"])
def test_every_command_has_help_and_json(command: str) -> None:
    told = aios("files", command, "-h")
    assert told.exit_code == 0
    assert "--json" in told.stdout
