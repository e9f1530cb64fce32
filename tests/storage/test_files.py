"""Files: every change a version, whoever makes it and whatever happens meanwhile."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios_storage import Author, Change, Drop, Files, Put, Rename, Retention
from aios_storage.disk.path import TEMPORARY
from aios_storage.versions import delta
from aios_syscalls.errors import AiosError, BadRequest, Conflict, Denied, Exists, NotFound, StorageFailed

AGENT = Author("writer", "run-1", 3, 4)


class Clock:
    """A time that goes as it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def files(tmp_path: Path, clock: Clock) -> Iterator[Files]:
    with Files(tmp_path, clock=clock) as files:
        yield files


def numbers(files: Files, path: str) -> list[int]:
    return [version.number for version in files.history(path)]


def test_every_change_is_a_version_with_its_author(files: Files) -> None:
    files.create("a", b"1")
    files.by(AGENT).write("a", b"2")
    files.append("a", b"3")
    files.move("a", "b")
    files.copy("b", "c")
    files.delete("b")
    history = files.history("b")
    assert [(each.op, each.number, each.path) for each in history] == [
        ("delete", 5, "b"),
        ("move", 4, "b"),
        ("append", 3, "a"),
        ("write", 2, "a"),
        ("create", 1, "a"),
    ]
    assert history[3].author == AGENT
    assert history[1].source == "a"
    assert (files.history("c")[0].op, files.history("c")[0].source) == ("copy", "b")
    assert [files.show("b", number) for number in (1, 2, 3, 4)] == [b"1", b"2", b"23", b"23"]
    assert files.fsck().clean


@pytest.mark.parametrize("data", [b"", b"\xff\xfe\x00\x80", os.urandom(3 << 20), "ä\u2603".encode() * 1000])
def test_restored_bytes_are_exact(files: Files, data: bytes) -> None:
    files.write("a", data)
    files.write("a", b"something else")
    files.rollback("a", 1)
    assert files.read("a") == data
    assert files.history("a")[0].note == "to version 1"
    assert files.show("a", 2) == b"something else"


def test_going_back_by_number_by_time_and_to_a_tag(files: Files, clock: Clock) -> None:
    for number in range(1, 6):
        clock.now += 100
        files.write("a", b"%d" % number)
    files.tag("five")
    clock.now += 100
    files.write("a", b"6")
    for at, expected in (
        (1, b"1"),
        (-1, b"5"),
        (-5, b"1"),
        (datetime.fromtimestamp(1_000_250), b"2"),
        (datetime.fromtimestamp(1_000_300), b"3"),
        ("five", b"5"),
    ):
        assert files.show("a", at) == expected
    for wrong in (0, 7, -6, datetime.fromtimestamp(999_999), "none"):
        with pytest.raises(NotFound, match="a "):
            files.rollback("a", wrong)


def test_a_clock_that_goes_back_changes_no_order(files: Files, clock: Clock) -> None:
    for number in range(3):
        files.write("a", b"%d" % number)
        clock.now -= 1000
    assert numbers(files, "a") == [3, 2, 1]
    assert files.show("a", datetime.fromtimestamp(clock.now + 1500)) == b"2"


def test_a_write_over_what_was_not_seen_is_a_conflict(files: Files) -> None:
    files.write("a", b"1", if_version=0)
    with pytest.raises(Exists):
        files.write("a", b"2", if_version=0)
    files.write("a", b"2", if_version=1)
    with pytest.raises(Conflict) as caught:
        files.write("a", b"3", if_version=1)
    assert caught.value.data["version"] == 2
    with pytest.raises(Conflict):
        files.delete("a", if_version=1)
    with pytest.raises(Conflict):
        files.write("b", b"", if_version=4)
    assert files.read("a") == b"2"


def test_an_outside_edit_is_a_version_before_it_is_written_over(files: Files, tmp_path: Path) -> None:
    files.write("a", b"ours")
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(Conflict):
        files.write("a", b"ours again", if_version=1)
    files.write("a", b"ours again")
    assert [(each.op, each.author.name) for each in files.history("a")] == [
        ("write", "user"),
        ("external", "external"),
        ("write", "user"),
    ]
    assert files.show("a", 2) == b"theirs"


