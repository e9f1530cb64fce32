"""The way of one call: what it could have been served by, where it ran, why it left, what it cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aios.record import Bill, CallRecord, model_of
from aios.terminal.output import clean, dollars, headline, plain, seconds
from aios.terminal.table import grid, state


class Step(NamedTuple):
    """Something that happened to a call, at a time since the run began; `lasted` in seconds where it is a turn."""

    at: float
    what: str
    text: str
    lasted: float | None = None


def to_json(call: CallRecord) -> dict[str, Any]:
    """Where a call went and what it took; `usd` is null where nobody knows the price of a part."""
    turns = zip(call.lanes, call.slices, strict=False)
    return {
        "routed": [plain(each) for each in call.routed],
        "turns": [
            {"lane": lane, "start_s": round(start, 6), "end_s": None if stop is None else round(stop, 6)}
            for lane, (start, stop) in turns
        ],
        "left": [plain(each) for each in call.left],
        "usage": [
            {
                "model": bill.model or None,
                "prompt_tokens": bill.prompt_tokens,
                "completion_tokens": bill.completion_tokens,
                "usd": bill.usd,
            }
            for bill in call.bills
        ],
        "usd": call.usd,
    }


def steps(call: CallRecord, now: float) -> list[Step]:
    """What happened to a call between its acceptance and its end, in order."""
    # What happens at one time happens so: it leaves a lane, is led to another, runs there.
    lanes = [*call.lanes, *[""] * (len(call.slices) - len(call.lanes))]
    found = [
        *(Step(each["at"], "left", f"{_lane(each)}: {_why(each)}{_took(each)}") for each in call.left),
        *(Step(each["at"], "routed", choice(each)) for each in call.routed),
        *(
            Step(start, "slice", f"on {clean(lane)}" if lane else "", (now if stop is None else stop) - start)
            for lane, (start, stop) in zip(lanes, call.slices, strict=True)
        ),
    ]
    return sorted(found, key=lambda step: step.at)


def lines(call: CallRecord, now: float) -> Iterator[Text]:
    """The steps for people, and what all of it cost."""
    for step in steps(call, now):
        lasted = "" if step.lasted is None else seconds(step.lasted)
        text = f"  {step.what:<6} {step.at:9.3f} s  {lasted:>6}  {step.text}"
        yield Text(text.rstrip(), style="dim" if step.what == "slice" else "")


def cost(call: CallRecord) -> str:
    """What a call took of models, each with its part, or nothing."""
    parts = [f"{_bill(bill)} by {clean(bill.model) or 'a model'}" for bill in call.bills]
    if len(parts) > 1:
        known = sum(bill.usd or 0.0 for bill in call.bills)
        unknown = " + unknown" if call.usd is None else ""
        parts.append(f"{dollars(known)}{unknown} USD in all")
    return "; ".join(parts)


def choice(routed: Mapping[str, Any]) -> str:
    """Who was chosen, by which strategy and why, in one sentence."""
    chosen, reason = ", ".join(_chosen(routed)) or "nobody", _text(routed.get("reason"))
    strategy = _text(routed.get("strategy"))
    return f"{strategy or 'the router'} chose {chosen}{f': {reason}' if reason else ''}"


def candidates(routed: Mapping[str, Any]) -> Table:
    """Who could have served a call, as the router saw them."""
    table = grid("CANDIDATE", ">QUALITY", ">USD", ">WAIT", ">SERVICE", ">SCORE", "~")
    chosen = _chosen(routed)
    for each in routed.get("candidates") or ():
        name, why = _text(each.get("name")), _text(each.get("why"))
        verdict = "chosen" if name in chosen else "excluded" if why else ""
        table.add_row(
            name,
            _figure(each.get("quality"), "{:.2f}"),
            "unknown" if each.get("usd", 0) is None else dollars(each["usd"]) if _finite(each.get("usd")) else "-",
            seconds(each["wait_s"]) if _finite(each.get("wait_s")) else "-",
            seconds(each["service_s"]) if _finite(each.get("service_s")) else "-",
            _figure(each.get("score"), "{:.3g}"),
            f"{verdict}: {why}" if why else verdict,
            style="bold" if name in chosen else "",
        )
    return table


def explain(console: Console, call: CallRecord, now: float) -> None:
    """Why a call went where it went, and what came of it."""
    console.print(Text.assemble((f"call {clean(str(call.id))}  {call.name}  ", "bold"), state(call.state)))
    for routed in call.routed:
        alone = len(routed.get("candidates") or ()) == 1
        console.print(Text(choice(routed) + (" (there was one candidate)" if alone else "")), soft_wrap=True)
        console.print()
        console.print(candidates(routed))
        console.print()
    if not call.routed:
        console.print(Text(_no_choice(call)), soft_wrap=True)
    for line in lines(call, now):
        console.print(line, soft_wrap=True)
    console.print(Text(_end(call, now)), soft_wrap=True)


def _no_choice(call: CallRecord) -> str:
    if not call.lanes:
        return "it came to no lane: there was nothing to choose among, or it was refused before"
    lane = clean(call.lanes[0])
    model = model_of(lane)
    return f"there was one candidate: {model}" if model else f"there was one candidate: {call.name} runs on {lane}"


def _end(call: CallRecord, now: float) -> str:
    if call.ended is None:
        return f"  it is {call.state} since it was accepted, {seconds(now - call.accepted)} ago"
    error = call.outcome if call.state in ("failed", "expired") and isinstance(call.outcome, Mapping) else {}
    why = f": {headline(str(error['message']))}" if "message" in error else ""
    took = f"; {cost(call)}" if call.bills else ""
    return f"  {call.state:<6} {call.ended:9.3f} s  {seconds(call.ended - call.accepted):>6}  in all{took}{why}"


def _chosen(routed: Mapping[str, Any]) -> list[str]:
    chosen = routed.get("chosen")
    names = chosen if isinstance(chosen, list | tuple) else [chosen]
    return [_text(name) for name in names if name]


def _lane(left: Mapping[str, Any]) -> str:
    return _text(left.get("lane"))


def _why(left: Mapping[str, Any]) -> str:
    return _text(left.get("why")) or "nobody said why"


def _took(left: Mapping[str, Any]) -> str:
    usage = left.get("usage") or {}
    read, written = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    if "usd" not in left and not (read or written):
        return ""
    return f" ({_bill(Bill('', read, written, left.get('usd')))})"


def _bill(bill: Bill) -> str:
    price = "unknown" if bill.usd is None else dollars(bill.usd)
    return f"{bill.prompt_tokens:,} tokens read, {bill.completion_tokens:,} written, {price} USD"


def _figure(value: Any, form: str) -> str:
    return form.format(value) if _finite(value) else "-"


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _text(value: Any) -> str:
    return headline(str(value)) if value else ""
