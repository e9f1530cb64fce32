"""Extract the people, places, organisations, dates and amounts that a text names, as JSON.

The task is the path of a file, such as `press-release.txt`; nothing means the first text of the root. The facts are
written to `results/<path>.facts.json`.

A small model invents names when it is to list them. So dates, amounts and what is written like a name are found in the
text itself, and the model says of each name what it is: nothing can get in that is not there.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress

from pydantic import BaseModel

from aios.sdk import Agent, gather
from aios_syscalls import Exists, Message, NotFound


class Facts(BaseModel):
    """What a text names, each once, in its order."""

    people: list[str]
    places: list[str]
    organisations: list[str]
    dates: list[str]
    amounts: list[str]


EXAMPLES = (
    ("Maria Lopez opened a shop in Lisbon.", "Maria Lopez", "person"),
    ("Volt Motors will sell 5,000 cars in Poland.", "Poland", "place"),
    ("Volt Motors will sell 5,000 cars in Poland.", "Volt Motors", "company"),
    ("I read it to Juan on Monday.", "Juan", "person"),
    ("The boat left Lisbon at noon.", "Lisbon", "place"),
    ("She wrote to the Alba Bank.", "Alba Bank", "company"),
    ("He speaks Italian and has a CD of it.", "Italian", "other"),
)
MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(rf"\b(?:\d{{1,2}} )?(?:{MONTH})(?: (?:19|20)\d\d)?\b|\b(?:19|20)\d\d(?:-\d\d-\d\d)?\b")
AMOUNT = re.compile(r"(?<![\w:.,])(?:[$€£] ?)?\d[\d.,]*(?: (?:thousand|million|billion))?(?: ?[%°]| [a-zA-Z]+)")
NAME = re.compile(r"[A-Z][\w'’-]+(?: (?:(?:of|da|de|von|van) )?[A-Z][\w'’-]*)*")
NONE = re.compile(r"(?:The|An?|In|On|At|From|Dear|Mr|Mrs|Dr|\w+day|\w+days)\b\s*")
"""What a name does not begin with."""
LONGEST = 3000
MAX_NAMES = 24
"""Names of a text that the model is asked about."""


async def main(agent: Agent, task: str) -> str:
    path = task.strip()
    if not path:
        texts = [entry.path for entry in await agent.list() if entry.path.endswith((".txt", ".md"))]
        if not texts:
            raise NotFound("there is no .txt or .md file in the root; name a file as the task")
        path = texts[0]
    text = (await agent.read_bytes(path, 0, LONGEST)).decode("utf-8", "ignore")
    where = names(text)
    kinds = dict(zip(where, await gather(*(kind(agent, *item) for item in where.items()), width=8), strict=True))
    facts = Facts(
        people=[name for name in kinds if kinds[name] == "person"],
        places=[name for name in kinds if kinds[name] == "place"],
        organisations=[name for name in kinds if kinds[name] == "company"],
        dates=list(dict.fromkeys(DATE.findall(text))),
        amounts=list(dict.fromkeys(AMOUNT.findall(DATE.sub("", text)))),
    )
    with suppress(Exists):
        await agent.mkdir("results")
    await agent.write(f"results/{path.replace('/', '-')}.facts.json", facts.model_dump_json(indent=2) + "\n")
    return facts.model_dump_json()


def names(text: str) -> dict[str, str]:
    """What is written like a name, each with the first sentence that has it; one word at the front of one is none."""
    found: dict[str, str] = {}
    for sentence in re.split(r"(?<=[.!?:])\s+|\n[\s#]*|^#+ |[()\"]", DATE.sub("", text)):
        for match in NAME.finditer(sentence):
            name = NONE.sub("", match[0])
            if name and (" " in name or (match.start() > 0 and name not in " ".join(found))):
                found.setdefault(name, sentence.strip()[:240])
    return dict(list(found.items())[:MAX_NAMES])


async def kind(agent: Agent, name: str, sentence: str) -> str:
    """Whether a name is a person's, a place's or a company's."""
    talk = []
    for text, example, answer in EXAMPLES:
        talk += [
            Message(role="user", content=f"{text}\nWhat is {example}?"),
            Message(role="assistant", content=json.dumps(answer)),
        ]
    question = Message(role="user", content=f"{sentence}\nWhat is {name}?")
    return await agent.pick([*talk, question], ["person", "place", "company", "other"])
