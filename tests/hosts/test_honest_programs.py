"""What an honest program has behind its wall, what it is told of what it has not, and who gets which wall."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aios.bench.wall.honest import HONEST, NEIGHBOUR
from aios.hosts.process import ProcessHost
from aios.kernel import Run, by_family, lone_run
from aios.record import SqliteJournal
from aios.wall import scratch
from aios.wall.agent import Walls, rung
from aios_syscalls import Denied, ProcessInfo, Spawn, Wait

pytestmark = pytest.mark.anyio

REFUSED = {
    "a file": ("open('/etc/shadow')", "agent.read"),
    "a listing": ("import os; os.listdir('/')", "agent.read"),
    "a connection": ("import socket; socket.create_connection(('127.0.0.1', 80))", "network"),
    "a connection of a library": ("import httpx; httpx.get('http://127.0.0.1')", "network"),
    "a name": ("import urllib.request; urllib.request.urlopen('http://localhost.invalid')", "network"),
    "a fork": ("import os; os.fork()", "--wall exec"),
    "a program": ("import subprocess; subprocess.run(['true'])", "--wall exec"),
    "a program in its place": ("import os; os.execv('/bin/true', ['true'])", "--wall exec"),
    "a worker": ("import multiprocessing as m; m.Process(target=print).start()", "--wall exec"),
    "a large file": ("open('x', 'wb').truncate(1 << 30)", "64 MiB"),
    "a signal": ("import os; os.kill(1, 15)", "the wall around agents may have refused it"),
}


@asynccontextmanager
async def kernel(place: Path, walls: Walls = Walls()) -> AsyncIterator[Run]:  # noqa: B008 - frozen
    async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "logs", [place], walls) as host:
        async with lone_run([], by_family, host, journal) as kernel:
            yield kernel


async def run(place: Path, code: str, walls: Walls = Walls()) -> ProcessInfo:  # noqa: B008 - frozen
    """How a program ends whose main has this body."""
    async with kernel(place, walls) as running:
        return await ended(running, place, code)


async def ended(running: Run, place: Path, code: str) -> ProcessInfo:
    body = "".join(f"    {line}\n" for line in code.strip().splitlines())
    (place / "program.py").write_text(f"async def main(agent, task):\n{body}    return 'done'\n")
    pid = (await running.submit(Spawn(program="program"))).pid
    return (await running.submit(Wait(pid=pid))).process


@pytest.mark.whole
async def test_an_honest_program_has_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR)
    process = await run(
        tmp_path,
        f"import traceback\nwrong = {{}}\nfor name, code in {HONEST!r}.items():\n"
        "    try:\n        exec(code, {})\n    except BaseException:\n        wrong[name] = traceback.format_exc()\n"
        "assert not wrong, wrong",
    )
    assert process.error is None


@pytest.mark.whole
async def test_what_the_wall_refuses_is_said_with_what_to_do(tmp_path: Path) -> None:
    wrong = {}
    async with kernel(tmp_path, Walls(level="auto")) as running:
        for name, (code, words) in REFUSED.items():
            error = str((await ended(running, tmp_path, code)).error)
            if words not in error or "the wall around agents" not in error:
                wrong[name] = error
    assert not wrong or rung() != "full", wrong


@pytest.mark.whole
async def test_an_error_of_its_own_says_nothing_of_a_wall(tmp_path: Path) -> None:
    async with kernel(tmp_path) as running:
        for code in ("1 / 0", "open('not there')", "raise OSError(28, 'full')"):
            assert "the wall" not in str((await ended(running, tmp_path, code)).error)
    assert "the wall" not in str((await run(tmp_path, "raise PermissionError(1, 'no')", Walls(level="off"))).error)


@pytest.mark.whole
async def test_levels(tmp_path: Path) -> None:
    start = "import subprocess; subprocess.run(['true'], check=True)"
    reach = f"open({str(tmp_path / 'reached')!r}, 'w')"
    works: dict[str, list[bool]] = {}
    for name, walls in {
        "auto": Walls(level="auto"),
        "exec": Walls(level="exec"),
        "off": Walls(level="off"),
        "another's": Walls(level="auto", programs={"other": "off"}),
        "its own": Walls(level="auto", programs={"program": "off"}),
        "stricter": Walls(level="off", programs={"program": "auto"}),
    }.items():
        async with kernel(tmp_path, walls) as running:
            works[name] = [(await ended(running, tmp_path, code)).error is None for code in (start, reach)]
    files = rung() != "full"
    assert works == {
        "auto": [rung() == "none", files],
        "exec": [True, files],
        "off": [True, True],
        "another's": [rung() == "none", files],
        "its own": [True, True],
        "stricter": [rung() == "none", files],
    }


async def test_where_the_wall_is_less_than_full_a_strangers_program_does_not_start_unasked(tmp_path: Path) -> None:
    stranger, own = Path("/elsewhere/stranger.py"), tmp_path / "own.py"
    own.touch()
    walls = Walls(own=(tmp_path,))
    for level in ("partial", "none"):
        with pytest.raises(Denied, match="--wall auto"):
            walls.level_of("stranger", stranger, level)
        assert walls.level_of("own", own, level) == "auto"
        assert Walls(level="auto").level_of("stranger", stranger, level) == "auto"
    assert walls.level_of("stranger", stranger, "full") == "auto"


async def test_a_link_to_a_strangers_program_is_a_strangers(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to("/elsewhere/stranger.py")
    with pytest.raises(Denied):
        Walls(own=(tmp_path,)).level_of("link", tmp_path / "link.py", "partial")


@pytest.mark.whole
async def test_the_scratch_directory_is_private_and_gone_with_the_agent(tmp_path: Path) -> None:
    process = await run(
        tmp_path,
        "import os\nfirst = os.getcwd()\nmode = os.stat(first).st_mode\n"
        "open('kept', 'w').write('x')\nos.mkdir('closed', 0)\n"
        "for _ in range(1200):\n    os.mkdir('d')\n    os.chdir('d')\nopen('deep', 'w').write('x')\n"
        "return f'{first} {mode}'",
    )
    place, mode = (process.result or "").split()
    assert stat.S_IMODE(int(mode)) == 0o700
    assert not Path(place).exists()
    assert not Path(place).parent.exists()


async def test_what_is_linked_from_a_scratch_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    place = tmp_path / "scratch"
    (place / "a" / "b").mkdir(parents=True)
    for link in (place / "link", place / "a" / "link", place / "a" / "b" / "link"):
        link.symlink_to(tmp_path / "kept")
    scratch.remove_scratch(place)
    assert not place.exists()
    assert (tmp_path / "kept" / "file").read_text() == "x"
