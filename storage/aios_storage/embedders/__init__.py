"""Texts to vectors: what an embedder is, and the table of those there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from aios_syscalls.errors import NotFound

Floats = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors, alone or on several threads; the same text has the same bits every time.

    `id` names the model and how it is computed: vectors of different ids are never compared. `context` is how many
    tokens of a text count. Raises ModelFailed when the model or its server does.
    """

    @property
    def id(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def context(self) -> int: ...
    def embed(self, texts: Sequence[str]) -> Floats:
        """One float32 row of length one a text; the empty text has one too."""
        ...

    def embed_query(self, text: str) -> Floats:
        """The vector of a question, where the model tells questions from documents; one row."""
        ...


EMBEDDERS = {
    "granite": "aios_storage.embedders.granite:Granite",
    "hashing": "aios_storage.embedders.hashing:Hashing",
    "openai": "aios_storage.embedders.openai:Remote",
}
"""Name -> what makes it from the text behind the colon; packages add theirs by the entry-point group."""
GROUP = "aios.embedders"
FLOORS = {"granite-embedding-30m-english/int8": 0.58}
"""Cosines below which an embedder finds nothing, by its id: of questions about other things most of the nearest are
below, of answers 2 in 100 on one of three sets with known answers and none on the others."""


def open_embedder(spec: str) -> Embedder:
    """The embedder that `NAME:ARGUMENT` describes, such as `granite:/path/to/pack` or `openai:http://host/v1#model`.

    Raises NotFound for a name that there is not, and what the embedder raises when it cannot start.
    """
    name, _, argument = spec.partition(":")
    return cast(Embedder, _maker(name)(argument))


def _maker(name: str) -> Callable[[str], Any]:
    if place := EMBEDDERS.get(name):
        module, _, attribute = place.partition(":")
        return cast(Callable[[str], Any], getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        return cast(Callable[[str], Any], point.load())
    known = sorted({*EMBEDDERS, *(point.name for point in entry_points(group=GROUP))})
    raise NotFound(f"no embedder {name!r}; there are {', '.join(known)}: write NAME:ARGUMENT", field="embedder")
