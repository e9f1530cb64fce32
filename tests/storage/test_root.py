"""Root against a real file system: what it does, what it refuses, and that nothing gets out."""

from __future__ import annotations

import errno
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aios_storage import Entry, Root
from aios_storage.disk import beneath
from aios_storage.disk.path import TEMPORARY
from aios_syscalls.errors import AiosError, BadRequest, Denied, Exists, NotFound, StorageFailed


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """The directory that is served; `secret` lies next to it."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def no_openat2(_: int) -> bool:
    return False


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernel's openat2, or as on a system without."""
    if request.param == "walk":
        monkeypatch.setattr(beneath, "openat2_supported", no_openat2)
    return str(request.param)


@pytest.fixture
def root(inside: Path, way: str) -> Iterator[Root]:
    with Root(inside) as root:
        yield root


@pytest.fixture
def linking(inside: Path) -> Iterator[Root]:
    """A Root that follows links: the machine that runs the tests has openat2."""
    with Root(inside) as root:
        yield root


def names(root: Root, path: str = ".", recursive: bool = False) -> list[str]:
    return [entry.path for entry in root.list(path, recursive)]


# --- what it does


def test_create_makes_a_file_once(root: Root, inside: Path) -> None:
    root.create("a", b"one")
    assert (inside / "a").read_bytes() == b"one"
    with pytest.raises(Exists, match="a exists already"):
        root.create("a", b"two")
    assert root.read("a") == b"one"


def test_create_makes_a_directory_once(root: Root) -> None:
    root.create("d", kind="directory")
    assert root.stat("d").kind == "directory"
    with pytest.raises(Exists):
        root.create("d", kind="directory")
    with pytest.raises(BadRequest) as caught:
        root.create("e", b"bytes", kind="directory")
    assert caught.value.field == "data"


def test_read_takes_a_part(root: Root) -> None:
    root.write("a", b"0123456789")
    assert root.read("a", 3, 4) == b"3456"
    assert root.read("a", 8, 10) == b"89"
    assert root.read("a", 8) == b"89"
    assert root.read("a", 2**70) == b""
    assert root.read("a", 0, 2**70) == b"0123456789"
    for offset, length in ((-1, None), (0, -1)):
        with pytest.raises(BadRequest):
            root.read("a", offset, length)


@pytest.mark.usefixtures("way")
def test_read_refuses_more_than_the_limit_and_says_the_size(inside: Path) -> None:
    with Root(inside, max_read=4) as root:
        root.write("a", b"12345")
        with pytest.raises(BadRequest, match=r"a has 5 bytes.*offset and length"):
            root.read("a")
        with pytest.raises(BadRequest):
            root.read("a", 0, 5)
        assert root.read("a", 1) + root.read("a", 0, 4) == b"23451234"


def test_write_replaces_whole_and_keeps_the_mode(root: Root, inside: Path) -> None:
    root.write("run.sh", b"#!/bin/sh\n# long\n")
    (inside / "run.sh").chmod(0o751)
    root.write("run.sh", b"#!/bin/sh\n")
    assert root.read("run.sh") == b"#!/bin/sh\n"
    assert (inside / "run.sh").stat().st_mode & 0o777 == 0o751


def test_write_leaves_a_reader_of_the_old_bytes_alone(root: Root, inside: Path) -> None:
    root.write("a", b"old bytes")
    with (inside / "a").open("rb") as reader:
        root.write("a", b"new")
        assert reader.read() == b"old bytes"


def test_append_makes_the_file_and_adds_to_it(root: Root) -> None:
    root.append("log", b"one\n")
    root.append("log", b"two\n")
    root.append("log", b"")
    assert root.read("log") == b"one\ntwo\n"


