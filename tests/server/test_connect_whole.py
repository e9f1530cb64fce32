"""Programs of other processes as clients of a daemon that is a process too."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.server.connecting import TellingModel, daemon_over_http

pytestmark = pytest.mark.whole
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "connect.md"
Process = subprocess.Popen[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def daemon(home: Path) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.server.daemon_process"]
    with started(command, ROOT) as process:
        hear(process, "listening")
        yield process


@contextmanager
def started(command: list[str], directory: Path) -> Iterator[Process]:
    process = subprocess.Popen(
        command, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def script(text: str, directory: Path) -> Iterator[Process]:
    with started([sys.executable, "-c", text], directory) as process:
        yield process


def hear(process: Process, line: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == line


def test_importing_aios_loads_nothing_else_and_connecting_no_kernel() -> None:
    text = """
import sys
import aios
assert not [name for name in sys.modules if name.startswith(("aios.", "aios_", "pydantic", "anyio"))]
aios.connect
loaded = [name for name in sys.modules if name.startswith(("aios.kernel", "aios.boot", "aios.models", "numpy"))]
assert loaded == [], loaded
assert {"connect", "connect_sync", "__version__"} <= set(dir(aios))
"""
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)


def test_an_interrupt_cancels_the_call_and_leaves_the_agent_usable(daemon: Process, home: Path) -> None:
    text = """
import aios
agent = aios.connect_sync()
try:
    agent.chat("for ever", max_tokens=100_000)
except KeyboardInterrupt:
    print(agent.ask("again"), flush=True)
input()
"""
    with script(text, home) as client:
        hear(daemon, "begun")
        client.send_signal(signal.SIGINT)
        hear(client, "you said again")
        hear(daemon, "over")
        client.communicate("\n")
    assert client.returncode == 0


def test_a_client_that_is_killed_takes_its_calls_with_it(daemon: Process, home: Path) -> None:
    text = """
import aios, anyio
async def main():
    async with aios.connect() as agent:
        await agent.chat("for ever", max_tokens=100_000)
anyio.run(main, backend="trio")
"""
    with script(text, home) as client:
        hear(daemon, "begun")
        client.kill()
        hear(daemon, "over")


def test_a_forked_child_is_told_to_connect_itself_and_does_not_keep_its_parent_alive(
    daemon: Process, home: Path
) -> None:
    text = """
import aios, os, sys
agent = aios.connect_sync()
if not os.fork():
    try:
        agent.ask("from the child")
    except Exception as error:
        print(type(error).__name__, "aios.connect()" in str(error), flush=True)
    agent.close()
    with aios.connect_sync() as own:
        print(own.ask("of my own"), flush=True)
    print(os.getpid(), flush=True)
    sys.stdin.read()
    os._exit(0)
agent.chat("for ever", max_tokens=100_000)
"""
    with script(text, home) as client:
        hear(daemon, "begun")
        hear(client, "NoKernel True")
        hear(client, "you said of my own")
        assert client.stdout is not None
        child = psutil.Process(int(client.stdout.readline()))
        client.kill()
        hear(daemon, "over")
        assert child.is_running()  # the control: it has not ended with its parent
        assert client.stdin is not None
        client.stdin.close()
        child.wait(20)


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", [block for block in blocks() if "url=" not in block])
def test_what_the_page_shows_runs(block: str, daemon: Process, home: Path) -> None:
    (home / "notes.txt").write_text("Buy bread.")
    done = subprocess.run(
        [sys.executable, "-c", block], check=False, cwd=home, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "you said" in done.stdout


def test_what_the_page_shows_of_a_url_runs(home: Path) -> None:
    (block,) = [block for block in blocks() if "url=" in block]
    with daemon_over_http(TellingModel()) as over_http:
        text = block.replace("http://127.0.0.1:8765", over_http.url)
        environment = {**os.environ, "AIOS_TOKEN": "token-of-ann"}
        done = subprocess.run(
            [sys.executable, "-c", text],
            check=False,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
            env=environment,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "you said" in done.stdout
