"""Walls for odd users: nobody, a home that is everybody's or none, temporary files anywhere, a venv."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from aios.bench.wall.honest import HONEST
from aios.bench.wall.users import new_place, start, told, users
from aios.wall.agent import Walls
from aios_syscalls import Denied

KERNEL = """
import json, os, sys, tempfile
from pathlib import Path
import anyio
from aios.hosts.process import ProcessHost
from aios.kernel import by_family, lone_run
from aios.wall.agent import Walls, rung
from aios.record import SqliteJournal
from aios_syscalls import Spawn, Wait
place, honest = Path(sys.argv[1]), json.loads(sys.argv[2])
os.umask(0o022)
home, long = place / "home", place
while len(str(long)) < 3000:
    long /= "d" * 200
directories = {"spaces": place / "a b  c", "unicode": place / "Ωλ ü", "long": long, "gone": place / "gone"}
for name, directory in directories.items():
    if name != "gone":
        directory.mkdir(parents=True)
directories["closed"] = Path("/proc")
home.mkdir()
home.chmod(0o777)
(home / "key").write_text("the-users-secret")
(place / "neighbour.py").write_text("WORD = 'helped'\\n")
for folder in (place, home):
    (folder / "program.py").write_text(f'''
async def main(agent, task):
    import os, traceback
    wrong = {{}}
    for name, code in () if task else {honest!r}.items():
        try:
            exec(code, {{}})
        except BaseException:
            wrong[name] = traceback.format_exc()
    try:
        wrong["home"] = open({str(home / "key")!r}).read()
    except PermissionError:
        pass
    if task:
        wrong = {{}}
    open("x" * 200, "w").close()
    assert not wrong, wrong
    return os.getcwd()
''')

async def ended(path, task):
    async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "logs", [place], Walls("auto")) as host:
        async with lone_run([], by_family, host, journal) as kernel:
            pid = (await kernel.submit(Spawn(program=str(path), task=task))).pid
            process = (await kernel.submit(Wait(pid=pid))).process
            room = process.result or ""
            return process.error, os.path.dirname(os.path.dirname(room)), os.path.exists(room)

said = {}
for name, directory in directories.items():
    os.environ["TMPDIR"], tempfile.tempdir = str(directory), None
    said[f"TMPDIR {name}"] = anyio.run(ended, place / "program.py", "short")
os.environ["TMPDIR"], tempfile.tempdir = "/tmp", None
os.environ["HOME"] = str(home)
said["an open home"] = anyio.run(ended, place / "program.py", "")
del os.environ["HOME"]
import pwd
def nobody_knows(_uid):
    raise KeyError("no such user")
pwd.getpwuid = nobody_knows
said["no home"] = anyio.run(ended, place / "program.py", "short")
print(json.dumps({"rung": rung(), "directories": {k: str(v) for k, v in directories.items()}, "said": said}))
"""


@pytest.mark.whole
@pytest.mark.parametrize("user", users()[-1:])
def test_honest_programs_run_whoever_the_user_is_and_wherever_temporary_files_go(user: str) -> None:
    with new_place(user) as place, start(KERNEL, user, str(place), json.dumps(HONEST)) as process:
        found = json.loads(told(process))
    print(f"as {user}, the wall is {found['rung']}")
    said = found["said"]
    for name in ("spaces", "unicode", "long"):
        assert said[f"TMPDIR {name}"] == [None, found["directories"][name], False], name
    for name in ("gone", "closed"):
        error, where, left = said[f"TMPDIR {name}"]
        assert (error, left) == (None, False), name
        assert where != found["directories"][name]
    assert said["no home"][0] is None
    assert said["an open home"][0] is None or found["rung"] != "full", said["an open home"]


def test_a_program_that_anybody_can_have_put_there_is_a_strangers(tmp_path: Path) -> None:
    """Also where the user keeps his own: a home of mode 0777, or /tmp as the working directory."""
    program = tmp_path / "program.py"
    program.touch()
    walls = Walls(own=(tmp_path,))
    assert walls.level_of("program", program, "partial") == "auto"
    tmp_path.chmod(0o777)
    with pytest.raises(Denied):
        walls.level_of("program", program, "partial")


VENV = """
import json, os, sys
from pathlib import Path
import anyio
from aios.hosts.process import ProcessHost
from aios.kernel import by_family, lone_run
from aios.wall.agent import Walls, rung
from aios.record import SqliteJournal
from aios_syscalls import Receive, Send, Spawn, Wait
place = Path(sys.argv[1])