def test_appends_of_many_threads_all_arrive(root: Root) -> None:
    def work(letter: bytes) -> None:
        for _ in range(20):
            root.append("log", letter * 9 + b"\n")

    threads = [threading.Thread(target=work, args=(letter.encode(),)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = root.read("log").split()
    assert sorted(lines) == sorted(letter.encode() * 9 for letter in "abcd" for _ in range(20))


def test_list_is_sorted_and_goes_deep_when_asked(root: Root) -> None:
    for path in ("b", "b/d"):
        root.create(path, kind="directory")
    for path in ("c", "a", "b/x", "b/d/y"):
        root.write(path, b"12")
    assert names(root) == ["a", "b", "c"]
    assert names(root, "b") == names(root, "./b//") == ["b/d", "b/x"]
    assert names(root, recursive=True) == ["a", "b", "b/d", "b/d/y", "b/x", "c"]
    assert names(root, "b", recursive=True) == ["b/d", "b/d/y", "b/x"]
    assert {(entry.kind, entry.size) for entry in root.list()} == {("file", 2), ("directory", 0)}


@pytest.mark.usefixtures("way")
def test_list_is_capped(inside: Path) -> None:
    with Root(inside, max_entries=3) as root:
        root.create("d", kind="directory")
        for name in "abc":
            root.write(f"d/{name}", b"")
        assert names(root, "d") == ["d/a", "d/b", "d/c"]
        with pytest.raises(BadRequest, match="over 3 entries; list a part"):
            root.list(recursive=True)


def test_list_leaves_out_what_has_no_name_on_the_wire(root: Root, inside: Path) -> None:
    (inside / os.fsdecode(b"\xff")).touch()
    os.mkfifo(inside / "fifo")
    root.write("a", b"")
    assert names(root) == ["a"]


def test_stat_knows_the_root_and_files(root: Root, inside: Path) -> None:
    root.write("a", b"123")
    assert root.stat("./a") == Entry("a", "file", 3, (inside / "a").stat().st_mtime)
    assert root.stat(".").path == "."
    assert root.stat("./").kind == "directory"


def test_move_never_replaces(root: Root) -> None:
    root.write("a", b"a")
    root.write("b", b"b")
    root.create("d", kind="directory")
    for target in ("b", "d", "a"):
        with pytest.raises(Exists) as caught:
            root.move("a", target)
        assert caught.value.data["field"] == "target"
    root.move("a", "d/a")
    assert names(root, recursive=True) == ["b", "d", "d/a"]
    with pytest.raises(BadRequest):
        root.move("d", "d/e")
    with pytest.raises(NotFound) as missing:
        root.move("gone", "x")
    assert missing.value.data["field"] == "path"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EINVAL])
def test_move_never_replaces_without_renameat2(root: Root, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "as an old kernel or file system does")

    monkeypatch.setattr(beneath, "_renameat2", refuse)
    test_move_never_replaces(root)
    root.move("d", "e")
    assert names(root, recursive=True) == ["b", "e", "e/a"]
    root.create("full", kind="directory")
    with pytest.raises(Exists):
        root.move("e", "full")


def test_delete_takes_files_and_empty_directories(root: Root) -> None:
    root.create("d", kind="directory")
    root.write("d/a", b"")
    with pytest.raises(Denied, match="not empty"):
        root.delete("d")
    root.delete("d/a")
    root.delete("d")
    assert names(root) == []
    with pytest.raises(NotFound):
        root.delete("d")


def test_what_a_crash_left_is_not_shown_and_does_not_keep_the_directory(root: Root, inside: Path) -> None:
    root.create("d", kind="directory")
    (inside / "d" / f"{TEMPORARY}0123").touch()
    assert names(root, recursive=True) == ["d"]
    root.delete("d")
    assert list(inside.iterdir()) == []


def test_what_is_not_there_is_not_found(root: Root) -> None:
    for use in (root.read, root.stat, root.list, root.delete):
        for path in ("a", "a/b"):
            with pytest.raises(NotFound):
                use(path)
    for make in (root.write, root.append, root.create):
        with pytest.raises(NotFound):
            make("a/b", b"")
    with pytest.raises(NotFound):
        Root("/nowhere/at/all")


def test_a_wrong_kind_is_a_bad_request(root: Root) -> None:
    root.write("a", b"")
    root.create("d", kind="directory")
    for use in (root.read, lambda path: root.write(path, b""), lambda path: root.append(path, b"")):
        with pytest.raises(BadRequest, match="is a directory"):
            use("d")
        with pytest.raises(BadRequest, match="not a directory"):
            use("a/b")
    with pytest.raises(BadRequest, match="not a directory"):
        root.list("a")


# --- what it refuses


@pytest.mark.parametrize("path", ["/etc/passwd", "..", "../secret", "a/../../secret", "a/..", "/", "//secret"])
def test_a_path_that_leaves_is_denied(root: Root, path: str) -> None:
    for use in (root.read, root.stat, root.list, root.delete, root.create):
        with pytest.raises(Denied):
            use(path)
    root.write("a", b"")
    with pytest.raises(Denied) as caught:
        root.move("a", path)
    assert caught.value.data["field"] == "target"


