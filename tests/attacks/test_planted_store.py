"""A directory `.aios` that came with a checkout: it leads nowhere, and what its databases say is not done blindly."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aios_storage import STORE_DIRECTORY, Files, Index, Library, OwnerClient
from aios_storage.disk import root
from aios_storage.versions import store
from aios_storage.versions import transaction as change
from aios_storage.versions.store import own
from aios_storage.versions.version_store import VersionStore
from aios_syscalls.errors import Denied, StorageFailed

NAMES = [
    ".gitignore",
    "lock",
    "truth.db",
    "truth.db-wal",
    "index.db",
    "index.db.lock",
    "index.db.seal",
    "owner.lock",
    "owner.log",
    "blobs",
    "blobs/ab",
    "index",
    "index/clean.json",
]
SPEC = "hashing:512"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    (tmp_path / "checkout").mkdir()
    return tmp_path / "checkout"


def link(checkout: Path, name: str, target: Path) -> None:
    place = checkout / STORE_DIRECTORY / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


def opened(checkout: Path) -> None:
    with Library(checkout) as library:
        library.refresh()


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused otherwise is not."""
    monkeypatch.setattr(store, "_odd", lambda place: ())
    monkeypatch.setattr(store, "_refuse_foreign", lambda place: None)
    monkeypatch.setattr(store, "open_own", lambda path, flags: os.open(path, flags, 0o600))


@pytest.mark.whole
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_the_store_is_refused_and_not_followed(
    checkout: Path, tmp_path: Path, name: str, there: bool
) -> None:
    victim = tmp_path / "victim"
    if there:
        victim.write_text("dear")
    link(checkout, name, victim)
    with pytest.raises(StorageFailed, match="move it away") as refused:
        opened(checkout)
    assert name in refused.value.message
    assert "\n" not in refused.value.message
    with pytest.raises(StorageFailed, match="move it away"):
        OwnerClient.start(checkout, SPEC)
    command = [sys.executable, "-P", "-m", "aios_storage.owner.daemon", str(checkout), "--embedder", SPEC]
    if name.startswith("owner"):
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (1, 1)
    assert victim.read_text() == "dear" if there else not victim.exists()


