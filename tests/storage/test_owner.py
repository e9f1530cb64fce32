"""The owner of an index, as a process: one a root, found by all, expendable, and gone with its parent."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aios.owner import meaning as meaning_of
from aios_storage.index.index import Index
from aios_storage.library import Library
from aios_storage.owner.client import OwnerClient
from aios_storage.owner.daemon import ANOTHER
from aios_storage.owner.wire import owner_address, receive, send
from aios_storage.search.search import Query
from aios_storage.versions.files import Files
from aios_syscalls.errors import BadRequest, StorageFailed
from tests.storage.walled import start

pytestmark = pytest.mark.whole

SPEC = "hashing:512"
WORDS = ["granite", "orbit", "pepper", "quartz", "saddle", "timber", "meadow", "copper", "violin", "glacier", "anchor"]
LONG_S = 20.0


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    place = tmp_path / "root"
    place.mkdir()
    return place


@pytest.fixture
def owner(root: Path) -> Iterator[OwnerClient]:
    (root / "heron.txt").write_text("a grey heron waits at the river\n")
    (root / "lamp.txt").write_text("the lantern of the harbour is lit\n")
    started = start(root, SPEC)
    until(lambda: idle(started))
    yield started
    started.stop()


def until(true: Callable[[], Any]) -> float:
    """Wait for something that another process does; how many seconds that took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < LONG_S
        time.sleep(0.01)
    return time.monotonic() - begun


def idle(owner: OwnerClient) -> bool:
    status = owner.status()
    return status["phase"] == "idle" and not status["pending_chunks"]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def paths(library: Library, text: str, mode: Any = "semantic") -> list[str]:
    return [hit.path for hit in library.search(Query(text, mode, limit=3)).hits]


