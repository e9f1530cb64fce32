"""Decides from the headers alone who may come in: the host, the origin and the token."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.types import Scope

from aios.server.door import Door, Principal
from aios.server.http.refusal import HttpRefusal
from aios.server.http.settings import LOOPBACK, HttpSettings

Headers = MutableMapping[bytes, bytes]

PREFIX = "/t/"
"""What a path begins with whose next segment is the token."""
NO_TOKEN = (
    "the token is missing or not one of this daemon's; send it as Authorization: Bearer, as x-api-key, "
    "as the user name of Basic, or in the path as /t/TOKEN/v1; `aios token` prints it"
)


def headers_of(scope: Scope) -> Headers:
    """The headers by their names in lower case; of a repeated one the last, but for two hosts: none."""
    found: Headers = dict(scope["headers"])
    if len(found) != len(scope["headers"]) and sum(name == b"host" for name, _ in scope["headers"]) > 1:
        found[b"host"] = b""
    return found


def take_path_token(scope: MutableMapping[str, Any]) -> str:
    """The token in the path, taken out of it in place: the server's log of requests reads the same scope."""
    path: str = scope["path"]
    if not path.startswith(PREFIX):
        return ""
    token, _, rest = path[len(PREFIX) :].partition("/")
    scope["path"] = f"/{rest}"
    scope["raw_path"] = scope["path"].encode("utf-8", "replace")
    return token


def check_sender(headers: Headers, settings: HttpSettings) -> None:
    """Raises HttpRefusal for another host's name, as of a page that has its own name point here, or a web page."""
    if not _is_ours(headers.get(b"host", b"").decode("latin-1"), settings):
        raise HttpRefusal(421, "the Host header names another server; connect to the address that `aios up` prints")
    origin = headers.get(b"origin")
    if origin is not None and not _may_call(origin.decode("latin-1"), settings):
        raise HttpRefusal(403, "web pages of this origin may not call; allow it in the configuration, [wires] origins")


def _is_ours(host: str, settings: HttpSettings) -> bool:
    name, port = _parted(host.lower())
    return name in settings.hosts and (settings.port is None or port == str(settings.port))


def _parted(host: str) -> tuple[str, str]:
    if host.startswith("["):
        name, end, rest = host.partition("]")
        return name + end, rest.removeprefix(":")
    name, _, port = host.partition(":")
    return name, port


def _may_call(origin: str, settings: HttpSettings) -> bool:
    if origin in settings.origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and _parted(parts.netloc.lower())[0] in LOOPBACK


def admitted(headers: Headers, path_token: str, door: Door) -> Principal:
    """Who the request is of, by the first good token. Raises HttpRefusal."""
    for secret in _secrets(headers, path_token):
        principal = door.admit(secret)
        if principal is not None:
            return principal
    raise HttpRefusal(401, NO_TOKEN, code="invalid_api_key", www_authenticate="Bearer")


def _secrets(headers: Headers, path_token: str) -> Iterator[str]:
    if path_token:
        yield path_token
    if authorization := headers.get(b"authorization"):
        scheme, _, value = authorization.decode("latin-1").partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            yield value.strip()
        elif scheme.lower() == "basic" and (name := _user_name(value)):
            yield name
    if key := headers.get(b"x-api-key"):
        yield key.decode("latin-1").strip()


def _user_name(value: str) -> str:
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return unquote(decoded.partition(":")[0])
