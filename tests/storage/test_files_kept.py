"""What keeps the truth whole: damage, crashes between steps, retention, purging, locks."""

from __future__ import annotations

import gc
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios_storage import Author, Drop, Files, Put, Rename, Retention
from aios_storage.disk.failpoint import FAILPOINT_VARIABLE
from aios_storage.disk.path import TEMPORARY
from aios_syscalls.errors import AiosError, BadRequest, Conflict, Denied, Exists, NotFound, StorageFailed

AGENT = Author("writer", "run-1", 3, 4)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    with Files(tmp_path) as files:
        yield files


def killed(root: Path, point: str, program: str, **options: int) -> None:
    """Runs a program on the files of a root till it reaches a point, where it dies."""
    given = "".join(f", {name}={value}" for name, value in options.items())
    names = "Author, Drop, Files, Put, Rename, Retention"
    source = f"import sys\nfrom aios_storage import {names}\nfiles = Files(sys.argv[1]{given})\n{program}\n"
    command = [sys.executable, "-c", source, str(root)]
    child = subprocess.run(command, env=os.environ | {FAILPOINT_VARIABLE: point}, timeout=60, check=False)
    assert child.returncode == -signal.SIGKILL


def damage(database: Path, table: str) -> None:
    """Overwrites the first page of a table, and nothing that opening a root reads."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    with database.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)


def test_a_damaged_page_is_told_by_every_call_that_meets_it(tmp_path: Path) -> None:
    with Files(tmp_path) as files:
        files.write("f1", b"1")
        files.write("f1", b"2")
    damage(tmp_path / ".aios" / "truth.db", "version")
    with Files(tmp_path) as files:
        for act in (
            lambda: files.history("f1"),
            lambda: files.write("f1", b"x"),
            lambda: files.changes_since(0),
            lambda: files.show("f1", 1),
            lambda: files.rollback("f1", 1),
            lambda: files.undo(run="r"),
        ):
            with pytest.raises(StorageFailed, match=r"is damaged .* move the directory .*\.aios away"):
                act()
        assert files.read("f1") == b"2"


@pytest.mark.parametrize("left", [None, b""])
def test_a_truth_that_is_gone_is_not_begun_anew_in_silence(tmp_path: Path, left: bytes | None) -> None:
    with Files(tmp_path) as files:
        files.write("a", os.urandom(1_100_000))
    for name in ("truth.db", "truth.db-wal", "truth.db-shm"):
        (tmp_path / ".aios" / name).unlink(missing_ok=True)
    if left is not None:
        (tmp_path / ".aios" / "truth.db").write_bytes(left)
    with pytest.raises(StorageFailed, match=r"missing or empty, though blobs beside it .* move the directory"):
        Files(tmp_path)


def test_a_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / ".aios").write_bytes(b"a file")
    with pytest.raises(AiosError):
        Files(tmp_path)


@pytest.mark.whole
def test_a_file_too_large_to_keep_survives_a_move_that_was_cut_off(tmp_path: Path) -> None:
    large = os.urandom(3000)
    (tmp_path / "a").write_bytes(large)
    killed(tmp_path, "truth-after-commit:2", "files.move('a', 'b')", max_kept=1000)
    with Files(tmp_path, max_kept=1000) as files:
        assert files.read("b") == large
        assert not (tmp_path / "a").exists()
        assert [each.op for each in files.history("b")] == ["move", "external"]
        assert files.fsck().clean


def test_a_move_that_cannot_be_is_refused_before_it_is_a_version(files: Files, tmp_path: Path) -> None:
    files.write("a", b"1")
    (tmp_path / "d").mkdir()
    (tmp_path / "loose").symlink_to("nowhere")
    before = files.last_seq(ever=True)
    for target, kind in (("d", Exists), ("loose", Exists), ("none/a", NotFound), ("a/b", BadRequest)):
        with pytest.raises(kind):
            files.move("a", target)
    assert files.last_seq(ever=True) == before


def test_what_cannot_be_placed_takes_no_file_along(tmp_path: Path) -> None:
    large = b"x" * 5000
    with Files(tmp_path, max_kept=1000) as small:
        small.write("large", large)
        small.write("c", b"c")
        hidden = threading.Event()

        def vanish(name: str) -> None:
            if not hidden.is_set():
                hidden.set()
                (tmp_path / "d").rename(tmp_path / "e")

        (tmp_path / "d").mkdir()
        small.write("d/x", b"1")
        place = small._changes._place
        small._changes._place = lambda ready: (vanish(""), place(ready))[1]  # type: ignore[method-assign,func-returns-value]
        with pytest.raises(NotFound):
            small.transaction([Drop("large"), Rename("c", "d/c")])
        assert small.read("large") == large
        assert small.read("c") == b"c"
        assert small.fsck().clean


NOT_READ = """
import os, pathlib, sys
from aios_storage import Files
from aios_syscalls.errors import Denied
import pathspec.patterns.gitignore.spec
if os.geteuid() == 0:  # who reads everything, and where others may not even import
    os.setgid(65534)
    os.setuid(65534)