def test_without_the_defence_a_link_is_followed(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link(checkout, "lock", tmp_path / "victim")
    without(monkeypatch)
    opened(checkout)
    assert (tmp_path / "victim").exists()


@pytest.mark.parametrize("name", ["lock", "owner.log"])
def test_a_link_that_comes_later_is_not_followed_either(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(store, "_odd", lambda place: ())
    link(checkout, name, tmp_path / "victim")
    with pytest.raises((OSError, Denied)) as refused:
        opened(checkout) if name != "owner.log" else OwnerClient.start(checkout, SPEC)
    assert "link" in str(refused.value)
    assert not (tmp_path / "victim").exists()


def test_a_fifo_in_the_store_is_refused_and_not_waited_for(checkout: Path) -> None:
    (checkout / STORE_DIRECTORY).mkdir()
    os.mkfifo(checkout / STORE_DIRECTORY / "lock")
    with pytest.raises(StorageFailed, match="move it away"):
        opened(checkout)


def other(tmp_path: Path) -> Path:
    place = tmp_path / "other"
    place.mkdir()
    with Files(place) as files:
        files.write("secret.txt", b"of somebody else")
    return place


def test_a_store_that_is_a_link_to_that_of_another_root_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / STORE_DIRECTORY).symlink_to(other(tmp_path) / STORE_DIRECTORY)
    with pytest.raises(StorageFailed, match="symbolic link"):
        Files(checkout)


def test_without_the_defence_the_files_of_another_root_are_read(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / STORE_DIRECTORY).symlink_to(other(tmp_path) / STORE_DIRECTORY)
    without(monkeypatch)
    with Files(checkout) as files:
        assert files.show("secret.txt") == b"of somebody else"


@pytest.mark.parametrize("mode", [0o777, 0o702])
def test_a_store_that_everybody_may_write_in_is_refused(checkout: Path, mode: int) -> None:
    (checkout / STORE_DIRECTORY).mkdir()
    (checkout / STORE_DIRECTORY).chmod(mode)
    with pytest.raises(StorageFailed, match="everybody"):
        own(checkout)
    (checkout / STORE_DIRECTORY).chmod(0o755)
    own(checkout)


def test_a_store_of_another_user_is_refused_and_one_of_root_is_not(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = os.geteuid()
    own(checkout)
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    if mine == 0:  # then it is of root
        own(checkout)
        os.chown(checkout / STORE_DIRECTORY, 4321, -1)
    with pytest.raises(StorageFailed, match="another user"):
        own(checkout)


def plant(checkout: Path, *rows: tuple[Any, ...]) -> None:
    """A store as aios makes it, with changes that are said to be half made."""
    with Files(checkout) as files:
        files.write("evil.txt", b"evil")
    with closing(sqlite3.connect(checkout / STORE_DIRECTORY / "truth.db")) as database:
        database.executemany("INSERT INTO pending VALUES (?, ?, ?, ?)", rows)
        database.commit()


EVIL = hashlib.sha256(b"evil").digest()
PROTECTED = [".envrc", ".git/hooks/post-checkout", "sub/.bashrc", "x.pth", ".aios/owner.log", ".aios-tmp-1"]


@pytest.mark.parametrize("temporary", ["evil.txt", None])
@pytest.mark.parametrize("path", PROTECTED)
def test_a_planted_change_makes_no_protected_file(checkout: Path, path: str, temporary: str | None) -> None:
    plant(checkout, (path, EVIL, temporary, None))
    with Files(checkout) as files:
        assert not os.path.lexists(checkout / path)
        assert files.read("evil.txt") == b"evil"
        assert not files.version_store.read().execute("SELECT * FROM pending").fetchall()


def test_without_the_defence_a_planted_change_makes_a_protected_file(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(checkout, (".envrc", EVIL, "evil.txt", None))
    monkeypatch.setattr(change, "_believable", lambda *_: True)
    monkeypatch.setattr(root, "refuse_protected", lambda *_: None)
    with Files(checkout):
        assert (checkout / ".envrc").read_bytes() == b"evil"


def test_a_planted_change_takes_no_protected_file_away(checkout: Path) -> None:
    (checkout / ".envrc").write_bytes(b"evil")
    plant(checkout, ("shown.txt", EVIL, ".envrc", None), (".envrc", None, None, EVIL))
    with Files(checkout):
        assert (checkout / ".envrc").read_bytes() == b"evil"


@pytest.mark.parametrize(
    "row",
    [
        ("../out.txt", EVIL, "evil.txt", None),
        ("/out.txt", EVIL, "evil.txt", None),
        ("", EVIL, "evil.txt", None),
        (b"a", EVIL, "evil.txt", None),
        ("a.txt", "text", None, None),
        ("a.txt", EVIL, "../evil.txt", None),
        ("a.txt", EVIL, b"7", None),
    ],
)
def test_a_planted_change_that_makes_no_sense_is_dropped(checkout: Path, row: tuple[Any, ...]) -> None:
    plant(checkout, row)
    with Files(checkout) as files:
        assert [entry.path for entry in files.list(recursive=True)] == ["evil.txt"]
        files.write("evil.txt", b"good")


def test_a_change_that_a_crash_left_half_made_is_still_finished(checkout: Path) -> None:
    """The control of these: what aios itself can have left is believed."""
    (checkout / ".aios-tmp-1").write_bytes(b"evil")
    plant(checkout, ("new/a.txt", EVIL, ".aios-tmp-1", None), ("b.txt", EVIL, None, None))
    with Files(checkout):
        assert (checkout / "new/a.txt").read_bytes() == (checkout / "b.txt").read_bytes() == b"evil"


TRIGGER = "CREATE TRIGGER t AFTER INSERT ON version BEGIN DELETE FROM version; END"
VIEW = "CREATE VIEW v AS SELECT 1"
VIRTUAL = "CREATE VIRTUAL TABLE f USING fts5 (a)"
STAND_IN = (
    "DROP TABLE head; CREATE VIEW head AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n"
)


@pytest.mark.parametrize("code", [TRIGGER, VIEW, VIRTUAL, STAND_IN, "DROP TABLE pending"])
def test_a_truth_with_code_in_it_is_refused(checkout: Path, code: str) -> None:
    plant(checkout)
    with closing(sqlite3.connect(checkout / STORE_DIRECTORY / "truth.db")) as database:
        database.executescript(code)
    with pytest.raises(StorageFailed, match=r"move the directory"):
        VersionStore(checkout)


def test_a_truth_with_another_table_or_index_is_opened(checkout: Path) -> None:
    plant(checkout)
    with closing(sqlite3.connect(checkout / STORE_DIRECTORY / "truth.db")) as database:
        database.executescript("CREATE TABLE later (a); CREATE INDEX later_a ON later (a)")
    with Files(checkout) as files:
        assert files.show("evil.txt") == b"evil"


@pytest.mark.parametrize(
    "code",
    [
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
        VIEW,
        STAND_IN.replace("head", "vector"),
        STAND_IN.replace("head", "meta"),
    ],
)
def test_an_index_with_code_in_it_is_made_anew(checkout: Path, code: str) -> None:
    plant(checkout)
    opened(checkout)
    path = checkout / STORE_DIRECTORY / "index.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(code)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    info = path.stat()
    path.with_name("index.db.seal").write_text(f"{info.st_ino} {info.st_size} {info.st_mtime_ns}", "ascii")
    with Files(checkout) as files:
        index = Index(files)
        index.catch_up()
        assert index.rebuilt == 1
        assert [entry.path for entry in index.selected(None)] == ["evil.txt"]
        index.close()


def test_what_the_schema_says_calls_no_function_of_ours(checkout: Path) -> None:
    plant(checkout)
    with Files(checkout) as files:
        connection = files.version_store.read()
        connection.execute("CREATE VIEW said AS SELECT canonical('a')")
        assert connection.execute("SELECT canonical('a')").fetchone() == ("a",)
        with pytest.raises(sqlite3.OperationalError, match="unsafe"):
            connection.execute("SELECT * FROM said")
