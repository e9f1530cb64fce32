"""One agent that reaches for another, or for the kernel: by /proc, by ptrace, by the other's descriptors, by signals.

Each attack is run by an agent, which must fail, and by a plain process of the same user, as the control, which must
succeed: against a process that has closed nothing. All is done as an ordinary user and, where these tests run as root,
as root as well: the one is bound by what the kernel's processes say about themselves, the other by what it has lost.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aios.bench.wall.users import new_place, start, told, users
from aios.python import code_command
from aios.wall import seccomp

pytestmark = pytest.mark.whole

ATTACKS = """
import ctypes, errno, os, signal, socket, struct, sys, platform
libc = ctypes.CDLL(None, use_errno=True)
COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]

def call(number, *arguments):
    answer = libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer

def steal(pid, fd):
    # Another process's descriptor, as one's own.
    pidfd = os.pidfd_open(pid)
    return call(438, ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0))

def read_word(pid, address):
    word = ctypes.create_string_buffer(8)
    ours = struct.pack("QQ", ctypes.addressof(word), 8)
    theirs = struct.pack("QQ", address, 8)
    call((310, 270)[COLUMN], ctypes.c_int(pid), ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0))
    return word.raw

def write_word(pid, address):
    word = ctypes.create_string_buffer(b"written!", 8)
    ours = struct.pack("QQ", ctypes.addressof(word), 8)
    theirs = struct.pack("QQ", address, 8)
    call((311, 271)[COLUMN], ctypes.c_int(pid), ours, ctypes.c_ulong(1), theirs, ctypes.c_ulong(1), ctypes.c_ulong(0))

def trace(pid, address):
    PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
    call((101, 117)[COLUMN], ctypes.c_long(PTRACE_SEIZE), ctypes.c_long(pid), ctypes.c_void_p(), ctypes.c_void_p())

def memory(pid, address):
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        file.seek(address)
        return file.read(8)

def overwrite(pid, address):
    with open(f"/proc/{pid}/mem", "r+b", 0) as file:
        file.seek(address)
        file.write(b"written!")

def descriptors(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]

def compare(pid):
    return call((312, 272)[COLUMN], ctypes.c_int(os.getpid()), ctypes.c_int(pid), ctypes.c_int(0), 0, 0)

def limit(pid):
    call((302, 261)[COLUMN], ctypes.c_int(pid), ctypes.c_int(7), struct.pack("QQ", 9, 9), None)

def advise(pid, address):
    pidfd = os.pidfd_open(pid)
    call(440, ctypes.c_int(pidfd), struct.pack("QQ", address & ~4095, 4096), ctypes.c_ulong(1), ctypes.c_int(20), 0)

def ends(attack):
    # The error that an attack ends with, or None.
    try:
        attack()
    except OSError as error:
        return errno.errorcode[error.errno]

def attacks(pid, address, fd):
    return {
        "steal a descriptor": ends(lambda: steal(pid, fd)),
        "read its environment": ends(lambda: open(f"/proc/{pid}/environ").read()),
        "read its map": ends(lambda: open(f"/proc/{pid}/maps").read()),
        "list its descriptors": ends(lambda: descriptors(pid)),
        "open its descriptor": ends(lambda: open(f"/proc/{pid}/fd/{fd}", "wb").close()),
        "read its memory": ends(lambda: memory(pid, address)),
        "write its memory": ends(lambda: overwrite(pid, address)),
        "read its memory by a call": ends(lambda: read_word(pid, address)),
        "write its memory by a call": ends(lambda: write_word(pid, address)),
        "compare descriptors": ends(lambda: compare(pid)),
        "set its limits": ends(lambda: limit(pid)),
        "read its root": ends(lambda: os.listdir(f"/proc/{pid}/root")),
        "read its directory": ends(lambda: os.readlink(f"/proc/{pid}/cwd")),
        "trace it": ends(lambda: trace(pid, address)),
        "signal it": ends(lambda: os.kill(pid, signal.SIGWINCH)),
    }
