"""The vectors in an answer of the OpenAI protocol; no I/O."""

from __future__ import annotations

import base64
import binascii
import math
import struct

from pydantic import JsonValue

from aios.models.remote.complaint import reported
from aios.models.remote.lenient import Json, as_count, as_index, as_object, read_json, unwrapped
from aios.models.remote.sse import WireFault
from aios_syscalls import EmbedReply, Usage

WHAT = "a list of embeddings"
FLOAT_BYTES = 4


def read_vectors(data: bytes, texts: int, model: str) -> EmbedReply:
    """The vectors of so many texts, made by `model`, each of length 1.

    Raises WireFault where there is not one for each, or where they are of different or no length.
    """
    body = _body(data)
    rows = body.get("data")
    if not isinstance(rows, list):
        raise _off("data: Input should be a valid list")
    vectors = _ordered([as_object(row) for row in rows], texts)
    lengths = [math.hypot(*vector) for vector in vectors]
    if len(set(map(len, vectors))) > 1 or not all(0 < length < math.inf for length in lengths):
        raise WireFault("its vectors are of different dimensions, or not of finite length")
    unit = tuple(tuple(x / size for x in vector) for vector, size in zip(vectors, lengths, strict=True))
    return EmbedReply(vectors=unit, dimension=len(unit[0]), model=model, usage=Usage(prompt_tokens=_read(body)))


def _body(data: bytes) -> Json:
    try:
        value = unwrapped(read_json(data))
    except ValueError as error:
        raise _off(f"Invalid JSON: {error}") from None
    if said := reported(value, answers="data" in as_object(value)):
        raise WireFault(f"it reported an error: {said}")
    return as_object(value)


def _ordered(rows: list[Json], texts: int) -> list[list[float]]:
    """Vectors in the order of the texts: by their indexes, and by their place where they have none."""
    places = [_place(row, at) for at, row in enumerate(rows)]
    if sorted(places) != list(range(texts)):
        raise WireFault(f"it gave {len(rows)} vectors for {texts} texts")
    vectors = {place: _vector(row.get("embedding")) for place, row in zip(places, rows, strict=True)}
    return [vectors[place] for place in range(texts)]


def _place(row: Json, at: int) -> int:
    given = row.get("index")
    if given is None or given == "":
        return at
    place = as_index(given)
    if place is None:
        raise _off("index: Input should be a number")
    return place


def _vector(value: JsonValue) -> list[float]:
    """Numbers, also as digits, or as base64 of 32-bit floats; a list of just one vector is that one."""
    if isinstance(value, str):
        return _unpacked(value)
    if not isinstance(value, list) or not value:
        raise _off("embedding: Input should be a list of numbers, or base64")
    if len(value) == 1 and isinstance(value[0], list):
        return _vector(value[0])
    if all(type(each) is float for each in value):
        return value  # type: ignore[return-value]  # just looked at
    if any(isinstance(each, bool) or not isinstance(each, int | float | str) for each in value):
        raise _off("embedding: Input should be a valid number")
    try:
        return [float(each) for each in value]  # type: ignore[arg-type]  # just looked at
    except (ValueError, OverflowError):
        raise _off("embedding: Input should be a valid number") from None


def _unpacked(text: str) -> list[float]:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or len(data) % FLOAT_BYTES:
        raise _off("embedding: Input should be base64 of 32-bit floats")
    return [each for (each,) in struct.iter_unpack("<f", data)]


def _read(body: Json) -> int:
    usage = as_object(body.get("usage"))
    return as_count(usage.get("prompt_tokens")) or as_count(usage.get("total_tokens"))


def _off(why: str) -> WireFault:
    return WireFault(f"its answer is not {WHAT}: {why}")
