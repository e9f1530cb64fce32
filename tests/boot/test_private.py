"""What aios keeps is its user's alone: directories 0700, files 0600, also where they were made otherwise before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from aios.boot import boot
from aios.config import Config
from aios.models.scripted import ScriptedModel
from aios.private import private_directory
from aios.sdk import Agent


@pytest.fixture
def usual_mask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(place: Path) -> list[str]:
    return [
        f"{path.relative_to(place)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in [place, *place.rglob("*")]
        if path.exists() and path.lstat().st_mode & 0o077 and not path.is_symlink()
    ]


@pytest.mark.anyio
@pytest.mark.usefixtures("usual_mask")
@pytest.mark.parametrize("before", [False, True])
async def test_whatever_a_run_keeps_is_the_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    async def say(agent: Agent, task: str) -> str:
        return await agent.ask(task)

    home = tmp_path / "home"
    monkeypatch.setenv("AIOS_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    if before:
        for place in ("state", "state/runs", "cache"):
            (home / place).mkdir(parents=True)
            (home / place).chmod(0o755)
    async with boot(Config(), models=[ScriptedModel("x")], mains={"say": say}) as run:
        agent = Agent(run.run.port(0), 0)
        assert await agent.run("say", "hello") == "x"
    assert run.journal.is_file()
    assert open_to_others(home / "state") == []
    assert open_to_others(home / "cache") == []


@pytest.mark.usefixtures("usual_mask")
def test_what_is_above_and_what_is_somebody_elses_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    private_directory(tmp_path / "there" / "state" / "runs", tmp_path / "there" / "state")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("there", "there/state", "there/state/runs")]
    assert modes == [0o755, 0o700, 0o700]
    (tmp_path / "there" / "state").chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    private_directory(tmp_path / "there" / "state")
    assert stat.S_IMODE((tmp_path / "there" / "state").stat().st_mode) == 0o755


def test_a_link_in_the_place_of_a_directory_is_not_changed_through(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o755)
    (tmp_path / "link").symlink_to("real")
    private_directory(tmp_path / "link")
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o755
