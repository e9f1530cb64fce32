"""What the working directory's file may say of itself: smaller bounds, and private directories that are new."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios.config import Config, load, read, trust_store
from aios.project import WALLS, Project, private_additions, split, stricter_walls, tightened
from aios.regular import LARGEST, read_regular
from aios.toml_file import DEEPEST, parse_toml
from aios.trust import TrustRecord, check_writers
from aios_syscalls import BadRequest, Budget, Denied, NotFound


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    for name in ("AIOS_SCHEDULER", "AIOS_SLICE", "AIOS_MODEL", "AIOS_ROOT"):
        monkeypatch.delenv(name, raising=False)


def user(text: str) -> None:
    path = Path(os.environ["AIOS_HOME"], "config", "config.toml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def here(text: str | bytes) -> Path:
    path = Path("aios.toml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_the_smaller_bound_counts_and_what_is_not_set_is_bounded() -> None:
    user("[budget]\ntokens = 100\n[budgets.writer]\nusd = 1.0\n[limits]\ncalls = 9\n")
    here(
        "[budget]\ntokens = 500\nusd = 0.25\ncalls = 7\n[budgets.writer]\nusd = 5.0\nseconds = 3\n"
        "[budgets.other]\ntokens = 1\n[limits]\ncalls = 20000\nmailbox = 5\ndeadline_s = 1e9\nprocesses = 2000\n"
    )
    config = load()
    assert config.budget == Budget(tokens=100, usd=0.25, calls=7)
    assert config.budgets == {"writer": Budget(usd=1.0, seconds=3), "other": Budget(tokens=1)}
    assert (config.limits.calls, config.limits.mailbox) == (9, 5)
    assert (config.limits.deadline_s, config.limits.processes) == (600.0, 1000)
    assert read().project.note == ""


def test_a_flag_counts_more_than_the_directory() -> None:
    here("[budget]\ntokens = 5\n")
    assert load({"budget": {"tokens": 50}}).budget == Budget(tokens=50)


BOUND = st.none() | st.integers(0, 10**9)


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["tokens", "calls"]), BOUND),
    st.dictionaries(st.sampled_from(["tokens", "calls"]), BOUND),
)
def test_no_bound_is_ever_loosened(mine: dict[str, int | None], theirs: dict[str, int | None]) -> None:
    bounds = {"budget": mine, "budgets": {"a": mine}, "limits": {}}
    result = tightened({"budget": mine}, bounds, {"budget": theirs, "budgets": {"a": theirs}})
    for found in (result["budget"], {**mine, **result["budgets"]["a"]}):
        for key, bound in mine.items():
            assert bound is None or found[key] <= bound


LEVEL = st.sampled_from(WALLS)
PROGRAMS = st.dictionaries(st.sampled_from("abc"), LEVEL)


@settings(deadline=None)
@given(st.none() | LEVEL, PROGRAMS, st.none() | LEVEL, PROGRAMS)
def test_no_wall_is_ever_loosened(
    level: str | None, mine: dict[str, str], said: str | None, theirs: dict[str, str]
) -> None:
    kept, refused = stricter_walls({"level": said, "programs": theirs}, level, mine)
    after = {**mine, **kept.get("programs", {})}
    for name in "abcd":
        before, now = mine.get(name, level), after.get(name, kept.get("level", level))
        assert now == before or (before is not None and now is not None and WALLS.index(now) < WALLS.index(before))
    for name, new in theirs.items():
        in_force = {kept.get("programs", {}).get(name), mine.get(name, level) or "auto"}
        assert new in in_force or refused["programs"][name] == new


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*Config.model_fields, "nonsense", "files"]),
        st.integers() | st.dictionaries(st.sampled_from(["private", "embedder", "homes", "x"]), st.integers()),
    )
)
def test_all_of_a_file_is_either_allowed_or_left_out(values: dict[str, object]) -> None:
    allowed, left_out = split(dict(values))
    assert set(allowed) <= {"budget", "budgets", "limits", "files", "wall"}
    assert set(allowed) | set(left_out) == set(values)
    if "files" in allowed:
        assert set(allowed["files"]) == {"private"}
        assert "private" not in left_out.get("files", {})


@pytest.mark.parametrize(
    ("private", "added"),
    [
        ({"writer": "drafts"}, True),
        ({"diary": "elsewhere"}, False),
        ({"evil": "secret"}, False),
        ({"evil": "secret/below"}, False),
        ({"evil": "Secret"}, False),
        ({"evil": "sec\u200dret"}, False),
        ({"evil": "a/../b"}, None),
        ({"evil": "homes"}, False),
        ({"evil": "homes/diary-3"}, False),
        ({"evil": "link"}, False),
        ({"evil": "link/below"}, False),
        ({"evil": "deep"}, False),
        ({"evil": "secretary"}, True),
    ],
)
def test_a_private_directory_is_added_only_where_it_takes_nobodys(private: dict[str, str], added: bool | None) -> None:
    user('[files]\nhomes = "homes"\nprivate = {diary = "secret", other = "deep/er"}\n')
    Path("secret").mkdir()
    Path("link").symlink_to("secret")
    (name, path), *_ = private.items()
    here(f"[files.private]\n{name} = {json.dumps(path)}\n")
    found = read()
    assert found.config.files.private.items() >= {"diary": "secret", "other": "deep/er"}.items()
    assert (found.config.files.private.get(name) == path) == bool(added)
    assert (found.project.note == "") == bool(added)
    if added is False:
        assert f"files.private.{name} is left out" in found.project.note


def test_a_private_directory_of_another_root_does_not_clash() -> None:
    added, refused = private_additions({"a": "x"}, {"b": "y"}, None, Path("/nowhere"))
    assert (added, refused) == ({"a": "x"}, {})


def test_what_is_left_out_is_named_on_one_harmless_line() -> None:
    many = "".join(f"k{number} = 1\n" for number in range(40))
    here('tools = ["x.py"]\n"\\u001b[2J\\n" = 1\n' + f'"{"z" * 500}" = 1\n' + many)
    note = read().project.note
    assert "aios trust" in note
    assert len(note) < 400
    assert note.isprintable()
    assert note.startswith("aios.toml here is not trusted, so tools, ")


def test_names_of_settings_are_listed_as_people_do() -> None:
    assert "model is left out" in Project(left_out={"model": 1}, why="x").note
    assert (
        "model, root and files.homes are left out"
        in Project(left_out={"model": 1, "root": 2, "files": {"homes": 3}}, why="x").note
    )


def test_what_the_users_own_file_names_lies_beside_it_and_not_wherever_he_is() -> None:
    user(
        'tools = ["mine.py", "/abs.py", "~/x.py"]\nagents = ["more"]\ntool_sha256 = {"mine.py" = "00"}\n'
        '[models.m]\npath = "m.gguf"\n'
    )
    place, config = Path(os.environ["AIOS_HOME"], "config"), load()
    assert config.tools == (place / "mine.py", Path("/abs.py"), Path("~/x.py").expanduser())
    assert config.agents == (place / "more",)
    assert config.tool_sha256 == {str(place / "mine.py"): "00"}
    assert config.models["m"].path == place / "m.gguf"  # type: ignore[union-attr]


# --- what is no configuration at all


def fifo(path: Path) -> None:
    os.mkfifo(path)


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


BAD = {
    "fifo": (fifo, "is a FIFO"),
    "directory": (lambda path: path.mkdir(), "is a directory"),
    "link": (lambda path: path.symlink_to("elsewhere.toml"), "is a symbolic link"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    "broken link": (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
    "1 GB": (large, "is larger than"),
    "latin-1": (lambda path: path.write_bytes(b'a = "\xe9"'), "byte 5 is not UTF-8"),
    "zeros": (lambda path: path.write_bytes(bytes(100)), "cannot be read as TOML"),
    "no toml": (lambda path: path.write_text("[scheduler\n"), "cannot be read as TOML"),
    "twice": (lambda path: path.write_text("seed = 1\nseed = 2\n"), "cannot be read as TOML"),
    "deep list": (lambda path: path.write_text("a = " + "[" * 100_000), "nests over"),
    "deep table": (lambda path: path.write_text("a = " + "{a = " * 100_000), "nests over"),
    "long key": (lambda path: path.write_text("a." * 300_000 + "a = 1"), "has over"),
    "long quoted key": (lambda path: path.write_text('"a" . ' * 100_000 + "a = 1"), "has over"),
    "long header": (lambda path: path.write_text("[" + "'a'." * 100_000 + "a]"), "has over"),
    "long number": (lambda path: path.write_text("a = " + "1" * 100_000), "cannot be read as TOML"),
    "not a table": (lambda path: path.write_text("budget = 3\n"), "budget"),
    "negative": (lambda path: path.write_text("[budget]\nusd = -1\n"), "budget.usd"),
    "no number": (lambda path: path.write_text("[budget]\nusd = nan\n"), "budget.usd"),
    "unknown": (lambda path: path.write_text("[limits]\nbig = 3\n"), "no setting limits.big"),
    "path": (lambda path: path.write_text('[files]\nprivate = {x = "/etc"}\n'), "below the root"),
    "no names": (lambda path: path.write_text("[files]\nprivate = {x = 3}\n"), "files.private.x"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_configuration_is_left_out_where_a_directory_has_it_and_an_error_of_the_user(name: str) -> None:
    make, says = BAD[name]
    make(Path("aios.toml"))
    Path("elsewhere.toml").write_text("[limits]\ncalls = 3\n")
    found = read()
    assert found.config == Config()
    assert says in found.project.note
    assert found.project.note.endswith("it is left out")
    if not name.startswith("link") and name != "broken link":
        with pytest.raises(BadRequest, match=says):
            load(path=Path("aios.toml"))
        own = Path(os.environ["AIOS_HOME"], "config", "config.toml")
        own.parent.mkdir(parents=True)
        os.rename("aios.toml", own)
        with pytest.raises(BadRequest, match=says):
            load()


def test_a_socket_and_a_device_are_no_configuration(tmp_path: Path) -> None:
    for place, says in ((Path("/dev/zero"), "is a device"), (tmp_path, "is a directory")):
        with pytest.raises(BadRequest, match=says):
            load(path=place)


def test_the_users_own_file_and_a_named_one_may_be_links() -> None:
    Path("real.toml").write_text("seed = 3\n")
    own = Path(os.environ["AIOS_HOME"], "config", "config.toml")
    own.parent.mkdir(parents=True)
    own.symlink_to(Path("real.toml").absolute())
    Path("named.toml").symlink_to("real.toml")
    assert load().seed == load(path=Path("named.toml")).seed == 3


def test_a_file_that_nobody_may_read_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    here("seed = 1\n")
    monkeypatch.setattr("os.open", refuse)
    assert "Permission denied" in read().project.note


def test_a_file_that_grows_while_it_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here("seed = 1\n")
    monkeypatch.setattr("os.read", lambda fd, count: b"x" * count)
    with pytest.raises(BadRequest, match="is larger than"):
        read_regular(path)


def test_depth_and_size_up_to_the_bound_are_fine() -> None:
    assert parse_toml(b"a = " + b"[" * (DEEPEST - 2) + b"]" * (DEEPEST - 2), "x")
    assert parse_toml(b"# " + b"x" * (LARGEST - 3), "x") == {}
    assert parse_toml(b"\xef\xbb\xbfseed = 1", "x") == {"seed": 1}
    with pytest.raises(BadRequest, match="nests"):
        parse_toml(b"a = " + b"[" * DEEPEST + b"]" * DEEPEST, "x")


def test_ordinary_dots_in_a_configuration_are_no_long_key() -> None:
    text = "a.b.c = 1\n[d.'e f'.\"g\"]\nurl = 'http://a.b.c.d.e/v1'\nversion = '1.2.3.4'\n" * 1
    assert parse_toml(text.encode(), "x")["d"]["e f"]["g"]["version"] == "1.2.3.4"


def test_a_directory_that_is_gone_has_no_file(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert load() == Config()


# --- the record of trust


def test_records_are_kept_by_path_and_forgotten() -> None:
    store = trust_store()
    assert list(store.records()) == []
    for path in ("/b/aios.toml", "/a/aios.toml"):
        store.trust(TrustRecord(path, "0" * 64, {"x.py": "1" * 64}))
    store.trust(TrustRecord("/a/aios.toml", "2" * 64, {}))
    assert [(each.path, each.sha256[0], len(each.tools)) for each in store.records()] == [
        ("/a/aios.toml", "2", 0),
        ("/b/aios.toml", "0", 1),
    ]
    assert store.forget(Path("/a/aios.toml"))
    assert not store.forget(Path("/a/aios.toml"))
    assert [each.path for each in store.records()] == ["/b/aios.toml"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"path": "/a/aios.toml"}', "[" * 100_000, "\xff"])
def test_a_record_that_makes_no_sense_is_none(text: str) -> None:
    store = trust_store()
    store.trust(TrustRecord("/a/aios.toml", "0" * 64, {}))
    (file,) = Path(os.environ["AIOS_HOME"], "state", "trusted").iterdir()
    file.write_text(text, "latin-1")
    assert store.record_of(Path("/a/aios.toml")) is None
    file.unlink()
    os.mkfifo(file)
    assert list(store.records()) == []


def test_a_record_of_another_path_or_of_another_user_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    store = trust_store()
    store.trust(TrustRecord("/a/aios.toml", "0" * 64, {}))
    (file,) = Path(os.environ["AIOS_HOME"], "state", "trusted").iterdir()
    file.rename(file.with_name("0" * 64 + ".json"))
    assert list(store.records()) == []
    store.trust(TrustRecord("/a/aios.toml", "0" * 64, {}))
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert store.record_of(Path("/a/aios.toml")) is None


@pytest.mark.parametrize(
    ("directory", "file", "says"),
    [(0o755, 0o644, ""), (0o777, 0o644, "can be written by others"), (0o755, 0o666, "can be written by others")],
)
def test_what_others_may_write_is_not_to_be_trusted(directory: int, file: int, says: str) -> None:
    path = here("seed = 1\n")
    path.chmod(file)
    Path().chmod(directory)
    found = read_regular(path)
    if says:
        with pytest.raises(Denied, match=says):
            check_writers(found)
    else:
        check_writers(found)


def test_what_belongs_to_somebody_else_is_not_to_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    path = here("seed = 1\n")
    path.chmod(0o644)
    found = read_regular(path)
    real = found.info
    values = list(real)
    values[stat.ST_UID] = 4242
    other = type(found)(found.path, found.data, os.stat_result(values))
    with pytest.raises(Denied, match="belongs to user 4242"):
        check_writers(other)


def test_two_users_of_trust_at_once_lose_nothing() -> None:
    def trust(number: int) -> None:
        trust_store().trust(TrustRecord(f"/{number}/aios.toml", "0" * 64, {}))

    threads = [threading.Thread(target=trust, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(trust_store().records())) == 8


def test_nothing_to_read_is_not_found() -> None:
    with pytest.raises(NotFound):
        read_regular(Path("absent"))
