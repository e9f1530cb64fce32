"""The patterns of an ignore file, as git matches them, each in time bounded by its length times that of the path.

The semantics are those of git's wildmatch.c and gitignore(5). A pattern becomes a regular expression that never tries
two ways to read what a star stood for: the first place at which the piece after a star fits is as good as any later
one, so it is kept (an atomic group), and only the last piece is looked for further along.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

LONGEST = 4096
"""Characters of a pattern; no path is longer."""
WILD = 32 * 1024
"""Characters of the patterns of one directory that have wildcards; more would take long for each file there is."""
_DEEP = "**"
_STAR = "*"
_NAMED = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f", "digit": "0-9",
    "graph": r"!-~", "lower": "a-z", "print": r"\ -~", "punct": r"!-/:-@\[-`{-~", "space": r" \t\n\r\f\v",
    "upper": "A-Z", "xdigit": "0-9a-fA-F",
}  # fmt: skip


class _NoPattern(ValueError):
    """A pattern that git takes for one that matches nothing."""


@dataclass(frozen=True, slots=True)
class _Rule:
    order: int
    ignores: bool
    directories: bool
    """Whether it is about directories alone."""


class IgnoreRules:
    """What the lines of a directory's ignore files say of paths below it; a later line overrules."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._names: dict[str, list[_Rule]] = {}
        self._paths: dict[str, list[_Rule]] = {}
        self._wild: list[tuple[_Rule, bool, re.Pattern[str]]] = []
        room = WILD
        for order, line in enumerate(lines):
            room -= self._add(order, line)
            if room < 0:
                _log.warning("ignore file: what follows %s characters of patterns with wildcards is not read", WILD)
                break

    def __call__(self, path: str, directory: bool) -> bool | None:
        """Whether to leave out a path below the directory; None is no opinion."""
        name = path.rpartition("/")[2]
        said = [*self._names.get(name, ()), *self._paths.get(path, ())]
        said += [rule for rule, whole, pattern in self._wild if pattern.match(path if whole else name)]
        last = max((rule for rule in said if directory or not rule.directories), key=_order, default=None)
        return last and last.ignores

    def _add(self, order: int, line: str) -> int:
        """Takes up a line; how many characters of wildcards that costs."""
        text = _trimmed(line)
        if not text or text.startswith("#") or len(text) > LONGEST:
            return 0
        ignores = not text.startswith("!")
        text = text if ignores else text[1:]
        rule = _Rule(order, ignores, text.endswith("/"))
        text = text.removesuffix("/")
        whole, text = "/" in text, text.removeprefix("/")
        if not text:
            return 0
        if not any(sign in text for sign in "*?[\\"):
            (self._paths if whole else self._names).setdefault(text, []).append(rule)
            return 0
        try:
            self._wild.append((rule, whole, re.compile(translate(text), re.DOTALL)))
        except _NoPattern as error:
            _log.debug("%s: %s", line, error)
        return len(text)


def translate(pattern: str) -> str:
    """A regular expression that matches whole paths, without a slash at an end, that a pattern matches."""
    segments = _segments(pattern)
    groups: list[list[str]] = [[]]
    for segment in segments:
        if segment == [_DEEP]:
            groups.append([])
        else:
            groups[-1].append(_segment(segment))
    first, *inner = groups
    if not inner:
        return "/".join(first) + r"\Z"
    *inner, last = inner
    begin = "".join(f"{each}/" for each in first)
    middle = "".join(f"(?>(?:[^/]++/)*?{'/'.join(group)}/)" for group in inner if group)
    return begin + middle + (rf"(?:[^/]++/)*?{'/'.join(last)}\Z" if last else ".")


def _order(rule: _Rule) -> int:
    return rule.order


def _trimmed(line: str) -> str:
    """A line without the blanks at its end that no backslash keeps."""
    kept = line.removesuffix("\r").rstrip(" ")
    slashes = len(kept) - len(kept.rstrip("\\"))
    return f"{kept} " if slashes % 2 and len(kept) < len(line) else kept


def _segments(pattern: str) -> list[list[str]]:
    """The pattern between slashes, as regular expressions of one character each and stars; `[_DEEP]` is any depth."""
    segments: list[list[str]] = [[]]
    at = 0
    while at < len(pattern):
        token, end = _token(pattern, at)
        if token == "/":
            segments.append([])
        elif token == _STAR:
            deep = end - at > 1 and pattern[at - 1 : at] in ("", "/") and pattern[end:].startswith(("/", "\\/"))
            deep = deep or (end - at > 1 and pattern[at - 1 : at] in ("", "/") and end == len(pattern))
            segments[-1].append(_DEEP if deep else _STAR)
        else:
            segments[-1].append(token)
        at = end
    return segments


def _token(pattern: str, at: int) -> tuple[str, int]:
    """What a pattern says at a place, and where that ends."""
    char = pattern[at]
    if char == "*":
        end = at + 1
        while pattern[end : end + 1] == "*":
            end += 1
        return _STAR, end
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _set(pattern, at + 1)
    if char == "\\":
        at += 1
        if at == len(pattern):
            raise _NoPattern("nothing follows its last backslash")
    return re.escape(pattern[at]), at + 1


def _segment(tokens: list[str]) -> str:
    """A regular expression for one name, whose pieces between stars are found where they come first."""
    pieces: list[str] = [""]
    for token in tokens:
        if token == _STAR:
            pieces.append("")
        else:
            pieces[-1] += token
    first, *rest = pieces
    if not rest:
        return first
    *inner, last = rest
    found = "".join(f"(?>[^/]*?{piece})" for piece in inner if piece)
    return f"(?>{first}{found}{f'[^/]*?{last}(?=/|{chr(92)}Z)' if last else '[^/]*+'})"


def _set(pattern: str, at: int) -> tuple[str, int]:
    """A set of characters as a regular expression, from behind its bracket, and where it ends."""
    negated = pattern[at : at + 1] in ("!", "^") and at < len(pattern)
    at += negated
    found: list[str] = []
    before, first = "", True
    while first or pattern[at : at + 1] != "]":
        first = False
        item, before, at = _item(pattern, at, before)
        found.append(item)
    said = "".join(found)
    if not said:
        return "[^/]" if negated else "(?!)", at + 1
    return f"(?!/)[{'^' * negated}{said}]", at + 1


def _item(pattern: str, at: int, before: str) -> tuple[str, str, int]:
    """The next of a set: as a regular expression, the character a range may begin with, and where it ends."""
    char, end = _char(pattern, at)
    if char == "-" and end == at + 1 and before and pattern[end : end + 1] not in ("", "]"):
        last, end = _char(pattern, end)
        return (f"{re.escape(before)}-{re.escape(last)}" if before <= last else ""), "", end
    if pattern.startswith("[:", at):
        close = pattern.find("]", at + 2)
        if close < 0:
            raise _NoPattern("its set has no end")
        if close > at + 2 and pattern[close - 1] == ":":
            name = pattern[at + 2 : close - 1]
            if name not in _NAMED:
                raise _NoPattern(f"there is no set [:{name}:]")
            return _NAMED[name], "", close + 1
    return re.escape(char), char, end


def _char(pattern: str, at: int) -> tuple[str, int]:
    at += pattern[at : at + 1] == "\\"
    if at >= len(pattern):
        raise _NoPattern("its set has no end")
    return pattern[at], at + 1
