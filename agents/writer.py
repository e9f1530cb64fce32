"""Write a short story, and save each piece of it as soon as it is there.

The task is what the story is about, such as `a lighthouse keeper and a storm`. It is written to
`results/story-<pid>.txt`. The sampling is seeded by the task: the same task gives the same story.

This is the long job that a kernel has to schedule around: 300 tokens in one call.
"""

from __future__ import annotations

import zlib
from contextlib import suppress

from aios.sdk import Agent
from aios_syscalls import Exists, Sampling

SYSTEM = "You write short stories for children in simple words."
PROMPT = "Write a short story about {subject}. It has a beginning, a middle and an end."


async def main(agent: Agent, task: str) -> str:
    subject = task.strip() or "a lighthouse keeper and a storm"
    path = f"results/story-{agent.pid}.txt"
    with suppress(Exists):
        await agent.mkdir("results")
    await agent.write(path, "")
    sampling = Sampling(temperature=0.7, top_p=0.9, repeat_penalty=1.1, seed=zlib.crc32(subject.encode()))
    prompt = PROMPT.format(subject=subject)
    line = ""
    async with agent.stream(prompt, system=SYSTEM, sampling=sampling, max_tokens=300) as pieces:
        async for piece in pieces:
            line += piece
            # A write is on the disk when it returns, so it is worth more than a token.
            if len(line) > 80 or "\n" in line:
                await agent.append(path, line)
                line = ""
    await agent.append(path, line + "\n")
    story = pieces.reply.text.strip()
    end = story.rfind(".") + 1
    return f"{story[:end] or story}\n\n({len(story.split())} words in {path})"
