"""Any server that speaks OpenAI's `POST /embeddings`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np

from aios_storage.embedders import Floats
from aios_syscalls.errors import BadRequest, ModelFailed

BATCH = 64
"""Texts in one request."""
TIMEOUT_S = 120.0
KEY = "OPENAI_API_KEY"


class Remote:
    """The model behind `URL#MODEL`, as `http://127.0.0.1:8080/v1#nomic`; the key, if any, is in the environment.

    Raises BadRequest for what is no such URL, ModelFailed when the server does not answer or answers nonsense.
    """

    context = 8192

    def __init__(self, argument: str) -> None:
        url, _, self._model = argument.partition("#")
        if urlsplit(url).scheme not in ("http", "https") or not self._model:
            raise BadRequest(f"{argument!r} is no URL#MODEL; write for example openai:http://host/v1#model", "embedder")
        self._url = url.rstrip("/") + "/embeddings"
        self.id = f"openai/{self._model}"

    @cached_property
    def dimension(self) -> int:
        """As the server's first answer has it."""
        return int(self._ask(["dimension"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Floats:
        parts = [self._ask(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> Floats:
        row: Floats = self._ask([text])[0]
        return row

    def _ask(self, texts: Sequence[str]) -> Floats:
        # Servers refuse the empty text; a blank one means as little.
        body = {"model": self._model, "input": [text or " " for text in texts], "encoding_format": "float"}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(self._url, json.dumps(body).encode(), headers)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:
                return _rows(json.load(answer), len(texts))
        except HTTPError as error:
            said = error.read(500).decode("utf-8", "replace").strip()
            hint = f"set {KEY}" if error.code in (401, 403) else "check its URL and model"
            raise ModelFailed(f"{self._url} answered {error.code} {error.reason}: {said}; {hint}") from error
        except (URLError, OSError) as error:
            raise ModelFailed(f"{self._url} cannot be reached: {error}; is the server up?") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFailed(f"{self._url} answered no embeddings ({error}); does it serve /embeddings?") from error


def _rows(answer: Any, count: int) -> Floats:
    """The vectors of an answer, of length one and in the order of their texts."""
    found = sorted(answer["data"], key=lambda each: each["index"])
    rows = np.array([each["embedding"] for each in found], np.float32)
    if rows.ndim != 2 or len(rows) != count or not np.isfinite(rows).all():
        raise ValueError(f"{len(found)} vectors for {count} texts")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("a vector of zeros")
    unit: Floats = rows / lengths
    return unit
