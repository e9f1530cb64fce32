"""OpenAI's Embeddings wire: the request, and the answer in numbers or base64."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic_core import to_json

from aios.server.http.fields import Object, fault, get, need
from aios_syscalls import BadRequest, EmbedReply
from aios_syscalls.llm import MAX_TEXTS

MOST = 2048
"""Texts of a request."""


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """What is to be embedded, and how the vectors are to be written."""

    body: Object
    model: str
    texts: Sequence[str]
    base64: bool
    dimensions: int | None

    def batches(self) -> Iterator[tuple[str, ...]]:
        """The texts in groups that a call takes."""
        for start in range(0, len(self.texts), MAX_TEXTS):
            yield tuple(self.texts[start : start + MAX_TEXTS])


def read_embeddings(body: Object) -> EmbeddingsRequest:
    """The request. Raises BadRequest with the field that is wrong."""
    form = get(body, "encoding_format", str) or "float"
    if form not in ("float", "base64"):
        raise fault("encoding_format", "is neither float nor base64")
    dimensions = get(body, "dimensions", int)
    if dimensions is not None and dimensions < 1:
        raise fault("dimensions", "is less than 1")
    return EmbeddingsRequest(body, need(body, "model", str), _texts(body.get("input")), form == "base64", dimensions)


def _texts(value: object) -> Sequence[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise fault("input", "is missing or empty; give a text or a list of texts")
    if len(texts) > MOST:
        raise fault("input", f"has {len(texts)} entries, more than {MOST}; send several requests")
    for index, text in enumerate(texts):
        if isinstance(text, int | list):
            raise fault(f"input.{index}", "is given as tokens, which differ between models; send texts")
        if not isinstance(text, str) or not text:
            raise fault(f"input.{index}", "is no text, or empty")
    return texts


def embeddings_body(request: EmbeddingsRequest, replies: Sequence[EmbedReply]) -> bytes:
    """The answer. Raises BadRequest when other dimensions were asked for than the model has."""
    dimension = replies[0].dimension
    if request.dimensions not in (None, dimension):
        why = f"the model's vectors have {dimension} dimensions, not {request.dimensions}; leave the field out"
        raise BadRequest(f"dimensions: {why}", "dimensions")
    vectors = [vector for reply in replies for vector in reply.vectors]
    tokens = sum(reply.usage.prompt_tokens for reply in replies)
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if request.base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return to_json({"object": "list", "data": data, "model": replies[0].model, "usage": usage})


def _packed(vector: Sequence[float]) -> str:
    """32-bit floats, the lowest byte first, as OpenAI's clients read them."""
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode()
