"""Plan the work on a folder, have workers do it, and join what they found in a report.

Task: a folder; nothing means the root. Spawns a `summarise` for each text and a `classify` for the folder, goes on
when one of them fails, and writes `report.md`.
"""

from __future__ import annotations

from aios.sdk import Agent, gather
from aios_syscalls import AgentFailed


async def main(agent: Agent, task: str) -> str:
    folder = task or "."
    entries = await agent.list(folder)
    paths = [entry.path for entry in entries if entry.kind == "file" and entry.path.endswith((".txt", ".md"))]
    jobs = [("summarise", path) for path in paths[:6]] + [("classify", folder)]
    await agent.write("plan.md", "".join(f"- {program} {path}\n" for program, path in jobs))
    results = await gather(*(work(agent, program, path) for program, path in jobs))
    failed = sum(result.startswith("failed:") for result in results)
    report = "\n".join(
        f"## {program} {path}\n\n{result}\n" for (program, path), result in zip(jobs, results, strict=True)
    )
    await agent.write("report.md", report)
    return f"{len(jobs)} jobs, {failed} failed; the report is in report.md\n{report}"


async def work(agent: Agent, program: str, path: str) -> str:
    """A worker's result, or why there is none."""
    try:
        return await agent.run(program, path)
    except AgentFailed as error:
        return f"failed: {error.message}"
