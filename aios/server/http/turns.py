"""Names of generated turns that travel through a client and come back: in tool-call ids, or as a hash of the text."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

MAX_TEXTS = 4096
"""Text turns that are remembered for one principal."""
MAX_PRINCIPALS = 256
MAC_BYTES = 8

_HANDLE = re.compile(r"[a-z]+_(\d{1,18})_(\d{1,18})_(\d{1,4})_([0-9a-f]{16})", re.ASCII)
_CALL = re.compile(r"(\d{1,18})\.(\d{1,18})", re.ASCII)


class SentTurns:
    """Mints the ids of tool calls so that they name their reply, and finds the reply again when they come back.

    An id is signed with the principal's name: nobody can name a turn that was generated for another.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._texts: OrderedDict[str, OrderedDict[bytes, str]] = OrderedDict()

    def mint(self, kind: str, principal: str, call: str, index: int) -> str:
        """The id of the `index`-th tool call of a reply; `kind` is what it begins with."""
        found = _CALL.fullmatch(call)
        if found is None:
            return f"{kind}_{secrets.token_hex(12)}"
        return f"{kind}_{found[1]}_{found[2]}_{index}_{self._mac(principal, call, str(index))}"

    def named(self, principal: str, id: str) -> str:
        """The reply that an id names, as `ChatReply.call`; empty where it is none of ours."""
        found = _HANDLE.fullmatch(id)
        if found is None:
            return ""
        call = f"{found[1]}.{found[2]}"
        return call if hmac.compare_digest(found[4], self._mac(principal, call, found[3])) else ""

    def remember(self, principal: str, text: str, call: str) -> None:
        """A plain text that was sent; the oldest are forgotten."""
        if not text or not call:
            return
        texts = self._texts.setdefault(principal, OrderedDict())
        self._texts.move_to_end(principal)
        key = _digest(text)
        texts[key] = call
        texts.move_to_end(key)
        if len(texts) > MAX_TEXTS:
            texts.popitem(last=False)
        if len(self._texts) > MAX_PRINCIPALS:
            self._texts.popitem(last=False)

    def recalled(self, principal: str, text: str) -> str:
        """The reply whose text this is, byte for byte; empty where none is remembered."""
        texts = self._texts.get(principal)
        return texts.get(_digest(text), "") if texts and text else ""

    def _mac(self, *parts: str) -> str:
        said = "\0".join(parts).encode("utf-8", "surrogatepass")
        return blake2b(said, key=self._key, digest_size=MAC_BYTES).hexdigest()


@dataclass(frozen=True, slots=True)
class TurnsOf:
    """The sent turns of one principal."""

    turns: SentTurns
    principal: str

    def mint(self, kind: str, call: str, index: int) -> str:
        """See `SentTurns.mint`."""
        return self.turns.mint(kind, self.principal, call, index)

    def sent(self, text: str, call: str) -> None:
        """See `SentTurns.remember`."""
        self.turns.remember(self.principal, text, call)

    def named(self, ids: Iterable[str]) -> str:
        """The reply that the first of these ids names which names one."""
        return next((call for id in ids if (call := self.turns.named(self.principal, id))), "")

    def recalled(self, text: str) -> str:
        """See `SentTurns.recalled`."""
        return self.turns.recalled(self.principal, text)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
