"""Sort texts by topic and sentiment, under a schema that allows nothing else.

Task: a path; nothing means all texts. The result is a table, one text a line. A model of 135 million parameters tells
a pleased review from an angry one; of its topics, believe half.
"""

from __future__ import annotations

import json

from aios.sdk import Agent, gather
from aios_syscalls import Message

SENTIMENTS = (
    ("I love this camera. The pictures are sharp, the battery lasts long and it is light.", "positive"),
    ("The soup was cold, the waiter was rude and we paid far too much. I will not come back.", "negative"),
    ("We had a lovely week. The guide was kind and the views were wonderful.", "positive"),
    ("The printer broke after a week. The shop refused to take it back. A waste of money.", "negative"),
    ("The office opens at nine. Badges are at the front desk. The meeting is on Monday.", "neutral"),
    ("The council met on Tuesday. It voted for a new road, which is to be built next year.", "neutral"),
)
TOPICS = (
    ("The phone has a bright screen, a fast chip and a long cable.", "technology"),
    ("Boil the water, add the rice and stir. Serve with butter.", "food"),
    ("We walked along the coast, took the train and slept in a small hotel.", "travel"),
    ("We look for a driver. The pay is 2000 euros a month. Send us your papers.", "work"),
    ("Anna was born in Oslo. She studied law and married in 1950. She died at 90.", "people"),
    ("We measured the temperature of 20 samples. The result differs from the first test.", "science"),
)
LONGEST = 500
"""Characters of a text that are read: its beginning tells."""


async def main(agent: Agent, task: str) -> str:
    if (await agent.stat(task or ".")).kind == "file":
        return await row(agent, task)
    entries = await agent.list(task or ".", recursive=True)
    paths = [entry.path for entry in entries if entry.path.endswith((".txt", ".md"))]
    return "\n".join(await gather(*(row(agent, path) for path in paths)))


async def row(agent: Agent, path: str) -> str:
    text = " ".join((await agent.read(path)).split())[:LONGEST]
    topic = await choose(agent, "Topic:", TOPICS, text)
    sentiment = await choose(agent, "Sentiment:", SENTIMENTS, text)
    return f"{path:28} {topic:12} {sentiment}"


async def choose(agent: Agent, asked: str, shown: tuple[tuple[str, str], ...], text: str) -> str:
    """One of the answers that were shown, as the model continues a conversation of good examples."""
    talk = []
    for example, answer in shown:
        talk += [Message(role="user", content=f"{example}\n\n{asked}")]
        talk += [Message(role="assistant", content=json.dumps(answer))]
    question = Message(role="user", content=f"{text}\n\n{asked}")
    return await agent.pick([*talk, question], dict.fromkeys(answer for _, answer in shown), max_tokens=12)
