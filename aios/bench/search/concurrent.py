"""Many agents, each a process of its own, on the same files: is what they see one order, and is any change lost?"""

from __future__ import annotations

import hashlib
import heapq
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from aios.bench.search import crowd_agent
from aios.boot import boot
from aios.config import Config, FilesConfig
from aios.models.scripted import ScriptedModel
from aios.sdk import Agent
from aios_storage import Files, Version

FILES = 4
CHANGES = ("write", "append", "both", "rollback")


@dataclass(frozen=True, slots=True)
class ConcurrentRecord:
    """What one agent did to one file: in which version it found or left it, and between which times, in ns."""

    path: str
    kind: str
    version: int | None
    what: str
    begin: int
    end: int


def measure(processes: int, operations: int) -> dict[str, float]:
    """So many agent processes make so many random calls each on shared files.

    `crowd_linear` is 1 where each file's versions and all that was seen of them fit one order that agrees with the
    clock; `crowd_lost` counts acknowledged changes that are in no version, or versions that nobody made.
    """
    with tempfile.TemporaryDirectory(prefix="aios-crowd-") as scratch:
        root = Path(scratch, "files")
        root.mkdir()
        began = time.perf_counter()
        answers = anyio.run(_run, root, Path(scratch, "run"), processes, operations)
        took = time.perf_counter() - began
        records = [ConcurrentRecord(*each) for answer in answers for each in answer["records"]]
        with Files(root) as files:
            wrong = faults(files, records)
            lost = sum(answer["added"] for answer in answers) - int(files.read(crowd_agent.COUNTER))
    for fault in wrong[:20]:
        print(fault)
    return {
        "crowd_linear": float(not wrong),
        "crowd_lost": abs(lost) + sum("lost" in fault for fault in wrong),
        "crowd_changes": sum(record.kind in CHANGES for record in records),
        "crowd_refused": sum(answer["refused"] for answer in answers),
        "crowd_calls_per_s": processes * operations / took,
    }


async def _run(root: Path, directory: Path, processes: int, operations: int) -> list[dict[str, Any]]:
    config = Config(root=root, files=FilesConfig(embedder="none"))
    program = crowd_agent.__file__
    async with boot(config, models=[ScriptedModel([])], directory=directory) as run:
        user = Agent(run.run.port(0), 0)
        await user.create(crowd_agent.COUNTER, b"0")
        pids = []
        for number in range(processes):
            order = {"name": f"p{number}", "seed": number, "operations": operations, "files": FILES}
            pids.append(await user.spawn(program, json.dumps(order)))
        return [json.loads(await user.wait(pid)) for pid in pids]


def faults(files: Files, records: Sequence[ConcurrentRecord]) -> list[str]:
    """Why the records are not of files on which one change or look follows another; empty where they are."""
    by_path: dict[str, list[ConcurrentRecord]] = defaultdict(list)
    for record in records:
        by_path[record.path].append(record)
    found = []
    for path, theirs in sorted(by_path.items()):
        history = {version.number: version for version in files.history(path)}
        found += [f"{path}: {fault}" for fault in (*_content(files, history, theirs), *_order(theirs))]
    return found


def _content(files: Files, history: Mapping[int, Version], records: Sequence[ConcurrentRecord]) -> list[str]:
    """Each change is one version with just its bytes, each version but a deletion one change, each look one version."""
    found = []
    made: dict[int, ConcurrentRecord] = {}
    for record in records:
        version = history.get(record.version or 0)
        if version is None:
            found.append(f"lost: version {record.version} of {record} is not in the history")
            continue
        if record.kind in CHANGES:
            if record.version in made:
                found.append(f"lost: version {record.version} is both of {made[version.number]} and of {record}")
            made[version.number] = record
        if record.kind in ("write", "both", "read") and version.sha256 != record.what:
            found.append(f"version {record.version} has other bytes than {record}")
        if record.kind == "append":
            before = history.get(version.number - 1)
            then = b"" if before is None or before.sha256 is None else files.content(before.sha256)
            if version.sha256 != hashlib.sha256(then + record.what.encode()).hexdigest():
                found.append(f"lost: version {record.version} is not the one before with {record}")
        if record.kind == "rollback" and version.sha256 != history[int(record.what)].sha256:
            found.append(f"version {record.version} has other bytes than {record}")
    found += [
        f"lost: nobody made version {number}, a {version.op}"
        for number, version in history.items()
        if number not in made and not version.deleted
    ]
    if sorted(history) != list(range(1, len(history) + 1)):
        found.append(f"lost: there are {len(history)} versions, numbered up to {max(history)}")
    return found


def _order(records: Sequence[ConcurrentRecord]) -> list[str]:
    """In the order of versions nothing comes before what was over when it began; that is all linearizability asks.

    Herlihy and Wing 1990, for a register whose every value has a number.
    """
    found = []
    over: list[tuple[int, int]] = []
    newest = 0
    for record in sorted(records, key=lambda each: each.begin):
        while over and over[0][0] < record.begin:
            newest = max(newest, heapq.heappop(over)[1])
        version = record.version or 0
        if version < newest + (record.kind in CHANGES):
            found.append(f"version {newest} was there before {record} began")
        heapq.heappush(over, (record.end, version))
    return found
