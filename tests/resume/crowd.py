"""Sixteen agents on one kernel in a process of its own, which says each answer that it has given: to be killed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio

from aios.kernel import Run
from aios_syscalls import Spawn, Wait
from tests.resume.conftest import Bench, EchoCore

AGENTS = 16
HEAD = "from aios.sdk import *\nfrom aios_syscalls import *\nimport anyio, json\n\nasync def main(agent, task):\n"
PROGRAMS = {
    # Its files, by every kind of change; two children that answer by result and by mail; a graph.
    "boss": """
    name = f"{task}.txt"
    await agent.write(name, await agent.ask(f"begin {task}"))
    for step in range(4):
        await agent.append(name, "\\n" + await agent.ask(f"{task} step {step}"))
    child = await agent.spawn("scribe", task)
    await agent.send(child, f"a letter from {task}")
    graph = agent.graph()
    one = graph.chat(f"graph of {task}")
    two = graph.chat(f"after {one}")
    found = (await two).text
    await agent.create(f"{task}-made.txt", found)
    await agent.move(f"{task}-made.txt", f"{task}-moved.txt")
    await agent.copy(name, f"{task}-copy.txt")
    await agent.change(PutFile(path=f"{task}-a.txt", data=b"a"), PutFile(path=f"{task}-b.txt", data=found.encode()))
    last = await agent.wait(child)
    await agent.delete(f"{task}-a.txt")
    return json.dumps([found, last, len(await agent.history(name))])
""",
    "scribe": """
    letter = (await agent.receive()).body
    parts = await gather(*(agent.ask(f"{letter} {part}") for part in range(3)))
    for part in parts:
        await agent.append(f"{task}-letter.txt", part)
    return letter
""",
}


async def start(run: Run) -> list[int]:
    return [(await run.submit(Spawn(program="boss", task=f"boss{number}"))).pid for number in range(AGENTS)]


async def results(run: Run, pids: list[int]) -> list[str]:
    found = []
    for pid in pids:
        process = (await run.submit(Wait(pid=pid))).process
        found.append(str(process.result or process.error))
    return found


def prepare(place: Path) -> Bench:
    bench = Bench(place)
    for name, source in PROGRAMS.items():
        bench.program(name, HEAD + source)
    return bench


async def main(place: Path) -> None:
    bench = prepare(place)

    class Telling(EchoCore):
        async def run(self, turn):  # type: ignore[no-untyped-def]
            reply = await super().run(turn)
            print(len(self.asked), flush=True)
            return reply

    bench.core = Telling()
    async with bench.host as host, bench.opened(place / "journal.db", host) as run:
        print(json.dumps(await results(run, await start(run))), flush=True)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
