"""Extract facts of a text as JSON: people, places, dates and amounts, none of them invented.

Task: a path. Writes `<path>.facts.json`. What the model names but the text does not contain is dropped.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from aios.sdk import Agent, gather
from aios_syscalls import Message

Fact = Annotated[str, Field(max_length=40)]


class Facts(BaseModel):
    """What a paragraph says of whom, where, when and how much."""

    people: list[Fact] = Field(default=[], max_length=20)
    places: list[Fact] = Field(default=[], max_length=20)
    dates: list[Fact] = Field(default=[], max_length=20)
    amounts: list[Fact] = Field(default=[], max_length=20)


EXAMPLES = [
    (
        "On 2 May 2023 Maria Lopez and her brother Juan opened a shop in Lisbon. The rent is 900 euros a month.",
        Facts(people=["Maria Lopez", "Juan"], places=["Lisbon"], dates=["2 May 2023"], amounts=["900 euros"]),
    ),
    ("The sky was grey and nobody spoke.", Facts()),
    (
        "Volt Motors will sell 5,000 cars in Poland from June.",
        Facts(places=["Poland"], dates=["June"], amounts=["5,000 cars"]),
    ),
]


async def main(agent: Agent, task: str) -> str:
    text = await agent.read(task)
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n") if len(part) > 60]
    found = await gather(*(facts(agent, paragraph[:800]) for paragraph in paragraphs))
    merged = Facts(**{name: merge(found, name) for name in Facts.model_fields})
    await agent.write(f"{task}.facts.json", merged.model_dump_json(indent=2) + "\n")
    return merged.model_dump_json()


async def facts(agent: Agent, paragraph: str) -> Facts:
    talk = []
    for text, answer in EXAMPLES:
        talk += [Message(role="user", content=text), Message(role="assistant", content=answer.model_dump_json())]
    form = await agent.extract([*talk, Message(role="user", content=paragraph)], Facts, max_tokens=200)
    return Facts(**{name: [fact for fact in getattr(form, name) if fact in paragraph] for name in Facts.model_fields})


def merge(found: list[Facts], name: str) -> list[str]:
    """Each fact once, in the order of the text."""
    return list(dict.fromkeys(fact for facts in found for fact in getattr(facts, name)))[:20]
