"""The step loop: all running generations in one batch, bit for bit as if each ran alone.

llama.cpp multiplies a single column by other kernels than two or more, in another order of summation. So that a
sequence's logits never depend on who else is running, three rules hold here:

- a batch of single tokens has at least two rows: a lone one gets a pad beside it, whose token is forgotten at once;
- a prompt is read in chunks of two tokens or more, apart from the batch of single tokens;
- what is computed again (a lost state, a restarted worker) is computed as it was: the prompt in chunks, each
  generated token by itself.

llama.cpp takes tokens of consecutive sequences only into one micro-batch, so rows are kept in groups of neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from aios.context.store import StateStore
from aios.models.gguf.grammar import Grammar
from aios.models.gguf.llama import LlamaContext, LlamaModel, Logits, Row
from aios.models.gguf.sampling import choose, penalize
from aios.models.gguf.text import TextOut
from aios_syscalls import Sampling

CHUNK = 64
"""Prompt tokens a step while others generate: what they wait for at most, 0.1 to 0.2 s on two cores."""
SHARED = 32
"""Prompt tokens that must agree before copying a state is better than reading them."""


@dataclass(slots=True, eq=False)
class Sequence:
    """A stream of the KV cache. What it holds outlives its owner, for others that begin alike."""

    id: int
    owner: Generation | None = None
    prompt: list[int] = field(default_factory=list)
    length: int = 0
    """Tokens in the cache: those of the prompt, then generated ones."""


@dataclass(slots=True, eq=False)
class Generation:
    """One call's tokens and what decides the next of them; lives here from its first slice to its end."""

    id: int
    prompt: list[int]
    sampling: Sampling
    seed: int
    text: TextOut
    max_tokens: int
    grammar: Grammar | None = None
    tokens: list[int] = field(default_factory=list)
    """The prompt and what was generated."""
    sequence: Sequence | None = None
    saved: int = 0
    """How many of them the store has the state of, while it has no sequence."""
    budget: int | None = None
    """Tokens left in this slice; None is no limit, 0 is paused."""
    used: int = 0
    """When it last ran, as a count of steps."""

    def __post_init__(self) -> None:
        self.tokens = [*self.prompt, *self.tokens]

    @property
    def filled(self) -> int:
        """How many of the tokens are in the KV cache."""
        return self.sequence.length if self.sequence else 0

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.prompt)

    @property
    def prefilling(self) -> bool:
        """Whether two or more tokens of the prompt are still to be read."""
        return len(self.prompt) - self.filled > 1


@dataclass(frozen=True, slots=True)
class Output:
    """What a step did for one generation; `ended` says why when nothing more comes in this slice."""

    generation: Generation
    text: str
    ended: Literal["paused", "stop", "length"] | None


