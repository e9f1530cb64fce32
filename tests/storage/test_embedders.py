"""Embedders: the default one against what is known of vectors, a server's, and the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aios.artifacts import EMBEDDER, Artifact, is_whole
from aios_storage.embedders import Embedder, open_embedder
from aios_storage.embedders.granite import Granite
from aios_storage.embedders.openai import Remote
from aios_syscalls.errors import BadRequest, ModelFailed, NotFound


@pytest.fixture(scope="module")
def granite() -> Granite:
    if not EMBEDDER.path.is_file():
        pytest.fail(f"no embedding model at {EMBEDDER.path}; run: python -m aios.artifacts")
    return Granite(EMBEDDER.path)


def test_vectors_have_length_one_and_the_dimension_that_is_said(granite: Granite) -> None:
    rows = granite.embed(["a text", "another, longer text about something else", ""])
    assert rows.shape == (3, granite.dimension)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)


def test_a_text_has_the_same_bits_alone_among_others_and_on_threads(granite: Granite) -> None:
    texts = ["one", "two words", "three words here " * 30, "four"]
    together = granite.embed(texts)
    threaded = Granite(EMBEDDER.path, threads=2).embed(texts)
    for text, row, other in zip(texts, together, threaded, strict=True):
        assert (granite.embed([text])[0] == row).all()
        assert (row == other).all()
        assert (granite.embed_query(text) == row).all()


def test_what_is_related_is_nearer(granite: Granite) -> None:
    pairs = [
        ("the central bank raises rates", "interest rates go up", "a puppy barks at the postman"),
        ("def read_lines(path): return open(path).readlines()", "read a file line by line", "sort a dictionary"),
        ("vitamin B12 deficiency", "low levels of cobalamin in the blood", "the history of Rome"),
    ]
    for text, related, other in pairs:
        one, near, far = granite.embed([text, related, other])
        assert one @ near > one @ far + 0.05


def test_vectors_are_those_of_the_model_as_it_was_trained(granite: Granite) -> None:
    """The first numbers as the model gives them in float32, by a forward pass written down without any runtime."""
    reference = {
        "hello world": [-0.0012, 0.0077, 0.0331, 0.058, -0.0157, -0.0599],
        "How do I read a file line by line in Python?": [-0.0993, 0.0694, -0.0516, -0.035, -0.0317, -0.0059],
        "The central bank raised interest rates.": [-0.0197, 0.0666, -0.0274, -0.0111, -0.0876, -0.0708],
    }
    for text, numbers in reference.items():
        assert granite.embed([text])[0][: len(numbers)] == pytest.approx(numbers, abs=0.006)


EMBED = """
import pathlib, sys
from aios_storage.embedders.granite import Granite
Granite(pathlib.Path(sys.argv[1])).embed(["text"])
"""


@pytest.mark.whole
def test_the_runtime_prepares_nothing_to_be_sent_to_its_makers(tmp_path: Path) -> None:
    """Its telemetry begins with a device's id and a queue on disk. It has none where it believes to be in a CI."""
    quiet = ("CI", "TF_BUILD", "BUILD_BUILDID", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", EMBED, str(EMBEDDER.path)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_beyond_the_context_does_not_count() -> None:
    short = Granite(EMBEDDER.path, context=16)
    words = "alpha beta gamma delta " * 20
    assert (short.embed([words])[0] == short.embed([words + "something else entirely"])[0]).all()
    assert (short.embed(["alpha"])[0] != short.embed(["alpha beta"])[0]).any()


def test_any_text_has_a_vector(granite: Granite) -> None:
    for text in ["", " ", "\0", "\ud800 lone", "日本語 🎉", "x" * 100_000, "\n" * 5000]:
        assert np.isfinite(granite.embed([text])).all()
    assert granite.embed([]).shape == (0, granite.dimension)


def test_a_pack_that_is_missing_or_damaged_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"aios\.artifacts"):
        Granite(tmp_path / "none").embed(["x"])
    data = EMBEDDER.path.read_bytes()
    for number, wrong in enumerate([b"", b"GGUF" + data[4:1000], data[:100_000], data[:-10]]):
        damaged = tmp_path / f"{number}"
        damaged.write_bytes(wrong)
        with pytest.raises(ModelFailed, match=r"aios\.artifacts"):
            Granite(damaged).embed(["x"])


def test_the_table_opens_by_name() -> None:
    found: Embedder = open_embedder(f"granite:{EMBEDDER.path}")
    assert found.embed(["x"]).shape == (1, found.dimension)
    with pytest.raises(NotFound, match="granite, hashing, openai"):
        open_embedder("word2vec:x")


def test_the_pinned_file_is_told_from_another(tmp_path: Path) -> None:
    artifact = Artifact(
        "a thing", "thing", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", 3, "p", 1
    )
    for data, whole in [(b"foo", True), (b"fop", False), (b"fo", False)]:
        (tmp_path / "thing").write_bytes(data)
        assert is_whole(tmp_path / "thing", artifact) is whole
    assert is_whole(EMBEDDER.path, EMBEDDER)


@contextmanager
def server(answer: Any, status: int = 200) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers `answer(request)`, its address, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
            data = json.dumps(answer(body)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/v1", asked
        finally:
            listening.shutdown()
            thread.join()


def lengths(body: dict[str, Any]) -> dict[str, Any]:
    """Each text's length beside 1, in the wrong order."""
    found = [{"index": at, "embedding": [len(text), 1.0]} for at, text in enumerate(body["input"])]
    return {"data": found[::-1]}


def test_a_server_is_asked_in_parts_and_its_vectors_are_put_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with server(lengths) as (url, asked):
        remote = open_embedder(f"openai:{url}#nomic")
        rows = remote.embed(["x" * count for count in range(100)])
        assert rows.shape == (100, 2)
        assert remote.dimension == 2
        assert remote.id == "openai/nomic"
        assert [round(row[0] / row[1]) for row in rows] == [1, *range(1, 100)]
    assert {(each["path"], each["model"], each["key"]) for each in asked} == {
        ("/v1/embeddings", "nomic", "Bearer secret")
    }
    assert [len(each["input"]) for each in asked] == [64, 36, 1]


@pytest.mark.parametrize("nonsense", [{}, {"data": []}, {"data": [{"index": 0, "embedding": [0, 0]}]}, [1]])
def test_a_server_that_answers_nonsense_is_an_error(nonsense: Any) -> None:
    with server(lambda _: nonsense) as (url, _), pytest.raises(ModelFailed, match="answered no embeddings"):
        Remote(f"{url}#m").embed(["x"])


def test_a_server_that_refuses_or_is_not_there_is_an_error() -> None:
    with server(lambda _: {"error": "no such model"}, 404) as (url, _):
        with pytest.raises(ModelFailed, match="no such model"):
            Remote(f"{url}#m").embed(["x"])
    with pytest.raises(ModelFailed, match="cannot be reached"):
        Remote(f"{url}#m").embed(["x"])
    for wrong in ["", "host#m", "http://host/v1"]:
        with pytest.raises(BadRequest, match="URL#MODEL"):
            Remote(wrong)
