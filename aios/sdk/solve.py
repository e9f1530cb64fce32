"""The tool-use loop."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic_core import to_json

from aios.sdk.agent import Agent
from aios_syscalls import AiosError, CallerError, Message, Sampling, ToolFailed, ToolUse


async def solve(
    agent: Agent,
    task: str,
    tools: Sequence[str],
    *,
    system: str | None = None,
    steps: int = 4,
    require: bool = False,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    max_tokens: int = 192,
) -> str:
    """Answer a task, letting the model call the named tools up to `steps` times.

    With `require`, the first step is constrained to a well-formed tool call and the second answers from its result:
    what a small model can follow. A failed tool call goes back to the model as text, so that it may mend it.
    """
    specs = await agent.tools(*tools)
    talk = [Message(role="system", content=system)] if system else []
    talk.append(Message(role="user", content=task))
    for step in range(steps):
        choice = "auto" if not require else "required" if step == 0 else "none"
        reply = await agent.chat(
            talk,
            tools=specs,
            tool_choice=choice,  # type: ignore[arg-type]
            sampling=sampling,
            max_tokens=max_tokens,
        )
        if not reply.tool_uses:
            return reply.text.strip()
        talk.append(Message(role="assistant", content=reply.text, tool_uses=reply.tool_uses))
        talk += [await _answer(agent, use) for use in reply.tool_uses]
    reply = await agent.chat(talk, tools=specs, tool_choice="none", sampling=sampling, max_tokens=max_tokens)
    return reply.text.strip()


async def _answer(agent: Agent, use: ToolUse) -> Message:
    try:
        content = to_json(await agent.call(use.name, **use.arguments)).decode()
    except (CallerError, ToolFailed) as error:
        content = _explain(error)
    return Message(role="tool", content=content, tool_use_id=use.id)


def _explain(error: AiosError) -> str:
    return f"error: {error.message}"
