"""Which session of which client a request belongs to, by what real clients send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from pydantic_core import from_json

from aios.server.door import ClientKey
from aios.server.http.gate import Headers
from aios_syscalls import Chat

SESSION = (b"x-claude-code-session-id", b"session-id", b"session_id", b"x-session-id", b"x-session-affinity")
AGENT = b"x-claude-code-agent-id"
MAX_ID = 128
_PROGRAM = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def client_key(headers: Headers, body: Mapping[str, Any], chat: Chat | None) -> ClientKey:
    """The key by headers, else by what the body says, else by how the conversation begins."""
    found = _PROGRAM.match(headers.get(b"user-agent", b"").decode("latin-1"))
    program = found[0] if found else "client"
    session = next((_id(headers[name]) for name in SESSION if headers.get(name)), "") or _told(body)
    if session or chat is None:
        return ClientKey(program, session, _id(headers.get(AGENT, b"")))
    return ClientKey(program, beginning=_beginning(chat))


def _id(value: bytes | str) -> str:
    return (value.decode("latin-1") if isinstance(value, bytes) else value)[:MAX_ID]


def _told(body: Mapping[str, Any]) -> str:
    key = body.get("prompt_cache_key")
    if isinstance(key, str):
        return _id(key)
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return _session_of(user) if isinstance(user, str) else ""


def _session_of(user: str) -> str:
    """Claude Code's user id is JSON that has the session's."""
    if not user.startswith("{") or len(user) > 4096:
        return ""
    try:
        told = from_json(user)
    except ValueError:
        return ""
    session = told.get("session_id") if isinstance(told, dict) else None
    return _id(session) if isinstance(session, str) else ""


def _beginning(chat: Chat) -> str:
    """A hash of all up to the first message that is no system text: that stays while the conversation grows."""
    digest = blake2b(digest_size=12)
    for message in chat.messages:
        digest.update(f"{message.role}\0{message.content}\0".encode("utf-8", "surrogatepass"))
        if message.role != "system":
            break
    return digest.hexdigest()
