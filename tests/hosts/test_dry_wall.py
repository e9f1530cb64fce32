"""A run without the wall lists what the wall refuses: no more, and no less of what Python's audit events tell of."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aios.bench.wall import probes
from aios.bench.wall.honest import HONEST, NEIGHBOUR
from aios.bench.wall.users import new_place, start, told, users
from aios.hosts.process import ProcessHost, noted_in
from aios.kernel import Run, by_family, lone_run
from aios.record import SqliteJournal
from aios.wall.agent import Level, Walls, rung
from aios.wall.dry_wall import MOST_ACTS, OTHERS, NotedAct, read_notes
from aios.wall.verdict import Act
from aios_syscalls import Denied, ProcessInfo, Spawn, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

TRY = """
import json, sys
from pathlib import Path
from aios.bench.wall.attempts import WallKind, tried
from aios.bench.wall.probes import PROBES
def kinds(level):
    return {"control": WallKind(None), level: WallKind(level), f"dry {level}": WallKind(level, dry=True)}
def probe(code):
    def run(target):
        own = {"__file__": str(target.place / "programs" / "agent.py")}
        exec(code.format(place=str(target.place), file=str(target.place / "spare")), own)
    return run
helper, cases, of_starting = json.load(sys.stdin)
exec(helper)
places = [Path(sys.argv[1], level) for level in ("auto", "exec")]
for place in places:
    place.mkdir()
cases = {name: probe(helper + code) for name, code in cases.items()}
found = {"auto": tried(places[0], kinds("auto"), {**PROBES, **cases})}
found["exec"] = tried(places[1], kinds("exec"), {name: PROBES[name] for name in of_starting})
print(json.dumps(found))
"""
GROUPS_OF_PYTHON = ("files", "metadata", "proc", "starting", "network", "taking down")
SEEN = {
    *(f"{group}: {name}" for group in GROUPS_OF_PYTHON for name in probes.GROUPS[group]),
    *("processes: signal another", "processes: ask whether another lives", "processes: the limits of another"),
    *("bounds: more descriptors again", "bounds: more memory again", "bounds: larger files again"),
} - {
    # C's calls, or by number: no event.
    *("files: read it past a zero", "files: read it by openat2", "taking down: open again"),
    *("metadata: watch a file", "metadata: open by a handle", "metadata: the handle of a file"),
    *("starting: clone", "starting: clone as vfork", "starting: clone3"),
    *("starting: the calls of 32 bits", "starting: the calls of x32"),
    "files: make a FIFO",  # os.mkfifo has no event
    "files: read it from the descriptor of its directory",  # the event of os.open does not tell its dir_fd
}
"""Probes of which Python's audit events tell; the others are acts of C code."""
OF_EXEC = tuple(name for name in probes.PROBES if name.startswith(("starting: ", "processes: ", "bounds: more")))
OF_FILES = ("files: ", "proc: ", "taking down: ")


