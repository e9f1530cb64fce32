"""One of many agents that change the same files at random, and say exactly what they did and when."""

from __future__ import annotations

import hashlib
import json
import random
import time
from typing import Any

from aios.sdk import Agent
from aios_syscalls import AiosError, ChangeFiles, Conflict, Point, PutFile, ReadFile, RollbackFile

COUNTER = "counter"


async def main(agent: Agent, task: str) -> str:
    """Run `operations` random calls on `files` shared files; the record of each, as JSON."""
    order = json.loads(task)
    worker = CrowdWorker(agent, order["name"], random.Random(order["seed"]), order["files"])
    for count in range(order["operations"]):
        await worker.step(count)
    return json.dumps({"records": worker.records, "added": worker.added, "refused": worker.refused})


class CrowdWorker:
    """Does one call after the other. A record is `[path, kind, version, what, begin, end]`, times in ns."""

    def __init__(self, agent: Agent, name: str, dice: random.Random, files: int) -> None:
        self.agent, self.name, self.dice = agent, name, dice
        self.files = [f"file-{number}" for number in range(files)]
        self.records: list[list[Any]] = []
        self.added = self.refused = 0

    async def step(self, count: int) -> None:
        """One operation."""
        path, word = self.dice.choice(self.files), f"[{self.name}.{count}]".encode()
        kind = self.dice.choice(["read", "read", "write", "append", "careful", "rollback", "both", "delete", "add"])
        begin = time.monotonic_ns()
        try:
            match kind:
                case "read":
                    await self._read(path)
                case "write":
                    self._note(path, "write", await self.agent.write(path, word), _hash(word), begin)
                case "append":
                    self._note(path, "append", await self.agent.append(path, word), word.decode(), begin)
                case "careful":
                    version, data = await self._read(path)
                    begin = time.monotonic_ns()
                    new = data[-200:] + word
                    self._note(path, "write", await self._write(path, new, version), _hash(new), begin)
                case "rollback":
                    done = await self.agent.port.submit(RollbackFile(path=path, to=Point(number=1)))
                    self._note(path, "rollback", done.version, "1", begin)
                case "both":
                    await self._both(word, begin)
                case "delete":
                    await self.agent.delete(path)
                case _:
                    await self._add()
        except Conflict as conflict:
            self.refused += 1
            if conflict.data.get("version"):
                self._note(path, "seen", conflict.data["version"], "", begin)
        except AiosError:
            self.refused += 1

    async def _read(self, path: str) -> tuple[int, bytes]:
        begin = time.monotonic_ns()
        reply = await self.agent.port.submit(ReadFile(path=path))
        self._note(path, "read", reply.version, _hash(reply.data), begin)
        return reply.version or 0, reply.data

    async def _write(self, path: str, data: bytes, if_version: int) -> int | None:
        return await self.agent.write(path, data, if_version=if_version)

    async def _both(self, word: bytes, begin: int) -> None:
        paths = self.dice.sample(self.files, 2)
        reply = await self.agent.port.submit(ChangeFiles(changes=tuple(PutFile(path=p, data=word) for p in paths)))
        for version in reply.versions:
            self._note(version.path, "both", version.number, _hash(word), begin)

    async def _add(self) -> None:
        """Add one to a number that all agents add to: whoever comes between makes it try again."""
        while True:
            reply = await self.agent.port.submit(ReadFile(path=COUNTER))
            try:
                await self._write(COUNTER, str(int(reply.data) + 1).encode(), reply.version or 0)
            except Conflict:
                continue
            self.added += 1
            return

    def _note(self, path: str, kind: str, version: int | None, what: str, begin: int) -> None:
        self.records.append([path, kind, version, what, begin, time.monotonic_ns()])


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
