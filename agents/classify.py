"""Sort texts by topic and sentiment, under a schema that allows nothing else.

Task: a path; nothing means all texts. The result is a table, one text a line.
"""

from __future__ import annotations

from aios.sdk import Agent, gather
from aios_syscalls import Message

TOPICS = ["technology", "food", "travel", "work", "people", "science"]
FEELINGS = ["positive", "negative", "neutral"]
SHOWN = [
    ("The phone is fast and the screen is bright. I love it.", "technology", "positive"),
    ("The soup was cold and the waiter was rude.", "food", "negative"),
    ("The office closes at five. Badges are at the desk.", "work", "neutral"),
    ("We walked along the coast for two days and the views were wonderful.", "travel", "positive"),
    ("The new printer broke after a week and support did not answer.", "technology", "negative"),
]
LONGEST = 700


async def main(agent: Agent, task: str) -> str:
    kind = (await agent.stat(task or ".")).kind
    entries = await agent.list(task or ".", recursive=True) if kind == "directory" else ()
    paths = [entry.path for entry in entries if entry.path.endswith((".txt", ".md"))] or [task]
    rows = await gather(*(row(agent, path) for path in paths))
    return "\n".join(rows)


async def row(agent: Agent, path: str) -> str:
    text = " ".join((await agent.read(path)).split())[:LONGEST]
    topic = await pick(agent, text, TOPICS, [(shown, topic) for shown, topic, _ in SHOWN])
    feeling = await pick(agent, text, FEELINGS, [(shown, feeling) for shown, _, feeling in SHOWN])
    return f"{path:28} {topic:12} {feeling}"


async def pick(agent: Agent, text: str, options: list[str], shown: list[tuple[str, str]]) -> str:
    talk = []
    for example, answer in shown:
        talk += [Message(role="user", content=example), Message(role="assistant", content=f'"{answer}"')]
    return await agent.pick([*talk, Message(role="user", content=text)], options, max_tokens=12)
