"""What calls took of models, slots and money, added up over the journals of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rich.table import Table

from aios.cli.flags import By
from aios.config import journal_path
from aios.record import ENDINGS, CallRecord, History, Kind, RunRecord, model_of, runs
from aios.terminal.output import clean, dollars
from aios.terminal.table import grid, label
from aios_syscalls import StorageFailed

NO_MODEL = "(no model)"
"""What tools and files serve, and what came to no model."""


@dataclass(slots=True)
class Sum:
    """What calls took; `usd` is what is known of their cost, `unpriced_calls` are those that cost more than that."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    usd: float = 0.0
    unpriced_calls: int = 0

    def add(self, other: Sum) -> None:
        """Add another sum to this one."""
        self.calls += other.calls
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.seconds += other.seconds
        self.usd += other.usd
        self.unpriced_calls += other.unpriced_calls

    def to_json(self) -> dict[str, Any]:
        """The sum as JSON values."""
        return {
            "calls": self.calls,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "seconds": round(self.seconds, 4),
            "usd": round(self.usd, 9),
            "unpriced_calls": self.unpriced_calls,
        }

    def cells(self) -> tuple[str, ...]:
        """The sum for people."""
        known = dollars(self.usd) if self.usd or not self.unpriced_calls else ""
        unknown = "unknown" if self.unpriced_calls else ""
        return (
            f"{self.calls:,}",
            f"{self.prompt_tokens:,}",
            f"{self.completion_tokens:,}",
            f"{self.seconds:,.1f}",
            " + ".join(filter(None, (known, unknown))),
        )


@dataclass(slots=True)
class UsageSums:
    """Sums by agent, model or day, of the calls since a time; those of family process take nothing and do not count.

    A call that was on several models counts at each, and once in the total.
    """

    by: By
    since: float = 0.0
    """In seconds since the epoch."""
    rows: dict[str, Sum] = field(default_factory=dict)
    total: Sum = field(default_factory=Sum)
    runs: int = 0
    """That took something."""

    def read(self, run: RunRecord) -> None:
        """Add a run, whole or not at all, holding no more of it in memory than what is open. Raises StorageFailed."""
        found = UsageSums(self.by, self.since)
        try:
            found._read(run)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise StorageFailed(
                f"run {run.id} in the journal {run.path} cannot be read: it makes no sense ({why})"
            ) from error
        for name, row in found.rows.items():
            self.rows.setdefault(name, Sum()).add(row)
        self.total.add(found.total)
        self.runs += found.total.calls > 0

    def sorted(self) -> list[tuple[str, Sum]]:
        """Days in order; of others what cost the most first, then what took the most tokens, then the most time."""
        if self.by is By.DAY:
            return sorted(self.rows.items())
        return sorted(self.rows.items(), key=lambda row: (*_weight(row[1]), row[0]))

    def to_json(self) -> dict[str, Any]:
        """The sums as JSON values."""
        rows = [{self.by.value: None if name == NO_MODEL else name, **row.to_json()} for name, row in self.sorted()]
        return {"by": self.by.value, "runs": self.runs, "rows": rows, "total": self.total.to_json()}

    def table(self) -> Table:
        """The sums for people."""
        table = grid(self.by.value.upper(), ">CALLS", ">PROMPT", ">COMPLETION", ">SECONDS", ">USD")
        for name, row in self.sorted():
            table.add_row(label(name) if self.by is By.AGENT else clean(name), *row.cells())
        table.add_row("total", *self.total.cells(), style="bold")
        return table

    def _read(self, run: RunRecord) -> None:
        history = History(calls=False, ended=0)
        programs = {0: "user"}
        for event in run.events(payloads=False):
            call = history.calls.get(event.id)
            history.apply(event)
            if event.kind is Kind.SPAWNED:
                programs[event.pid] = event.data["program"]
            elif event.kind in ENDINGS and call is not None:
                self._count(call, programs, history)
        for call in history.calls.values():
            self._count(call, programs, history)

    def _count(self, call: CallRecord, programs: dict[int, str], history: History) -> None:
        if call.name.startswith("process."):
            return
        if self.since or self.by is By.DAY:
            when = datetime.fromisoformat(history.facts["began"]) + timedelta(seconds=call.accepted)
            if when.timestamp() < self.since:
                return
        whole = Sum(calls=1)
        parts = by_model(call, history.now)
        for part in parts.values():
            whole.add(part)
        whole.calls, whole.unpriced_calls = 1, int(call.usd is None)
        self.total.add(whole)
        match self.by:
            case By.MODEL:
                shares = parts
            case By.AGENT:
                shares = {programs.get(call.pid, f"process {call.pid}"): whole}
            case By.DAY:
                shares = {when.astimezone().date().isoformat(): whole}
        for name, share in shares.items():
            self.rows.setdefault(name, Sum()).add(share)


def by_model(call: CallRecord, now: float) -> dict[str, Sum]:
    """What a call took of each model that it was on."""
    parts: dict[str, Sum] = {}
    last = call.bills[-1].model if call.bills else call.model
    for lane, (start, stop) in zip(call.lanes, call.slices, strict=True):
        part = parts.setdefault(model_of(lane) or last or NO_MODEL, Sum(calls=1))
        part.seconds += (now if stop is None else stop) - start
    for bill in call.bills:
        part = parts.setdefault(bill.model or NO_MODEL, Sum(calls=1))
        part.prompt_tokens += bill.prompt_tokens
        part.completion_tokens += bill.completion_tokens
        part.usd += bill.usd or 0.0
        part.unpriced_calls |= bill.usd is None
    return parts or {NO_MODEL: Sum(calls=1)}


def recorded(since: float = 0.0) -> Iterator[RunRecord]:
    """All runs, oldest first, without those in which nothing has happened since a time."""
    return (run for run in runs(journal_path()) if run.written >= since)


def read(usage: UsageSums, found: Iterable[RunRecord]) -> Iterator[StorageFailed]:
    """Add runs to `usage`; what keeps one from being read is told, and the others are read all the same."""
    for run in found:
        try:
            usage.read(run)
        except StorageFailed as error:
            yield error


def _weight(row: Sum) -> tuple[float, ...]:
    return -row.usd, -(row.prompt_tokens + row.completion_tokens), -row.seconds, -row.calls