def kill(owner: OwnerClient) -> None:
    pid = owner.status()["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: gone(pid))


def test_a_second_shell_finds_the_owner_and_asks_it(root: Path, owner: OwnerClient) -> None:
    second = start(root, SPEC)
    assert second.status()["pid"] == owner.status()["pid"]
    with Library(root, nearest=second) as library:
        assert paths(library, "heron at the river")[0] == "heron.txt"
    second.close()
    command = [sys.executable, "-m", "aios_storage.owner.daemon", str(root), "--embedder", SPEC]
    assert subprocess.run(command, check=False, capture_output=True, timeout=LONG_S).returncode == ANOTHER
    assert owner.status()["files"] == 2


def test_the_status_says_how_far_everything_is(owner: OwnerClient) -> None:
    status = owner.status()
    assert (status["model"], status["dimension"], status["chroma"]) == ("hashing-512", 512, "not needed")
    assert (status["files"], status["pending_files"], status["embedded"], status["vectors"]) == (2, 0, 2, 2)
    assert status["chunks_per_s"] > 0
    assert status["problems"] == []


def test_after_a_kill_the_client_says_so_and_a_new_owner_comes(root: Path) -> None:
    (root / "heron.txt").write_text("a grey heron waits at the river\n")
    with Library(root, nearest=(meaning := meaning_of(root, SPEC))) as library:
        first = meaning.reach()
        until(lambda: idle(first))
        kill(first)
        found = library.search("heron")  # at once: by words, or by the new owner when that is quick
        assert [hit.path for hit in found.hits] == ["heron.txt"]
        assert not found.notes or "a new one is starting" in found.notes[0]
        until(lambda: not library.search("heron").notes)
        assert meaning.reach() is not first
        assert paths(library, "grey heron") == ["heron.txt"]


def test_a_socket_that_a_killed_owner_left_is_no_hindrance(root: Path) -> None:
    first = start(root, SPEC)
    kill(first)
    assert owner_address(root).exists()
    assert OwnerClient.find(root) is None
    with pytest.raises(StorageFailed, match="does not answer"):
        first.status()
    first.close()
    second = start(root, SPEC)
    assert second.status()["root"] == str(root)
    second.stop()
    assert not owner_address(root).exists()


def test_without_an_owner_a_search_goes_by_words_and_says_so(root: Path) -> None:
    (root / "heron.txt").write_text("a grey heron waits at the river\n")
    with Library(root, nearest=meaning_of(root, SPEC, "--no-such-option")) as library:
        library.refresh()
        found = library.search("heron")
        assert [hit.path for hit in found.hits] == ["heron.txt"]
        assert "found by keywords alone" in found.notes[0]
        assert "--no-such-option" in found.notes[0]
        with pytest.raises(StorageFailed, match="ended at once"):
            library.search(Query("heron", "semantic"))


def test_the_owner_ends_with_its_parent(root: Path) -> None:
    program = (
        "import sys, os; from pathlib import Path; from tests.storage.walled import start;"
        f"owner = start(Path(sys.argv[1]), {SPEC!r}); print(owner.status()['pid'], flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    until(lambda: gone(pid))
    assert OwnerClient.find(root) is None


def test_an_outside_edit_is_found_by_its_meaning_and_embeds_at_most_two_pieces(root: Path, owner: OwnerClient) -> None:
    choose = random.Random(5)
    lines = [" ".join(choose.choices(WORDS, k=8)) for _ in range(2500)]
    (root / "big.txt").write_text("\n".join(lines))
    assert (root / "big.txt").stat().st_size > 100_000
    until(lambda: owner.status()["embedded"] > 100 and idle(owner))
    before = owner.status()["embedded"]
    lines[1200] = "the velvet umbrella of the ambassador"
    (root / "big.txt").write_text("\n".join(lines))

    def found() -> bool:
        with Library(root, nearest=owner) as library:
            hit = library.search(Query("velvet umbrella ambassador", "semantic", limit=1)).hits[0]
            return hit.path == "big.txt" and hit.line <= 1201 <= hit.last_line

    until(found)
    until(lambda: idle(owner))
    assert 1 <= owner.status()["embedded"] - before <= 2


def test_rename_copy_and_rollback_embed_nothing(root: Path, owner: OwnerClient) -> None:
    with Library(root, nearest=owner) as library:
        files = library.files
        files.write("heron.txt", b"a white heron\n")
        until(lambda: idle(owner) and owner.status()["embedded"] == 3)
        before = library.index.embeddings()
        files.move("lamp.txt", "lantern.txt")
        files.copy("lantern.txt", "copy.txt")
        files.rollback("heron.txt", 1)
        os.rename(root / "copy.txt", root / "again.txt")
        until(
            lambda: idle(owner) and {head.path for head in files.heads()} == {"heron.txt", "lantern.txt", "again.txt"}
        )
        assert (library.index.embeddings(), owner.status()["embedded"]) == (before, 3)
        assert paths(library, "grey heron waits")[0] == "heron.txt"
        assert set(paths(library, "lantern harbour")[:2]) == {"lantern.txt", "again.txt"}


def test_an_embedder_of_another_dimension_is_refused_with_the_way_out(root: Path, owner: OwnerClient) -> None:
    owner.stop()
    other = start(root, "hashing:32")
    with pytest.raises(BadRequest, match="aios files reembed"):
        other.nearest("heron", 3, None)
    until(lambda: other.status()["phase"] == "refused")
    assert "aios files reembed" in other.status()["problems"][-1]
    other.reembed()
    until(lambda: idle(other))
    assert other.status()["problems"] == []
    assert len(other.nearest("heron", 3, None)) == 2
    other.stop()


def test_embedding_anew_goes_on_after_a_kill_and_embeds_nothing_twice(root: Path) -> None:
    for number in range(60):
        (root / f"f{number}.txt").write_text("\n\n".join(f"{number} {k} {'word ' * 180}" for k in range(10)))
    with Files(root) as files:
        files.scan()
        index = Index(files)
        index.catch_up()
        index.use("another", 7)
        index.reembed("hashing-512", 512)
        total = index.pending().chunks
        assert total >= 500
        first = start(root, SPEC)
        until(lambda: index.pending().chunks < total)
        kill(first)
        again = Index(files)  # the other one may still say what it counted a moment ago
        left = again.pending().chunks
        again.close()
        first.close()
        second = start(root, SPEC)
        until(lambda: idle(second))
        assert second.status()["embedded"] == left
        assert index.embeddings() == total
        second.stop()
        index.close()


def test_what_is_no_message_ends_a_conversation_and_no_owner(root: Path, owner: OwnerClient) -> None:
    for data in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x03abc", b"\x00\x00\x00\x02[]", b"\x00\x00"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(owner_address(root)))
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            if data != b"\x00\x00\x00\x02[]":
                assert connection.recv(1) == b""
            else:
                reply = receive(connection)
                assert reply is not None
                assert reply["error"]["code"] == "bad_request"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(owner_address(root)))
        for message in ({"do": "fly"}, {"do": "nearest", "text": 3, "limit": 1, "among": None}, {}):
            send(connection, message)
            reply = receive(connection)
            assert reply is not None
            assert reply["error"]["code"] == "bad_request"
    assert owner.status()["files"] == 2