def test_an_edit_in_place_of_the_same_size_and_moment_is_seen(files: Files, tmp_path: Path) -> None:
    files.write("a", b"one")
    info = (tmp_path / "a").stat()
    with (tmp_path / "a").open("r+b") as file:
        file.write(b"two")
    os.utime(tmp_path / "a", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert files.scan().changed == 1
    assert files.show("a", 2) == b"two"


def test_a_scan_meets_what_is_new_changed_moved_and_gone(files: Files, tmp_path: Path) -> None:
    for name in ("changed", "gone", "moved", "same"):
        files.write(name, name.encode())
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "changed").write_bytes(b"otherwise")
    (tmp_path / "gone").unlink()
    (tmp_path / "d").mkdir()
    (tmp_path / "moved").rename(tmp_path / "d" / "moved")
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n")
    (tmp_path / "x.log").write_bytes(b"")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "y").write_bytes(b"")
    scanned = files.scan()
    assert (scanned.changed, scanned.removed, scanned.moved, scanned.unchanged) == (3, 1, 1, 1)
    assert [head.path for head in files.heads()] == [".gitignore", "changed", "d/moved", "new", "same"]
    assert numbers(files, "d/moved") == [2, 1]
    assert files.history("gone")[0].deleted
    again = files.scan()
    assert (again.changed, again.removed, again.moved, again.unchanged) == (0, 0, 0, 5)


def test_a_directory_moves_with_the_history_of_all_in_it(files: Files) -> None:
    files.create("d", kind="directory")
    files.create("d/e", kind="directory")
    files.by(AGENT).write("d/e/a", b"1")
    files.by(AGENT).move("d", "f")
    assert [(each.path, each.author) for each in files.history("f/e/a")] == [("f/e/a", AGENT), ("d/e/a", AGENT)]


