"""The real model, loaded once for all tests of the local model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aios.models.local.supervisor.process import THREADS

# libgomp reads it when llama.cpp is loaded.
os.environ.update(THREADS)

from aios.artifacts import model_path
from aios.context.tiers import Tiers
from aios.models.local.engine.chunk_sizer import ChunkSizer
from aios.models.local.engine.engine import Engine
from aios.models.local.engine.llama import LlamaModel, ModelShape
from aios.models.local.engine.quantize import faster
from aios.models.local.engine.template import Template

CONTEXT = 256
DEVELOPMENT = Path("~/.cache/aios-dev/models/SmolLM2-135M-Instruct.Q4_1.gguf").expanduser()

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def shipped_gguf() -> Path:
    """The default model's file, as it is shipped."""
    named = os.environ.get("AIOS_TEST_GGUF")
    for path in [Path(named)] if named else [model_path(), DEVELOPMENT]:
        if path.is_file():
            return path
    pytest.fail(f"no model at {model_path()}; run: python -m aios.artifacts")


@pytest.fixture(scope="session")
def gguf(shipped_gguf: Path) -> Path:
    """The file that the local model makes of it."""
    path, note = faster(shipped_gguf)
    assert "Q8_0" in note
    return path


@pytest.fixture(scope="session")
def llama(gguf: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(gguf)
    yield model
    model.close()


@pytest.fixture(scope="session")
def template(llama: LlamaModel) -> Template:
    return Template(llama)


@pytest.fixture
def make_engine(llama: LlamaModel, tmp_path: Path) -> Iterator[MakeEngine]:
    """Engines over the model, with few slots and a short context."""
    engines: list[Engine] = []

    def make(
        slots: int = 3,
        memory_bytes: int = 1 << 28,
        disk_bytes: int = 1 << 28,
        exact: bool = True,
        pace: ChunkSizer | None = None,
    ) -> Engine:
        tiers = Tiers(memory_bytes, disk_bytes, tmp_path)
        shape = ModelShape(slots, CONTEXT, threads=2, threads_batch=2, exact=exact)
        engines.append(Engine(llama, shape, tiers, pace))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()
