"""Runs that can be resumed: what is recorded of them for that, and what is read when they are."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from aios.boot.fingerprint import sha256
from aios.config import Config
from aios.hosts import default_directories, find_program
from aios.record import Journal, Past, RunRecord, past
from aios_syscalls import BadRequest, Conflict, NotFound

RESUMABLE = "durable"
"""Under this name the first event of a durable run says what resuming it takes."""


@dataclass(frozen=True, slots=True)
class Durability:
    """How a durable run is hosted; `resume` is the record of the one that goes on."""

    hash_seed: int = field(default_factory=lambda: secrets.randbelow(2**32))
    """Of Python, in its processes: the order of sets of texts depends on it."""
    resume: RunRecord | None = None

    def facts(self, config: Config) -> dict[str, Any]:
        """What is recorded, so that the run can be resumed."""
        return {RESUMABLE: {"hash_seed": self.hash_seed, "config": config.model_dump(mode="json")}}


def resumable(record: RunRecord) -> tuple[Durability, Config]:
    """How a run on record was hosted and configured. Raises BadRequest for one that was not durable.

    Raises Conflict where this aios does not know the configuration that was recorded.
    """
    facts: Mapping[str, Any] = next((event.data for event in record.events(payloads=True)), {})
    found = facts.get(RESUMABLE)
    if not isinstance(found, Mapping):
        raise BadRequest(
            f"run {record.id} cannot be resumed: it was not recorded for that; start it anew, with aios run --durable"
        )
    try:
        config = Config.model_validate(found["config"])
    except ValidationError as error:
        setting = ".".join(map(str, error.errors()[0]["loc"]))
        raise Conflict(
            f"run {record.id} cannot be resumed: it was configured for another version of aios, whose {setting} this "
            "one does not know so; resume it with that version, or start it anew"
        ) from error
    return Durability(found["hash_seed"], record), config


def check_unchanged(record: RunRecord, programs: Collection[str], config: Config) -> None:
    """Raises Conflict where a program of a run is not the one that it was, or is gone. Blocks.

    `programs` are the names of the processes' programs. One that is not in the run's fingerprint, as it was started by
    its path, only has to be there.
    """
    before = (record.fingerprint or {}).get("programs", {})
    directories = (*config.agents, *default_directories())
    for name in sorted(programs):
        try:
            path = find_program(name, directories)
        except NotFound:
            raise Conflict(f"run {record.id} cannot be resumed: its program {name} is gone; put it back") from None
        if before.get(name) not in (None, sha256(path)):
            raise Conflict(
                f"run {record.id} cannot be resumed as it was: {path} was changed since it began, so what it had heard "
                "may be no answer to what it asks now; put it back, or resume it all the same with --anyway"
            )


async def reopened(journal: Journal, record: RunRecord) -> Past:
    """A run's past, once this kernel has taken it over. Raises Conflict where it goes on."""
    now = await journal.reopen(record)
    return await anyio.to_thread.run_sync(lambda: past(now.events()))
