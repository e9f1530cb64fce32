"""`aios runs unknown` and `aios resolve`: what nobody knows the outcome of, and what the user says of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from rich.table import Table

from aios.boot.resume import resumable
from aios.config import journal_path
from aios.record import Decision, UnknownCall, record_decision, unknown_calls
from aios.terminal.table import grid
from aios_syscalls import BadRequest, CallId, CallTool, Conflict, NoKernel, NotFound
from aios_syscalls.table import TABLE

SHOWN = 60
"""Characters of a call in the table."""


def undecided(*, everything: bool = False) -> list[UnknownCall]:
    """The calls that the user has not decided about, or with `everything` all."""
    return [each for each in unknown_calls(journal_path()) if everything or not each.decision]


def to_object(found: UnknownCall) -> dict[str, Any]:
    """A call for programs."""
    return {
        "call": str(found.id),
        "run": found.run.id,
        "program": found.program,
        "name": found.name,
        "fields": found.call,
        "at": datetime.fromtimestamp(found.at, UTC).isoformat(timespec="milliseconds"),
        "told": found.told,
        "decision": found.decision or None,
    }


def table(calls: Iterable[UnknownCall]) -> Table:
    """Calls for people."""
    rows = grid("CALL", "RUN", "PROGRAM", "WHAT", "KERNEL DIED (UTC)", "DECISION")
    for each in calls:
        at = f"{datetime.fromtimestamp(each.at, UTC):%Y-%m-%d %H:%M:%S}"
        what = f"{each.name} {to_json(each.call, inf_nan_mode='null').decode('utf-8', 'replace')}"
        shown = what if len(what) <= SHOWN else what[: SHOWN - 3] + "..."
        rows.add_row(str(each.id), each.run.id, each.program, shown, at, each.decision)
    return rows


def decide(call: str, decision: Decision, reply: str | None = None, run: str | None = None) -> UnknownCall:
    """Put on record what the user says of a call.

    Raises NotFound for one that is not unknown, Conflict for one that is decided or whose program has gone on.
    """
    found = _find(CallId.parse(call), run)
    if found.decision:
        raise Conflict(f"call {found.id} is decided already: {found.decision}; that stays, as its program may know it")
    if found.run.ended is None:
        raise Conflict(f"run {found.run.id} goes on, and its program was told that the outcome is unknown; see aios ps")
    if reply is not None and decision != "done":
        raise BadRequest(f"--reply is of a call that was done, and not of one that is to be {decision}", "reply")
    outcome: dict[str, Any] | None = None
    match decision:
        case "done":
            outcome = {"ok": _reply(found, reply)}
        case "failed":
            message = f"{found.name} had no effect: its kernel died while it ran, and its user has looked"
            outcome = {"error": NoKernel(message).to_wire()}
        case "retry":
            _check_retry(found)
    record_decision(found, decision, outcome)
    found.decision = decision
    return found


def _find(id: CallId, run: str | None) -> UnknownCall:
    known = [each for each in undecided(everything=True) if each.id == id and run in (None, each.run.id)]
    if not known:
        where = f" of run {run}" if run else ""
        raise NotFound(
            f"call {id}{where} is none whose outcome is unknown; `aios runs unknown` lists those", call=str(id)
        )
    known = [each for each in known if not each.decision] or known[-1:]
    if len(known) > 1:
        raise BadRequest(f"call {id} is unknown in {len(known)} runs; say which with --run {known[-1].run.id}", "run")
    return known[0]


def _check_retry(found: UnknownCall) -> None:
    """Raises BadRequest or Conflict where nothing would run the call again."""
    resumable(found.run)
    if found.told:
        raise Conflict(
            f"the program of call {found.id} has gone on and knows that the outcome is unknown, so the call is not run "
            "again; say done or failed, for the record"
        )


def _reply(found: UnknownCall, text: str | None) -> Any:
    """The reply that the program is to be given, as JSON. Raises BadRequest for one that is none."""
    cls = TABLE.get(found.name)
    if cls is None:
        raise BadRequest(f"this aios knows no call {found.name}, so it cannot be said to be done; say failed", "call")
    value: Any = {"value": None} if cls is CallTool else {}
    try:
        value = value if text is None else from_json(text)
        return cls.reply_type().model_validate_json(to_json(value)).model_dump(mode="json")
    except (ValueError, ValidationError) as error:
        fields = ", ".join(cls.reply_type().model_fields)
        raise BadRequest(
            f"the reply of {found.name} is an object of {fields}, as JSON; give it with --reply: {error}", "reply"
        ) from error
