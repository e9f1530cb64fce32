"""Output that must match a JSON schema: llama.cpp's grammar sampler, applied as lazily as exactness allows."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as L
from llama_cpp.llama_grammar import json_schema_to_gbnf
from numpy.typing import NDArray

from aios.models.gguf.llama import LlamaModel
from aios_syscalls import BadRequest

Logits = NDArray[np.float32]
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
HEAD = 256
"""How many of the likeliest tokens are tried before all are."""


class Grammar:
    """What may come next under a schema. Raises BadRequest for a schema that has no grammar."""

    def __init__(self, model: LlamaModel, schema: dict[str, Any]) -> None:
        try:
            source = json_schema_to_gbnf(json.dumps(schema), list(dict.fromkeys(_properties(schema))))
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            raise BadRequest(
                f"the schema cannot be made a grammar: {error!r}; simplify it", "response_schema"
            ) from None
        self._sampler = L.llama_sampler_init_grammar(model.vocab, source.encode(), b"root")
        if not self._sampler:
            raise BadRequest("llama.cpp cannot parse the schema's grammar; simplify it", "response_schema")

    def __del__(self) -> None:
        if getattr(self, "_sampler", None):
            L.llama_sampler_free(self._sampler)

    def accept(self, token: int) -> None:
        """The token was generated."""
        L.llama_sampler_accept(self._sampler, token)

    def best(self, logits: Logits) -> int | None:
        """The likeliest allowed token: the argmax alone is tried first, then the top 256, then all of them."""
        first = np.asarray([np.argmax(logits)])
        if len(allowed := self._allowed(first, logits)):
            return int(allowed[0])
        head = np.argpartition(logits, -HEAD)[-HEAD:] if len(logits) > HEAD else np.arange(len(logits))
        for ids in (head, np.arange(len(logits))):
            if len(allowed := self._allowed(ids, logits)):
                # The smallest id among equals, as argmax has it.
                return int(allowed[np.lexsort((allowed, -logits[allowed]))[0]])
        return None

    def mask(self, logits: Logits) -> Logits:
        """Logits with every token that may not come next at minus infinity."""
        masked = np.full_like(logits, -np.inf)
        allowed = self._allowed(np.arange(len(logits)), logits)
        masked[allowed] = logits[allowed]
        return masked

    def _allowed(self, ids: NDArray[np.intp], logits: Logits) -> NDArray[np.int32]:
        data = np.empty(len(ids), CANDIDATE)
        data["id"], data["logit"], data["p"] = ids, logits[ids], 0
        array = L.llama_token_data_array()
        array.data = data.ctypes.data_as(L.llama_token_data_p)
        array.size, array.selected, array.sorted = len(ids), -1, False
        L.llama_sampler_apply(self._sampler, ctypes.byref(array))
        return data["id"][data["logit"] > -np.inf]


def _properties(schema: Any) -> Iterator[str]:
    """Names of properties in the order of the schema, which the grammar then keeps."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for value in schema.values():
            yield from _properties(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _properties(value)
