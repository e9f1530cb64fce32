"""An agent that plants what the user's other programs will run: by the real kernel, from a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from aios.boot import boot
from aios.config import Config, FilesConfig
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios_syscalls import DeleteMatching, Denied, FileQuery

pytestmark = pytest.mark.whole

Aios = Callable[..., Result]

PLANTER = """
import json
from aios_syscalls import AiosError, CreateFile

EVIL = "all:\\n\\ttouch ran\\n"

async def main(agent, task):
    await agent.port.submit(CreateFile(path="ci", kind="directory"))
    await agent.port.submit(CreateFile(path="ci/workflows", kind="directory"))
    await agent.write("ci/workflows/x.yml", EVIL)
    await agent.write("seed", EVIL)
    attempts = {
        "write": lambda: agent.write("Makefile", EVIL),
        "another case": lambda: agent.write("makefile", EVIL),
        "create": lambda: agent.create("package.json", "{}"),
        "append": lambda: agent.append("AGENTS.md", EVIL),
        "copy": lambda: agent.copy("seed", "conftest.py"),
        "move": lambda: agent.move("seed", "justfile"),
        "move a directory": lambda: agent.move("ci", ".github"),
        "by a link": lambda: agent.write("link.md", EVIL),
        "delete": lambda: agent.delete("CLAUDE.md"),
        "move away": lambda: agent.move("CLAUDE.md", "old.md"),
    }
    told = {}
    for name, attempt in attempts.items():
        try:
            await attempt()
            told[name] = "done"
        except AiosError as error:
            told[name] = error.code
    return json.dumps(told)
"""


@pytest.fixture
def planted(victim: Path) -> Path:
    (victim / "planter.py").write_text(PLANTER)
    (victim / "work").mkdir()
    (victim / "work" / "CLAUDE.md").write_text("mine")
    (victim / "work" / "link.md").symlink_to("CLAUDE.md")
    return victim


def outcomes(run: Result) -> dict[str, str]:
    assert run.exit_code == 0, run.output
    return dict(json.loads(run.stdout))


def names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if ".aios" not in path.parts and path.is_file()}


ASK = ["run", "./planter.py", "--root", "work"]
INNOCENT = {"ci/workflows/x.yml", "seed", "CLAUDE.md", "link.md"}


def test_an_agent_plants_nothing_that_gets_executed(planted: Path, aios: Aios) -> None:
    assert set(outcomes(aios(*ASK)).values()) == {"denied"}
    assert names(planted / "work") == INNOCENT
    assert (planted / "work" / "CLAUDE.md").read_text() == "mine"


def test_a_directory_cannot_allow_it_and_the_user_can(planted: Path, aios: Aios) -> None:
    (planted / "aios.toml").write_text("[files]\nallow_executed = true\n")
    refused = aios(*ASK)
    assert set(outcomes(refused).values()) == {"denied"}
    assert "files.allow_executed is left out" in refused.stderr
    (planted / "aios.toml").unlink()
    for path in ("ci/workflows/x.yml", "ci/workflows", "ci", "seed"):
        place = planted / "work" / path
        place.rmdir() if place.is_dir() else place.unlink()
    own = planted.parent / "home" / "config" / "config.toml"
    own.write_text(f"{own.read_text()}[files]\nallow_executed = true\n")
    done = outcomes(aios(*ASK))  # the control: with the user's word the same attack does it
    assert done["write"] == done["move a directory"] == done["by a link"] == "done"
    subprocess.run(["make", "-s", "-C", "work"], cwd=planted, check=True, timeout=60)
    assert (planted / "work" / "ran").exists()


@pytest.mark.anyio
async def test_a_list_allows_its_names_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    config = Config(files=FilesConfig(embedder="none", allow_executed=("Makefile",)))
    async with boot(config, models=[ScriptedModel("x")]) as run:
        agent = Agent(run.run.port(0), 0)
        await agent.write("Makefile", "all:\n")
        for name in ("package.json", "aios.toml", "agents/x.py"):
            with pytest.raises(Denied, match=r"is executed by .*allow_executed"):
                await agent.write(name, "evil")


@pytest.mark.anyio
async def test_what_matches_is_not_deleted_where_some_of_it_gets_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("AGENTS.md", "notes.md"):
        (tmp_path / name).write_text("about a lighthouse\n")
    async with boot(Config(files=FilesConfig(embedder="none")), models=[ScriptedModel("x")]) as run:
        port = run.run.port(0)
        found = await port.submit(DeleteMatching(query=FileQuery(text="lighthouse")))
        with pytest.raises(Denied, match=r"AGENTS\.md is read-only for agents"):
            await port.submit(DeleteMatching(query=FileQuery(text="lighthouse"), token=found.token))
    assert (tmp_path / "notes.md").exists()


def test_the_user_writes_what_gets_executed_by_his_own_commands(victim: Path, aios: Aios) -> None:
    (victim / "Makefile").write_text("all:\n")
    assert aios("fs", "add 'clean:' to Makefile").exit_code == 0
    assert "clean:" in (victim / "Makefile").read_text()
    assert aios("fs", "create a file CLAUDE.md with 'be kind'").exit_code == 0
    assert (victim / "CLAUDE.md").exists()
    assert aios("fs", "delete CLAUDE.md", "--yes").exit_code == 0
    assert not (victim / "CLAUDE.md").exists()
