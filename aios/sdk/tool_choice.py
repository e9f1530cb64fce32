"""Which tool fits a request: by how likely the model finds the request after the tool's description."""

from __future__ import annotations

from collections.abc import Sequence

from aios.sdk.agent import Agent
from aios_syscalls import ToolSpec

NO_TOOL = "Talk with the user, tell a story, or explain something."
"""What an answer without a tool does, in the words of a tool's description."""
ASKED = "Describe a tool and give a request."
BEGUN = "A tool and a request for it.\nTool: "
REQUEST = "\nRequest: {}"
NEUTRAL = ("N/A", "Hello.", "I have a question.")
"""Requests that need nothing."""


async def rank_tools(
    agent: Agent, request: str, tools: Sequence[ToolSpec], *, require: bool = False, model: str | None = None
) -> list[ToolSpec | None]:
    """The tools by how well their descriptions fit a request, best first; None among them stands for no tool.

    There is no None with `require`. Raises BadRequest, with the field `model`, if the model cannot rank.
    """
    options: dict[str, ToolSpec | None] = {} if require else {NO_TOOL: None}
    for tool in tools:
        text = " ".join(tool.description.split()) or tool.name
        options[f"{tool.name}: {text}" if text in options else text] = tool
    if len(options) < 2:
        return list(options.values())
    reply = await agent.rank(
        ASKED,
        options,
        prefix=BEGUN,
        evidence=REQUEST.format(request),
        neutral=[REQUEST.format(each) for each in NEUTRAL],
        model=model,
    )
    ranked = sorted(reply.options, key=lambda each: each.score, reverse=True)
    return [options[each.option] for each in ranked]
