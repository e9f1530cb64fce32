"""Tool calls of an answer that may have some: free text, in which whatever begins as a call becomes a right one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from aios.models.local.engine.grammar import Grammar, to_gbnf
from aios.models.local.engine.llama import LlamaModel
from aios.models.local.engine.sampling import Ids
from aios.models.local.engine.text import CALL_BEGINS, CALL_ENDS
from aios_syscalls import BadRequest, ToolSpec

KEPT = 64
"""Sets of tools whose grammars are kept as text: a conversation offers the same ones in each of its turns."""
OPENING, CLOSING = CALL_BEGINS.encode(), CALL_ENDS.encode()
SPACE = r"[ \n]*"


class ToolCallGrammar:
    """Where an answer stands: in free text, or in a call, which then follows the schemas of the tools.

    A call begins with the tag that models write before one. From there on a grammar lets through one call of one of
    the tools and the closing tag, and no end of the answer before that. Tokens in which something follows the opening
    tag are not taken: what they bring of the call would have passed the grammar by.
    """

    def __init__(self, model: LlamaModel, source: str, *, parallel: bool) -> None:
        self._model, self._source, self._parallel = model, source, parallel
        Grammar(model, source, "tools").close()  # here, where a grammar that cannot be is told in time
        self._tail = b""
        """The end of the free text, as far as it may be the beginning of a tag."""
        self._call: Grammar | None = None
        self._written = b""
        """The call so far."""
        self.over = False
        """Whether the answer has the one call that it may have."""

    @property
    def restricts(self) -> bool:
        """Whether there is anything that may not come next."""
        return self._call is not None or bool(self._tail)

    def allowed(self, ids: Ids) -> npt.NDArray[np.bool_]:
        """As `Grammar.allowed`."""
        if self._call is not None:
            return self._call.allowed(ids)
        return np.fromiter((self._fits(self._tail + self._model.piece(int(id))) for id in ids), np.bool_, len(ids))

    def accept(self, token: int) -> None:
        """As `Grammar.accept`."""
        piece = self._model.piece(token)
        if self._call is None:
            self._read(self._tail + piece)
            return
        self._call.accept(token)
        self._written += piece
        if self._written.endswith(CLOSING) and _is_json(self._written.removesuffix(CLOSING)):
            self._leave()

    def close(self) -> None:
        """Free the automaton."""
        if self._call is not None:
            self._call.close()
            self._call = None

    def _read(self, text: bytes) -> None:
        if text.endswith(OPENING):
            self._call, self._written, self._tail = Grammar(self._model, self._source, "tools"), b"", b""
            return
        self._tail = _beginning(text)

    def _leave(self) -> None:
        self.close()
        self._written, self.over = b"", not self._parallel

    def _fits(self, text: bytes) -> bool:
        at = text.find(OPENING)
        return at < 0 or at + len(OPENING) == len(text)


def tool_call_grammar(model: LlamaModel, tools: Sequence[ToolSpec], *, parallel: bool) -> ToolCallGrammar | None:
    """The grammar of the calls of these tools; None where their schemas make none: then calls are looked at after."""
    try:
        return ToolCallGrammar(model, _source(tuple(tool.model_dump_json() for tool in tools)), parallel=parallel)
    except BadRequest:
        return None


@lru_cache(KEPT)
def _source(tools: tuple[str, ...]) -> str:
    found = to_gbnf([], "tools", [ToolSpec.model_validate_json(tool) for tool in tools])
    renamed = "\n".join(_renamed(line) for line in found.splitlines())
    return f'root ::= {SPACE} a-call {SPACE} "{CALL_ENDS}"\n{renamed}'


def _renamed(line: str) -> str:
    return "a-call ::=" + line.removeprefix("root ::=") if line.startswith("root ::=") else line


def _beginning(text: bytes) -> bytes:
    """The longest end of a text that is a beginning of the opening tag, and not all of it."""
    longest = min(len(OPENING) - 1, len(text))
    return next((text[-n:] for n in range(longest, 0, -1) if OPENING.startswith(text[-n:])), b"")


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
