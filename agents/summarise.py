"""Summarise a text, or every text of a folder, in a sentence or two each.

Task: a path; nothing means all texts. Writes `summary.md` beside them.
"""

from __future__ import annotations

from aios.sdk import Agent, gather

PROMPT = "Summarise this text in one short sentence.\n\n{text}\n\nOne-sentence summary:"
LONGEST = 2000
"""Characters of a text that are read: with the answer they fit the smallest context."""


async def main(agent: Agent, task: str) -> str:
    paths = await texts(agent, task or ".")
    lines = await gather(*(one(agent, path) for path in paths))
    digest = "\n".join(lines)
    if len(paths) > 1:
        await agent.write("summary.md", digest + "\n")
    return digest


async def texts(agent: Agent, path: str) -> list[str]:
    """The text files at or below a path."""
    if (await agent.stat(path)).kind == "file":
        return [path]
    entries = await agent.list(path, recursive=True)
    return [entry.path for entry in entries if entry.path.endswith((".txt", ".md")) and entry.path != "summary.md"]


async def one(agent: Agent, path: str) -> str:
    text = (await agent.read(path))[:LONGEST]
    summary = await agent.ask(PROMPT.format(text=text), max_tokens=60, stop=["\n"])
    return f"{path}: {summary}"
