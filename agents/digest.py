"""Say in a few sentences what the texts of a folder are about, all of them together.

The task is a folder; nothing means the root. Each text becomes a sentence, then four answers one, until one is left:
one graph of calls, submitted at once. The digest is written to `results/digest.md`.
"""

from __future__ import annotations

from contextlib import suppress

from aios.sdk import Agent, Future, Graph
from aios_syscalls import ChatReply, Exists, NotFound

SYSTEM = "You write short, exact summaries."
FAN_IN = 4
LONGEST = 2400
"""Bytes that are read of a text: in any language, its tokens and the answer's fit a context of 2048."""
MAX_TEXTS = 180
"""Texts that are read: their calls and those that join them fit a graph."""


async def main(agent: Agent, task: str) -> str:
    folder = task.strip(" /") or "."
    found = [entry.path for entry in await agent.list(folder) if entry.path.endswith((".txt", ".md"))]
    if not found:
        raise NotFound(f"there is no .txt or .md file in {folder}; name another folder as the task")
    graph = agent.graph()
    lines = [await read(agent, graph, path) for path in found[:MAX_TEXTS]]
    digest = (await join(graph, lines)).text.strip()
    if len(found) > MAX_TEXTS:
        digest += f"\n\n(Of the first {MAX_TEXTS} of {len(found)} texts.)"
    with suppress(Exists):
        await agent.mkdir("results")
    parts = zip(found, await agent.gather(*lines), strict=False)
    listed = "".join(f"- {path}: {' '.join(reply.text.split())}\n" for path, reply in parts)
    await agent.write("results/digest.md", f"{digest}\n\n{listed}")
    return digest


async def read(agent: Agent, graph: Graph, path: str) -> Future[ChatReply]:
    """The sentence that one text will be."""
    text = (await agent.read_bytes(path, 0, LONGEST)).decode("utf-8", "ignore")
    return graph.chat(f"{text}\n\nSummary of the text above in one sentence:", system=SYSTEM, max_tokens=48)


def join(graph: Graph, parts: list[Future[ChatReply]]) -> Future[ChatReply]:
    """What all the parts will say together."""
    while len(parts) > 1:
        groups = [parts[at : at + FAN_IN] for at in range(0, len(parts), FAN_IN)]
        parts = [one(graph, group) for group in groups]
    return parts[0]


def one(graph: Graph, group: list[Future[ChatReply]]) -> Future[ChatReply]:
    """A few parts as one; a single one is left as it is."""
    if len(group) == 1:
        return group[0]
    text = "\n".join(f"- {part}" for part in group)
    return graph.chat(f"{text}\n\nWhat these say together, in two sentences:", system=SYSTEM, max_tokens=96)