HELPER = "import os, sys, socket, subprocess, tempfile, shutil, sqlite3, resource, ctypes\nfrom pathlib import Path\n"
PASSES = {
    "a file of its own": "Path('a').write_text('x'); Path('a').read_text()",
    "its own directories": "os.makedirs('d/e'); os.rename('d', 'f'); os.replace('f', 'g'); shutil.rmtree('g')",
    "a temporary file": "tempfile.NamedTemporaryFile().close(); tempfile.TemporaryFile().close()",
    "nothing": "open(os.devnull, 'w').write('x')",
    "here": "os.listdir(); os.listdir('.'); list(os.scandir(b'.')); os.close(os.open('.', os.O_RDONLY))",
    "its program": "open(__file__).read()",
    "a module's file": "open(os.__file__).read(); os.listdir(os.path.dirname(os.__file__))",
    "a module": "import colorsys, wave",
    "a database of its own": "sqlite3.connect('x.db').execute('create table t(a)'); sqlite3.connect(':memory:')",
    "a pair of sockets": "one, other = socket.socketpair(); one.send(b'x'); other.recv(1)",
    "an address in numbers": "socket.getaddrinfo('127.0.0.1', 80); socket.getaddrinfo('::1', '80')",
    "itself": "os.kill(os.getpid(), 0)",
    "what it is": "Path('/proc/self/status').read_text(); os.listdir('/proc/self/fd')",
    "a mode of its own": "open('m', 'x').close(); os.chmod('m', 0o640); os.utime('m'); os.fchmod(os.open('m', 0), 0)",
    "a link out of its directory": "os.symlink({file!r}, 'l'); os.readlink('l'); os.remove('l')",
    "a directory that is there": "os.makedirs({place!r}, exist_ok=True)",
    "a file that is not there": "assert not os.path.exists({place!r} + '/not'); open('not', 'a').close()",
    "a look for it": "\ntry:\n    open({place!r} + '/not')\nexcept FileNotFoundError:\n    pass",
    "to remove what is not there": "Path({place!r}, 'not').unlink(missing_ok=True)",
    "the path of a file": "os.close(os.open({file!r}, os.O_PATH)); os.stat({file!r})",
    "a lower limit": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "functions of C": "ctypes.CDLL(None)",
    "by its directory's descriptor": "here = os.open('.', 0); os.mkdir('k', dir_fd=here); os.rmdir('k', dir_fd=here)",
    "an empty name": "\ntry:\n    open('')\nexcept FileNotFoundError:\n    pass",
    "a name with a zero": "\ntry:\n    open('a\\0b')\nexcept ValueError:\n    pass",
}
"""What passes behind the wall."""
REFUSED = {
    "a file": ("read", "Path({file!r}).read_text()"),
    "a file by bytes": ("read", "open(os.fsencode({file!r}), 'rb').read()"),
    "a file by its directory": ("read", "os.chdir({place!r}); open('spare').read()"),
    "a file by a link": ("read", "os.symlink({file!r}, 'l'); open('l').read()"),
    "a file up from here": ("read", "open(os.path.relpath({file!r})).read()"),
    "a copy": ("read", "shutil.copyfile({file!r}, 'copy')"),
    "a database": ("read", "sqlite3.connect({file!r}).execute('select 1 from sqlite_schema')"),
    "a database by its address": (
        "read",
        "sqlite3.connect('file:' + {file!r}, uri=True).execute('pragma user_version')",
    ),
    "a new database": ("write", "sqlite3.connect({place!r} + '/new').execute('create table t(a)')"),
    "a listing": ("list", "os.listdir({place!r})"),
    "a look at its entries": ("list", "list(os.scandir({place!r}))"),
    "a listing of here": ("list", "os.chdir({place!r}); os.listdir()"),
    "an end": ("write", "open({file!r}, 'a')"),
    "another text": ("write", "open({file!r}, 'w')"),
    "a place in it": ("write", "open({file!r}, 'r+')"),
    "a new file": ("write", "open({place!r} + '/new', 'x')"),
    "a file through a link": ("write", "os.symlink({place!r}, 'l'); open('l/new', 'w')"),
    "a new directory": ("write", "os.mkdir({place!r} + '/new.d')"),
    "a directory from a descriptor": ("write", "os.mkdir('new.d', dir_fd=os.open({place!r}, os.O_PATH))"),
    "a link": ("write", "os.symlink('x', {place!r} + '/new.l')"),
    "a second name": ("write", "os.link({file!r}, 'here')"),
    "a file brought out": ("write", "Path('a').touch(); os.rename('a', {place!r} + '/new')"),
    "a length": ("write", "os.truncate({file!r}, 0)"),
    "a file, gone": ("remove", "os.remove({file!r})"),
    "a file from a descriptor, gone": ("remove", "os.unlink('spare', dir_fd=os.open({place!r}, os.O_PATH))"),
    "a directory, gone": ("remove", "os.rmdir({place!r} + '/spare.d')"),
    "a file taken in": ("remove", "os.rename({file!r}, 'here')"),
    "a mode": ("mode", "os.chmod({file!r}, 0o604); assert os.stat({file!r}).st_mode & 0o777 == 0o604"),
    "a time": ("mode", "os.utime({file!r}, (1, 1)); assert os.stat({file!r}).st_mtime == 1"),
    "an owner": ("owner", "os.chown({file!r}, os.getuid(), os.getgid())"),
    "a socket": ("network", "socket.socket()"),
    "a socket of this machine": ("network", "socket.socket(socket.AF_UNIX)"),
    "a server": ("network", "socket.create_server(('127.0.0.1', 0))"),
    "a service": ("network", "socket.getaddrinfo('127.0.0.1', 'http')"),
    "a program": ("program", "subprocess.run(['true'], check=True)"),
    "a shell's command": ("program", "assert os.system('true') == 0"),
    "a spawn": ("program", "os.posix_spawn('/bin/true', ['true'], {{}})"),
    "a fork": ("process", "os.fork() or os._exit(0)"),
    "a signal": ("reach", "os.kill(os.getppid(), 0)"),
    "a signal to a group": ("reach", "os.killpg(os.getpgid(0), 0)"),
    "a higher limit": ("limit", "resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))"),
}
"""What is refused behind the wall and goes well without, with the kind that it is listed as."""


