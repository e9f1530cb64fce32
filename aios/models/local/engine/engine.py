"""All running generations, one step at a time: a token for each that writes, a piece of prompt for some that read.

In exact mode what a generation writes depends on nothing but itself. llama.cpp computes a token's state with other
kernels, hence other last bits, when it is alone in its sequence's part of a batch than when it has neighbours. So a
prompt is always read two or more tokens at a time, an answer always one token at a time, also when it is computed
again or is part of a conversation's next prompt, and the two never meet in one decode (llama.cpp would part them
anyway, into parts of equal length).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aios.context import Tiers
from aios.models.local.engine.chunk_sizer import ChunkSizer
from aios.models.local.engine.generation import Finish, Generation
from aios.models.local.engine.kv_store import KVStore
from aios.models.local.engine.llama import Floats, LlamaContext, LlamaModel, ModelShape, pack
from aios.models.local.engine.ranking import Scoring
from aios_syscalls import AiosError

TRIALS = 3
"""Measurements of each number of threads."""
MIN_DECODE_TOKENS = 16
"""Tokens left of a step's budget that are worth another decode: few are read at half the speed."""


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What a step did for one generation. With an `end`, the slice is over: paused, finished, or failed."""

    generation: Generation
    tokens: Sequence[int] = ()
    text: str = ""
    end: Finish | AiosError | None = None
    paused: bool = False


@dataclass(slots=True)
class StepWork:
    """What was computed since the start."""

    steps: int = 0
    read_tokens: int = 0
    written_tokens: int = 0
    again_tokens: int = 0
    """Tokens that an answer, or an earlier one of its conversation, had, computed once more: their state was gone."""


class Engine:
    """Steps up to `shape.slots` generations of one model."""

    def __init__(self, model: LlamaModel, shape: ModelShape, tiers: Tiers, pace: ChunkSizer | None = None) -> None:
        self.work = StepWork()
        self._context = LlamaContext(model, shape)
        self._shape, self._tiers = shape, tiers
        self._kv_store = KVStore(self._context, tiers)
        self._pace = pace or ChunkSizer()
        self._running: list[Generation] = []
        self._paused: dict[int, Generation] = {}

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""
        return bool(self._running)

    def run(self, generation: Generation, budget: int | None) -> None:
        """Begin or continue a generation, for a slice of `budget` tokens. No more than the slots may run at once."""
        self._paused.pop(generation.id, None)
        generation.budget = budget
        self._kv_store.resume(generation, self._running)
        self._running.append(generation)

    def paused(self, id: int) -> Generation | None:
        """The paused generation of that id, if it is here."""
        return self._paused.get(id)

    def drop(self, id: int) -> None:
        """End a generation, running or paused, if it is here."""
        for generation in [each for each in (*self._running, *self._paused.values()) if each.id == id]:
            self._leave(generation)

    def demote(self, pid: int) -> None:
        """What is kept of a process's contexts goes before that of others."""
        self._kv_store.demote(pid)

    def step(self) -> list[StepOutput]:
        """Compute once for everybody; what came of it for whom."""
        self.work.steps += 1
        over = [StepOutput(each, end=each.finish) for each in self._running if each.finish]
        for output in over:
            self._leave(output.generation)
        self._kv_store.gather(self._running)
        reading = [each for each in self._running if each.together]
        writing = [each for each in self._running if not each.together]
        return over + self._write(writing) + self._read(reading, self._pace.budget(bool(writing)))

    def _write(self, writing: list[Generation]) -> list[StepOutput]:
        """One token of each answer: the next, or one that was written before and is computed again."""
        if not writing:
            return []
        began = time.perf_counter()
        writing = sorted(writing, key=self._kv_store.slot)
        last = [number for number, each in enumerate(writing) if each.computed == len(each.tokens) - 1]
        logits = self._context.decode(
            pack([each.tokens[each.computed] for each in writing]),
            pack([each.computed for each in writing]),
            pack([self._kv_store.slot(each) for each in writing]),
            pack(last),
        )
        for each in writing:
            self._advance(each, 1)
        self.work.again_tokens += len(writing) - len(last)
        outputs = [self._draw(writing[number], row) for number, row in zip(last, logits, strict=True)]
        self._pace.wrote(time.perf_counter() - began)
        return outputs

    def _read(self, reading: list[Generation], budget: int) -> list[StepOutput]:
        """Pieces of prompts, first come first served: so whoever comes later finds a common beginning read."""
        outputs = []
        least = min(MIN_DECODE_TOKENS, budget)
        for generation in reading:
            if budget < least:
                break
            if not generation.computed:
                self._kv_store.share(generation)
            begin, left = generation.computed, generation.together
            if not left:
                continue  # what is shared ends before an earlier answer
            size = min(left, budget)
            # A token left over would have to be computed alone.
            size -= left - size == 1
            wanted = generation.wanted(begin, begin + size)
            began = time.perf_counter()
            logits = self._context.decode(
                pack(generation.tokens[begin : begin + size]),
                np.arange(begin, begin + size, dtype=np.int32),
                np.full(size, self._kv_store.slot(generation), np.int32),
                pack([position - begin for position in wanted]),
            )
            self._pace.read(size, time.perf_counter() - began)
            self._advance(generation, size)
            budget -= size
            self.work.read_tokens += size
            if isinstance(generation, Scoring):
                outputs += self._score(generation, wanted, logits)
            else:
                outputs += [self._draw(generation, row) for row in logits]
        return outputs

    def _advance(self, generation: Generation, count: int) -> None:
        reads = generation.computed < generation.start
        generation.computed += count
        if reads and generation.computed >= generation.start:
            self._kv_store.publish(generation)

    def _score(self, scoring: Scoring, positions: Sequence[int], logits: Floats) -> list[StepOutput]:
        try:
            scoring.see(positions, logits)
        except AiosError as error:
            return [self._end(StepOutput(scoring, end=error))]
        return [] if scoring.computed < scoring.start else [self._end(StepOutput(scoring, end="stop"))]

    def _draw(self, generation: Generation, logits: Floats) -> StepOutput:
        try:
            drawn = generation.draw(logits)
        except AiosError as error:
            return self._end(StepOutput(generation, end=error))
        if drawn is None:
            return self._end(StepOutput(generation, end="stop"))
        self.work.written_tokens += 1
        token, text = drawn
        if generation.budget is not None:
            generation.budget -= 1
        if generation.finish or generation.budget == 0:
            return self._end(StepOutput(generation, [token], text, generation.finish, paused=not generation.finish))
        return StepOutput(generation, [token], text)

    def _end(self, output: StepOutput) -> StepOutput:
        if output.paused:
            self._running.remove(output.generation)
            self._paused[output.generation.id] = output.generation
        else:
            self._leave(output.generation)
        return output

    def _leave(self, generation: Generation) -> None:
        if generation in self._running:
            self._running.remove(generation)
        self._paused.pop(generation.id, None)
        self._kv_store.leave(generation)
        generation.close()

    def statistics(self) -> dict[str, Any]:
        """Counts since the start, and what is here now."""
        reuse, tiers = self._kv_store.reuse, self._tiers.counts
        found = {"resident": reuse.resident, "memory": tiers.memory_hits, "disk": tiers.disk_hits}
        wanted = sum(found.values()) + reuse.missed
        return {
            **asdict(self.work),
            **asdict(reuse),
            **asdict(tiers),
            "hit_rates": {tier: count / wanted if wanted else 0.0 for tier, count in found.items()},
            "read_token_s": self._pace.read_token_s,
            "write_step_s": self._pace.write_step_s,
            "running": len(self._running),
            "paused": len(self._paused),
        }

    def exact(self) -> bool:
        """Whether a token's logits have the same bits alone as with neighbours; so for most quantizations on a CPU.

        Like `tune`, it uses all sequences, so only before the first generation.
        """
        together, alone = self._probe(self._shape.slots)[0], self._probe(1)[0]
        return bool((together == alone).all())

    def tune(self) -> int:
        """Find how many threads compute a lone token fastest; in small models they wait longer than they compute."""
        most = self._shape.threads_batch
        times: dict[int, float] = {}
        for threads in sorted({1, most, *(2**power for power in range(1, most.bit_length()))}):
            self._context.use_threads(threads, most)
            times[threads] = min(self._probe(1)[1] for _ in range(TRIALS))
        best = min(times, key=lambda threads: times[threads])
        self._context.use_threads(best, most)
        return best

    def _probe(self, count: int) -> tuple[Floats, float]:
        """Let some sequences go on by a token, all alike: the logits of the first, and how many seconds it took."""
        start, everyone = np.arange(2, dtype=np.int32), np.arange(count, dtype=np.int32)
        for each in everyone:
            self._context.decode(pack([1, 2]), start, np.full(2, each, np.int32), pack([]))
        began = time.perf_counter()
        (logits,) = self._context.decode(np.full(count, 3, np.int32), np.full(count, 2, np.int32), everyone, pack([0]))
        logits, took = logits.copy(), time.perf_counter() - began
        for sequence in range(count):
            self._context.cut(sequence, 0)
        return logits, took

    def close(self) -> None:
        """Free the cache and everything kept."""
        for generation in (*self._running, *self._paused.values()):
            generation.close()
        self._tiers.close()
        self._context.close()