@pytest.mark.parametrize("path", ["", "a\0b", "\udcff", "n" * 256, "d/" * 3000])
def test_what_is_no_path_is_a_bad_request(root: Root, path: str) -> None:
    with pytest.raises((BadRequest, NotFound)) as caught:
        root.read(path)
    assert caught.value.data["field"] == "path"
    assert isinstance(caught.value, BadRequest) or path.startswith("d/")


PROTECTED = [".git/hooks/pre-commit", ".git/config", ".git", ".GIT/hooks", "sub/.ssh/authorized_keys", ".bashrc"]


@pytest.mark.parametrize("path", [*PROTECTED, ".zshrc", "lib/x.pth", ".aios/journal", f"{TEMPORARY}x", "."])
def test_protected_names_are_read_only(root: Root, inside: Path, path: str) -> None:
    existing = inside / path
    existing.parent.mkdir(parents=True, exist_ok=True)
    if path != ".":
        existing.write_bytes(b"old")
    root.write("a", b"")
    for change in (root.write, root.append, root.create):
        with pytest.raises(Denied):
            change(path, b"new")
    with pytest.raises(Denied):
        root.create(path, kind="directory")
    with pytest.raises(Denied):
        root.delete(path)
    with pytest.raises(Denied):
        root.move(path, "b")
    with pytest.raises(Denied):
        root.move("a", path)
    assert path == "." or root.read(path) == b"old"


def test_hooks_cannot_be_brought_in_by_moving_a_directory(root: Root, inside: Path) -> None:
    root.create("d", kind="directory")
    root.create("d/hooks", kind="directory")
    root.write("d/hooks/pre-commit", b"#!/bin/sh\n")
    with pytest.raises(Denied):
        root.move("d", ".git")
    (inside / ".git").mkdir()
    with pytest.raises(Denied):
        root.move("d/hooks", ".git/hooks")
    with pytest.raises(Denied):
        root.move(".git", "e")


def test_only_regular_files_are_opened_and_nothing_blocks(root: Root, inside: Path) -> None:
    os.mkfifo(inside / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(inside / "socket"))
    specials = ["fifo", "socket"]
    if os.geteuid() == 0:
        os.mknod(inside / "null", 0o666 | 0o020000, os.makedev(1, 3))
        specials.append("null")
    for name in specials:
        for use in (root.read, root.stat, root.delete):
            with pytest.raises(Denied, match="socket, FIFO or device"):
                use(name)
        for change in (root.write, root.append):
            with pytest.raises(Denied, match="socket, FIFO or device"):
                change(name, b"x")
        with pytest.raises(Denied, match="socket, FIFO or device"):
            root.move(name, "elsewhere")
    assert names(root) == []


def test_a_file_that_turns_into_a_fifo_is_still_refused(
    root: Root, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.write("a", b"")
    before = os.lstat(inside / "a")
    (inside / "a").unlink()
    os.mkfifo(inside / "a")
    monkeypatch.setattr(os, "lstat", lambda *_, **__: before)
    with pytest.raises(Denied, match="socket, FIFO or device"):
        root.read("a")


def test_append_spares_a_file_with_another_name(root: Root, inside: Path) -> None:
    os.link(inside.parent / "secret", inside / "a")
    with pytest.raises(Denied, match="other names"):
        root.append("a", b"x")
    root.write("a", b"x")
    assert (inside.parent / "secret").read_bytes() == b"secret"


# --- symbolic links


def test_links_that_stay_inside_are_followed(linking: Root, inside: Path) -> None:
    linking.create("d", kind="directory")
    linking.write("d/file", b"old")
    (inside / "to_file").symlink_to("d/file")
    (inside / "to_dir").symlink_to("d")
    linking.write("to_file", b"new")
    assert (inside / "to_file").is_symlink()
    assert linking.read("to_dir/file") == linking.read("d/file") == b"new"
    linking.append("to_dir/file", b"er")
    linking.create("to_dir/made")
    assert linking.stat("to_file") == Entry("to_file", "file", 5, (inside / "d/file").stat().st_mtime)
    assert names(linking, recursive=True) == ["d", "d/file", "d/made", "to_dir", "to_file"]
    assert names(linking, "to_dir") == ["to_dir/file", "to_dir/made"]


def test_delete_and_move_take_the_link_itself(root: Root, inside: Path) -> None:
    root.write("a", b"a")
    (inside / "link").symlink_to("a")
    root.move("link", "other")
    assert (inside / "other").is_symlink()
    root.delete("other")
    assert names(root) == ["a"]


def test_links_are_refused_without_openat2(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beneath, "openat2_supported", no_openat2)
    (inside / "d").mkdir()
    (inside / "d/a").touch()
    (inside / "to_file").symlink_to("d/a")
    (inside / "to_dir").symlink_to("d")
    with Root(inside) as root:
        for path in ("to_file", "to_dir/a"):
            for use in (root.read, root.stat, lambda path: root.write(path, b""), lambda path: root.append(path, b"")):
                with pytest.raises(Denied, match="symbolic link"):
                    use(path)
        assert names(root) == ["d"]


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "..", "/", "/proc/self/root/etc/passwd", "loop"])
def test_links_that_leave_are_denied(root: Root, inside: Path, target: str) -> None:
    (inside / "loop").symlink_to(target)
    for use in (root.read, root.stat, lambda path: root.write(path, b"x"), lambda path: root.append(path, b"x")):
        with pytest.raises(Denied):
            use("loop")
    for look in (root.list, lambda path: root.read(f"{path}/secret"), lambda path: root.create(f"{path}/new")):
        with pytest.raises(Denied):
            look("loop")
    assert names(root, recursive=True) == []
    assert (inside.parent / "secret").read_bytes() == b"secret"


