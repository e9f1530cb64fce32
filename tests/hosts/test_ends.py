"""Every way in which an agent can end: what is told of it, and that nothing of it stays."""

from __future__ import annotations

import fcntl
import os
import pprint
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import psutil
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.hosts.process import ProcessHost
from aios.kernel import Lane, Limits, Run, Turn, by_family, lone_run
from aios.python import code_command
from aios.record import SqliteJournal
from aios.scheduler import Fifo
from aios.wall.agent import Walls
from aios_syscalls import ChatReply, Kill, ProcessInfo, ProcessState, Reply, Spawn, Wait

pytestmark = [pytest.mark.anyio, pytest.mark.whole]

UNWALLED = Walls(level="off")
"""These agents fork, exec and write where they like: their ends are what is tested, not what they may do."""
DONE, FAILED, KILLED = ProcessState.DONE, ProcessState.FAILED, ProcessState.KILLED
HEAD = """
import anyio, asyncio, atexit, ctypes, fcntl, json, os, resource, select, signal, socket, subprocess, sys
import threading, time, zipfile
from contextlib import suppress
from pathlib import Path
from aios.sdk import Agent
from aios_syscalls import AgentFailed, BudgetExceeded, Cancelled, Denied

OUT = Path(__file__ + ".out")

class Odd(BaseException):
    pass

def hold(task):
    # A lock that this process, and all that it starts, hold together.
    file = os.open(task, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.set_inheritable(file, True)

def ready(task):
    Path(task + ".ready").touch()

def daemonize():
    # The usual double fork; true in the daemon, which is in a session of its own.
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True

def channel(agent):
    return agent.port._frames._stream._sock

def say(agent, data):
    while data:
        select.select([], [channel(agent)], [])
        data = data[channel(agent).send(data):]

"""
MAIN = """
async def main(agent: Agent, task: str) -> str:
    hold(task)
"""
FIRST = HEAD.count("\n") + 2
"""The number of the line behind a function's first, where that is the first thing in a module's own head."""


@dataclass(frozen=True)
class End:
    """What the body of a main does, and what is to come of it."""

    body: str
    state: ProcessState = FAILED
    words: str = ""
    """Of the result, or of the error's message."""
    head: str = ""
    """Of the module."""
    wrote: str = ""
    """What is then in the file beside the lock."""
    logged: str = ""
    main: str = MAIN
    code: str = "agent_failed"


