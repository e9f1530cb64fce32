"""The real model, one worker for the tests that do not harm it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aios.config import home
from aios.models.gguf.client import LocalModel
from aios.setup import model_path
from aios_syscalls import Chat, Message

Say = Callable[..., Chat]


@pytest.fixture
def say() -> Say:
    def make(prompt: str = "Write a story about the sea.", tokens: int = 16, **fields: Any) -> Chat:
        return Chat(messages=(Message(role="user", content=prompt),), max_tokens=tokens, **fields)

    return make


@pytest.fixture
def local() -> Callable[..., LocalModel]:
    def make(path: Path | None = None, **options: Any) -> LocalModel:
        return LocalModel(path or model_path(), cache=home("cache"), **({"context": 512} | options))

    return make