Found = dict[str, dict[str, dict[str, str | None]]]
"""By level, by kind of wall, by name."""


@pytest.fixture(scope="module")
def found() -> Found:
    """What came of every probe and every case without a wall, behind it, and in a dry run."""
    user = users()[-1]
    cases = {**PASSES, **{name: code for name, (_, code) in REFUSED.items()}}
    with new_place(user) as place, start(TRY, user, str(place)) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps([HELPER, cases, list(OF_EXEC)]))
        made: Found = json.loads(told(process))
    return made


@pytest.mark.parametrize("level", ["auto", "exec"])
def test_what_is_listed_of_the_probes_is_what_the_wall_stops(found: Found, level: str) -> None:
    print(f"the wall is {rung()} here")
    came = found[level]
    control = {name for name, error in came["control"].items() if name in probes.PROBES and error is None}
    if rung() != "full":
        control -= {name for name in control if name.startswith(OF_FILES)}
    stopped = {name for name in control if came[level][name] is not None}
    listed = {name for name in control if came[f"dry {level}"][name] is not None}
    assert listed <= stopped or rung() == "none"
    assert stopped & SEEN <= listed
    assert len(listed) >= (60 if level == "auto" else 3)


def test_what_python_does_is_listed_just_where_the_wall_refuses_it(found: Found) -> None:
    wrong = {}
    for name in (*PASSES, *REFUSED):
        kind = REFUSED[name][0] if name in REFUSED else None
        control, behind, listed = (found["auto"][each][name] for each in ("control", "auto", "dry auto"))
        kinds = {act.partition(" ")[0] for act in listed.split("; ")} if listed else set()
        agreed = bool(listed) == (behind is not None) or rung() != "full"
        if control is not None or not agreed or (kind not in kinds if kind else kinds):
            wrong[name] = control, behind, listed
    assert not wrong


class Runner:
    """Runs programs in a directory behind walls, or dry."""

    def __init__(self, kernel: Run, place: Path, logs: Path) -> None:
        self._kernel, self._place, self._logs = kernel, place, logs

    async def run(self, name: str, code: str) -> tuple[ProcessInfo, list[NotedAct]]:
        """How a program ends whose main has this body, and what was noted of it."""
        body = "".join(f"    {line}\n" for line in code.strip("\n").splitlines())
        (self._place / f"{name}.py").write_text(f"{HELPER}async def main(agent, task):\n{body}    return 'done'\n")
        pid = (await self._kernel.submit(Spawn(program=name))).pid
        process = (await self._kernel.submit(Wait(pid=pid))).process
        notes = noted_in(self._logs, pid)
        return process, read_notes(notes.read_text().splitlines()) if notes.exists() else []


