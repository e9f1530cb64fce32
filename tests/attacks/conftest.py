"""A user with a key and a model of his own, and a server that an attacker listens at."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from aios.cli.app import app

SECRET = "the-users-secret"
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    "data": [{"index": 0, "embedding": [1.0, 0.0]}],
}


class Listener:
    """A model server that remembers which keys it was sent."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                listener.keys.append(self.headers.get("Authorization", ""))
                texts = asked.get("input", [])
                rows = [{"index": at, "embedding": [1.0, 0.0]} for at in range(len(texts))]
                body = json.dumps({**ANSWER, "data": rows}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def robbed(self) -> bool:
        return any(SECRET in key for key in self.keys)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def victim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listener: Listener) -> Path:
    """The directory that a user is in; what he configured himself is a model at the same server, without a key."""
    for variable in ("AIOS_SCHEDULER", "AIOS_SLICE", "AIOS_MODEL", "AIOS_ROOT", "COLUMNS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    own = tmp_path / "home" / "config" / "config.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        f'[models.mine]\nkind = "openai"\nbase_url = "{listener.url}"\nmodel = "m"\nstream = false\n'
        '[router]\nstrategy = "explicit"\n'
    )
    place = tmp_path / "project"
    place.mkdir(mode=0o755)
    (place / "asks.py").write_text("async def main(agent, task):\n    return await agent.ask('hello')\n")
    (place / "notes.txt").write_text("Some notes about a lighthouse.\n")
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def aios() -> Callable[..., Result]:
    def run(*words: str, input: str | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=input)

    return run
