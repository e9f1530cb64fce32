"""Where the states of token sequences are - KV cache, memory, disk - and which of them a new prompt can use.

A paused generation, a finished conversation and a beginning that many prompts share are the same thing here: tokens
with a state. The least recently used goes down a tier, whoever needs it brings it up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import count

from aios.context import RadixTree, Tiers
from aios.models.local.engine.generation import Generation
from aios.models.local.engine.llama import LlamaContext

SHARED = 32
"""Tokens from which copying a common beginning is cheaper than reading it again, whatever the rest of the state."""


@dataclass(slots=True)
class Reuse:
    """How generations came by their state, since the start."""

    resident: int = 0
    """Resumed, or begun from a common beginning, with the state still in the KV cache."""
    missed: int = 0
    """New prompts that began like nothing that is kept."""
    shared_tokens: int = 0
    """Tokens of prompts whose state was there already."""
    moves: int = 0
    """States moved so that running sequences are neighbours."""


@dataclass(slots=True, eq=False)
class TokenSequence:
    """The state of some tokens: in the sequence `slot` of the KV cache, else in a lower tier under `key`."""

    key: int
    salt: str
    owner: Generation | None
    """Whose it is, until that is over."""
    slot: int | None = None
    shareable_prefix: Sequence[int] = field(default_factory=list)
    """The tagged tokens at its beginning that others may begin with; it is indexed under these."""
    used: int = 0
    """When, by the clock of uses; 0 is for those that go first."""
    pid: int = 0
    """Of the process whose it is."""
    shared: int = 0
    """Tokens at its beginning that others have begun with."""


class KVStore:
    """Gives every running generation a sequence of the KV cache, with as much of its state as there is.

    | state of a sequence   | event                                  | next state                                 |
    |-----------------------|----------------------------------------|--------------------------------------------|
    | none                  | a prompt begins like a kept sequence   | resident, sharing or copying the beginning |
    | none                  | a prompt begins like nothing kept      | resident, empty                            |
    | resident, owned       | its generation pauses or ends          | resident, and others may begin with it     |
    | resident, not running | a slot is needed, and its use is oldest | memory                                     |
    | memory                | memory is needed                       | disk                                       |
    | memory or disk        | its generation goes on, or a prompt begins with it | resident                       |
    | any                   | invalidated, or dropped from the last tier | none: it is read again                 |
    """

    def __init__(self, context: LlamaContext, tiers: Tiers) -> None:
        self.reuse = Reuse()
        self._context, self._tiers = context, tiers
        self._slots: list[TokenSequence | None] = [None] * context.shape.slots
        self._states: dict[int, TokenSequence] = {}
        self._of: dict[int, TokenSequence] = {}
        self._keys = count()
        self._index: dict[str, RadixTree[TokenSequence]] = defaultdict(RadixTree)
        self._clock = 0
        self._scratch = bytearray(), bytearray()
        tiers.on_lost = self._lost

    def slot(self, generation: Generation) -> int:
        """The sequence of the KV cache that a running generation has."""
        slot = self._of[generation.id].slot
        assert slot is not None
        return slot

    def resume(self, generation: Generation, running: Collection[Generation]) -> None:
        """Give a new or paused generation a sequence; `generation.computed` says how much of its state is there.

        `running` keep theirs; there must be fewer of them than sequences.
        """
        self._clock += 1
        state = self._of.get(generation.id)
        if state is None:
            generation.computed = 0
            state = self._of[generation.id] = TokenSequence(
                next(self._keys), generation.salt, generation, pid=generation.pid
            )
            self._states[state.key] = state
            if not self._take_over(state, generation):
                self._occupy(state, self._free(running))
        elif state.slot is None:
            self._occupy(state, self._free(running))
            if not (generation.computed and self._tiers.load(state.key, lambda data: self._restore(state, data))):
                self._unlearn(state)
        else:
            self.reuse.resident += 1
        state.used = self._clock

    def share(self, generation: Generation) -> None:
        """Before a prompt is read: copy the longest beginning of it whose state is kept."""
        state = self._of[generation.id]
        length, found = self._index[generation.salt].longest(generation.tagged[: generation.start])
        length = generation.begin(length)
        if length < SHARED:
            self.reuse.missed += 1
            return
        source = max(found, key=lambda each: (each.slot is not None, self._tiers.tier(each.key) == "memory", each.used))
        source.used = self._clock
        source.shared = max(source.shared, length)
        if source.slot is not None:
            self.reuse.resident += 1
            restored = self._restore(state, self._read(source.slot, 0))
        else:
            restored = self._tiers.load(source.key, lambda data: self._restore(state, data), keep=True)
        self._begin(state, generation, length if restored else 0)

    def publish(self, generation: Generation) -> None:
        """A prompt is read: let others begin with it, instead of with any that it goes on from."""
        state = self._of[generation.id]
        self._learn(state, generation.tagged[: generation.start])

    def leave(self, generation: Generation) -> None:
        """A generation is over; its state stays for others until its place is needed."""
        state = self._of.pop(generation.id, None)
        if state is None:
            return
        state.owner = None
        self._unlearn(state)
        if generation.computed < SHARED:
            self._forget(state)
        else:
            self._learn(state, generation.tagged[: generation.computed])

    def demote(self, pid: int) -> None:
        """Nobody is about to need what is kept of a process: it goes first, but for a beginning that others have."""
        for state in [each for each in self._states.values() if each.pid == pid]:
            if beginning := state.shareable_prefix[: state.shared]:
                _, found = self._index[state.salt].longest(beginning)
                heir = next((each for each in found if each is not state and each.used), None)
                if heir is None:
                    continue
                heir.shared = max(heir.shared, len(beginning))
            state.used = 0
            self._tiers.leave_first(state.key)

    def _take_over(self, state: TokenSequence, generation: Generation) -> bool:
        """Go on in the sequence of a finished state that the prompt begins with, if none has more of the prompt."""
        index, prompt = self._index[generation.salt], generation.tagged[: generation.start]
        found = [each for each in index.prefixes(prompt) if each.owner is None and each.slot is not None]
        best = max(found, key=lambda each: len(each.shareable_prefix), default=None)
        if best is None or best.slot is None or len(best.shareable_prefix) < index.longest(prompt)[0]:
            return False
        slot, length = best.slot, generation.begin(len(best.shareable_prefix))
        state.shared = best.shared
        self._unlearn(best)
        del self._states[best.key]
        self._occupy(state, slot)
        self._begin(state, generation, length)
        self.reuse.resident += 1
        return True

    def _occupy(self, state: TokenSequence, slot: int) -> None:
        state.slot, self._slots[slot] = slot, state

    def _begin(self, state: TokenSequence, generation: Generation, length: int) -> None:
        """Cut what a sequence holds to the beginning of a generation's prompt."""
        assert state.slot is not None
        if not self._context.cut(state.slot, length):
            # Recurrent models cannot forget a part.
            self._context.cut(state.slot, 0)
            length = 0
        generation.computed = length
        generation.cached = max(generation.cached, length)
        self.reuse.shared_tokens += length

    def _free(self, running: Collection[Generation]) -> int:
        """The lowest empty sequence, or that of the least recently used state, which goes down a tier."""
        free = [
            (state.used if state else -1, slot)
            for slot, state in enumerate(self._slots)
            if state is None or state.owner is None or state.owner not in running
        ]
        _, slot = min(free)
        if (state := self._slots[slot]) is not None:
            self._evict_down(state, slot)
        return slot

    def _evict_down(self, state: TokenSequence, slot: int) -> None:
        self._slots[slot], state.slot = None, None
        whole = state.owner is not None or self._context.cut(slot, len(state.shareable_prefix))
        size = self._context.state_bytes(slot)
        if not (whole and self._tiers.save(state.key, size, lambda buffer: self._context.save(slot, buffer))):
            self._invalidate(state)
        self._context.cut(slot, 0)

    def _lost(self, key: int) -> None:
        """A state is in no tier any more: its owner computes it again."""
        self._invalidate(self._states[key])

    def _invalidate(self, state: TokenSequence) -> None:
        if state.owner is None:
            self._forget(state)
        else:
            self._unlearn(state)

    def _learn(self, state: TokenSequence, tagged: Sequence[int]) -> None:
        index = self._index[state.salt]
        for other in [each for each in index.prefixes(tagged) if each.owner is None and each is not state]:
            state.shared = max(state.shared, other.shared)
            self._forget(other)
        state.shareable_prefix = tagged
        index.insert(tagged, state)

    def _unlearn(self, state: TokenSequence) -> None:
        """Nobody finds it any more; an owner whose state this was has none."""
        if state.shareable_prefix:
            self._index[state.salt].remove(state.shareable_prefix, state)
            state.shareable_prefix = []
        if state.owner:
            state.owner.computed = 0

    def _forget(self, state: TokenSequence) -> None:
        self._unlearn(state)
        del self._states[state.key]
        if state.slot is None:
            self._tiers.drop(state.key)
        else:
            self._context.cut(state.slot, 0)
            self._slots[state.slot] = None

    def _restore(self, state: TokenSequence, data: memoryview) -> bool:
        assert state.slot is not None
        return self._context.restore(state.slot, data)

    def _read(self, sequence: int, which: int) -> memoryview:
        """A sequence's state in one of two buffers that are used again and again, since new pages are slow."""
        size = self._context.state_bytes(sequence)
        if len(self._scratch[which]) < size:
            self._scratch[which].extend(bytes(2 * size - len(self._scratch[which])))
        buffer = memoryview(self._scratch[which])
        return buffer[: self._context.save(sequence, buffer)]

    def gather(self, running: Sequence[Generation]) -> None:
        """Make the running sequences neighbours: llama.cpp computes only these together (split_equal, llama-batch.cpp).

        A move costs the copying of one or two states, once; a gap nearly one more step, each step.
        """
        occupied = sorted(self.slot(generation) for generation in running)
        while occupied and occupied[-1] - occupied[0] >= len(occupied):
            gap = next(number for number in range(occupied[0], occupied[-1]) if number not in occupied)
            self._swap(occupied.pop(), gap)
            occupied = sorted([*occupied, gap])

    def _swap(self, one: int, other: int) -> None:
        self.reuse.moves += 1
        first, second = self._slots[one], self._slots[other]
        saved = self._read(one, 0), None if second is None else self._read(other, 1)
        for state, slot, data in ((first, other, saved[0]), (second, one, saved[1])):
            self._slots[slot] = state
            if state is not None:
                state.slot = slot
            # A state of no tokens restores nothing: a generation that has read nothing yet.
            if not (data and self._context.restore(slot, data)):
                self._context.cut(slot, 0)
                if state is not None:
                    self._invalidate(state)
