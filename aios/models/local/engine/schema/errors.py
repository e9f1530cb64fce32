"""Why a schema is refused."""

from __future__ import annotations


class SchemaRefused(Exception):
    """A schema that is malformed, or that no grammar can hold: where, and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


class Unsupported(Exception):
    """A construct of a regular expression that is no regular language, or none at all."""