# Another thread may be given a signal, after this one has gone on: so it waits.
DIES = "os.kill(os.getpid(), signal.{}); await anyio.sleep_forever()"
SIGNALS = {
    f"a signal {name}": End(
        f"os.kill(os.getpid(), signal.{name}); await anyio.sleep_forever()", words=f"ended by {name}"
    )
    for name in (
        "SIGKILL",
        "SIGABRT",
        "SIGSEGV",
        "SIGBUS",
        "SIGFPE",
        "SIGQUIT",
        "SIGHUP",
        "SIGALRM",
        "SIGUSR1",
        "SIGSYS",
    )
}
FRAMES = {
    "garbage": rb"garbage",
    "no UTF-8": rb"\xff\xfe\xfd",
    "NUL": rb"\x00" * 3,
    "an array": rb"[]",
    "null": rb"null",
    "a number": rb"12",
    "a string": rb'"result"',
    "an empty object": rb"{}",
    "a call without an id": rb'{"call": {"call": "process.list"}, "stream": false}',
    "a call with an id of half a number": rb'{"id": 1.5, "call": {}, "stream": false}',
    "a call with a number as flag": rb'{"id": 1, "call": {}, "stream": 1}',
    "a negative id": rb'{"id": -1, "call": {}, "stream": false}',
    "a result that is no text": rb'{"result": {"a": 1}}',
    "an error that is no object": rb'{"error": "x"}',
    "a lone surrogate": rb'{"result": "\ud800"}',
    "depth": rb'{"id":' + b"[" * 5000,
    "a long id": b'{"id": 1' + b"0" * 5000 + b', "call": {}, "stream": false}',
}
ENDS = {
    # of its own accord
    "a return": End("return 'fine'", DONE, "fine"),
    "an empty text": End("return ''", DONE, ""),
    "a text of surrogates": End("return 'a\\udcff'", DONE, "a\\udcff"),
    "a subclass of str": End("return type('Own', (str,), {})('own')", DONE, "own"),
    "None": End("return None", words="returned NoneType, not str: end it with `return`"),
    "a number": End("return 5", words="returned int, not str"),
    "bytes": End("return b'x'", words="returned bytes, not str"),
    "a coroutine": End("return agent.ask('x')", words="returned coroutine, not str: await it"),
    "a large text": End("return 'x' * 2_000_000", words="over the limit of 1048576; write a file"),
    "a large text of quotes": End("return '\"' * 900_000", words="over the limit of 1048576; write a file"),
    # by an error
    "an exception": End("raise ValueError('no luck')", words=f":{FIRST + 2}: no luck", logged="Traceback"),
    "an exception without words": End("raise ValueError", words="raised ValueError at"),
    "an exception whose text fails": End(
        "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})()", words="raised E"
    ),
    "an exception in a library": End(
        "json.loads('{')", words="raised JSONDecodeError at an_exception_in_a_library.py:"
    ),
    "an assertion": End("assert task == 'x', 'other'", words="AssertionError"),
    "a BaseException": End("raise Odd('base')", words="raised Odd at"),
    "KeyboardInterrupt": End("raise KeyboardInterrupt", words="raised KeyboardInterrupt"),
    "GeneratorExit": End("raise GeneratorExit", words="raised GeneratorExit"),
    "CancelledError": End("raise asyncio.CancelledError", words="raised CancelledError, and nobody had cancelled it"),
    "an error of a task": End(
        "async with anyio.create_task_group() as tasks:\n        tasks.start_soon(fails)",
        words=f"raised ZeroDivisionError at an_error_of_a_task.py:{FIRST}: division by zero",
        head="async def fails():\n    1 / 0\n",
    ),
    "an error of tasks within tasks": End(
        "async with anyio.create_task_group() as outer:\n        async with anyio.create_task_group() as tasks:\n"
        "            tasks.start_soon(fails)",
        words="raised ZeroDivisionError at",
        head="async def fails():\n    1 / 0\n",
    ),
    "errors of two tasks": End(
        "async with anyio.create_task_group() as tasks:\n        tasks.start_soon(fails)\n"
        "        tasks.start_soon(fails)",
        words="division by zero (and 1 more, in its log)",
        head="async def fails():\n    1 / 0\n",
    ),
    "SystemExit of a task": End(
        "async with anyio.create_task_group() as tasks:\n        tasks.start_soon(leaves)",
        words="left by SystemExit(3)",
        head="async def leaves():\n    sys.exit(3)\n",
    ),
    "recursion": End("return again()", words="RecursionError", head="def again():\n    return again()\n"),
    "no memory": End(
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n    return 'x' * (8 << 30)", words="MemoryError"
    ),
    "an import that fails": End("import no_such_module", words="ModuleNotFoundError"),
    "an error while it is loaded": End("return ''", words="raised ZeroDivisionError at", head="1 / 0\n"),
    "SystemExit while it is loaded": End("return ''", words="left by SystemExit('no')", head="sys.exit('no')\n"),
    "no main": End("pass", words="add one", main="async def other(agent, task):\n"),
    "a plain main": End("return ''", words="plain function, so write `async`", main="def main(agent, task):\n"),
    "a main of one parameter": End("return ''", words="takes (agent)", main="async def main(agent):\n    task = ''\n"),
    "a main of three": End("return ''", words="takes (agent, task, more)", main="async def main(agent, task, more):\n"),
    "a syntax error": End("return (", words="does not parse"),
    # by codes that are the kernel's
    "a forged budget error": End(
        "raise BudgetExceeded('all used up')", words="all used up (at a_forged_budget_error.py"
    ),
    "a forged cancellation": End("raise Cancelled('killed')", words="killed"),
    "a forged refusal": End("raise Denied('no')", words="no"),
    "an unknown code": End('say(agent, b\'{"error": {"code": "root", "message": 7}}\\n\')', words="7"),
    "an error of nothing": End("say(agent, b'{\"error\": {}}\\n')", words="did not say why"),
    "a true error": End("await agent.wait(12345)", words="no process 12345", code="not_found"),
    # by leaving
    "sys.exit()": End("sys.exit()", words="left by SystemExit(None)"),
    "sys.exit(0)": End("sys.exit(0)", words="left by SystemExit(0)"),
    "sys.exit(1)": End("sys.exit(1)", words="left by SystemExit(1)"),
    "sys.exit of words": End("sys.exit('enough')", words="left by SystemExit('enough')"),
    "os._exit": End("os._exit(3)", words="left with status 3"),
    "os.abort": End("os.abort()", words="ended by SIGABRT"),
    "a bad pointer": End("ctypes.string_at(1)", words="ended by SIGSEGV"),
    "another program": End("os.execv('/bin/true', ['true'])", words="left with status 0"),
    "a closed channel": End("channel(agent).close()\n    time.sleep(1000)", words="closed its channel"),
    "all descriptors closed": End("os.closerange(0, 1000)\n    time.sleep(1000)", words="closed its channel"),
    "a channel shut down": End("channel(agent).shutdown(socket.SHUT_RDWR)\n    time.sleep(1000)", words="closed its"),
    **SIGNALS,
    # by what it sends
    **{
        f"a frame: {name}": End(f"say(agent, {frame!r} + bytes([10]))\n    time.sleep(1000)", code="bad_request")
        for name, frame in FRAMES.items()
    },
    "half a frame": End("say(agent, b'{\"result\":')\n    os._exit(4)", words="left with status 4"),
    "a frame without an end": End(
        "say(agent, b'x' * 10_000_000)\n    time.sleep(1)", words="no frame", code="bad_request"
    ),
    "two results": End('say(agent, b\'{"result": "1"}\\n{"result": "2"}\\n\')\n    os._exit(0)', DONE, "1"),
    "a result and a crash": End('say(agent, b\'{"result": "1"}\\n\')\n    os.abort()', DONE, "1"),
    "no number in a call": End(
        'say(agent, b\'{"id": 1, "stream": false, "call": {"call": "process.wait", "pid": NaN}}\\n\')\n'
        "    return 'on'",
        DONE,
        "on",
    ),
    # with something left
    "a file left open": End(
        "out.write('all of it')\n    return ''", DONE, head="out = open(__file__ + '.out', 'w')\n", wrote="all of it"
    ),
    "a file left open, and an error": End(
        "out.write('all of it')\n    1 / 0", head="out = open(__file__ + '.out', 'w')\n", wrote="all of it"
    ),
    "a file that a local held": End(
        "out = open(__file__ + '.out', 'w')\n    out.write('l')\n    return ''", DONE, wrote="l"
    ),
    "a file in a cycle": End(
        "a = [open(__file__ + '.out', 'w')]\n    a.append(a)\n    a[0].write('c')\n    return ''", DONE, wrote="c"
    ),
    "a file that a thread holds": End(
        "out.write('t')\n    threading.Thread(target=lambda out: time.sleep(1000), args=(out,), daemon=True).start()\n"
        "    return ''",
        DONE,
        head="out = open(__file__ + '.out', 'w')\n",
        wrote="t",
    ),
    "an archive left open": End(
        "archive.writestr('name', 'text')\n    return ''",
        DONE,
        head="archive = zipfile.ZipFile(__file__ + '.out', 'w')\n",
        wrote="PK",
    ),
    "a handler of atexit": End("atexit.register(OUT.write_text, 'bye')\n    return 'x'", DONE, "x", wrote="bye"),
    "a handler of atexit, and an error": End(
        "atexit.register(OUT.write_text, 'bye')\n    1 / 0", words="ZeroDivisionError", wrote="bye"
    ),
    "a handler that fails": End(
        "atexit.register(OUT.write_text, 'bye')\n    atexit.register(lambda: 1 / 0)\n    return 'x'",
        DONE,
        "x",
        wrote="bye",
        logged="ZeroDivisionError",
    ),
    "a handler that leaves": End("atexit.register(os._exit, 9)\n    return 'x'", DONE, "x"),
    "a thread that ends": End(
        "threading.Thread(target=lambda: (time.sleep(0.05), OUT.write_text('t'))).start()\n    return 'x'",
        DONE,
        "x",
        wrote="t",
    ),
    "a daemon thread": End(
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n    return 'x'", DONE, "x"
    ),
    "a child": End("subprocess.Popen(['sleep', '1000'])\n    return 'x'", DONE, "x"),
    "a child in a session of its own": End(
        "subprocess.Popen(['sleep', '1000'], start_new_session=True)\n    return 'x'", DONE, "x"
    ),
    "a child, and a crash": End("subprocess.Popen(['sleep', '1000'])\n    os.abort()", words="SIGABRT"),
    "a daemon": End("if daemonize():\n        time.sleep(1000)\n    return 'x'", DONE, "x"),
    "a daemon, and a crash": End("if daemonize():\n        time.sleep(1000)\n    os.abort()", words="SIGABRT"),
    "a daemon that ignores signals": End(
        "if daemonize():\n        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))\n        time.sleep(1000)\n"
        "    return 'x'",
        DONE,
        "x",
    ),
    "a stopped child": End(
        "if not os.fork():\n        os.kill(os.getpid(), signal.SIGSTOP)\n    return 'x'", DONE, "x"
    ),
    "many daemons": End(
        "for _ in range(20):\n        if daemonize():\n            time.sleep(1000)\n    return 'x'", DONE, "x"
    ),
    "one that forks on": End(
        "if daemonize():\n        while True:\n            if os.fork():\n                os._exit(0)\n"
        "            os.setsid()\n    return 'x'",
        DONE,
        "x",
    ),
    "a child that goes on as the agent": End(
        "if os.fork():\n        os._exit(5)\n    time.sleep(1000)\n    return 'x'", words="left with status 5"
    ),
    "a child that returns first": End(
        "if child := os.fork():\n        os.waitpid(child, 0)\n    return 'agent' if child else 'child'", DONE, "agent"
    ),
    "a mask of signals": End("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 60))\n    return 'x'", DONE, "x"),
    "another directory": End("os.chdir('/')\n    return os.getcwd()", DONE, "/"),
    "no more descriptors": End("resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\n    return 'x'", DONE, "x"),
    "a log that it deletes": End(
        "os.unlink(os.readlink('/proc/self/fd/1')) if 0 else print('y')\n    return 'x'", DONE, "x"
    ),
    "an output that it closes": End("os.close(1)\n    os.close(2)\n    return 'x'", DONE, "x"),
    "a stdout that it closes": End("sys.stdout.close()\n    return 'x'", DONE, "x"),
    "a stdout that is none": End("sys.stdout = None\n    return 'x'", DONE, "x"),
    "a stdout that it detaches": End("sys.stdout.detach()\n    return 'x'", DONE, "x"),
    "a stdout that cannot flush": End("sys.stdout = object()\n    return 'x'", DONE, "x"),
    "a stdout that it closes, and an error": End(
        "sys.stdout.close()\n    raise ValueError('v')", words="ValueError at"
    ),
    "a stderr that it closes, and an error": End(
        "sys.stderr.close()\n    raise ValueError('v')", words="ValueError at"
    ),
    "a traceback that it breaks": End(
        "import traceback\n    traceback.print_exception = None\n    raise ValueError('v')", words="ValueError at"
    ),
    "an object of its module with a last wish": End(
        "return 'x'",
        DONE,
        "x",
        head="class Wish:\n    def __del__(self): OUT.write_text('wished')\n\nWISH = Wish()",
        wrote="wished",
    ),
    "output through the device": End(
        "open('/dev/stdout', 'w').write('out ')\n    open('/dev/stderr', 'a').write('err ')\n"
        "    open('/proc/self/fd/1', 'w').write('fd')\n    return 'x'",
        DONE,
        "x",
        logged="out err fd",
    ),
    "a last word and a kill": End(
        "sys.stdout.write('last word\\n')\n    os.kill(os.getpid(), 9); await anyio.sleep_forever()",
        words="SIGKILL",
        logged="last word",
    ),
    "replies that nobody reads": End(
        "call = json.dumps({'call': 'llm.chat', 'messages': [{'role': 'user', 'content': 'large'}]})\n"
        "    for id in range(200):\n"
        '        say(agent, b\'{"id":%d,"stream":false,"call":%b}\\n\' % (id, call.encode()))\n'
        "    os._exit(6)",
        words="left with status 6",
    ),
}
"""Told apart from those of CANCELLED, which do not end by themselves."""
CANCELLED = {
    "a sleep": End("ready(task)\n    await anyio.sleep(1000)"),
    "a blocking sleep": End("ready(task)\n    time.sleep(1000)"),
    "a loop": End("ready(task)\n    while True:\n        pass"),
    "one that ignores SIGTERM": End(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    ready(task)\n    time.sleep(1000)"
    ),
    "one that swallows its cancellation": End(
        "ready(task)\n    while True:\n        with suppress(BaseException):\n            await anyio.sleep(1000)"
    ),
    "one that is stopped": End("ready(task)\n    os.kill(os.getpid(), signal.SIGSTOP)"),
    "one with a child": End("subprocess.Popen(['sleep', '1000'])\n    ready(task)\n    await anyio.sleep(1000)"),
    "one with a daemon": End("if daemonize():\n        time.sleep(1000)\n    ready(task)\n    await anyio.sleep(1000)"),
    "a finally": End(
        "try:\n        ready(task)\n        await anyio.sleep(1000)\n    finally:\n        OUT.write_text('f')"
    ),
    "a finally around what blocks": End(
        "try:\n        ready(task)\n        time.sleep(1000)\n    finally:\n        OUT.write_text('f')"
    ),
    "a finally around a loop": End(
        "try:\n        ready(task)\n        while True:\n            pass\n    finally:\n        OUT.write_text('f')"
    ),
    "a finally in another task": End(
        "async with anyio.create_task_group() as tasks:\n        tasks.start_soon(other, task)",
        head="async def other(task):\n    try:\n        ready(task)\n        await anyio.sleep(1000)\n    finally:\n"
        "        OUT.write_text('f')\n",
    ),
    "a finally that hangs": End(
        "try:\n        ready(task)\n        await anyio.sleep(1000)\n    finally:\n        time.sleep(1000)"
    ),
    "a child that is waited for": End(
        "with subprocess.Popen(['sleep', '1000']) as child:\n        try:\n            ready(task)\n"
        "            child.wait()\n        finally:\n            child.kill()\n            OUT.write_text('f')"
    ),
    "a handler of atexit": End("atexit.register(OUT.write_text, 'f')\n    ready(task)\n    await anyio.sleep(1000)"),
    "a thread": End(
        "threading.Thread(target=time.sleep, args=(1000,)).start()\n    ready(task)\n    await anyio.sleep(1000)"
    ),
}


