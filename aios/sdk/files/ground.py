"""What a piece of a request offers for each field, so that a model can only choose among what was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, get_args

from aios.sdk.files.operations import Kind, Operation
from aios.sdk.files.readers import PRONOUNS, Context, Unread, inside, read, version
from aios.sdk.files.request import Refused, Request

MARK = re.compile(r"⟦(\d+)⟧")
LONGEST = 7
"""Words in a phrase that says a version or a time."""


class Offer:
    """One clause of a request, and the values that it has for a field of each kind."""

    def __init__(self, masked: str, request: Request, context: Context) -> None:
        self.text = request.plain(masked)
        self._masked, self._request, self._context = masked, request, context
        self.marks = [int(number) for number in MARK.findall(masked)]

    def options(self, kind: Kind) -> dict[str, Any] | None:
        """What may be said for a field of this kind, and the value that it is; None where any words of the text do."""
        match kind:
            case Kind.QUERY:
                return None
            case Kind.TEXT:
                quoted = [self._request.marks[number] for number in self.marks]
                return {mark.text: mark.text for mark in quoted if mark.quoted}
            case Kind.PATH | Kind.PAST | Kind.FOLDER:
                pronoun = re.search(rf"\b(?:{PRONOUNS})\b", self._masked, re.I)
                return self._read(kind, [*self._marked(), *([pronoun[0]] if pronoun else [])])
            case Kind.NEW:
                return self._new()
            case Kind.AT | Kind.TIME | Kind.SECONDS:
                return self._longest(kind)
            case Kind.NAME:
                words = [self._request.plain(word).strip("\"'.,;:?!") for word in self._masked.split()]
                return {word: word for word in words if re.fullmatch(r"\w[\w.-]*", word)}

    def schema(self, operation: type[Operation]) -> dict[str, Any] | None:
        """A JSON Schema of the operation's arguments as they may be said here; None where a needed one is not."""
        properties: dict[str, Any] = {}
        needed = []
        for name, field in operation.model_fields.items():
            kind = operation.kinds().get(name)
            if name == "op" or (kind is None and not get_args(field.annotation)):
                continue
            if kind is None:
                properties[name] = {"type": "string", "enum": list(get_args(field.annotation))}
            elif (options := self.options(kind)) is None:
                properties[name] = {"type": "string", "maxLength": max(8, len(self.text))}
            elif options:
                properties[name] = {"type": "string", "enum": list(options)}
            elif field.is_required():
                return None
            else:
                continue
            needed += [name] if field.is_required() else []
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}

    def values(self, operation: type[Operation], said: Mapping[str, Any]) -> dict[str, Any]:
        """The values of what was chosen. Raises Unread for what the request does not say."""
        found: dict[str, Any] = {}
        for name, words in said.items():
            kind = operation.kinds().get(name)
            if words in (None, ""):
                continue
            if kind is None:
                found[name] = words
            elif (options := self.options(kind)) is None:
                if _flat(str(words)) not in _flat(self.text):
                    raise Unread
                found[name] = str(words).strip(" .?!")
            elif words in options:
                found[name] = (options[words],) if name == "paths" else options[words]
            else:
                raise Unread
        return found

    def unused(self, said: Mapping[str, Any]) -> list[str]:
        """Names, quotations and times of the text that no argument has: an operation that ignores them is another."""
        used = _flat(" ".join(str(words) for words in said.values()))
        names = [self._request.marks[number].text for number in self.marks]
        times = [phrase for phrase in self._longest(Kind.AT) if not phrase.isdigit()]
        return [each for each in (*names, *times) if _flat(each) not in used]

    def _marked(self) -> list[str]:
        return [f"⟦{number}⟧" for number in self.marks]

    def _read(self, kind: Kind, pieces: list[str]) -> dict[str, Any]:
        found = {}
        for piece in pieces:
            try:
                found[self._request.plain(piece).strip('"')] = read(kind, piece, self._request, self._context)
            except (Unread, Refused):
                continue
        return found

    def _new(self) -> dict[str, Any]:
        found = {}
        for number in self.marks:
            try:
                path = inside(self._request.marks[number].text)
            except Refused:
                continue
            found[self._request.marks[number].text] = path
        words = (word.strip(".,;:?!") for word in self._masked.split())
        return found | {word: word for word in words if re.fullmatch(r"[A-Za-z]\w*", word) and not found}

    def _longest(self, kind: Kind) -> dict[str, Any]:
        """The phrases that can be read as of this kind and are part of no longer one."""
        words = self.text.split()
        found: dict[str, Any] = {}
        for length in range(min(LONGEST, len(words)), 0, -1):
            for first in range(len(words) - length + 1):
                phrase = " ".join(words[first : first + length]).strip(".,;:?!")
                if any(phrase in longer for longer in found):
                    continue
                try:
                    found[phrase] = (
                        version(phrase, self._context.now)
                        if kind is Kind.AT
                        else read(kind, phrase, self._request, self._context)
                    )
                except (Unread, Refused):
                    continue
        return found


def _flat(text: str) -> str:
    return " ".join(re.sub(r"[\"'“”`]", " ", text).casefold().split())