def test_all_changes_of_a_transaction_or_none(files: Files, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        files.write(name, name.encode())
    versions = files.transaction([Put("a", b"new"), Drop("b"), Rename("c", "d"), Put("e", b"e", if_version=0)])
    assert [(each.path, each.number, each.deleted) for each in versions] == [
        ("a", 2, False),
        ("b", 2, True),
        ("c", 2, True),
        ("d", 2, False),
        ("e", 1, False),
    ]
    before = files.last_seq()
    refused: list[tuple[list[Change], type[AiosError]]] = [
        ([Put("a", b"x"), Put("e", b"x", if_version=0)], Exists),
        ([Put("a", b"x"), Drop("none")], NotFound),
        ([Put("a", b"x"), Put("none/f", b"")], NotFound),
        ([Put("a", b"x"), Rename("d", "e")], Exists),
        ([Put("a", b"x"), Put("a", b"y")], BadRequest),
        ([Put("a", b"x"), Put(".ssh/key", b"")], AiosError),
    ]
    for changes, kind in refused:
        with pytest.raises(kind):
            files.transaction(changes)
    assert files.last_seq() == before
    assert {path.name: path.read_bytes() for path in tmp_path.glob("[a-z]")} == {"a": b"new", "d": b"c", "e": b"e"}


def test_undo_takes_back_a_whole_run_but_not_what_others_changed_since(files: Files, tmp_path: Path) -> None:
    for name in ("written", "deleted", "moved", "later"):
        files.write(name, name.encode())
    agent = files.by(AGENT)
    agent.write("written", b"1")
    agent.append("written", b"2")
    agent.delete("deleted")
    agent.move("moved", "elsewhere")
    agent.write("made", b"")
    agent.write("later", b"by the agent")
    files.write("later", b"by the user")
    assert {each.path for each in files.undo(run="run-1", dry_run=True)} == {
        *("written", "deleted", "moved", "elsewhere", "made", "later")
    }
    undone = {each.path: each for each in files.undo(agent="writer")}
    assert undone["later"].kept == "user changed it in version 3"
    assert (undone["written"].restored, undone["made"].restored) == (1, None)
    there = {path.name: path.read_bytes() for path in tmp_path.glob("[a-z]*")}
    assert there == {"written": b"written", "deleted": b"deleted", "moved": b"moved", "later": b"by the user"}
    assert [each.path for each in files.undo(run="run-1")] == ["later"]
    with pytest.raises(BadRequest):
        files.undo()


def test_retention_keeps_the_last_the_tagged_and_what_undoing_needs(files: Files, clock: Clock) -> None:
    for number in range(1, 11):
        files.write("a", os.urandom(500))
        if number == 3:
            files.tag("third")
    files.by(AGENT).write("a", b"by an agent")
    expected = {number: files.show("a", number) for number in (3, 10, 11)}
    assert files.prune(Retention(count=1)).versions == 8
    assert numbers(files, "a") == [11, 10, 3]
    assert {number: files.show("a", number) for number in (3, 10, 11)} == expected
    clock.now += 1_000
    files.write("b", b"1")
    files.write("b", b"2")
    assert files.prune(Retention(age_s=500)).versions == 0
    assert files.prune(Retention(bytes=0)).versions == 1
    assert numbers(files, "b") == [2]
    assert files.fsck().clean


def test_what_is_purged_leaves_not_a_byte(files: Files, tmp_path: Path) -> None:
    secret = b"a secret that has to go" * 10
    files.write("a", secret)
    files.write("kept", b"kept")
    files.write("a", b"later " + secret)
    with pytest.raises(BadRequest):
        files.purge("a", confirm="yes")
    assert files.purge("a", confirm="a") == 3
    with pytest.raises(NotFound):
        files.history("a")
    assert not (tmp_path / "a").exists()
    store = b"".join(path.read_bytes() for path in (tmp_path / ".aios").rglob("*") if path.is_file())
    assert b"secret that has" not in store
    assert files.read("kept") == b"kept"
    assert files.fsck().clean


def test_bytes_above_the_limit_have_a_version_and_no_way_back(tmp_path: Path) -> None:
    with Files(tmp_path, max_kept=1000) as files:
        files.write("a", b"x" * 2000)
        files.write("a", b"small")
        files.write("a", b"y" * 2000)
        files.move("a", "b")
        assert numbers(files, "b") == [4, 3, 2, 1]
        assert files.show("b", 2) == b"small"
        with pytest.raises(NotFound, match="not kept"):
            files.rollback("b", 1)
        assert files.read("b") == b"y" * 2000
        assert files.fsck().clean


def test_locks_keep_others_out_until_they_end(files: Files, clock: Clock) -> None:
    files.create("d", kind="directory")
    lease = files.by(AGENT).lock("d", 60)
    with pytest.raises(Denied, match=r"locked by writer \(process 3 of run-1\) for 60 s"):
        files.write("d/a", b"")
    with pytest.raises(Denied):
        files.lock("d/a", 1)
    files.by(AGENT).write("d/a", b"")
    clock.now += 59
    assert files.by(AGENT).lock("d", 60, lease.token).until == clock.now + 60
    clock.now += 61
    files.write("d/a", b"free")
    with pytest.raises(NotFound):
        files.by(AGENT).lock("other", 1, "no token")
    assert files.unlock(files.lock("d", 60).token) == "d"
    assert files.unlock("none") is None


NAMES = ["new\nline", "\U0001f427", "ä" * 127, "x" * 255, " ", "-rf", "a\tb", "'\"", "%s", "a:b", "CON"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_are_names(files: Files, name: str) -> None:
    files.write(name, b"1")
    files.write(name, b"2")
    files.rollback(name, 1)
    assert (files.read(name), files.scan().unchanged) == (b"1", 1)
    assert files.diff(name, 2).startswith("--- ")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "a\0b", "x" * 256, "", ".aios/truth.db", ".git/config"])
def test_names_that_are_no_place_for_a_file(files: Files, name: str) -> None:
    for act in (lambda: files.write(name, b""), lambda: files.transaction([Put("ok", b""), Put(name, b"")])):
        with pytest.raises(AiosError):
            act()
    assert files.last_seq() == 0


def test_what_is_no_regular_file_is_left_alone(files: Files, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(b"secret")
    (tmp_path / "out").symlink_to(outside)
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        (tmp_path / "plain").write_bytes(b"")
        assert files.scan().changed == 1
    for name in ("out", "loop", "fifo", "sock"):
        with pytest.raises(AiosError):
            files.write(name, b"x")
    assert outside.read_bytes() == b"secret"


def test_a_link_inside_stands_for_its_file(files: Files, tmp_path: Path) -> None:
    files.write("a", b"1")
    (tmp_path / "link").symlink_to("a")
    files.write("link", b"2")
    assert numbers(files, "a") == numbers(files, "link") == [2, 1]
    files.delete("link")
    assert files.read("a") == b"2"


def test_a_directory_where_a_file_was(files: Files, tmp_path: Path) -> None:
    files.write("a", b"file")
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"below")
    scanned = files.scan()
    assert (scanned.changed, scanned.removed) == (1, 1)
    with pytest.raises(BadRequest):
        files.rollback("a", 1)
    assert files.show("a", 1) == b"file"
    assert files.fsck().clean