class Large:
    """A model with long answers."""

    async def run(self, turn: Turn) -> Reply:
        return ChatReply(text="x" * 4_000_000)


@asynccontextmanager
async def kernel(place: Path) -> AsyncIterator[Run]:
    async with SqliteJournal(place / "j.db") as journal, ProcessHost(place / "logs", [place], UNWALLED) as host:
        limits = Limits(agent_time_limit_s=200)  # none of them comes near it, however slow the machine
        async with lone_run(
            [Lane("llm", Large(), Fifo(), 4, meter=ChatMeter())], by_family, host, journal, limits=limits
        ) as kernel:
            yield kernel


def program(place: Path, name: str, end: End) -> str:
    stem = "".join(letter if letter.isalnum() else "_" for letter in name)
    (place / f"{stem}.py").write_text(f"{HEAD}{end.head}{end.main}    {end.body}\n")
    return stem


def what_is_wrong(place: Path, stem: str, end: End, process: ProcessInfo) -> str:
    """How an agent's end differs from what is right; empty if it does not."""
    code, message = (process.error or {}).get("code"), str((process.error or {}).get("message"))
    if process.state is not end.state:
        return f"{process.state}: {process.result or message}"
    if end.state is DONE and process.result != end.words:
        return f"result {process.result!r}"
    if end.state is FAILED and (code != end.code or end.words not in message):
        return f"{code}: {message}"
    if "sub-exception" in message or "Traceback" in message:
        return message
    if end.wrote and not (out := place / f"{stem}.py.out").exists():
        return "nothing was written"
    if end.wrote and end.wrote.encode() not in out.read_bytes():
        return f"it wrote {out.read_bytes()!r}"
    log = (place / "logs" / f"{process.pid}.log").read_text()
    return "" if end.logged in log else f"its log: {log}"


