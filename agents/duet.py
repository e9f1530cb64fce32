"""Two agents tell a story in turns: this one, and a partner that it starts.

The task is how the story begins; a number in front says how many sentences each adds, 3 if there is none, as in
`4 A fox found a golden key.`. The story is written to `results/duet-<pid>.txt`.

The two run at the same time and know of each other only by messages.
"""

from __future__ import annotations

import itertools
import re
from contextlib import suppress

from aios.sdk import Agent
from aios_syscalls import Exists, Expired, Sampling

SYSTEM = "You write stories for children in short, simple sentences."
PROMPT = "{story}\n\nWrite the next sentence of this story:"
ASIDE = re.compile(r"\b(?:stor(?:y|ies)|tale|sentence|you|your|I)\b", re.IGNORECASE)
"""What is said about a story and not in it."""
PARTNER = "partner of "
PATIENCE_S = 300.0
"""How long each waits for the other."""


async def main(agent: Agent, task: str) -> str:
    if task.startswith(PARTNER):
        return await accompany(agent, int(task.removeprefix(PARTNER)))
    number, _, rest = task.strip().partition(" ")
    rounds, story = (int(number), rest) if number.isdigit() else (3, task)
    story = story.strip() or "A fox found a golden key in the snow."
    partner = await agent.spawn(__file__, f"{PARTNER}{agent.pid}")
    for turn in range(rounds):
        story = await tell(agent, story, 2 * turn)
        await agent.send(partner, story)
        story = (await agent.receive(PATIENCE_S)).body
    await agent.kill(partner)
    with suppress(Exists):
        await agent.mkdir("results")
    await agent.write(f"results/duet-{agent.pid}.txt", story + "\n")
    return story


async def accompany(agent: Agent, first: int) -> str:
    """Continue every story that comes, until killed or forgotten."""
    with suppress(Expired):
        for turn in itertools.count(1, 2):
            mail = await agent.receive(PATIENCE_S)
            await agent.send(first, await tell(agent, mail.body, turn))
    return "nobody tells on"


async def tell(agent: Agent, story: str, turn: int) -> str:
    """The story with one more sentence: the first of five drawn that is whole, new and part of the story."""
    for draw in range(5):
        sampling = Sampling(temperature=0.7, top_p=0.9, repeat_penalty=1.1, seed=100 * turn + draw)
        more = await agent.ask(PROMPT.format(story=story[-400:]), system=SYSTEM, sampling=sampling, max_tokens=60)
        sentence = " ".join(more[: more.find(".") + 1].split())
        if sentence and sentence[:20] not in story and not ASIDE.search(sentence):
            return f"{story} {sentence}"
    return story
