"""Sort texts by topic, and those in which somebody says `I` by how satisfied the writer is.

The task is the path of a file or a folder; nothing means the root. The result is a table of path, topic, sentiment.

The model can write nothing but one of the choices. It finds its way best by examples, and among whole sentences that it
would have written anyway.
"""

from __future__ import annotations

import json
import re

from aios.sdk import Agent, gather
from aios_syscalls import Message

EXAMPLES = {
    "I painted the kitchen and repaired the washing machine.": "home",
    "The company hired ten people and sold more cars.": "business",
    "The researchers measured the stars with a new telescope.": "science",
    "I spent a week in Rome and stayed in a small hotel.": "travel",
    "Peel the potatoes and boil them for twenty minutes.": "food",
    "The new phone has a faster chip and a better camera.": "technology",
}
TOPIC = "{}\nTopic: business, food, home, science, technology or travel?"
SENTIMENT = "{}\n\nHow does the reviewer feel?"
FEELINGS = {
    "The reviewer expresses satisfaction.": "positive",
    "The reviewer expresses dissatisfaction.": "negative",
}


async def main(agent: Agent, task: str) -> str:
    path = task.strip(" /") or "."
    single = (await agent.stat(path)).kind == "file"
    entries = () if single else await agent.list(path)
    paths = [path] if single else [each.path for each in entries if each.path.endswith((".txt", ".md"))]
    return "\n".join(await gather(*(classify(agent, each) for each in paths), width=8))


async def classify(agent: Agent, path: str) -> str:
    """The row of one file."""
    text = " ".join((await agent.read_bytes(path, 0, 1500)).decode("utf-8", "ignore").split())
    topic = await agent.pick(topic_talk(text[:500]), sorted(EXAMPLES.values()))
    feeling = "-"
    if re.search(r"\b(I|my|me)\b", text):
        feeling = FEELINGS[await agent.pick(SENTIMENT.format(text), FEELINGS)]
    return f"{path:32} {topic:12} {feeling}"


def topic_talk(text: str) -> list[Message]:
    """A conversation in which the examples were sorted well."""
    talk = []
    for example, topic in EXAMPLES.items():
        talk += [
            Message(role="user", content=TOPIC.format(example)),
            Message(role="assistant", content=json.dumps(topic)),
        ]
    return [*talk, Message(role="user", content=TOPIC.format(text))]
