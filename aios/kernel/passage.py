"""An accepted call on its way: the lanes that it takes, what it is charged, the text that its caller hears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aios.kernel.lane import Lane, Report
from aios.kernel.request import AcceptedCall
from aios.record import Kind
from aios_syscalls import ModelFailed, Reply, Syscall
from aios_syscalls.port import discard


class Passage:
    """A request on its way over lanes; see `RoutedCall`."""

    def __init__(self, accepted: AcceptedCall, lanes: Mapping[str, Lane], report: Report) -> None:
        self.id, self.pid, self.program = accepted.call_id, accepted.call_id.pid, accepted.program
        self.call, self.account = accepted.call, accepted.account
        self._heard = HeardText(accepted.emit)
        self.emit = accepted.emit if accepted.emit is discard else self._heard
        self._accepted, self._lanes, self._report = accepted, lanes, report
        self._usd: float | None = 0.0
        self._tokens = 0
        self._charged = False

    async def run(
        self, lane: str, call: Syscall[Any] | None = None, emit: Callable[[str], None] | None = None
    ) -> Reply:
        own, emit = self._accepted, emit or self.emit
        if call is not None or emit is not own.emit:
            own = own._replace(call=call or self.call, emit=emit)
        return await self._lanes[lane].run(own, self._tell)

    def charge(self, tokens: int, usd: float | None) -> None:
        self.account.charge(tokens, usd)
        self._usd = None if usd is None or self._usd is None else self._usd + usd
        self._tokens += tokens
        self._charged = True

    def routed(self, data: Mapping[str, Any]) -> None:
        self._report(Kind.ROUTED, self._accepted, dict(data))

    def left(self, lane: str, data: Mapping[str, Any]) -> None:
        self._report(Kind.LEFT, self._accepted, {"lane": lane, **data, **self.rest()})

    def rest(self) -> dict[str, Any]:
        """What there is to tell beside an event that brings no reply: the bill, and the text that was heard."""
        return {**self.bill(), **self._heard.take()}

    def _tell(self, kind: Kind, accepted: AcceptedCall, data: Mapping[str, Any]) -> None:
        self._report(kind, accepted, {**data, **self._heard.take()} if kind is Kind.PAUSED else data)

    def bill(self) -> dict[str, Any]:
        """What was charged since the last bill, if anything."""
        if not self._charged:
            return {}
        usd, tokens = self._usd, self._tokens
        self._usd, self._tokens, self._charged = 0.0, 0, False
        return {"usd": usd, "charged": tokens}


class HeardText:
    """Passes on to a caller the text of its reply as it comes, and keeps it for the record until somebody takes it."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._parts: list[str] = []

    def __call__(self, text: str) -> None:
        self._emit(text)
        self._parts.append(text)

    def take(self) -> dict[str, str]:
        """What was heard since it was last asked, if anything."""
        parts, self._parts = self._parts, []
        return {"text": "".join(parts)} if parts else {}


class RestOfStream:
    """Passes on what comes after a text that the caller has heard before."""

    def __init__(self, emit: Callable[[str], None], heard: str) -> None:
        self._emit, self._heard = emit, heard
        self.differs = False
        """Whether the text does not begin as it had: nothing of it is passed on then."""

    def __call__(self, text: str) -> None:
        again = min(len(self._heard), len(text))
        self.differs = self.differs or self._heard[:again] != text[:again]
        self._heard = self._heard[again:]
        if again < len(text) and not self.differs:
            self._emit(text[again:])

    def check(self) -> None:
        """Raises ModelFailed where the caller had heard the beginning of another answer."""
        if self.differs:
            raise ModelFailed(
                "the kernel died while this was streamed, and the model now answers otherwise than it had begun to; "
                "ask again"
            )