def test_a_file_that_changes_while_it_is_read_is_recorded_as_it_was_at_last(files: Files, tmp_path: Path) -> None:
    over = threading.Event()

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            (tmp_path / "a").write_bytes(b"%d\n" % number * 20_000)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            files.scan()
    finally:
        over.set()
        writer.join()
    files.scan()
    assert files.show("a") == (tmp_path / "a").read_bytes()
    assert files.fsck().clean


@contextmanager
def full_disk(most: int) -> Iterator[None]:
    """No file of this process grows beyond `most` bytes, as if the disk were full."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_everything_as_it_was(files: Files, tmp_path: Path) -> None:
    files.write("a", b"before")
    with full_disk(300_000), pytest.raises(StorageFailed):
        files.write("a", os.urandom(400_000))
    with full_disk((tmp_path / ".aios" / "truth.db-wal").stat().st_size + 10), pytest.raises(StorageFailed):
        files.write("a", os.urandom(10_000))
    assert (files.read("a"), numbers(files, "a")) == (b"before", [1])
    assert not list(tmp_path.glob(f"{TEMPORARY}*"))
    files.write("a", b"after")
    assert files.fsck().clean


def test_a_damaged_truth_says_what_to_do(tmp_path: Path) -> None:
    with Files(tmp_path) as files:
        files.write("a", b"1")
    (tmp_path / ".aios" / "truth.db").write_bytes(b"nonsense" * 1000)
    with pytest.raises(StorageFailed, match=r"is damaged .* move the directory .*\.aios away"):
        Files(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"1"


WRITER = """
import sys
from aios_storage import Files
from aios_syscalls.errors import Conflict
with Files(sys.argv[1]) as files:
    for number in range(60):
        files.append("log", f"{sys.argv[2]} {number}\\n".encode())
        while True:
            version = files.history("counter", 1)[0].number
            try:
                files.write("counter", b"%d" % (int(files.show("counter", version)) + 1), if_version=version)
                break
            except Conflict:
                continue
"""


@pytest.mark.whole
def test_writers_in_several_processes_lose_nothing(files: Files, tmp_path: Path) -> None:
    files.write("counter", b"0")
    files.write("log", b"")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(name)]) for name in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert files.read("counter") == b"240"
    lines = files.read("log").decode().splitlines()
    assert [[line for line in lines if line.startswith(f"{name} ")] for name in range(4)] == [
        [f"{name} {number}" for number in range(60)] for name in range(4)
    ]
    assert numbers(files, "counter") == list(range(241, 0, -1))
    assert files.fsck().clean


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=3000), st.binary(max_size=3000), st.integers(0, 3000), st.integers(0, 3000))
def test_a_delta_gives_back_its_bytes(base: bytes, insert: bytes, start: int, end: int) -> None:
    data = base[:start] + insert + base[end:]
    assert delta.decode(delta.encode(data, base), base) == data


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_what_is_no_delta_is_told(stored: bytes) -> None:
    try:
        delta.decode(stored, b"base")
    except ValueError:
        return
    assert len(stored) >= 24


Act = Callable[[Files], object]
STEPS: st.SearchStrategy[list[tuple[str, int, bytes]]] = st.lists(
    st.tuples(
        st.sampled_from(["write", "append", "delete", "move", "outside", "rollback"]),
        st.integers(0, 3),
        st.binary(max_size=40),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_state_that_ever_was_can_be_shown(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bytes]]
) -> None:
    root = tmp_path_factory.mktemp("root")
    states: dict[int, bytes | None] = {}
    with Files(root) as files:
        for kind, name, data in steps:
            path = f"f{name}"
            there = (root / path).exists()
            if kind == "write":
                files.write(path, data)
            elif kind == "append":
                files.append(path, data)
            elif kind == "outside":
                (root / path).write_bytes(data)
                files.scan()
            elif kind == "delete" and there:
                files.delete(path)
            elif kind == "move" and there and not (root / "moved").exists():
                files.move(path, "moved")
            elif kind == "rollback" and there and len(files.history(path)) > 1 and not files.version(path, -1).deleted:
                files.rollback(path, -1)
            for version in files.changes_since(max(states, default=0)):
                there_now = (root / version.path).exists()
                states[version.seq] = (root / version.path).read_bytes() if there_now else None
        for seq, expected in states.items():
            version = files.by_seq(seq)
            assert (None if version.sha256 is None else files.content(version.sha256)) == expected
        assert files.fsck().clean
        assert files.scan().changed == 0
