"""What a call will take of a model: money, a wait in its queue, and time."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from aios.models import Backend, guess_tokens
from aios.routing.prices import FREE, Price, cost
from aios.routing.speed import Speed
from aios.routing.strategies import Candidate
from aios_syscalls import Chat, ChatReply, LlmCall, Message, Usage

REMEMBERED = 10_000
"""Programs, processes and answers of which something is known."""

K = TypeVar("K")
V = TypeVar("V")


class QueueLoad(NamedTuple):
    """What a model's lane has to do."""

    running: int = 0
    waiting: int = 0
    width: float = math.inf


@dataclass(slots=True)
class _Turn:
    """The last chat of a process: its context is still with the model that served it."""

    model: str
    messages: tuple[Message, ...]
    tokens: int


class Forecast:
    """Tells by what models and programs took before, and by what models have to do now."""

    def __init__(
        self, models: Mapping[str, Backend], prices: Mapping[str, Price | None], load: Callable[[str], QueueLoad]
    ) -> None:
        self._models, self._prices, self._load = models, prices, load
        self.speeds = {name: Speed() for name in models}
        self._written: OrderedDict[str, float] = OrderedDict()
        """Tokens that programs' answers have had of late."""
        self._turns: OrderedDict[int, _Turn] = OrderedDict()

    def of(self, names: Iterable[str], call: LlmCall, pid: int, program: str) -> list[Candidate]:
        """What each of the models would take for a call of a process that runs a program."""
        prompt, written = guess_tokens(call), 0.0
        if isinstance(call, Chat):
            written = min(float(call.max_tokens), self._written.get(program, call.max_tokens / 2))
        begun = self._begun(call, pid)
        kept = {begun.model: begun.tokens} if begun else {}
        return [self._one(name, prompt, kept.get(name, 0), written) for name in names]

    def most(self, name: str, call: LlmCall) -> tuple[int, float | None]:
        """The tokens and the dollars that a call may take of a model."""
        written = call.max_tokens if isinstance(call, Chat) else 0
        usage = Usage(prompt_tokens=guess_tokens(call), completion_tokens=written)
        return usage.total, self.usd(name, usage)

    def usd(self, name: str, usage: Usage) -> float | None:
        """What was used of a model has cost so many dollars; None where nobody knows."""
        return cost(self._prices.get(name, FREE), usage)

    def served(self, pid: int, program: str, call: Chat, reply: ChatReply) -> None:
        """A call has been answered."""
        written = float(reply.usage.completion_tokens)
        keep(self._written, program, self._written.get(program, written) * 0.8 + written * 0.2)
        keep(self._turns, pid, _Turn(reply.model, call.messages, guess_tokens(call) + int(written)))

    def _one(self, name: str, prompt: int, kept: int, written: float) -> Candidate:
        speed, load = self.speeds[name], self._load(name)
        kept = min(kept, prompt)
        service = speed.service_s(prompt - kept, written)
        wait = self._models[name].wait_s
        if load.running >= load.width:
            wait += (load.waiting + load.running / 2) / load.width * (speed.typical_s or service)
        usage = Usage(prompt_tokens=prompt, cached_tokens=kept, completion_tokens=math.ceil(written))
        return Candidate(name, self.usd(name, usage), wait, service, speed.reliability)

    def _begun(self, call: LlmCall, pid: int) -> _Turn | None:
        """The process's last chat, if this one goes on with it: that model need not read it again."""
        turn = self._turns.get(pid)
        if turn is None or not isinstance(call, Chat) or call.messages[: len(turn.messages)] != turn.messages:
            return None
        return turn


def keep(table: OrderedDict[K, V], key: K, value: V) -> None:
    """Put in, and forget the oldest where there are too many."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > REMEMBERED:
        table.popitem(last=False)
