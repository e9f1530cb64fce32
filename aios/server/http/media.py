"""Attachments as clients send them: data URLs and base64."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote_to_bytes

from aios.server.http.fields import fault
from aios.server.http.request import media_part
from aios_syscalls import BadRequest, FilePart, ImagePart

_DATA = re.compile(r"data:(?P<type>[^;,]*)(?P<more>(?:;[^,]*)?),", re.IGNORECASE)


def decoded(text: str, at: str) -> bytes:
    """The bytes of a base64 text. Raises BadRequest."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise fault(at, "is not base64") from None
    if not data:
        raise fault(at, "is empty")
    return data


def from_data_url(url: str, at: str, name: str = "") -> ImagePart | FilePart | None:
    """What a data URL holds; None for another URL, which is not fetched. Raises BadRequest."""
    found = _DATA.match(url)
    if found is None:
        return None
    rest = url[found.end() :]
    data = decoded(rest, at) if found["more"].lower().endswith(";base64") else unquote_to_bytes(rest)
    return part(found["type"].lower(), data, at, name)


def part(media_type: str, data: bytes, at: str, name: str = "") -> ImagePart | FilePart:
    """Bytes as a part. Raises BadRequest for what is none."""
    try:
        return media_part(media_type, data, name)
    except BadRequest as error:
        raise fault(at, error.message) from None
