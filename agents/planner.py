"""Plan the work on a folder, have other programs do it, and join their results in a report.

The task is a folder; nothing means the root. The model chooses for each text who works on it: `summarise`, `extract` or
`classify`. The report is written to `results/report.md`; a worker that fails is noted in it, and the others go on.
"""

from __future__ import annotations

from contextlib import suppress

from aios.sdk import Agent, gather
from aios_syscalls import AgentFailed, Exists, NotFound

QUESTION = "{text}\n\nWhat does the writer do?"
WORKERS = {
    "The writer reviews a product.": "classify",
    "The writer reports facts.": "extract",
    "The writer tells a story.": "summarise",
}


async def main(agent: Agent, task: str) -> str:
    folder = task.strip(" /") or "."
    texts = [entry.path for entry in await agent.list(folder) if entry.path.endswith((".txt", ".md"))]
    if not texts:
        raise NotFound(f"there is no .txt or .md file in {folder}; name another folder as the task")
    plan = dict(zip(texts, await gather(*(choose(agent, path) for path in texts), width=8), strict=True))
    results = await gather(*(delegate(agent, program, path) for path, program in plan.items()), width=4)
    failed = sum(result.startswith("FAILED") for result in results)
    parts = zip(plan.items(), results, strict=True)
    report = f"# Report on {folder}\n" + "".join(f"\n## {path} ({who})\n\n{what}\n" for (path, who), what in parts)
    with suppress(Exists):
        await agent.mkdir("results")
    await agent.write("results/report.md", report)
    return f"{len(texts)} texts, {failed} failed\n\n{report}"


async def choose(agent: Agent, path: str) -> str:
    """The program that suits a text."""
    text = " ".join((await agent.read_bytes(path, 0, 600)).decode("utf-8", "ignore").split())
    return WORKERS[await agent.pick(QUESTION.format(text=text), WORKERS)]


async def delegate(agent: Agent, program: str, path: str) -> str:
    """What a worker found, or why it did not."""
    try:
        return await agent.run(program, path)
    except AgentFailed as error:
        return f"FAILED: {error.message}"