class runner:
    """A kernel whose programs lie in a directory of their own."""

    def __init__(self, place: Path, *, dry: bool, level: Level | None = None) -> None:
        self._place, self._dry, self._level = place, dry, level

    async def __aenter__(self) -> Runner:
        place, logs = self._place / "programs", self._place / ("dry" if self._dry else "walled")
        place.mkdir(exist_ok=True)
        self._journal = SqliteJournal(self._place / f"{logs.name}.db")
        self._host = ProcessHost(logs, [place], Walls(level=self._level, own=(self._place,), dry=self._dry))
        self._run = lone_run([], by_family, self._host, await self._journal.__aenter__())
        await self._host.__aenter__()
        return Runner(await self._run.__aenter__(), place, logs)

    async def __aexit__(self, *error: Any) -> None:
        await self._run.__aexit__(*error)
        await self._host.__aexit__(*error)
        await self._journal.__aexit__(*error)


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what is tested happens in other processes."""
    return "asyncio"


async def test_of_an_honest_program_nothing_is_listed_but_what_its_libraries_do_without(tmp_path: Path) -> None:
    """As they ask `ldconfig` or `uname`, or give an unpacked file to its owner: the wall refuses that too."""
    wrong = {}
    async with runner(tmp_path, dry=True) as dry:
        (tmp_path / "programs" / "neighbour.py").write_text(NEIGHBOUR)
        for number, (name, code) in enumerate(HONEST.items()):
            process, noted = await dry.run(f"honest{number}", code)
            if process.error is not None or {each.act.kind for each in noted} - {"program", "owner"}:
                wrong[name] = process.error, noted
    assert not wrong


async def test_where_programs_may_be_started_only_those_out_of_reach_are_listed(tmp_path: Path) -> None:
    program = tmp_path / "users-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    async with runner(tmp_path, dry=True, level="exec") as dry:
        _, noted = await dry.run(
            "starts", "subprocess.run(['true']); os.system('true'); os.kill(os.fork() or os._exit(0), 0)"
        )
        assert noted == []
        _, noted = await dry.run("others", f"subprocess.run([{str(program)!r}, 'a b'])\nos.kill(os.getppid(), 0)")
        assert [each.act for each in noted] == [
            Act("program", f"{program} 'a b'"),
            Act("reach", f"signal to process {noted[1].act.object.split()[-1]}"),
        ]


async def test_each_act_is_told_once_with_its_count_whatever_ends_the_program(tmp_path: Path) -> None:
    file = str(tmp_path / "file")
    Path(file).touch()
    acts = f"for _ in range(5):\n    open({file!r})\nos.listdir('/')\n"
    async with runner(tmp_path, dry=True) as dry:
        process, noted = await dry.run("ends", acts)
        assert process.error is None
        assert noted == [NotedAct(Act("read", file), 5), NotedAct(Act("list", "/"), 1)]
        process, noted = await dry.run("killed", f"{acts}os.kill(os.getpid(), 9)")
        assert process.error is not None
        assert noted == [
            NotedAct(Act("read", file), 4),
            NotedAct(Act("list", "/"), 1),
        ]  # counts are kept as they double
        process, noted = await dry.run("closes", f"{acts}\nos.dup2(os.open('mine', os.O_CREAT | os.O_RDWR), 40)\n")
        assert [each.count for each in noted] == [5, 1]


async def test_a_flood_of_different_acts_is_bounded_and_counted(tmp_path: Path) -> None:
    flood = f"""
for number in range({MOST_ACTS + 500}):
    try:
        os.kill(10**7 + number, 0)
    except OSError:
        pass
try:
    open('/' + 'x' * 5000)
except OSError:
    pass
sys.audit('os.mkdir', '/' + 'y' * 200_000, 0, -1)
"""
    async with runner(tmp_path, dry=True) as dry:
        process, noted = await dry.run("floods", flood)
    assert process.error is None
    assert MOST_ACTS < len(noted) <= MOST_ACTS + 13
    assert sum(each.count for each in noted if each.act.kind == "reach") == MOST_ACTS + 500
    assert NotedAct(Act("reach", OTHERS), 500) in noted
    assert max(len(each.act.object) for each in noted) < 2_000


async def test_an_act_that_cannot_be_judged_goes_on_and_is_told(tmp_path: Path) -> None:
    async with runner(tmp_path, dry=True) as dry:
        process, noted = await dry.run("odd", "sys.audit('open', object(), None, 0); sys.audit('os.mkdir')")
    assert process.error is None
    assert Counter(each.act.kind for each in noted) == {"unjudged": 2}


def test_lines_that_are_none_count_for_nothing() -> None:
    lines = ['["read", "/a"]', "[0, 3]", "[7, 3]", '[0, "x"]', "{}", '["fly", "/b"]', '["list", "/c"]', "[1, 2", "\0"]
    assert read_notes(lines) == [NotedAct(Act("read", "/a"), 3), NotedAct(Act("list", "/c"), 1)]


async def test_only_the_users_own_programs_run_without_their_wall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "own.py").touch()
    (mine / "linked.py").symlink_to("/elsewhere/stranger.py")
    monkeypatch.chdir(mine)
    monkeypatch.setenv("HOME", str(mine))
    dry = Walls(dry=True)
    for path in (Path("/elsewhere/stranger.py"), mine / "linked.py", tmp_path / "beside.py"):
        for level in (None, "auto", "exec"):
            with pytest.raises(Denied, match="--wall off"):
                Walls(level=level, dry=True).level_of("stranger", path, "full")
        assert Walls(level="off", dry=True).level_of("stranger", path, "full") == "auto"
        assert Walls(programs={"stranger": "off"}, dry=True).level_of("stranger", path, "full") == "auto"
    assert dry.level_of("own", mine / "own.py", "none") == "auto"
    assert Walls(level="exec", dry=True).level_of("own", mine / "own.py", "full") == "exec"
    with pytest.raises(Denied, match="not trusted"):
        Walls(dry=True, untrusted=(mine,)).level_of("own", mine / "own.py", "full")
    assert os.getcwd() == str(mine)
