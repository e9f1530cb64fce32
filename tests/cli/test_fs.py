"""`aios fs` as a user types it, on a real root."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app

pytestmark = pytest.mark.whole


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    (place / "drafts").mkdir(parents=True)
    (place / "report.md").write_text("# Report\n\nAll is well.\n")
    (place / "drafts" / "garden.md").write_text("Tulips grow in the garden.\n")
    (place / "drafts" / "wedding.md").write_text("The wedding was on a Sunday.\n")
    return place


def fs(root: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["fs", *words, "--root", str(root)])


def test_the_plan_is_shown_and_what_the_files_say_goes_to_stdout(root: Path) -> None:
    done = fs(root, "open", "report.md")
    assert done.exit_code == 0
    assert done.stdout == "# Report\n\nAll is well.\n"
    assert done.stderr == "plan:\n  1. read path='report.md'\n"


def test_back_to_the_version_before_and_what_changed(root: Path) -> None:
    before = (root / "report.md").read_bytes()
    assert fs(root, "add 'Nothing is well.' to report.md").exit_code == 0
    done = fs(root, "roll report.md back to the version before and tell me what changed")
    assert done.exit_code == 0
    assert (root / "report.md").read_bytes() == before
    assert "-Nothing is well." in done.stdout
    kinds = [line.split()[4] for line in fs(root, "history of report.md").stdout.splitlines()]
    assert kinds == ["rollback", "append", "external"]


@pytest.mark.parametrize(
    "request_",
    [
        "delete report.md",
        "overwrite report.md with 'x'",
        "delete the drafts about the garden",
        "share report.md for an hour",
        "delete report.md and open drafts/garden.md",
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"], ["--dry-run"], ["--dry-run", "--yes"]])
def test_off_a_terminal_nothing_is_destroyed_without_a_yes(root: Path, request_: str, flags: list[str]) -> None:
    before = {path: path.read_bytes() for path in root.rglob("*.md")}
    done = fs(root, request_, *flags)
    assert done.exit_code == (0 if "--dry-run" in flags else 6)
    assert {path: path.read_bytes() for path in root.rglob("*.md")} == before
    assert "http://" not in done.stdout
    assert "(asks first)" in done.stderr


def test_yes_confirms_what_a_rule_read(root: Path) -> None:
    done = fs(root, "--yes", "delete the drafts about the garden", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["plan"]["steps"][0] == {"op": "delete_matching", "query": "garden", "within": "drafts"}
    assert [outcome["state"] for outcome in told["outcomes"]] == ["done"]
    assert sorted(path.name for path in root.rglob("*.md")) == ["report.md", "wedding.md"]


@pytest.mark.parametrize(
    ("request_", "code", "why"),
    [
        ("delete it", 2, "ask"),
        ("open rapport.md", 3, "no such file"),
        ("show me ../../etc/passwd", 6, "outside"),
        ("What will the weather be tomorrow?", 2, "not about files"),
    ],
)
def test_a_refusal_says_why(root: Path, request_: str, code: int, why: str) -> None:
    done = fs(root, request_, "--json", "--rules")
    assert done.exit_code == code
    assert json.loads(done.stdout)["refused"]["why"] == why
    assert done.stderr.startswith("aios: ")


def test_what_no_rule_reads_is_refused_with_examples_where_no_model_is_asked(root: Path) -> None:
    done = fs(root, "zap report.md", "--rules")
    assert done.exit_code == 2
    assert "no rule reads 'zap report.md'" in done.stderr
    assert "roll report.md back to last Tuesday" in done.stderr


@pytest.mark.parametrize(("answer", "left"), [("y", 2), ("yes", 2), ("n", 3), ("", 3), ("delete", 3)])
def test_at_a_terminal_the_question_names_what_goes(root: Path, tmp_path: Path, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-m", "aios", "fs", "delete report.md", "--root", str(root)]
    with subprocess.Popen(words, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(ours, 4096)
        os.write(ours, f"{answer}\n".encode())
        process.communicate(timeout=60)
    os.close(ours)
    assert b"report.md, 23 bytes" in said
    assert process.returncode == (0 if left == 2 else 6)
    assert len(list(root.rglob("*.md"))) == left


def test_below_an_indexed_directory_its_root_is_meant(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs(root, "open report.md")
    monkeypatch.chdir(root / "drafts")
    done = CliRunner().invoke(app, ["fs", "open report.md"])
    assert done.stdout == "# Report\n\nAll is well.\n"
    assert f"files are named from {root}" in done.stderr
    assert not (root / "drafts" / ".aios").exists()


def test_what_a_file_says_is_exact_in_a_pipe(root: Path) -> None:
    (root / "evil.txt").write_text("a\x1b[2Jb\n")
    assert fs(root, "open evil.txt").stdout == "a\x1b[2Jb\n"  # on a terminal it is harmless: test_streams.py
