"""A program made from a number: calls in gathers, timeouts, cancellations, streams, graphs, children and mail.

What it asks for in between depends on the order in which answers came, so that a resumed one that hears them in another
order asks something else. What it returns does not.
"""

from __future__ import annotations

import json
import random

import anyio

from aios.sdk import Agent, gather
from aios_syscalls import AiosError

DEPTH = 3


class Tree:
    """One program's run."""

    def __init__(self, agent: Agent, seed: int) -> None:
        self.agent, self.seed = agent, seed
        self.came = 0
        self.mail = 0

    async def branch(self, path: str, depth: int) -> list[str]:
        """What a place in the tree comes to; which kind it is follows from the seed and the place."""
        dice = random.Random(f"{self.seed} {path}")
        kinds = [self.ask, self.stream, self.timeout, self.hurried, self.sleep, self.note, self.fails, self.gives_up]
        if depth < DEPTH:
            kinds += [self.gather, self.race, self.sequence, self.gather, self.graph]
        if depth == 1:
            kinds += [self.child, self.sends]
        found = await dice.choice(kinds)(path, depth, dice)
        self.came += 1
        await self.agent.ask(f"order {path} {self.came}")
        return found

    async def ask(self, path: str, depth: int, dice: random.Random) -> list[str]:
        return [await self.agent.ask(f"ask {path}")]

    async def stream(self, path: str, depth: int, dice: random.Random) -> list[str]:
        wanted, heard = dice.randint(1, 9), []
        async with self.agent.stream(f"stream {path}") as pieces:
            async for piece in pieces:
                heard.append(piece)
                await self.agent.ask(f"heard {path} {piece}")
                if len(heard) == wanted:
                    break
        return heard

    async def timeout(self, path: str, depth: int, dice: random.Random) -> list[str]:
        with anyio.move_on_after(dice.uniform(0.001, 0.03)) as scope:
            await self.agent.ask(f"slow {path}")
        return [f"timeout {scope.cancelled_caught}"]

    async def hurried(self, path: str, depth: int, dice: random.Random) -> list[str]:
        """Whether its time is enough is chance; what it returns is not of it."""
        with anyio.move_on_after(dice.uniform(0.0, 0.006)) as scope:
            await self.agent.ask(f"hurried {path}")
        await self.agent.ask(f"{path} was in time: {not scope.cancelled_caught}")
        return []

    async def sleep(self, path: str, depth: int, dice: random.Random) -> list[str]:
        await anyio.sleep(dice.uniform(0.0, 0.01))
        return [await self.agent.ask(f"slept {path}")]

    async def note(self, path: str, depth: int, dice: random.Random) -> list[str]:
        await self.agent.ask(f"{path} {await self.agent.random()} {await self.agent.now()}")
        return [str(await self.agent.env("NO_SUCH_VARIABLE"))]

    async def fails(self, path: str, depth: int, dice: random.Random) -> list[str]:
        try:
            await self.agent.read(f"none-{path}.txt")
        except AiosError as error:
            return [error.code]
        return ["read"]

    async def gives_up(self, path: str, depth: int, dice: random.Random) -> list[str]:
        """One of several fails, and the others are cancelled; on its way out one asks something more."""
        count = dice.randint(1, 3)
        try:
            async with anyio.create_task_group() as tasks:
                for at in range(count):
                    tasks.start_soon(self.agent.ask, f"slow {path}.{at}")
                tasks.start_soon(self._cleans_up, path)
                await self.agent.ask(f"before {path}")
                raise KeyError(path)
        except* KeyError:
            pass
        return [f"gave up {count}"]

    async def _cleans_up(self, path: str) -> None:
        try:
            await anyio.sleep(100)
        finally:
            with anyio.CancelScope(shield=True):
                await self.agent.ask(f"cleaned up {path}")

    async def gather(self, path: str, depth: int, dice: random.Random) -> list[str]:
        parts = await gather(*(self.branch(f"{path}.{at}", depth + 1) for at in range(dice.randint(2, 4))))
        return [each for part in parts for each in part]

    async def sequence(self, path: str, depth: int, dice: random.Random) -> list[str]:
        found = []
        for at in range(dice.randint(1, 3)):
            found += await self.branch(f"{path}.{at}", depth + 1)
        return found

    async def race(self, path: str, depth: int, dice: random.Random) -> list[str]:
        """The first of several ends the others; which, is told to nobody."""
        async with anyio.create_task_group() as tasks:

            async def run(at: int) -> None:
                await self.agent.ask(f"race {path}.{at}")
                await self.agent.ask(f"first {path}.{at} {self.came}")
                tasks.cancel_scope.cancel()

            for at in range(dice.randint(2, 3)):
                tasks.start_soon(run, at)
        return ["raced"]

    async def graph(self, path: str, depth: int, dice: random.Random) -> list[str]:
        graph = self.agent.graph()
        one = graph.chat(f"graph {path}")
        both = [graph.chat(f"{path} of {one}"), graph.chat(f"{path} too of {one}")]
        await graph.run()
        return [(await each).text for each in both]

    async def child(self, path: str, depth: int, dice: random.Random) -> list[str]:
        return [await self.agent.run("leaf", f"{self.seed} {path}")]

    async def sends(self, path: str, depth: int, dice: random.Random) -> list[str]:
        """A child that answers by mail."""
        pid = await self.agent.spawn("replies", "")
        for at in range(3):
            await self.agent.send(pid, f"{path} {at}")
        return [await self.agent.wait(pid)]


async def main(agent: Agent, task: str) -> str:
    tree = Tree(agent, int(task))
    return json.dumps(await tree.gather("0", 0, random.Random(task)))
