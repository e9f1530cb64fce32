"""Fixtures for every test."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec"})
"""What Python tells its audit hooks where it starts a process."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="no test that needs a model, Chroma or a child process")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: needs a model, Chroma or a child process; left out by --fast")
    if config.getoption("--fast"):
        config.pluginmanager.register(Children())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fast"):
        whole = [item for item in items if item.get_closest_marker("whole")]
        config.hook.pytest_deselected(items=whole)
        items[:] = [item for item in items if item not in set(whole)]


class Children:
    """Fails a test that starts a process and is not marked `whole`, so that the marks stay true."""

    def __init__(self) -> None:
        self._started: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, _arguments: tuple[object, ...]) -> None:
        if event in STARTS:
            self._started.append(event)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[None]:
        self._started.clear()
        result = yield
        assert not self._started, f"it starts a process ({self._started[0]}): mark it with pytest.mark.whole"
        return result


@pytest.fixture(scope="session")
def states(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Directories that are not there yet. pytest's own factory looks at all that it has made before it makes one."""
    place = tmp_path_factory.mktemp("states")
    return (place / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def no_memory_of_earlier_runs(states: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """What kernels remember is not the user's, nor that of another test; where AIOS_HOME is set, that counts."""
    state = next(states)
    state.mkdir(0o700)
    monkeypatch.setenv("XDG_STATE_HOME", str(state))


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that failed is tried again at once: for tests of what comes after its last failure."""
    monkeypatch.setattr("aios.routing.retries.BASE_S", 0.0)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
