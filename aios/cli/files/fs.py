"""Runs a request in plain words on a kernel of its own, and tells of the plan and of each step.

The kernel has no model at first: most requests are read by rule, and then none is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from aios.boot import boot
from aios.cli.files.root import place
from aios.config import Config
from aios.fs import (
    Confirm,
    Operation,
    OperationOutcome,
    OperationPlan,
    RequestRefused,
    Why,
    needs_confirmation,
    plan,
    run,
)
from aios.fs.operations import ShareLinkTo
from aios.sdk import Agent
from aios.terminal.exit import Code, code_of
from aios.terminal.output import out, print_json, say, talk

TOUCHED = 20
"""Paths that a question lists."""
CODES = {Why.NO_FILE: Code.NOT_FOUND, Why.OUTSIDE: Code.DENIED}


@dataclass(frozen=True, slots=True)
class Options:
    """What the flags say."""

    dry_run: bool = False
    yes: bool = False
    model: bool = True
    """Whether a model may read what no rule does."""
    json: bool = False


def execute(request: str, config: Config, options: Options) -> Code:
    """Plan a request and run it. Raises AiosError where no kernel comes to be."""
    if config.root == Path("."):
        # No root of its own in a part of an indexed directory: its files would have two histories.
        root = place(".").root
        if root != Path.cwd():
            say(f"files are named from {root}")
        config = config.model_copy(update={"root": root})
    return anyio.run(_execute, request, _for_the_user(config), options)


def _for_the_user(config: Config) -> Config:
    """The configuration without what is closed to agents: no agent runs in this kernel, and the user may."""
    return config.model_copy(update={"files": config.files.model_copy(update={"allow_executed": True})})


async def _execute(request: str, config: Config, options: Options) -> Code:
    now = datetime.now().astimezone()
    try:
        async with boot(config.model_copy(update={"model": None}), models=[]) as started:
            agent = Agent(started.run.port(0), 0)
            chosen = await plan(agent, request, now, use_model=False)
            if not any(step.op in ("summarise", "compare") for step in chosen.steps) or options.dry_run:
                return await _carry_out(agent, chosen, options)
    except RequestRefused as error:
        if error.why is not Why.UNREAD or not options.model:
            return _refuse(error, options)
    async with boot(config) as started:
        agent = Agent(started.run.port(0), 0)
        try:
            chosen = await plan(agent, request, now)
        except RequestRefused as error:
            return _refuse(error, options)
        return await _carry_out(agent, chosen, options)


def _refuse(error: RequestRefused, options: Options) -> Code:
    say(error.message)
    if options.json:
        print_json({"refused": {"why": error.why, "message": error.message}})
    return CODES.get(error.why, Code.USAGE)


async def _carry_out(agent: Agent, chosen: OperationPlan, options: Options) -> Code:
    _show(chosen)
    outcomes: list[OperationOutcome] = []
    if not options.dry_run:
        async for outcome in run(agent, chosen, _confirmer(chosen, options)):
            outcomes.append(outcome)
            _tell(outcome, options)
    if options.json:
        print_json({"plan": chosen.model_dump(mode="json"), "outcomes": [_plain(each) for each in outcomes]})
    await _serve(outcomes)
    return _code(outcomes)


async def _serve(outcomes: Sequence[OperationOutcome]) -> None:
    """Stay while a link that was made is good: this kernel serves it."""
    shares = [outcome.step for outcome in outcomes if outcome.state == "done"]
    if longest := max((step.seconds for step in shares if isinstance(step, ShareLinkTo)), default=0):
        sys.stdout.flush()
        say("the link is good while this command runs; Ctrl-C ends it")
        await anyio.sleep(longest)


def _show(chosen: OperationPlan) -> None:
    """The plan, on stderr: stdout is for what the files say."""
    talk("plan:" if chosen.sure else "plan, as the model reads it, which may be wrong:")
    for number, step in enumerate(chosen.steps, 1):
        asks = "  (asks first)" if needs_confirmation(chosen, step) else ""
        talk(f"  {number}. {step.line}{asks}")


def _confirmer(chosen: OperationPlan, options: Options) -> Confirm:
    """Yes by flag only for what was read by rule; else a person at a terminal, and off one never."""

    async def confirm(step: Operation, touched: Sequence[str]) -> bool:
        if options.yes and chosen.sure:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            way = "--yes" if chosen.sure else "someone at a terminal, for a model read it"
            say(f"{step.line} has to be confirmed by {way}")
            return False
        more = [f"  ... and {len(touched) - TOUCHED} more"] if len(touched) > TOUCHED else []
        for line in [*(f"  {each}" for each in touched[:TOUCHED]), *more]:
            talk(line)
        talk(f"{step.line}? [y/N] ", end="")
        answer = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
        return answer.strip().lower() in ("y", "yes")

    return confirm


def _tell(outcome: OperationOutcome, options: Options) -> None:
    name = outcome.step.op
    match outcome.state:
        case "done" if not options.json:
            out(outcome.text)
        case "failed":
            say(f"{name}: {outcome.text}")
        case "declined":
            say(f"{name}: not confirmed, not done")
        case "skipped":
            say(f"{name}: not done, since the step before was not")


def _plain(outcome: OperationOutcome) -> dict[str, Any]:
    said = {"op": outcome.step.op, "state": outcome.state, "text": outcome.text, "reply": outcome.reply or None}
    return said | ({"error": outcome.error.to_wire()} if outcome.error else {})


def _code(outcomes: Sequence[OperationOutcome]) -> Code:
    """Of the first step that was not done."""
    first = next((each for each in outcomes if each.state != "done"), None)
    if first is None:
        return Code.OK
    return code_of(first.error.code) if first.error is not None else Code.DENIED
