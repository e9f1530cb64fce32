"""Walls in odd surroundings: where a program lies and what lies beside it, homes, temporary directories, environments.

Each test of what is closed reads the same without a wall, as its control.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from aios.hosts.process import ProcessHost
from aios.kernel import by_family, lone_run
from aios.record import SqliteJournal
from aios.wall.agent import Level, Walls, rung
from aios_syscalls import ProcessInfo, Receive, Send, Spawn, Wait

pytestmark = pytest.mark.whole

SECRET = "the-users-secret"
LEVELS: tuple[Level, ...] = ("auto", "off")
FIRST_LINES = "async def main(agent, task):\n    said = []\n"
READS = """
def outcome(path):
    try:
        return open(path).read()
    except OSError as error:
        return type(error).__name__

async def main(agent, task):
    import json
    return json.dumps([outcome(path) for path in json.loads(task)])
"""


def ended(place: Path, walls: Walls, *programs: tuple[Path, str]) -> list[ProcessInfo]:
    """How programs end that are given by their paths, with their tasks, on a kernel whose journal is in `place`."""

    async def run() -> list[ProcessInfo]:
        place.mkdir(exist_ok=True)
        async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "logs", [place], walls) as host:
            async with lone_run([], by_family, host, journal) as kernel:
                pids = [(await kernel.submit(Spawn(program=str(path), task=task))).pid for path, task in programs]
                return [(await kernel.submit(Wait(pid=pid))).process for pid in pids]

    return anyio.run(run)


def walled_and_not(place: Path, path: Path, task: str = "", closed: tuple[Path, ...] = ()) -> dict[Level, ProcessInfo]:
    """How a program ends behind a wall, and another one like it beside it behind none."""
    unwalled = path.with_name("unwalled.py")
    unwalled.write_text(path.read_text())
    walls = Walls("auto", {str(unwalled): "off"}, closed)
    return dict(zip(LEVELS, ended(place, walls, (path, task), (unwalled, task)), strict=True))


def read(place: Path, path: Path, *files: Path, closed: tuple[Path, ...] = ()) -> dict[Level, list[str]]:
    """What a program that is made at `path` reads of these files, behind a wall and behind none."""
    path.write_text(READS)
    found = walled_and_not(place, path, json.dumps([str(file) for file in files]), closed)
    assert all(process.error is None for process in found.values()), found
    return {level: json.loads(process.result or "") for level, process in found.items()}


def refused(found: Mapping[Level, list[str]]) -> bool:
    """Whether nothing was read, though it can be: where the wall has files in it."""
    assert set(found["off"]) == {SECRET}
    return set(found["auto"]) == {"PermissionError"} or rung() != "full"


def imports(*names: str) -> str:
    lines = "".join(f"    import {name}\n    said.append({name}.WORD)\n" for name in names)
    return f"{FIRST_LINES}{lines}    return ' '.join(said)\n"


def test_a_program_imports_what_lies_beside_it(tmp_path: Path) -> None:
    """Modules, packages and packages in packages; of a directory that is the root of agents' files too."""
    place = tmp_path / "programs"
    (place / "package" / "inner").mkdir(parents=True)
    (place / "module.py").write_text("WORD = 'module'\n")
    (place / "package" / "__init__.py").write_text("from package import part\nWORD = 'package' + part.WORD\n")
    (place / "package" / "part.py").write_text("WORD = '!'\n")
    (place / "package" / "inner" / "__init__.py").write_text("WORD = 'inner'\n")
    path = place / "program.py"
    path.write_text(imports("module", "package", "package.inner"))
    for closed in ((), (place / "files",)):
        (process,) = ended(tmp_path / "kernel", Walls("auto", closed=closed), (path, ""))
        assert (process.error, process.result) == (None, "module package! inner")


def test_what_changes_beside_a_program_takes_none_of_its_modules_away(tmp_path: Path) -> None:
    """Python lists a directory anew once it has changed, which the program may not."""
    place = tmp_path / "programs"
    (place / "package").mkdir(parents=True)
    (place / "package" / "__init__.py").write_text("from package import part\nWORD = part.WORD\n")
    (place / "package" / "part.py").write_text("WORD = 'package'\n")
    (place / "module.py").write_text("WORD = 'module'\n")
    waiting = "async def main(agent, task):\n    await agent.send(0, '')\n    await agent.receive()\n    said = []\n"
    (place / "program.py").write_text(imports("module", "package").replace(FIRST_LINES, waiting))

    async def run() -> ProcessInfo:
        walls = Walls("auto", closed=(place,))
        async with SqliteJournal(tmp_path / "j.db") as journal, ProcessHost(tmp_path / "logs", [place], walls) as host:
            async with lone_run([], by_family, host, journal) as kernel:
                pid = (await kernel.submit(Spawn(program="program"))).pid
                await kernel.submit(Receive())
                for directory in (place, place / "package"):
                    (directory / "new").touch()
                await kernel.submit(Send(to=pid, body="go on"))
                return (await kernel.submit(Wait(pid=pid))).process

    process = anyio.run(run)
    assert (process.error, process.result) == (None, "module package")


