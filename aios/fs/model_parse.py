"""The model pass: an operation for a clause that no rule knows, held to what the clause says.

The model chooses twice, by writing and by ranking, and fills in the arguments under the operation's own schema, whose
values are the clause's. A reading holds where both choices agree and no name, quotation or time of the clause is left
over; any other is only shown, with what else may have been meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aios.fs.operations import OPERATIONS, Operation
from aios.fs.request import RequestRefused
from aios.fs.slot_parsers import NoParse
from aios.fs.slots import SlotCandidates
from aios.sdk import Agent, rank_tools
from aios_syscalls import BadRequest, Message, ModelFailed, ToolSpec

NONE = "none"
FORM = (
    "You turn a request into one operation on files. The operations:\n{}\n"
    "none: anything that is not about files or versions of files.\nAnswer with the name of the operation alone."
)
FILL = "The operation `{}`: {} Its arguments are words of the request, exactly as they stand there."
NEAREST = 3
LISTED = [f'{name}: {operation.about} ("{operation.example}")' for name, operation in OPERATIONS.items()]
SYSTEM, REVERSED = (FORM.format("\n".join(lines)) for lines in (LISTED, LISTED[::-1]))


@dataclass(frozen=True, slots=True)
class Guess:
    """A model's reading of a clause. `why` says what speaks against it, nothing if it holds."""

    operation: Operation | None
    chosen: str
    nearest: Sequence[str]
    """Names of operations that may be meant, the likeliest first."""
    why: str = ""


async def guess(agent: Agent, offer: SlotCandidates, model: str | None = None) -> Guess:
    """What the model makes of a clause. Raises ModelFailed and the like when there is no model to ask."""
    possible = [name for name, operation in OPERATIONS.items() if offer.schema(operation) is not None]
    written = await _written(agent, offer.text, possible, SYSTEM, model)
    near = _few(written, *_alike(offer.text, possible))
    if written == NONE:
        return Guess(None, NONE, near, "the model takes it for nothing that can be done with files")
    if written not in possible:
        return Guess(None, written, near, f"the model takes it for {written}, for which it says too little")
    operation, said, why = await _filled(agent, offer, OPERATIONS[written], model)
    if not why and (left := offer.unused(OPERATIONS[written], said)):
        why = f"the model's reading leaves out {', '.join(left)}"
    if not why and (other := await _second(agent, offer.text, possible, model)) != written:
        why = f"the model wavers between {written} and {other}"
        near = _few(written, other, *near)
    return Guess(operation, written, near, why)


async def _second(agent: Agent, text: str, possible: Sequence[str], model: str | None) -> str:
    """A second opinion, which costs several times the first: by ranking, or, of a remote model, which ranks nothing, by
    writing with the operations the other way round."""
    try:
        return (await _ranked(agent, text, possible, model))[0]
    except BadRequest as error:
        if error.field != "model":
            raise
        return await _written(agent, text, possible[::-1], REVERSED, model)


def _few(*names: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name in OPERATIONS][:NEAREST]


def _alike(text: str, possible: Sequence[str]) -> list[str]:
    """The operations that are described in most of the request's words, first."""

    def shared(name: str) -> int:
        told = f"{name} {OPERATIONS[name].about} {OPERATIONS[name].example}"
        return len(_stems(text) & _stems(told))

    return sorted(possible, key=shared, reverse=True)


def _stems(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"[a-z]+", text.casefold()) if len(word) > 3}


async def _written(agent: Agent, text: str, possible: Sequence[str], system: str, model: str | None) -> str:
    """The choice among what is possible; the list of all operations is the same for every request, so it is kept."""
    schema = {"type": "string", "enum": [*possible, NONE]}
    reply = await agent.chat(f"Request: {text}", system=system, schema=schema, max_tokens=16, model=model)
    try:
        chosen = json.loads(reply.text)
    except ValueError:
        raise ModelFailed(f"{reply.text[:40]!r} is no operation; ask again or with another --model") from None
    return str(chosen)


async def _ranked(agent: Agent, text: str, possible: Sequence[str], model: str | None) -> list[str]:
    specs = [
        ToolSpec(name=name, description=f"{OPERATIONS[name].about} As in: {OPERATIONS[name].example}")
        for name in possible
    ]
    return [NONE if each is None else each.name for each in await rank_tools(agent, text, specs, model=model)]


async def _filled(
    agent: Agent, offer: SlotCandidates, operation: type[Operation], model: str | None
) -> tuple[Operation | None, dict[str, Any], str]:
    """The operation with its arguments, what was said for them, and what is wrong with them."""
    schema = offer.schema(operation)
    assert schema is not None
    name = str(operation.model_fields["op"].default)
    said = _only(schema)
    if said is None:
        talk = [
            Message(role="system", content=FILL.format(name, operation.about)),
            Message(role="user", content=f"Request: {offer.text}"),
        ]
        reply = await agent.chat(talk, schema=schema, max_tokens=160, model=model)
        try:
            said = json.loads(reply.text)
        except ValueError:
            return None, {}, "the model's arguments have no end"
    try:
        return offer.made(operation, said), said, ""
    except NoParse:
        return None, said, "the model's arguments are not in the request"
    except RequestRefused as error:
        return None, said, error.message


def _only(schema: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments, where there is but one choice for each."""
    enums = {name: field.get("enum", ()) for name, field in schema["properties"].items()}
    fixed = set(schema["required"]) == set(enums) and all(len(each) == 1 for each in enums.values())
    return {name: each[0] for name, each in enums.items()} if fixed else None
