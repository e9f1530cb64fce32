"""Which sequence of the KV cache holds whose state, and what is done when there are more states than sequences."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aios.context.tiers import Tiers
from aios.models.local.generation import Generation
from aios.models.local.llama import LlamaContext

SHARED = 32
"""Tokens from which copying a common beginning is cheaper than reading it again, whatever the rest of the state."""


@dataclass(slots=True)
class Reuse:
    """How generations came by their state, since the start."""

    resident: int = 0
    """Resumed with the state still in the KV cache."""
    shared_tokens: int = 0
    """Tokens of prompts that were taken from another generation's state."""
    moves: int = 0
    """States moved so that running sequences are neighbours."""


@dataclass(slots=True, eq=False)
class Seat:
    """One sequence of the KV cache."""

    id: int
    owner: Generation | None = None
    remains: list[int] = field(default_factory=list)
    """Without an owner: the prompt whose state is still here."""
    used: int = 0

    @property
    def prompt(self) -> list[int]:
        """The tokens at the beginning whose state another prompt that begins with them may use.

        Only those computed as part of a prompt: a token decoded alone gets a state of other last bits.
        """
        return self.owner.prompt[: self.owner.computed] if self.owner else self.remains

    @property
    def empty(self) -> bool:
        return self.owner is None and not self.remains


class Seats:
    """Finds every running generation a sequence; the least recently used state gives way, finished ones first."""

    def __init__(self, context: LlamaContext, tiers: Tiers) -> None:
        self.reuse = Reuse()
        self._context, self._tiers = context, tiers
        self._seats = [Seat(number) for number in range(context.shape.slots)]
        self._of: dict[int, Seat] = {}
        self._clock = 0
        self._scratch = bytearray(), bytearray()

    def id(self, generation: Generation) -> int:
        """The sequence that a seated generation has."""
        return self._of[generation.id].id

    def seat(self, generation: Generation, running: Collection[Generation]) -> None:
        """Give a generation a sequence, with as much of its state as there is: `generation.computed` says how much.

        `running` keep theirs; there must be fewer of them than sequences.
        """
        self._clock += 1
        seat = self._of.get(generation.id)
        if seat is None:
            seat = self._of[generation.id] = self._bring(generation, running)
            seat.owner, seat.remains = generation, []
        else:
            self.reuse.resident += 1
        seat.used = self._clock

    def _bring(self, generation: Generation, running: Collection[Generation]) -> Seat:
        saved, generation.computed = generation.computed, 0
        if saved:
            seat = self._free(running)
            seat.remains = []
            if self._tiers.load(generation.id, lambda state: self._context.restore(seat.id, state)):
                generation.computed = saved
                return seat
            source = self._longest(generation)
        else:
            source = self._longest(generation)
            seat = source if source and self._spare(source, generation) else self._free(running)
        generation.computed = self._share(source, seat, generation)
        return seat

    def leave(self, generation: Generation) -> None:
        """A generation is over; its prompt's state stays for others until the place is needed."""
        self._tiers.drop(generation.id)
        seat = self._of.pop(generation.id, None)
        if seat is not None:
            seat.remains, seat.owner = seat.prompt, None

    def _spare(self, seat: Seat, generation: Generation) -> bool:
        """Whether a finished state has little more than what a generation begins with."""
        return seat.owner is None and 2 * _common(seat.remains, generation.prompt) >= len(seat.remains)

    def _free(self, running: Collection[Generation]) -> Seat:
        """The lowest empty seat, or the least recently used one; its owner's state is saved."""
        free = [seat for seat in self._seats if seat.owner is None or seat.owner not in running]
        seat = min(free, key=lambda seat: (not seat.empty, seat.owner is not None, seat.used, seat.id))
        if seat.owner is not None:
            self._save(seat, seat.owner)
        return seat

    def _save(self, seat: Seat, owner: Generation) -> None:
        seat.remains, seat.owner = seat.prompt, None
        del self._of[owner.id]
        size = self._context.state_bytes(seat.id)
        if not self._tiers.save(owner.id, size, lambda buffer: self._context.save(seat.id, buffer)):
            owner.computed = 0

    def _longest(self, generation: Generation) -> Seat | None:
        """The seat that a prompt has the longest beginning in common with, if that is long enough."""
        best = max(self._seats, key=lambda seat: (_common(seat.prompt, generation.prompt), seat.id))
        return best if _common(best.prompt, generation.prompt) >= SHARED else None

    def _share(self, source: Seat | None, seat: Seat, generation: Generation) -> int:
        """Make a seat hold what a source has in common with a prompt and nothing else; how many tokens that are."""
        length = 0
        if source and (source is seat or self._copy(source.id, seat.id)):
            source.used = self._clock
            length = min(_common(source.prompt, generation.prompt), generation.sharable)
        if not self._context.cut(seat.id, length):
            # Recurrent models cannot forget a part.
            self._context.cut(seat.id, 0)
            length = 0
        self.reuse.shared_tokens += length
        return length

    def _copy(self, source: int, target: int) -> bool:
        return self._context.restore(target, self._read(source, 0))

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
        seats = sorted((self._of[generation.id] for generation in running), key=lambda seat: seat.id)
        while seats and seats[-1].id - seats[0].id >= len(seats):
            taken = {seat.id for seat in seats}
            gap = next(number for number in range(seats[0].id, seats[-1].id) if number not in taken)
            self._swap(seats.pop(), self._seats[gap])
            seats = sorted([*seats, self._seats[gap]], key=lambda seat: seat.id)

    def _swap(self, one: Seat, other: Seat) -> None:
        self.reuse.moves += 1
        first = self._read(one.id, 0)
        second = None if other.empty else self._read(other.id, 1)
        kept = self._context.restore(other.id, first)
        back = second is not None and self._context.restore(one.id, second)
        one.owner, other.owner = other.owner, one.owner
        one.remains, other.remains = other.remains, one.remains
        one.used, other.used = other.used, one.used
        for seat, whole in ((other, kept), (one, back)):
            if not whole:
                # A state that is not there, of a generation that has read nothing yet, leaves the other's in its place.
                self._context.cut(seat.id, 0)
            if seat.owner is not None:
                self._of[seat.owner.id] = seat
                seat.owner.computed = seat.owner.computed if whole else 0
            elif not whole:
                seat.remains = []


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    for number, (mine, theirs) in enumerate(zip(one, other, strict=False)):
        if mine != theirs:
            return number
    return min(len(one), len(other))
