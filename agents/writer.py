"""Write a short story, the long job that others are scheduled around; its file grows while it is written.

Task: what the story is about. Writes `story-<pid>.txt`, seeded by the task, so that the same task gives the same story.
"""

from __future__ import annotations

import zlib

from aios.sdk import Agent
from aios_syscalls import Sampling

PROMPT = "Write a short story about {subject}. Begin with the weather."
EVERY = 200
"""Characters between two writes."""


async def main(agent: Agent, task: str) -> str:
    subject = task or "a lighthouse keeper"
    path = f"story-{agent.pid}.txt"
    sampling = Sampling(temperature=0.7, top_p=0.95, repeat_penalty=1.1, seed=zlib.crc32(subject.encode()))
    pending = ""
    await agent.write(path, "")
    async with agent.stream(PROMPT.format(subject=subject), sampling=sampling, max_tokens=240) as stream:
        async for piece in stream:
            pending += piece
            if len(pending) > EVERY:
                await agent.append(path, pending)
                pending = ""
    await agent.append(path, pending + "\n")
    return f"{len(stream.reply.text.split())} words in {path}: {stream.reply.text[:160].strip()}..."
