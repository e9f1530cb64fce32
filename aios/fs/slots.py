"""What a piece of a request offers for each field, so that a model can only choose among what was said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from aios.fs.operations import FileKind, Operation
from aios.fs.parse import made, normal
from aios.fs.request import ParsedRequest, RequestRefused
from aios.fs.slot_parsers import PRONOUNS, VERBS, Context, NoParse, inside, read, version

MARK = re.compile(r"⟦(\d+)⟧")
LONGEST_QUERY = 5
EMPTY = re.compile(
    "a|an|the|my|our|all|any|every|of|in|to|for|from|about|with|and|or|is|are|was|were|be|it|that|this|which|what|who|"
    "i|me|we|us|you|please|can|could|would",
    re.I,
)
VERB = re.compile(VERBS, re.I)
COMMON = re.compile(
    "files?|notes?|documents?|folder|directory|agent|run|tag|search|everything|anything|virtual|topic|author|time|both|"
    "group|named|called",
    re.I,
)
LONGEST = 7
"""Words in a phrase that says a version or a time."""


class SlotCandidates:
    """One clause of a request, and the values that it has for a field of each kind."""

    def __init__(self, masked: str, request: ParsedRequest, context: Context) -> None:
        self.text = request.plain(masked)
        self._masked, self._request, self._context = masked, request, context
        self.marks = [int(number) for number in MARK.findall(masked)]

    def options(self, kind: FileKind) -> dict[str, Any]:
        """What the text says that may be a field of this kind, with the value that it is."""
        match kind:
            case FileKind.QUERY:
                return {phrase: phrase for phrase in self._phrases()}
            case FileKind.TEXT:
                quoted = [self._request.marks[number] for number in self.marks]
                return {mark.text: mark.text for mark in quoted if mark.quoted}
            case FileKind.PATH | FileKind.PAST | FileKind.FOLDER:
                pronoun = re.search(rf"\b(?:{PRONOUNS})\b", self._masked, re.I)
                return self._read(kind, [*self._marked(), *([pronoun[0]] if pronoun else [])])
            case FileKind.NEW:
                return self._new()
            case FileKind.AT | FileKind.TIME | FileKind.SECONDS:
                return self._longest(kind)
            case FileKind.NAME:
                words = [self._request.plain(word).strip("\"'.,;:?!") for word in self._masked.split()]
                return {word: word for word in words if re.fullmatch(r"\w[\w.-]*", word) and not _idle(word)}

    def schema(self, operation: type[Operation]) -> dict[str, Any] | None:
        """A JSON Schema of the operation's arguments as they may be said here; None where a needed one is not."""
        properties: dict[str, Any] = {}
        needed = []
        for name, field in operation.model_fields.items():
            kind = operation.kinds().get(name)
            if name == "op" or (kind is None and get_origin(field.annotation) is not Literal):
                continue
            if kind is None:
                properties[name] = {"type": "string", "enum": list(get_args(field.annotation))}
            elif options := self.options(kind):
                properties[name] = {"type": "string", "enum": list(options)}
            elif field.is_required():
                return None
            else:
                continue
            # What was said has to go somewhere: an operation that has a place for it takes it.
            needed += (
                [name] if field.is_required() or kind in (FileKind.TEXT, FileKind.SECONDS, FileKind.FOLDER) else []
            )
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}

    def made(self, operation: type[Operation], said: Mapping[str, Any]) -> Operation:
        """The operation with what was chosen. Raises Unread for what the request does not say, or Refused."""
        found: dict[str, Any] = {}
        for name, words in said.items():
            kind = operation.kinds().get(name)
            if kind is None:
                found[name] = words
            elif words in (options := self.options(kind)):
                found[name] = (options[words],) if name == "paths" else options[words]
            else:
                raise NoParse
        return made(operation, self.text, found, self._context)

    def unused(self, operation: type[Operation], said: Mapping[str, Any]) -> list[str]:
        """What the text says and no argument has, or two: an operation that ignores it is another one."""
        values = [_flat(str(words)) for words in said.values()]
        if twice := [each for each in said.values() if each != "" and values.count(_flat(str(each))) > 1]:
            return twice[:1]
        used = " ".join(values)
        names = [self._request.marks[number].text for number in self.marks]
        times = [phrase for phrase in self._longest(FileKind.AT) if not phrase.isdigit()]
        words = []
        if any(kind is FileKind.QUERY for kind in operation.kinds().values()):
            # What is looked for is all that says something: a part of it finds, and deletes, more.
            words = [word for word in _flat(self.text).split() if not _idle(word)]
        return [each for each in (*names, *times, *words) if _flat(each) not in used]

    def _marked(self) -> list[str]:
        return [f"⟦{number}⟧" for number in self.marks]

    def _read(self, kind: FileKind, pieces: list[str]) -> dict[str, Any]:
        found = {}
        for piece in pieces:
            try:
                found[self._request.plain(piece).strip('"')] = read(kind, piece, self._request, self._context)
            except (NoParse, RequestRefused):
                continue
        return found

    def _new(self) -> dict[str, Any]:
        found = {}
        for number in self.marks:
            try:
                path = inside(self._request.marks[number].text)
            except RequestRefused:
                continue
            found[self._request.marks[number].text] = path
        unquoted = [self._request.marks[number].text for number in self.marks if not self._request.marks[number].quoted]
        new = {said: path for said, path in found.items() if said in unquoted and not self._context.there(path)}
        if new:
            return new
        words = (word.strip(".,;:?!") for word in self._masked.split())
        return found | {word: word for word in words if re.fullmatch(r"[A-Za-z]\w*", word) and not found}

    def _phrases(self) -> Iterator[str]:
        """Words in a row that may be a subject: neither end of them says nothing by itself."""
        words = [word.strip(".,;:?!") for word in normal(self._masked).split()]
        for first in range(len(words)):
            for last in range(first + 1, min(first + LONGEST_QUERY, len(words)) + 1):
                if not any(EMPTY.fullmatch(words[edge]) for edge in (first, last - 1)) and not (
                    first == 0 and VERB.fullmatch(words[0])
                ):
                    yield self._request.plain(" ".join(words[first:last])).strip('"')

    def _longest(self, kind: FileKind) -> dict[str, Any]:
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
                        if kind is FileKind.AT
                        else read(kind, phrase, self._request, self._context)
                    )
                except (NoParse, RequestRefused):
                    continue
        return found


def _idle(word: str) -> bool:
    """Whether a word is one of those that instructions are made of."""
    return bool(EMPTY.fullmatch(word) or VERB.fullmatch(word) or COMMON.fullmatch(word))


def _flat(text: str) -> str:
    return " ".join(re.sub(r"[\"'“”`]", " ", text).casefold().split())