"""
VICTIM = """
import ctypes, os, sys, time
word = ctypes.create_string_buffer(b"a secret", 16)
print(os.getpid(), ctypes.addressof(word), os.pipe()[1], flush=True)
sys.stdin.read()
"""
ATTACKER = """
async def main(agent, task):
    import json
    sibling = json.loads((await agent.receive()).body)
    found = {
        "sibling": attacks(*sibling),
        "kernel": attacks(*json.loads(task)),
        "zygote": attacks(os.getppid(), sibling[1], 1),
    }
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", CHILD + f"print(attacks(*{sibling}))"], stdout=subprocess.PIPE)
    found["sibling, by a child"] = eval(child.communicate()[0])
    for attack in ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1"):
        found[attack] = ends(lambda: open(attack, "a").write("said "))
    return json.dumps(found)
"""
SIBLING = """
import ctypes, json, os
word = ctypes.create_string_buffer(b"a secret", 16)
async def main(agent, task):
    me = [os.getpid(), ctypes.addressof(word), agent.port._frames._stream._sock.fileno()]
    await agent.send(int(task), json.dumps(me))
    mail = await agent.receive()
    return word.value.decode()
"""
KERNEL = """
import ctypes, json, os, sys
from pathlib import Path
import anyio
from aios.hosts.process import ProcessHost
from aios.kernel import by_family, lone_run
from aios.wall.agent import Walls
from aios.record import SqliteJournal
from aios_syscalls import Receive, Send, Spawn, Wait
if sys.argv[2:]:  # a system without Landlock: the call to make a ruleset fails
    from aios.wall import seccomp
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
    assert seccomp.install([seccomp.SeccompRule("landlock_create_ruleset", (444, 444))])
place, word = Path(sys.argv[1]), ctypes.create_string_buffer(b"a secret", 16)

async def main():
    host = ProcessHost(place / "logs", [place], Walls(level="off"))
    async with SqliteJournal(place / "j.db") as journal, host:
        async with lone_run([], by_family, host, journal) as kernel:
            me = json.dumps([os.getpid(), ctypes.addressof(word), 1])
            attacker = (await kernel.submit(Spawn(program="attacker", task=me))).pid
            sibling = (await kernel.submit(Spawn(program="sibling", task="0"))).pid
            await kernel.submit(Send(to=attacker, body=(await kernel.submit(Receive())).body))
            attack = (await kernel.submit(Wait(pid=attacker))).process
            await kernel.submit(Send(to=sibling, body="go on"))
            other = (await kernel.submit(Wait(pid=sibling))).process
            print(json.dumps({"attack": json.loads(attack.result or "null"), "error": attack.error,
                              "sibling": other.result, "kernel": word.value.decode(),
                              "log": (place / "logs" / "1.log").read_text()}))
anyio.run(main)
"""


TARGETS = ("sibling", "kernel", "zygote", "sibling, by a child")
SIGNALS = {f"signal it: {whom}" for whom in TARGETS}
OUTPUTS = ("/dev/stdout", "/dev/stderr", "/proc/self/fd/1")


def landlock_scopes_signals() -> bool:
    return bool(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)) >= 6)


@pytest.fixture(params=users())
def user(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(user: str) -> Iterator[Path]:
    """A directory of this user's."""
    with new_place(user) as place:
        yield place


def outcome(place: Path, user: str, *options: str) -> dict[str, Any]:
    """What an agent's attacks on its sibling, the kernel and the zygote came to."""
    (place / "attacker.py").write_text(f"CHILD = {ATTACKS!r}\n{ATTACKS}{ATTACKER}")
    (place / "sibling.py").write_text(SIBLING)
    with start(KERNEL, user, str(place), *options) as process:
        said = told(process)
    found: dict[str, Any] = json.loads(said)
    assert found["error"] is None
    assert {found["sibling"], found["kernel"]} == {"a secret"}
    return found


def through(found: dict[str, Any]) -> set[str]:
    """The attacks that succeeded."""
    return {f"{attack}: {whom}" for whom in TARGETS for attack, error in found["attack"][whom].items() if error is None}


