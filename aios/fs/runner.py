"""Carries a plan out, step by step, as syscalls. What needs a confirmation gets one, here and nowhere else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aios.fs import operations as ops
from aios.fs.calls import perform, preview
from aios.fs.operations import Operation, OperationPlan, Risk
from aios.sdk import Agent
from aios_syscalls import AiosError

Confirm = Callable[[Operation, Sequence[str]], Awaitable[bool]]
"""Asks whether a step may be run, given what it will touch; anything but True is a no."""


@dataclass(frozen=True, slots=True)
class OperationOutcome:
    """What became of a step. After one that was not done, the rest is skipped."""

    step: Operation
    state: Literal["done", "failed", "declined", "skipped"]
    text: str = ""
    reply: dict[str, Any] = field(default_factory=dict)
    error: AiosError | None = None


def needs_confirmation(plan: OperationPlan, step: Operation) -> bool:
    """Whether a step may only be run after a yes: all that a model read and that changes anything, too."""
    return step.risk is Risk.ASKS or (not plan.sure and step.risk is not Risk.READS)


async def run(
    agent: Agent, plan: OperationPlan, confirm: Confirm, *, model: str | None = None
) -> AsyncIterator[OperationOutcome]:
    """The outcomes of the plan's steps, as they come; errors of the ABI are outcomes, too."""
    tokens: dict[str, str] = {}
    stopped = False
    for step in plan.steps:
        if stopped:
            yield OperationOutcome(step, "skipped")
            continue
        outcome = await _one(agent, plan, step, confirm, tokens, model)
        stopped = outcome.state != "done"
        yield outcome


async def _one(
    agent: Agent, plan: OperationPlan, step: Operation, confirm: Confirm, tokens: dict[str, str], model: str | None
) -> OperationOutcome:
    try:
        touched, token = await preview(agent, step)
        if not touched and isinstance(step, ops.DeleteWhatMatches | ops.Replace | ops.Undo):
            return OperationOutcome(step, "done", "nothing to do: nothing matches")
        if needs_confirmation(plan, step) and await confirm(step, touched) is not True:
            return OperationOutcome(step, "declined")
        text, reply = await perform(agent, step, token, tokens, model)
    except AiosError as error:
        return OperationOutcome(step, "failed", error.message, error=error)
    return OperationOutcome(step, "done", text, reply.model_dump(mode="json") if reply else {})
