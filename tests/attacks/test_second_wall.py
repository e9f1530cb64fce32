"""The second wall: what an agent reaches of the machine where the first one is not there.

The first is taken away by a filter that lets none of its filters in and no ruleset be made. The control is the same
without namespaces. Where the system refuses namespaces, that it is said is what is tested.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from aios.bench.wall.users import new_place, start, told, users
from aios.python import code_command
from aios.wall import namespaces

pytestmark = pytest.mark.whole

AGENT = """
import ctypes, json, os, socket

def ends(attack):
    try:
        attack()
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)

def datagram(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", port))

def stream(family, address):
    with socket.socket(family) as sock:
        sock.connect(address)

def attach(segment):
    library = ctypes.CDLL(None, use_errno=True)
    library.shmat.restype = ctypes.c_void_p
    if library.shmat(segment, None, 0o10000) in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")

async def main(agent, task):
    port, datagrams, abstract, segment = json.loads(task)
    return json.dumps({
        "TCP": ends(lambda: stream(socket.AF_INET, ("127.0.0.1", port))),
        "UDP": ends(lambda: datagram(datagrams)),
        "abstract": ends(lambda: stream(socket.AF_UNIX, abstract)),
        "shared memory": ends(lambda: attach(segment)),
        "own file": ends(lambda: open("kept", "w").close()),
        "who": [os.getuid(), os.stat("kept").st_uid, os.stat(".").st_uid],
    })
"""
KERNEL = """
import ctypes, json, os, socket, sys
from pathlib import Path
import anyio
from aios.wall import namespaces_available, seccomp
from aios.hosts import process
from aios.hosts.process import ProcessHost
from aios.kernel import by_family, lone_run
from aios.wall import Walls
from aios.record import SqliteJournal
from aios_syscalls import Spawn, Wait
place, library = Path(sys.argv[1]), ctypes.CDLL(None)
os.chdir(place)
no_filters = seccomp.Condition(0, (seccomp.PR_SET_SECCOMP,), allows=False)
available = namespaces_available()
library.prctl(38, 1, 0, 0, 0)
assert seccomp.install([
    seccomp.SeccompRule("landlock_create_ruleset", (444, 444)),
    seccomp.SeccompRule("seccomp", (317, 277)),
    seccomp.SeccompRule("prctl", (157, 167), condition=no_filters),
])
tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
abstract = socket.socket(socket.AF_UNIX)
abstract.bind(f"\\0aios-second-{os.getpid()}")
abstract.listen(8)
segment = library.shmget(0, ctypes.c_size_t(4096), 0o600)
task = json.dumps([tcp.getsockname()[1], udp.getsockname()[1], f"\\0aios-second-{os.getpid()}", segment])

async def found(*names):
    walls = Walls("auto", {"unwalled": "off"})
    async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "logs", [place], walls) as host:
        async with lone_run([], by_family, host, journal) as kernel:
            pids = [(await kernel.submit(Spawn(program=name, task=task))).pid for name in names]
            processes = [(await kernel.submit(Wait(pid=pid))).process for pid in pids]
            return [(host.rung, host.namespaces, json.loads(process.result)) for process in processes]

try:
    said = dict(zip(("walled", "unwalled"), anyio.run(found, "walled", "unwalled")))
    process.namespaces_available = lambda: False
    said["first alone"] = anyio.run(found, "walled")[0]
finally:
    library.shmctl(segment, 0, None)
print(json.dumps({"available": available, "uid": os.getuid(), **said}))
"""
OUTSIDE = ("TCP", "UDP", "abstract", "shared memory")


@pytest.mark.parametrize("user", users())
def test_without_the_first_wall_the_second_keeps_agents_off_the_machine(user: str) -> None:
    with new_place(user) as place:
        for name in ("walled", "unwalled"):
            (place / f"{name}.py").write_text(AGENT)
        with start(KERNEL, user, str(place)) as process:
            said: dict[str, Any] = json.loads(told(process))
    print(f"as {user}, namespaces are {'there' if said['available'] else 'refused'}")
    for name in ("walled", "unwalled", "first alone"):
        rung, second, found = said[name]
        assert rung == "none"
        assert second == (said["available"] and name != "first alone")
        assert (found["own file"], set(found["who"])) == (None, {said["uid"]})
        reached = {each for each in OUTSIDE if found[each] is None}
        assert reached == (set() if second and name == "walled" else set(OUTSIDE)), (name, found)


def test_where_the_system_refuses_namespaces_that_is_found_out() -> None:
    """As in a container: the call is not permitted."""
    code = (
        "import ctypes; from aios.wall import namespaces, seccomp; ctypes.CDLL(None).prctl(38, 1, 0, 0, 0); "
        "assert seccomp.install([seccomp.SeccompRule('unshare', (272, 97))]); print(namespaces.namespaces_available())"
    )
    ended = subprocess.run(code_command(code), capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


def test_what_the_system_says_of_namespaces_it_keeps() -> None:
    code = "from aios.wall import enter_namespaces; enter_namespaces()"
    ended = subprocess.run(code_command(code), capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) == namespaces.namespaces_available()