def test_of_a_directory_that_is_the_root_only_modules_are_open(tmp_path: Path) -> None:
    place = tmp_path / "programs"
    (place / "package").mkdir(parents=True)
    (place / "package" / "__init__.py").touch()
    files = [place / ".env", place / "notes.txt", place / "package" / "key", place / "data" / "x"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text(SECRET)
    assert refused(read(tmp_path / "kernel", place / "program.py", *files, closed=(place,)))


def test_a_link_that_is_called_a_module_opens_nothing(tmp_path: Path) -> None:
    """As in a stranger's checkout, that is the root when its program is run there."""
    place, secret = tmp_path / "checkout", tmp_path / "private" / "key"
    for directory in (place, secret.parent):
        directory.mkdir()
    secret.write_text(SECRET)
    (place / "key.py").symlink_to(secret)
    (place / "all").symlink_to(secret.parent)
    (secret.parent / "__init__.py").touch()
    found = read(tmp_path / "kernel", place / "program.py", place / "key.py", place / "all" / "key", closed=(place,))
    assert refused(found)


def test_what_is_beside_a_program_that_is_a_link_is_beside_its_file(tmp_path: Path) -> None:
    links, files = tmp_path / "links", tmp_path / "files"
    for place in (links, files):
        place.mkdir()
        (place / "neighbour.py").write_text(f"WORD = '{place.name}'\n")
    (files / "program.py").write_text(imports("neighbour"))
    (files / "fails.py").write_text("async def main(agent, task):\n    raise RuntimeError('boom')\n")
    (links / "linked.py").symlink_to(files / "program.py")
    (links / "broken.py").symlink_to(files / "fails.py")
    walls = Walls("auto")
    linked, broken = ended(tmp_path / "kernel", walls, (links / "linked.py", ""), (links / "broken.py", ""))
    assert (linked.error, linked.result) == (None, "files")
    assert "broken raised RuntimeError at fails.py:2" in str(broken.error)


def test_a_link_to_a_program_does_not_open_the_directory_that_it_lies_in(tmp_path: Path) -> None:
    links, files = tmp_path / "links", tmp_path / "files"
    links.mkdir()
    files.mkdir()
    (links / "key").write_text(SECRET)
    (links / "linked.py").symlink_to(files / "program.py")
    assert refused(read(tmp_path / "kernel", links / "linked.py", links / "key"))


def test_a_program_where_anybody_puts_files_has_its_file_alone(tmp_path: Path) -> None:
    """As in /tmp: a module beside it may be an attacker's, and what else lies there is others'."""
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(0o1777)
    (place / "key").write_text(SECRET)
    (place / "planted.py").write_text("WORD = 'planted'\n")
    assert refused(read(tmp_path / "kernel", place / "program.py", place / "key"))
    (place / "program.py").write_text(imports("planted"))
    found = walled_and_not(tmp_path / "kernel", place / "program.py")
    assert found["off"].result == "planted"
    assert "No module named 'planted'" in str(found["auto"].error) or rung() != "full"


def test_an_agent_does_not_learn_the_names_in_a_directory_that_is_closed_to_it(tmp_path: Path) -> None:
    """What Python remembers of directories, it remembers in the agent's own memory."""
    place = tmp_path / "home"
    place.mkdir()
    (place / "a-name-that-tells").touch()
    (place / "neighbour.py").write_text("WORD = 'helped'\n")
    path = place / "program.py"
    path.write_text(
        "async def main(agent, task):\n    import sys, neighbour\n"
        "    known = [vars(finder).get('_path_cache', ()) for finder in sys.path_importer_cache.values() if finder]\n"
        "    names = {name for names in known for name in names}\n"
        "    return ' '.join(sorted(names & {'a-name-that-tells', 'neighbour.py'}))\n"
    )
    found = walled_and_not(tmp_path / "kernel", path, closed=(place,))
    assert {level: process.result for level, process in found.items()} == {
        "auto": "neighbour.py",
        "off": "a-name-that-tells neighbour.py",
    }


def test_where_temporary_files_lie_beside_a_program_siblings_have_theirs_to_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    (place / "keeps.py").write_text(
        f"async def main(agent, task):\n    open('notes', 'w').write({SECRET!r})\n    import os\n"
        "    await agent.send(0, os.path.abspath('notes'))\n    return (await agent.receive()).body\n"
    )
    for name in ("auto", "off"):
        (place / f"{name}.py").write_text(READS)

    async def run() -> dict[Level, list[str]]:
        walls, found = Walls("auto", {str(place / "off.py"): "off", "off": "off"}), {}
        async with SqliteJournal(tmp_path / "j.db") as journal, ProcessHost(tmp_path / "logs", [place], walls) as host:
            async with lone_run([], by_family, host, journal) as kernel:
                keeps = (await kernel.submit(Spawn(program="keeps"))).pid
                notes = (await kernel.submit(Receive())).body
                for level in LEVELS:
                    pid = (await kernel.submit(Spawn(program=level, task=json.dumps([notes])))).pid
                    found[level] = json.loads((await kernel.submit(Wait(pid=pid))).process.result or "")
                await kernel.submit(Send(to=keeps, body="end"))
                await kernel.submit(Wait(pid=keeps))
        return found

    assert refused(anyio.run(run))
