"""What an asker may see: of paths, and of what a query finds, alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios_storage.index.filters import Filters
from aios_storage.index.scope import Scope
from aios_storage.library import Library
from aios_syscalls.errors import Denied

PATHS = ("a", "x", "x/a", "x/y", "x/y/a", "x/y/z/a", "xy/a", "x0", "homes/w-1/a", "homes/w-2/a", "homes/a", "homesick")


def test_the_inner_of_two_private_directories_counts() -> None:
    private = {"outer": "x", "inner": "./x//y/"}
    seen = {name: {path for path in PATHS if Scope.of(name, 1, private).sees(path)} for name in ("outer", "inner", "w")}
    assert {path for path in seen["outer"] if path.startswith("x/")} == {"x/a"}
    assert {path for path in seen["inner"] if path.startswith("x/")} == {"x/y", "x/y/a", "x/y/z/a"}
    assert {path for path in PATHS if path not in seen["w"]} == {"x", "x/a", "x/y", "x/y/a", "x/y/z/a"}


def test_a_directory_of_two_programs_is_seen_by_both_alone() -> None:
    private = {"one": "x", "two": "x"}
    assert [Scope.of(name, 1, private).sees("x/a") for name in ("one", "two", "three")] == [True, True, False]


def test_homes_are_seen_and_what_is_in_others_is_not() -> None:
    scope = Scope.of("/agents/w.py", 1, {}, "homes/")
    assert {path for path in PATHS if path.startswith("homes") and scope.sees(path)} == {"homes/w-1/a", "homesick"}
    assert scope.sees("homes")
    for path in ("homes", "."):
        with pytest.raises(Denied):
            scope.check(path, whole=True)


def test_what_is_private_is_where_its_links_lead(tmp_path: Path) -> None:
    (tmp_path / "real/diary").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    with Library(tmp_path) as library:
        scope = Scope.of("spy", 1, {"diary": "link/diary"}, real=library.files.root.leads_to)
        assert not scope.sees("real/diary/a")
        assert not scope.sees("link/diary/a")
        assert Scope.of("diary", 1, {"diary": "link/diary"}, real=library.files.root.leads_to).sees("real/diary/a")


@pytest.mark.parametrize("path", [".aios", ".aios/truth.db", "d/.aios/truth.db", ".AIOS/truth.db"])
def test_what_a_root_is_kept_in_is_seen_by_nobody(path: str) -> None:
    assert not Scope().sees(path)
    assert Scope().sees("aios/.aiosignore")


PLACE = st.sampled_from(["x", "x/y", "x/y/z", "xy", "homes", "a"])


def test_a_query_finds_just_what_a_path_may_name(tmp_path: Path) -> None:
    files = [path for path in PATHS if path not in ("x", "x/y")]
    with Library(tmp_path) as library:
        for path in files:
            library.files.root.make_way(path)
            library.files.write(path, b"penguins")

        @given(st.dictionaries(st.sampled_from(["w", "v", "u"]), PLACE), st.sampled_from([None, "homes", "x"]))
        def check(private: dict[str, str], homes: str | None) -> None:
            scope = Scope.of("w", 1, private, homes)
            found = library.index.selected(library.index.select(scope.filters(Filters())))
            assert {entry.path for entry in found} == {path for path in files if scope.sees(path)}

        check()