async def main():
    walls = Walls("auto", {"unwalled": "off"})
    async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "l", [place / "programs"], walls) as host:
        async with lone_run([], by_family, host, journal) as kernel:
            pids = [(await kernel.submit(Spawn(program=name))).pid for name in ("program", "unwalled")]
            for _ in pids:
                await kernel.submit(Receive())
            (place / "checkout" / "new").touch()  # so that Python would list the directory anew
            for pid in pids:
                await kernel.submit(Send(to=pid, body="go on"))
            ends = [(await kernel.submit(Wait(pid=pid))).process for pid in pids]
            print(json.dumps([rung(), sys.prefix, *([end.error, end.result] for end in ends)]))

anyio.run(main)
"""
FINDER = """
import importlib.util, sys
MAPPING = {{"hooked": {package!r}}}
NAMESPACES = {{}}
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in MAPPING:
            return importlib.util.spec_from_file_location(name, MAPPING[name] + "/__init__.py")
sys.meta_path.append(Finder)
"""


@pytest.mark.whole
def test_a_venv_elsewhere_has_its_packages_and_nothing_else_of_their_checkouts(tmp_path: Path) -> None:
    """Packages by `.pth` files, as editable installations have them, and by setuptools' finders."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    checkout, hooked, programs = tmp_path / "checkout", tmp_path / "other" / "src" / "hooked", tmp_path / "programs"
    for place in (checkout / "package", checkout / "spaces" / "inner", checkout / ".git", hooked, programs):
        place.mkdir(parents=True)
    (checkout / "package" / "__init__.py").write_text("WORD = 'package'\n")
    (checkout / "package" / "data.txt").write_text("data")
    (checkout / "spaces" / "inner" / "__init__.py").write_text("WORD = 'inner'\n")
    (checkout / "module.py").write_text("WORD = 'module'\n")
    (hooked / "__init__.py").write_text("WORD = 'hooked'\n")
    secrets = [checkout / ".env", checkout / ".git" / "config", hooked.parent / "key"]
    for secret in secrets:
        secret.write_text("secret")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    paths = [entry for entry in sys.path if entry and Path(entry).is_dir() and "lib-dynload" not in entry]
    (site / "all.pth").write_text("\n".join([*paths, str(checkout), "import __editable___hooked_finder"]) + "\n")
    (site / "__editable___hooked_finder.py").write_text(FINDER.format(package=str(hooked)))
    code = (
        "async def main(agent, task):\n    await agent.send(0, '')\n    await agent.receive()\n"
        "    import package, spaces.inner, module, hooked\n"
        "    from pathlib import Path\n    words = [package.WORD, spaces.inner.WORD, module.WORD, hooked.WORD]\n"
        "    words.append(Path(package.__file__).with_name('data.txt').read_text())\n"
        f"    for path in {list(map(str, secrets))!r}:\n        try:\n            words.append(open(path).read())\n"
        "        except PermissionError:\n            words.append('closed')\n    return ' '.join(words)\n"
    )
    for name in ("program.py", "unwalled.py"):
        (programs / name).write_text(code)
    ended = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "python"), "-P", "-c", VENV, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={},
    )
    rung, prefix, walled, unwalled = json.loads(ended.stdout)
    assert prefix == str(tmp_path / "venv")
    assert unwalled == [None, "package inner module hooked data secret secret secret"]
    assert walled == [None, "package inner module hooked data closed closed closed"] or rung != "full"