def test_a_link_that_leads_nowhere_is_denied(root: Root, inside: Path) -> None:
    (inside / "link").symlink_to("gone")
    for use in (root.read, root.stat, lambda path: root.write(path, b"x"), lambda path: root.append(path, b"x")):
        with pytest.raises(Denied, match="symbolic link"):
            use("link")
    with pytest.raises(Exists):
        root.create("link")


@pytest.mark.usefixtures("way")
def test_magic_links_are_denied() -> None:
    with Root("/proc/self") as root, open(os.devnull, "rb") as file:
        for path in ("root/etc/passwd", "cwd", f"fd/{file.fileno()}"):
            with pytest.raises(Denied):
                root.stat(path)


def test_a_link_does_not_hide_a_protected_name(root: Root, inside: Path) -> None:
    (inside / ".git/hooks").mkdir(parents=True)
    (inside / ".git/hooks/old").write_bytes(b"old")
    (inside / "innocent").symlink_to(".git")
    (inside / "file").symlink_to(".git/hooks/old")
    for path in ("innocent/hooks/pre-commit", "innocent/hooks/old", "file"):
        with pytest.raises(Denied):
            root.write(path, b"x")
    assert (inside / ".git/hooks/old").read_bytes() == b"old"


def test_a_link_put_there_after_the_check_is_denied(
    linking: Root, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inside / ".git/hooks").mkdir(parents=True)
    (inside / "d").mkdir()
    (inside / "d/pre-commit").touch()
    real = beneath.real

    def swap_after(root: int, parts: tuple[str, ...]) -> tuple[str, ...]:
        checked = real(root, parts)
        (inside / "d").rename(inside / "aside")
        (inside / "d").symlink_to(".git/hooks")
        monkeypatch.setattr(beneath, "real", real)
        return checked

    monkeypatch.setattr(beneath, "real", swap_after)
    with pytest.raises(Denied, match="symbolic link"):
        linking.write("d/pre-commit", b"x")
    assert list((inside / ".git/hooks").iterdir()) == []


def test_a_directory_swapped_for_a_link_never_leads_out(root: Root, inside: Path) -> None:
    outside = inside.parent / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"secret")
    (inside / "d").mkdir()
    (inside / "d/a").write_bytes(b"inside")
    (inside / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for source, target in (("d", "aside"), ("link", "d"), ("d", "link"), ("aside", "d")):
                os.rename(inside / source, inside / target)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(300):
            with suppress(AiosError):
                assert root.read("d/a") == b"inside"
            with suppress(AiosError):
                root.write("d/b", b"x")
            with suppress(AiosError):
                assert "d/secret" not in names(root, "d")
    finally:
        stop.set()
        swapper.join()
    assert [path.name for path in outside.iterdir()] == ["a"]


# --- a disk that refuses


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: the nearest to a full disk that needs no privilege."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_halfway_leaves_the_old_bytes(root: Root, inside: Path) -> None:
    root.write("a", b"old")
    root.append("log", b"old")
    with files_of_at_most(1000):
        for fail in (root.write, root.append):
            with pytest.raises(StorageFailed):
                fail("a", b"x" * 5000)
        with pytest.raises(StorageFailed):
            root.create("b", b"x" * 5000)
        with pytest.raises(StorageFailed):
            root.append("c", b"x" * 5000)
        assert root.read("a") == b"old"
    assert sorted(path.name for path in inside.iterdir()) == ["a", "log"]
    root.write("a", b"new")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, StorageFailed), (errno.EDQUOT, StorageFailed), (errno.EIO, StorageFailed), (errno.EACCES, Denied)],
)
def test_an_fsync_that_fails_is_no_success(
    root: Root, inside: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[AiosError]
) -> None:
    root.write("a", b"old")

    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        for change in (root.write, root.append):
            with pytest.raises(kind):
                change("a", b"new")
        with pytest.raises(kind):
            root.create("b", b"new")
    assert [path.name for path in inside.iterdir()] == ["a"]
    assert root.read("a") == b"old"