root = pathlib.Path(sys.argv[1])
root.joinpath("a").write_bytes(b"unknown")
root.joinpath("a").chmod(0o200)
with Files(root) as files:
    assert [path for path, _ in files.scan().skipped] == ["a"]
    try:
        files.write("a", b"new")
    except Denied:
        sys.exit(7)
"""


@pytest.mark.whole
def test_a_file_that_cannot_be_read_is_not_overwritten() -> None:
    # Below pytest's own directories nobody but their owner may go.
    with tempfile.TemporaryDirectory(prefix="aios-unreadable-") as root:
        os.chmod(root, 0o777)
        child = subprocess.run([sys.executable, "-c", NOT_READ, root], check=False, timeout=60)
        assert child.returncode == 7
        assert (Path(root) / "a").stat().st_size == 7


def test_a_deletion_is_not_forgotten_before_what_was_deleted(tmp_path: Path) -> None:
    now = 1000.0
    with Files(tmp_path, clock=lambda: now) as files:
        files.write("by an agent", b"1")
        files.by(AGENT).delete("by an agent")
        files.write("clock", b"1")
        now = 10.0
        files.delete("clock")
        now = 900.0
        assert files.prune(Retention(age_s=500)).versions == 0
        assert files.fsck().clean
        assert [each.path for each in files.undo(run="run-1")] == ["by an agent"]
        assert files.history("by an agent")[0].op == "undo"
        now = 5000.0
        assert files.prune(Retention(age_s=500)).versions == 3  # the deletion that was undone goes too
        with pytest.raises(NotFound):
            files.history("clock")
        assert files.fsck().clean


@pytest.mark.whole
def test_what_crashes_left_half_written_goes(files: Files, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    killed(tmp_path, "staged", "files.write('d/a', b'x' * 1000)")
    assert list(tmp_path.glob(f"d/{TEMPORARY}*"))
    assert files.gc() >= 1000
    assert not list(tmp_path.glob(f"d/{TEMPORARY}*"))


def test_purging_takes_what_the_file_was_under_other_names(files: Files, tmp_path: Path) -> None:
    secret = b"a secret that has to go" * 10
    files.write("draft", secret)
    files.move("draft", "final")
    files.write("draft", b"another file")
    files.purge("final", confirm="final")
    assert b"secret that has" not in store(tmp_path)
    assert files.show("draft") == b"another file"
    assert files.fsck().clean


@pytest.mark.whole
@pytest.mark.parametrize("point", ["purge", "drop-blob", "gc", "purge-vacuum"])
def test_a_purge_that_was_cut_off_is_seen_through(tmp_path: Path, point: str) -> None:
    secret = b"a secret that has to go" * 10
    killed(tmp_path, point, f"files.write('a', {secret!r})\nfiles.purge('a', 'a')")
    with Files(tmp_path) as files:
        assert b"secret that has" not in store(tmp_path)
        assert files.fsck().clean


def store(root: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (root / ".aios").rglob("*") if path.is_file())


def test_locks_hold_for_directories_too(files: Files) -> None:
    files.create("d", kind="directory")
    files.write("d/a", b"1")
    files.create("empty", kind="directory")
    agent = files.by(AGENT)
    agent.lock("d/a", 60)
    agent.lock("empty", 60)
    with pytest.raises(Denied, match="is locked by writer"):
        files.move("d", "e")
    with pytest.raises(Denied, match="is locked by writer"):
        files.delete("empty")
    agent.move("d", "e")
    assert files.read("e/a") == b"1"


def test_a_lock_that_is_over_is_not_made_longer(tmp_path: Path) -> None:
    now = 1000.0
    with Files(tmp_path, clock=lambda: now) as files:
        lease = files.lock("a", 10)
        now = 1011.0
        with pytest.raises(NotFound):
            files.lock("a", 10, lease.token)
        assert files.unlock(lease.token) is None
        for ttl in (0, -1, float("inf"), float("nan")):
            with pytest.raises(BadRequest):
                files.lock("a", ttl)


def test_a_directory_moves_with_what_is_known_in_it_and_ignored_files_stay_unknown(
    files: Files, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    files.write("d/known.log", b"1")
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "d" / "other.log").write_bytes(b"2")
    files.move("d", "e")
    assert [head.path for head in files.heads("e")] == ["e/known.log"]
    assert files.history("e/known.log")[-1].path == "d/known.log"
    assert (tmp_path / "e" / "other.log").exists()


def test_threads_that_end_leave_no_open_database(files: Files) -> None:
    files.write("a", b"1")

    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    def read() -> None:
        files.history("a")

    before = opened()
    for _ in range(20):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert opened() <= before + 3


def test_a_long_history_is_gone_back_in_to_any_version(files: Files) -> None:
    for number in range(1, 301):
        files.write("a", b"%d" % number)
    for at in (1, 150, -1, -299):
        expected = at if at > 0 else 300 + at
        assert files.show("a", at) == b"%d" % expected
    assert [each.number for each in files.history("a", 2)] == [300, 299]
    files.move("a", "b")
    assert files.version("b", 7).path == "a"


def test_what_the_file_system_keeps_for_itself_is_not_read(files: Files, tmp_path: Path) -> None:
    files.write("a", b"1")
    (tmp_path / "way").symlink_to(".aios")
    for name in (".aios/truth.db", "way/truth.db", "./.aios//truth.db"):
        with pytest.raises(Denied):
            files.read(name)
        with pytest.raises(Denied):
            files.copy(name, "copy")
    files.transaction([Put("b", b"2")])


def test_undo_tells_of_a_file_that_cannot_come_back_and_takes_back_the_rest(files: Files, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name in ("d/x", "y", "z"):
        files.write(name, b"before")
    agent = files.by(AGENT)
    for name in ("d/x", "y"):
        agent.delete(name)
    agent.write("z", b"after")
    (tmp_path / "d").rmdir()
    (tmp_path / "d").write_bytes(b"a file")
    (tmp_path / "y").mkdir()
    expected = {"d/x": "d is no directory now", "y": "y is a directory now", "z": None}
    assert {each.path: each.kept for each in files.undo(run="run-1", dry_run=True)} == expected
    assert {each.path: each.kept for each in files.undo(run="run-1")} == expected
    assert files.read("z") == b"before"


def test_what_another_program_writes_while_a_change_is_made_is_a_version(files: Files, tmp_path: Path) -> None:
    files.write("a", b"1")
    pending = ["outside 1", "outside 2"]

    class Slow(bytes):
        """Bytes that another program's write slips in before, when they are looked at."""

        def __len__(self) -> int:
            if pending:
                (tmp_path / "a").write_text(pending.pop(0))
            return super().__len__()

    files.write("a", Slow(b"ours"))
    assert pending == []
    contents = [files.show("a", each.number) for each in files.history("a")]
    assert contents[0] == b"ours" == files.read("a")
    assert b"outside 2" in contents
    assert files.fsck().clean


def test_a_file_that_is_changed_all_the_time_is_not_overwritten(files: Files, tmp_path: Path) -> None:
    files.write("a", b"1")

    class Racing(bytes):
        times = 0

        def __len__(self) -> int:
            Racing.times += 1
            (tmp_path / "a").write_text(f"outside {Racing.times}")
            return super().__len__()

    with pytest.raises(Conflict, match="changed by another program all the time"):
        files.write("a", Racing(b"ours"))
    files.scan()
    assert files.read("a") == f"outside {Racing.times}".encode() == files.show("a")


@pytest.mark.parametrize("there", [True, False])
def test_two_programs_append_and_neither_is_lost(files: Files, tmp_path: Path, there: bool) -> None:
    if there:
        files.write("log", b"first\n")
    pending = [b"theirs\n"]

    class Late(bytes):
        """Bytes before which another program appends, after the file was read."""

        def __radd__(self, before: bytes) -> bytes:
            if pending:
                with (tmp_path / "log").open("ab") as log:
                    log.write(pending.pop())
            return before + bytes(self)

    files.append("log", Late(b"ours\n"))
    assert files.read("log") == (b"first\n" if there else b"") + b"theirs\nours\n"
    assert files.history("log")[0].op == "append"
