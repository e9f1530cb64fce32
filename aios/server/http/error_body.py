"""Errors in the shapes of the protocols: which one a path or a client speaks is plain from the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.types import Scope

from aios.server.http.refusal import HttpRefusal

ANTHROPIC_PATHS = ("/v1/messages", "/v1/complete")
OPENAI: Mapping[int, tuple[str, str | None]] = {
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    504: ("timeout_error", "timeout"),
}
ANTHROPIC: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_body(scope: Scope, refusal: HttpRefusal, id: str) -> dict[str, Any]:
    """The error object that the client of a request understands."""
    if _is_anthropic(scope):
        return _anthropic(refusal, id)
    return _openai(refusal)


def _is_anthropic(scope: Scope) -> bool:
    path: str = scope["path"]
    if path.startswith(ANTHROPIC_PATHS):
        return True
    return b"anthropic-version" in scope["aios.headers"] and not path.startswith(("/v1/chat", "/v1/embeddings"))


def _openai(refusal: HttpRefusal) -> dict[str, Any]:
    other = "server_error" if refusal.status >= 500 else "invalid_request_error"
    kind, code = OPENAI.get(refusal.status, (other, None))
    told = {"message": refusal.message, "type": kind, "param": refusal.field or None}
    return {"error": {**told, "code": refusal.code or code}}


def _anthropic(refusal: HttpRefusal, id: str) -> dict[str, Any]:
    other = "api_error" if refusal.status >= 500 else "invalid_request_error"
    told = {"type": ANTHROPIC.get(refusal.status, other), "message": refusal.message}
    return {"type": "error", "error": told, "request_id": f"req_{id}"}