@contextmanager
def nobody() -> Iterator[None]:
    """As a user whom file modes hold for, which they do not for root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_read_only_file_is_not_changed(root: Root, inside: Path) -> None:
    (inside / "a").write_bytes(b"old")
    (inside / "a").chmod(0o444)
    inside.chmod(0o777)
    with nobody():
        for change in (root.write, root.append):
            with pytest.raises(Denied, match="forbids"):
                change("a", b"new")
        root.write("b", b"new")
    assert root.read("a") == b"old"


def fail_in_every_way(root: Root) -> None:
    for path in ("link", "link/a", "gone", "a/b", "..", ".git"):
        for use in (root.read, root.stat, root.list, root.delete, lambda path: root.write(path, b"")):
            with suppress(AiosError):
                use(path)
        with suppress(AiosError):
            root.move(path, "gone/a")


def test_descriptors_are_all_closed(root: Root, inside: Path) -> None:
    (inside / "link").symlink_to("../secret")
    before = len(os.listdir("/proc/self/fd"))
    test_create_makes_a_file_once(root, inside)
    fail_in_every_way(root)
    assert len(os.listdir("/proc/self/fd")) == before


# --- any path at all

COMPONENTS = st.sampled_from(
    ["", ".", "..", "a", "d", "to_d", "out", "up", "self", "secret", "tmp", "\0", "é", "\udc80"]
)
PATHS = st.one_of(st.lists(COMPONENTS, max_size=6).map("/".join), st.text(max_size=20))


@pytest.mark.parametrize("openat2", [True, False])
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_escapes(tmp_path_factory: pytest.TempPathFactory, openat2: bool, data: st.DataObject) -> None:
    base = tmp_path_factory.mktemp("fuzz")
    inside = base / "inside"
    (inside / "d").mkdir(parents=True)
    (base / "secret").write_bytes(b"secret")
    for link, target in (("to_d", "d"), ("out", ".."), ("up", "../secret"), ("self", ".")):
        (inside / link).symlink_to(target)
    path, target = data.draw(PATHS), data.draw(PATHS)
    with pytest.MonkeyPatch.context() as patch:
        if not openat2:
            patch.setattr(beneath, "openat2_supported", no_openat2)
        with Root(inside) as root:
            for change in (root.create, root.append, root.write):
                with suppress(AiosError):
                    change(path, b"mine")
            with suppress(AiosError):
                assert root.read(path) != b"secret"
            with suppress(AiosError):
                assert "secret" not in {Path(entry.path).name for entry in root.list(path, True)} - {path, target}
            with suppress(AiosError):
                root.move(path, target)
            with suppress(AiosError):
                root.delete(target)
    assert sorted(entry.name for entry in base.iterdir()) == ["inside", "secret"]
    assert (base / "secret").read_bytes() == b"secret"


@pytest.mark.whole
def test_an_acknowledged_write_survives_sigkill(inside: Path) -> None:
    program = (
        "import os, sys; from aios_storage import Root; root = Root(sys.argv[1]); root.write('a', b'kept');"
        "root.append('a', b'!'); os.write(1, b'ok'); os.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(inside)], capture_output=True, check=False)
    assert (ended.stdout, ended.returncode) == (b"ok", -9)
    assert (inside / "a").read_bytes() == b"kept!"


def test_a_file_that_is_replaced_while_it_is_looked_at_keeps_its_name(root: Root, inside: Path) -> None:
    root.write("a", b"0")
    root.write("a (deleted)", b"another")
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            root.write("a", b"1")

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        assert {root.real("a") for _ in range(3000)} == {"a"}
        assert root.real("a (deleted)") == "a (deleted)"
    finally:
        stop.set()
        writer.join()
    assert names(root) == ["a", "a (deleted)"]
