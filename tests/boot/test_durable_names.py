"""What the home keeps outlives a kill and a power cut: no file half made, no change of a name only in memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from aios import private
from aios.private import private_directory
from aios.server import tokens
from aios.server.tokens import home_token
from aios.trust import TrustRecord, TrustStore


class Names:
    """Directories in which a name was changed by the real calls and that have not been synced since."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.unsynced: set[int] = set()
        for name, at in {"open": 0, "mkdir": 0, "unlink": 0, "link": 1, "rename": 1}.items():
            patch.setattr(os, name, self._noting(getattr(os, name), at))
        fsync = os.fsync

        def sync(fd: int) -> None:
            fsync(fd)
            self.unsynced.discard(os.fstat(fd).st_ino)

        patch.setattr(os, "fsync", sync)

    def _noting(self, real: Callable[..., Any], at: int) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            result = real(*given, **options)
            if real.__name__ != "open" or given[1] & os.O_CREAT:
                self.unsynced.add(Path(given[at]).parent.stat().st_ino)
            return result

        return call


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def test_a_private_directory_and_all_that_was_missing_above_it_outlive_a_power_cut(
    tmp_path: Path, names: Names
) -> None:
    private_directory(tmp_path / "home" / "state" / "runs")
    assert names.unsynced == set()


def test_what_is_trusted_no_longer_does_not_come_back_after_a_power_cut(tmp_path: Path, names: Names) -> None:
    store = TrustStore(tmp_path)
    store.trust(TrustRecord("/a/aios.toml", "0" * 64, {}))
    assert names.unsynced == set()
    assert store.forget(Path("/a/aios.toml"))
    assert names.unsynced == set()


def test_a_new_token_outlives_a_power_cut(tmp_path: Path, names: Names) -> None:
    home_token(tmp_path / "token")
    assert names.unsynced == set()


def test_without_the_sync_of_the_directory_it_would_not(
    tmp_path: Path, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private, "sync_directory", lambda _: None)
    private_directory(tmp_path / "home")
    assert names.unsynced == {tmp_path.stat().st_ino}


def killed_at_each_line(modules: set[str], work: Callable[[], object]) -> Iterator[None]:
    """Do `work` in children that die at the first line of some files, at the second, ... until one comes to its end."""
    for last in range(1, 1_000):
        child = os.fork()
        if not child:
            left = last

            def look(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal left
                if frame.f_code.co_filename not in modules:
                    return None
                left -= event == "line"
                if not left:
                    os._exit(1)
                return look

            try:
                sys.settrace(look)
                work()
            finally:
                os._exit(0 if left > 0 else 1)
        _, status = os.waitpid(child, 0)
        yield
        if not status:
            return
    raise AssertionError("the work does not come to its end")


@pytest.mark.whole
def test_a_daemon_killed_while_it_makes_its_token_starts_again(tmp_path: Path) -> None:
    path = tmp_path / "token"
    points = 0
    for _ in killed_at_each_line({str(tokens.__file__), str(private.__file__)}, lambda: home_token(path)):
        assert home_token(path) == home_token(path)
        path.unlink()
        points += 1
    assert points > 5


@pytest.mark.whole
def test_a_token_that_is_made_in_its_place_is_found_empty(tmp_path: Path) -> None:
    path = tmp_path / "token"

    def careless() -> None:
        with path.open("w") as file:
            file.write("secret")
            file.flush()

    found = set()
    for _ in killed_at_each_line({__file__}, careless):
        found.add(path.read_text() if path.exists() else None)
        path.unlink(missing_ok=True)
    assert "" in found
