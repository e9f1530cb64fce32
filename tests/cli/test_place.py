"""Which root a path belongs to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aios.cli.files.root import OpenedRoot, indexed, place, shown, spelled
from aios_syscalls import BadRequest, NotFound


def root(path: Path) -> Path:
    (path / ".aios").mkdir(parents=True)
    (path / ".aios" / "truth.db").touch()
    return path


def test_the_root_is_the_nearest_indexed_directory_above(tmp_path: Path) -> None:
    root(tmp_path)
    inner = root(tmp_path / "inner")
    (tmp_path / "other" / "deep").mkdir(parents=True)
    (inner / "deep").mkdir()
    (inner / "deep" / "a.txt").touch()
    assert place(tmp_path / "other" / "deep") == OpenedRoot(tmp_path, "other/deep")
    assert place("inner/deep/a.txt") == OpenedRoot(inner, "deep/a.txt")
    assert place("inner/deep/gone.txt") == OpenedRoot(inner, "deep/gone.txt")
    assert place("inner") == OpenedRoot(inner, ".")
    assert place("inner/..") == OpenedRoot(tmp_path, ".")


def test_where_nothing_is_indexed_the_root_is_the_directory(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.txt").touch()
    assert place("new") == OpenedRoot(tmp_path / "new", ".")
    assert place("new/a.txt") == OpenedRoot(tmp_path / "new", "a.txt")
    with pytest.raises(NotFound, match="index it first: aios index new"):
        indexed("new")
    with pytest.raises(NotFound, match="no directory"):
        indexed("nowhere/at/all")


def test_a_link_is_what_it_is_called_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").touch()
    inside = root(tmp_path / "root")
    (inside / "link").symlink_to(tmp_path / "real" / "a.txt")
    assert place("root/link") == OpenedRoot(inside, "link")
    (tmp_path / "alias").symlink_to(inside)
    assert place("alias/link") == OpenedRoot(inside, "link")


def test_an_empty_path_is_no_path() -> None:
    with pytest.raises(BadRequest, match="use \\."):
        place("")


def test_paths_are_said_as_short_as_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert shown(tmp_path / "a") == "a"
    assert spelled(tmp_path / "a", "b/c.txt") == "a/b/c.txt"
    monkeypatch.chdir(tmp_path / "a")
    assert shown(tmp_path) == str(tmp_path)
    assert spelled(tmp_path, "x.txt") == os.path.join("..", "x.txt")