@pytest.fixture
def victim(user: str) -> Iterator[list[int]]:
    """A process that has closed nothing: its pid, the address of a secret, and one of its descriptors."""
    with start(VICTIM, user) as process:
        assert process.stdout
        yield [int(word) for word in process.stdout.readline().split()]
        process.kill()


def test_an_agent_reaches_neither_its_sibling_nor_the_kernel(place: Path, user: str) -> None:
    found = outcome(place, user)
    assert through(found) == (set() if landlock_scopes_signals() else SIGNALS), found
    assert [found["attack"][name] for name in OUTPUTS] == [None] * 3
    assert found["log"] == "said " * 3


def test_without_landlock_it_can_send_signals_at_most(place: Path, user: str) -> None:
    found = outcome(place, user, "without Landlock")
    assert through(found) == SIGNALS, found


def test_without_the_defence_every_attack_succeeds(victim: list[int], user: str) -> None:
    with start(
        ATTACKS + "import json; print(json.dumps(attacks(*json.loads(sys.argv[1]))))", user, json.dumps(victim)
    ) as attacker:
        said = told(attacker)
    failed = {attack: error for attack, error in json.loads(said).items() if error is not None}
    assert failed == {}


def test_the_filter_refuses_other_abis_of_the_same_machine() -> None:
    if platform.machine() != "x86_64":
        assert seccomp.MACHINES.get(platform.machine(), seccomp.MACHINES["aarch64"]).x32 is False
        return
    code = f"""
import ctypes, os
from aios.wall import seccomp
libc = ctypes.CDLL(None, use_errno=True)
def number(call):
    libc.syscall(ctypes.c_long(call))
    return os.strerror(ctypes.get_errno())
before = libc.syscall(ctypes.c_long(39))
libc.prctl(38, 1, 0, 0, 0)
assert seccomp.install(seccomp.REACHING_INTO_PROCESSES)
assert libc.syscall(ctypes.c_long(39)) == before
print(number(101), number({seccomp.X32_BIT} | 39), number({seccomp.X32_BIT} | 521), sep="|")
"""
    ended = subprocess.run(code_command(code), capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "Operation not permitted|Function not implemented|Function not implemented"


CHILDREN = {
    "zygote": "run('aios.hosts.zygote')",
    "model's worker": "run('aios.models.local.engine.worker', '/no/such/model.gguf')",
    "tool's worker": "run('aios.tools.worker')",
    "index's owner": "from aios_storage.owner.daemon import main\n"
    "main([sys.argv[1], '--embedder', 'hashing:', '--child'])",
    "command line": "import aios.cli.app; aios.cli.app.app = lambda **_: sys.stdin.read(); aios.cli.main()",
}
"""Programs of ours that have the user's rights or secrets, each as it is until its standard input or socket ends."""
PREFACE = """
import runpy, socket, sys
pair = socket.socketpair()

def run(module, *arguments):
    sys.argv = [module, str(pair[1].detach()), *arguments]
    runpy.run_module(module, None, "__main__")

print("begun", flush=True)
"""


@pytest.mark.parametrize("user", users()[-1:])
@pytest.mark.parametrize("name", CHILDREN)
def test_every_process_of_ours_closes_itself(place: Path, user: str, name: str) -> None:
    # That a file in /proc/PID is the user's tells that a process is open; root's are root's either way.
    own_id = place.stat().st_uid
    with start(VICTIM, user) as open_one, start(PREFACE + CHILDREN[name], user, str(place)) as closed:
        try:
            for process in (open_one, closed):
                assert process.stdout
                process.stdout.readline()
            assert os.stat(f"/proc/{open_one.pid}/environ").st_uid == own_id
            while closed.poll() is None and os.stat(f"/proc/{closed.pid}/environ").st_uid != 0:
                time.sleep(0.01)
            assert closed.poll() is None
        finally:
            open_one.kill()
            closed.kill()