def is_held(lock: Path) -> bool:
    """Whether a process that holds the lock is left."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def zygote() -> psutil.Process:
    (found,) = [each for each in psutil.Process().children() if "aios.hosts.zygote" in each.cmdline()]
    return found


async def test_every_end_of_an_agent_is_told_as_it_was_and_leaves_nothing_behind(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    # Half of them on each, for the kernel's side is the same for all.
    ends = dict(list(ENDS.items())[anyio_backend_name == "trio" :: 2])
    wrong: dict[str, str] = {}
    async with kernel(tmp_path) as running:

        async def end(name: str, end: End) -> None:
            stem = program(tmp_path, name, end)
            lock = tmp_path / f"{stem}.lock"
            pid = (await running.submit(Spawn(program=stem, task=str(lock)))).pid
            process = (await running.submit(Wait(pid=pid))).process
            why = what_is_wrong(tmp_path, stem, end, process)
            if why or is_held(lock):
                wrong[name] = why or "it left a process behind"

        limiter = anyio.CapacityLimiter(8)

        async def limited(name: str, of: End) -> None:
            async with limiter:
                await end(name, of)

        async with anyio.create_task_group() as tasks:
            for name, of in ends.items():
                tasks.start_soon(limited, name, of)
        assert zygote().children(recursive=True) == []
    assert not wrong, pprint.pformat(wrong)
    assert len(ENDS) >= 100


async def test_every_agent_that_is_cancelled_is_gone_with_its_children_and_has_run_its_finally(tmp_path: Path) -> None:
    async with kernel(tmp_path) as running:
        stems = {name: program(tmp_path, name, end) for name, end in CANCELLED.items()}
        locks = {name: tmp_path / f"{stem}.lock" for name, stem in stems.items()}
        pids = {}
        for name, stem in stems.items():
            pids[name] = (await running.submit(Spawn(program=stem, task=str(locks[name])))).pid
        while not all(Path(f"{lock}.ready").exists() for lock in locks.values()):
            await anyio.sleep(0.01)
        async with anyio.create_task_group() as tasks:
            for pid in pids.values():
                tasks.start_soon(running.submit, Kill(pid=pid))
        assert zygote().children(recursive=True) == []
        wrong = {name: "left behind" for name, lock in locks.items() if is_held(lock)}
        for name, pid in pids.items():
            process = (await running.submit(Wait(pid=pid))).process
            expected = End("", KILLED, wrote="f" if "OUT" in CANCELLED[name].body + CANCELLED[name].head else "")
            if why := what_is_wrong(tmp_path, stems[name], expected, process):
                wrong[name] = why
    assert not wrong, pprint.pformat(wrong)


async def test_an_agent_ignores_nothing_that_a_shell_in_the_background_ignores(tmp_path: Path) -> None:
    signals = (signal.SIGQUIT, signal.SIGHUP, signal.SIGINT)
    before = {each: signal.signal(each, signal.SIG_IGN) for each in signals}
    ends = {"SIGQUIT": "ended by SIGQUIT", "SIGHUP": "ended by SIGHUP", "SIGINT": "KeyboardInterrupt"}
    try:
        async with kernel(tmp_path) as running:
            for name, words in ends.items():
                end = End(DIES.format(name), words=words)
                pid = (await running.submit(Spawn(program=program(tmp_path, name, end), task=str(tmp_path / name)))).pid
                process = (await running.submit(Wait(pid=pid))).process
                assert process.state is FAILED
                assert words in str((process.error or {}).get("message"))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


KERNEL = """
import sys
from pathlib import Path
import anyio
from tests.hosts import test_ends

async def main(place):
    async with test_ends.kernel(place) as kernel:
        for name, end in test_ends.CANCELLED.items():
            stem = test_ends.program(place, name, end)
            await kernel.submit(test_ends.Spawn(program=stem, task=str(place / f"{stem}.lock")))
        await anyio.sleep_forever()

anyio.run(main, Path(sys.argv[1]))
"""


async def test_a_kernel_that_is_killed_leaves_no_agent_and_nothing_that_one_has_started(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = code_command(KERNEL, str(tmp_path))
    async with await anyio.open_process(command, env=environment, stdout=None, stderr=None) as process:
        while len(list(tmp_path.glob("*.ready"))) < len(CANCELLED):
            assert process.returncode is None
            await anyio.sleep(0.01)
        process.kill()
    while held := [lock for lock in tmp_path.glob("*.lock") if is_held(lock)]:
        await anyio.sleep(0.01)
    assert not held