class Engine:
    """Slots of one context, and the generations on and off them."""

    def __init__(self, model: LlamaModel, slots: int, length: int, threads: int, store: StateStore) -> None:
        # One more than can run, so that every sequence has a neighbour for its pad.
        self._context = LlamaContext(model, slots + 1, length, threads)
        self._model = model
        self._store = store
        self._sequences = [Sequence(id) for id in range(slots + 1)]
        self._running: list[Generation] = []
        self.limit = length - 1
        """Tokens that a generation may hold; the last place is the pad's."""
        self.counts = {"steps": 0, "prompt_tokens": 0, "decoded_tokens": 0, "recomputed_tokens": 0, "shared_tokens": 0}

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""
        return bool(self._running)

    def run(self, generation: Generation, budget: int | None) -> None:
        """Start or continue a generation for `budget` tokens; at most as many at once as there are slots."""
        generation.budget = budget
        self._running.append(generation)
        if generation.sequence is None:
            self._place(generation)

    def drop(self, generation: Generation) -> None:
        """Forget a generation, wherever its state is."""
        if generation in self._running:
            self._running.remove(generation)
        self._store.discard(generation.id)
        if generation.sequence is not None:
            generation.sequence.owner = None
            generation.sequence = None

    def stats(self) -> dict[str, int]:
        """What was done so far, and where the states of paused generations are."""
        tiers = {f"{tier}_bytes": size for tier, size in self._store.bytes.items()}
        hits = {f"{tier}_hits": count for tier, count in self._store.hits.items()}
        return {**self.counts, **tiers, **hits}

    def step(self) -> list[Output]:
        """Advance every running generation that can be by a token, and one prompt by a chunk."""
        self.counts["steps"] += 1
        outputs = list(self._decode([each for each in self._running if not each.prefilling]))
        if reader := next((each for each in self._running if each.prefilling), None):
            outputs += self._prefill(reader, alone=len(self._running) == 1)
        for output in outputs:
            if output.ended:
                self._running.remove(output.generation)
        return outputs

    def _decode(self, singles: list[Generation]) -> Iterator[Output]:
        by_id = {each.sequence.id: each for each in singles if each.sequence}
        for group in self._groups(sorted(by_id)):
            rows = [self._row(self._sequences[id], by_id.get(id)) for id in group]
            logits = iter(self._context.decode(rows))
            for id in group:
                if (each := by_id.get(id)) is None:
                    self._context.truncate(id, self._sequences[id].length)
                    continue
                self.counts["decoded_tokens"] += 1
                self._sequences[id].length += 1
                if each.filled == len(each.tokens):
                    yield self._sample(each, next(logits))

    def _groups(self, sequences: list[int]) -> Iterator[range]:
        """Runs of neighbouring sequences, each of two or more, one missing in between made up for by a pad."""
        first = 0
        for at, sequence in enumerate(sequences):
            last = at + 1 == len(sequences) or sequences[at + 1] - sequence > 2
            if last:
                low, high = sequences[first], sequence + 1
                yield range(low, high) if high - low > 1 else range(low, high + 1)
                first = at + 1

    def _row(self, sequence: Sequence, generation: Generation | None) -> Row:
        """The next token of a generation, or a pad behind what a neighbour holds."""
        at = sequence.length
        if generation is None:
            return Row(sequence.id, at, [0], wanted=False)
        return Row(sequence.id, at, [generation.tokens[at]], wanted=at + 1 == len(generation.tokens))

    def _prefill(self, generation: Generation, *, alone: bool) -> list[Output]:
        assert generation.sequence
        start = generation.filled
        left = len(generation.prompt) - start
        size = min(left, self._context.batch if alone else CHUNK)
        if left - size == 1:
            size -= 1  # a chunk of one would be multiplied otherwise
        end = start + size
        wanted = end == len(generation.tokens)
        logits = self._context.decode([Row(generation.sequence.id, start, generation.tokens[start:end], wanted)])
        generation.sequence.length = end
        self.counts["prompt_tokens"] += size
        return [self._sample(generation, logits[0])] if wanted else [Output(generation, "", None)]

    def _sample(self, generation: Generation, logits: Logits) -> Output:
        token = _next(generation, logits)
        if token is None or self._model.ends(token):
            return Output(generation, generation.text.finish(), "stop")
        generation.tokens.append(token)
        generation.used = self.counts["steps"]
        text = generation.text.add(self._model.piece(token))
        if generation.grammar:
            generation.grammar.accept(token)
        if generation.text.stopped:
            return Output(generation, text, "stop")
        if generation.generated >= generation.max_tokens or len(generation.tokens) >= self.limit:
            return Output(generation, text + generation.text.finish(), "length")
        if generation.budget is not None:
            generation.budget -= 1
            if generation.budget == 0:
                return Output(generation, text, "paused")
        return Output(generation, text, None)

    def _place(self, generation: Generation) -> None:
        """Give a generation a sequence, and as much of its state as there still is."""
        sequence = self._sequence()
        state = self._store.take(generation.id) if generation.saved else None
        if state is not None and self._context.load(sequence.id, state):
            sequence.length = generation.saved
        else:
            self.counts["recomputed_tokens"] += generation.saved
            self._share(generation, sequence)
        sequence.owner, sequence.prompt = generation, generation.prompt
        generation.sequence, generation.saved = sequence, 0

    def _sequence(self) -> Sequence:
        """The first free sequence, or else that of the generation that has been paused the longest."""
        slots = self._sequences[:-1]
        for sequence in slots:
            if sequence.owner is None:
                return sequence
        idle = [sequence.owner for sequence in slots if sequence.owner and sequence.owner not in self._running]
        oldest = min(idle, key=lambda each: each.used)
        taken = oldest.sequence
        assert taken
        self._store.put(oldest.id, self._context.save(taken.id))
        oldest.saved, oldest.sequence, taken.owner = taken.length, None, None
        return taken

    def _share(self, generation: Generation, sequence: Sequence) -> None:
        """Begin with the longest part of the prompt that any sequence has read, if it is long enough to pay."""
        best = max(self._sequences, key=lambda each: _common(generation.prompt, each))
        length = _common(generation.prompt, best)
        if length < SHARED or (
            best is not sequence and not self._context.load(sequence.id, self._context.save(best.id))
        ):
            length = 0
        self._context.truncate(sequence.id, length)
        sequence.length = length
        self.counts["shared_tokens"] += length


def _next(generation: Generation, logits: Logits) -> int | None:
    """The next token; None when the grammar allows no more."""
    sampling, grammar = generation.sampling, generation.grammar
    logits = penalize(logits, generation.tokens, sampling.repeat_penalty)
    if grammar and sampling.temperature == 0:
        return grammar.best(logits)
    if grammar:
        logits = grammar.mask(logits)
        if not (logits > -float("inf")).any():
            return None
    return choose(logits, sampling, generation.seed, generation.generated)


def _common(prompt: list[int], sequence: Sequence) -> int:
    """Tokens at the front of a prompt whose state a sequence holds.

    Only those of its own prompt: a generated token's state was computed by other kernels than a prompt's. And two
    less than all, since the last chunk has to give logits and may not be a single token.
    """
    most = min(len(prompt) - 2, len(sequence.prompt), sequence.length)
    return next((at for at in range(max(most, 0)) if prompt[at] != sequence.prompt[at]), max(most, 0))
