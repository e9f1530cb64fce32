"""The tool-use loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic_core import to_json

from aios.sdk.agent import Agent
from aios.sdk.given import several_texts
from aios.sdk.tool_choice import rank_tools
from aios_syscalls import BadRequest, CallerError, Message, Sampling, ToolFailed, ToolSpec, ToolUse


async def solve(
    agent: Agent,
    task: str,
    tools: Sequence[str],
    *,
    system: str | None = None,
    steps: int = 4,
    require: bool = False,
    choice: Literal["rank", "write"] | None = None,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    max_tokens: int = 192,
) -> str:
    """Answer a task, letting the model call the named tools up to `steps` times; with `require` at least once.

    `choice` says how it chooses. By "rank", for small models: the tool that fits the task best, or none, with arguments
    constrained to its schema; when the call fails, the next one; then an answer from the result. By "write": the model
    writes calls until it answers; with `require` the first step is constrained to a well-formed call and the second
    answers from its result. None is "rank" where the model can, which a remote one cannot, and else "write".

    A failed tool call goes back to the model as text, so that it may mend it.
    """
    specs = await agent.tools(*several_texts(tools, "tools"))
    talk = [Message(role="system", content=system)] if system else []
    talk.append(Message(role="user", content=task))
    settings: dict[str, Any] = {"sampling": sampling, "max_tokens": max_tokens}
    if choice != "write":
        try:
            ranked = await rank_tools(agent, task, specs, require=require)
        except BadRequest as error:
            if choice == "rank" or error.field != "model":
                raise
        else:
            return await _in_order(agent, talk, ranked[:steps], settings)
    return await _as_written(agent, talk, specs, steps, require, settings)


async def _in_order(
    agent: Agent, talk: list[Message], ranked: Sequence[ToolSpec | None], settings: dict[str, Any]
) -> str:
    for spec in ranked:
        if spec is None or await _use(agent, talk, [spec], "required", settings) is True:
            break
    return (await agent.chat(talk, tool_choice="none", **settings)).text.strip()


async def _as_written(
    agent: Agent, talk: list[Message], specs: Sequence[ToolSpec], steps: int, require: bool, settings: dict[str, Any]
) -> str:
    for step in range(steps):
        outcome = await _use(
            agent, talk, specs, "auto" if not require else "required" if step == 0 else "none", settings
        )
        if isinstance(outcome, str):
            return outcome
    return (await agent.chat(talk, tools=specs, tool_choice="none", **settings)).text.strip()


async def _use(
    agent: Agent,
    talk: list[Message],
    specs: Sequence[ToolSpec],
    choice: Literal["auto", "required", "none"],
    settings: dict[str, Any],
) -> bool | str:
    """Let the model call tools: whether all calls went well, which are in the talk now; or the text of an answer."""
    reply = await agent.chat(talk, tools=specs, tool_choice=choice, **settings)
    if not reply.tool_uses:
        return reply.text.strip()
    answers = [await _answer(agent, use) for use in reply.tool_uses]
    talk += [Message(role="assistant", content=reply.text, tool_uses=reply.tool_uses), *(each for each, _ in answers)]
    return all(good for _, good in answers)


async def _answer(agent: Agent, use: ToolUse) -> tuple[Message, bool]:
    """What a tool says, and whether the call went well."""
    try:
        content, good = to_json(await agent.call(use.name, **use.arguments)).decode(), True
    except (CallerError, ToolFailed) as error:
        content, good = f"error: {error.message}", False
    return Message(role="tool", content=content, tool_use_id=use.id), good
