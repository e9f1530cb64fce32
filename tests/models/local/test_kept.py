"""How much of contexts is kept: what is said beforehand is what the engine does, and whose go first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from aios.models.local.engine.engine import Engine
from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import LlamaContext, LlamaModel, ModelShape, pack
from aios.models.local.file.memory import MEBIBYTE, KeptContexts, kept
from aios_syscalls import ModelFailed, Sampling

pytestmark = pytest.mark.whole

MakeEngine = Callable[..., Engine]
TOKENS, ANSWER, MORE = 70, 4, 3
"""Of a conversation's first prompt, of each answer, and of what each turn adds."""


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("tokens", [50, 200])
def test_a_state_is_as_large_as_the_files_header_says(llama: LlamaModel, gguf: Path, exact: bool, tokens: int) -> None:
    context = LlamaContext(llama, ModelShape(2, 256, exact=exact))
    context.decode(
        np.full(tokens, 5, np.int32), np.arange(tokens, dtype=np.int32), np.full(tokens, 1, np.int32), pack([])
    )
    said = kept(gguf, 2, 256, 0, 0)
    assert said is not None
    assert context.state_bytes(1) == pytest.approx(tokens * said.token_bytes, rel=0.1)
    context.close()


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="name a GGUF file"):
        kept(tmp_path / "none.gguf", 2, 256, 0, 0)


@pytest.mark.parametrize(("memory_bytes", "disk_bytes"), [(0, 0), (1 << 29, 0), (1 << 26, 1 << 30), (20_000, 1 << 30)])
def test_as_many_contexts_of_a_length_fill_the_capacity_as_are_kept(memory_bytes: int, disk_bytes: int) -> None:
    of = KeptContexts(4, 1024, 20_000, memory_bytes, disk_bytes)
    for tokens in (1, 10, 100, 1_000, 1_024, 5_000):
        count = of.capacity / of.takes(tokens)
        assert count == pytest.approx(of.contexts(min(tokens, 1_024)), rel=0.05) or of.takes(tokens) < 20
    assert KeptContexts(4, 1024, 20_000, 0, 1 << 30).contexts(10) == 4
    assert KeptContexts(4, 1024, 20_000, 0, 0).takes(1) == 1024


class Talks:
    """Conversations with nothing in common, each of a process, one after the other on one engine."""

    def __init__(self, engine: Engine, llama: LlamaModel) -> None:
        self.engine, self._llama = engine, llama
        self._codes: dict[int, list[int]] = {}
        self._ids = 0

    def turn(self, pid: int, beginning: list[int] | None = None) -> int:
        """How many tokens a process's next turn has to read and compute again."""
        random = Random(f"{pid} {self._ids}")
        codes = self._codes.get(pid, [*(beginning or []), *random.sample(range(100, 40_000), TOKENS)])
        codes += random.sample(range(100, 40_000), MORE)
        self._ids += 1
        generation = Generation(self._ids, self._llama, codes, Sampling(), room=256, max_tokens=ANSWER, pid=pid)
        before = self.engine.work.read_tokens
        self.engine.run(generation, None)
        while self.engine.busy:
            self.engine.step()
        self._codes[pid] = generation.tagged
        return self.engine.work.read_tokens - before


@pytest.mark.parametrize(("memory_mb", "disk_mb"), [(0, 0), (8, 0), (4, 8)])
def test_what_is_said_to_be_kept_is_kept_and_no_more(
    make_engine: MakeEngine, llama: LlamaModel, gguf: Path, memory_mb: int, disk_mb: int
) -> None:
    bytes = memory_mb * MEBIBYTE, disk_mb * MEBIBYTE
    said = kept(gguf, 2, 256, *bytes)
    assert said is not None
    count = int(said.contexts(TOKENS + 2 * (MORE + ANSWER)))
    assert (count > 2) == (memory_mb > 0)
    for more in (0, 1):
        talks = Talks(make_engine(2, *bytes), llama)
        for pid in range(count + more):
            talks.turn(pid)
        again = [talks.turn(pid) for pid in range(count + more)]
        assert all(tokens > TOKENS for tokens in again) if more else all(tokens == MORE for tokens in again)


def test_who_is_let_go_goes_before_who_was_used_longer_ago(make_engine: MakeEngine, llama: LlamaModel) -> None:
    for demoted in (True, False):
        talks = Talks(make_engine(2, 0, 0), llama)
        talks.turn(1)
        talks.turn(2)
        if demoted:
            talks.engine.demote(2)
        talks.turn(3)
        assert talks.turn(1) == (MORE if demoted else TOKENS + 2 * MORE)


def test_a_beginning_that_others_took_stays_with_who_has_it(make_engine: MakeEngine, llama: LlamaModel) -> None:
    beginning = Random(5).sample(range(100, 40_000), 60)
    talks = Talks(make_engine(2, 0, 0), llama)
    talks.turn(1, beginning)
    assert talks.turn(2, beginning) == TOKENS + MORE
    # The second has it as well, and then the second alone.
    talks.engine.demote(1)
    talks.turn(3)
    talks.engine.demote(2)
    talks.engine.demote(3)
    talks.turn(4)
    talks.engine.demote(4)
    assert talks.turn(5, beginning) == TOKENS + MORE


def test_what_was_let_go_and_comes_back_is_kept_like_all(make_engine: MakeEngine, llama: LlamaModel) -> None:
    talks = Talks(make_engine(2, 0, 0), llama)
    talks.turn(1)
    talks.turn(2)
    talks.engine.demote(2)
    assert talks.turn(2) == MORE
    talks.turn(3)
    assert talks.turn(2) == MORE
