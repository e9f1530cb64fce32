"""Tells reasoning in a text from the answer after it, piece by piece or at the end; no I/O.

Three forms: tags around the reasoning; the closing tag alone, where the chat template put the opening one into the
prompt (DeepSeek R1, Qwen3); the channels of gpt-oss (OpenAI's harmony format), marked, or with the names alone left.
"""

from __future__ import annotations

import json
import re

from aios_syscalls.reasoning import TAGS

MAX_BLANKS = 1024
"""Characters in front of a tag; so many blanks are looked through again with each piece."""

CHANNELS = ("<|channel|>", "<|start|>assistant<|channel|>")
"""What an answer in channels begins with."""
_CLOSE = re.compile("|".join(map(re.escape, TAGS.values())))
_MARK = re.compile(r"<\|(start|channel|message|end|return|call|constrain)\|>")
_LONGEST_MARK = len("<|constrain|>")
_BARE = re.compile(r"\s*analysis(?P<thought>.*?)assistantfinal(?P<text>.*)", re.DOTALL)
"""Channels whose marks were taken out: their names are left, glued to what they say."""


def told_apart(text: str) -> tuple[str, str]:
    """The answer and the reasoning in a whole text whose reasoning does not begin with a tag.

    A closing tag that is quoted, or part of code or of JSON, is one that the answer speaks of.
    """
    if bare := _BARE.fullmatch(text):
        return bare["text"].lstrip(), bare["thought"].strip()
    close = _CLOSE.search(text)
    if close is None or _speaks_of(text, close):
        return text, ""
    return text[close.end() :].lstrip(), text[: close.start()].strip()


def _speaks_of(text: str, close: re.Match[str]) -> bool:
    before = text[: close.start()]
    opened = any(open in before for open, end in TAGS.items() if end == close[0])
    around = before[-1:] + text[close.end() : close.end() + 1]
    code = before.count("```") % 2 or before.rpartition("\n")[2].count("`") % 2
    return opened or bool(code) or around in ('""', "''", "``", "“”", "«»") or _is_json(text)


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "[", '"'):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class ThinkSplitter:
    """Splits text in pieces into (answer, reasoning); only an answer that begins with a mark of it has reasoning.

    Text that may be the beginning of a mark waits for the rest. Without its closing tag all of it is reasoning. Blanks
    around the reasoning are left out; an answer without any stays as it is. What comes before a closing
    tag alone was said by then: that is for `told_apart` at the end.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self._held = ""
        self._close = ""
        self._state = "text" if begun else "start"
        self._channels = _Channels()

    def feed(self, piece: str) -> tuple[str, str]:
        """The answer and the reasoning that are certain by now."""
        if self._state == "text":
            return piece, ""
        if self._state == "channels":
            return self._channels.feed(piece)
        self._held += piece
        if self._state == "start" and not self._open():
            return ("", "") if self._state == "start" else (self._take(), "")
        return self._channels.feed(self._take()) if self._state == "channels" else self._inside()

    def flush(self) -> tuple[str, str]:
        """What is left when no more comes."""
        if self._state == "channels":
            return self._channels.flush()
        held = self._take()
        return ("", held) if self._state == "thought" else (held, "")

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held

    def _open(self) -> bool:
        """Whether reasoning has begun; the state is then no longer `start`, nor is it where none can begin."""
        text = self._held.lstrip()
        for tag, close in TAGS.items():
            if text.startswith(tag):
                self._state, self._close, self._held = "thought", close, text[len(tag) :]
                return True
        if text.startswith(CHANNELS):
            self._state = "channels"
            return True
        if len(self._held) > MAX_BLANKS or not any(tag.startswith(text) for tag in (*TAGS, *CHANNELS)):
            self._state = "text"
        return False

    def _inside(self) -> tuple[str, str]:
        if self._state == "after":
            return self._after("")
        thought, close, rest = self._held.partition(self._close)
        if close:
            self._state, self._held = "after", rest
            return self._after(thought)
        keep = next((size for size in range(len(self._close) - 1, 0, -1) if thought.endswith(self._close[:size])), 0)
        self._held = thought[len(thought) - keep :]
        return "", thought[: len(thought) - keep]

    def _after(self, thought: str) -> tuple[str, str]:
        self._held = self._held.lstrip()
        if not self._held:
            return "", thought
        self._state = "text"
        return self._take(), thought


class _Channels:
    """An answer in channels: what `final` says, and `commentary` to nobody in particular, is the answer."""

    def __init__(self) -> None:
        self._held = self._header = ""
        self._spoken: list[str] | None = None
        self._text: list[str] = []
        self._thought: list[str] = []

    def feed(self, piece: str) -> tuple[str, str]:
        *parts, self._held = _MARK.split(self._held + piece)
        for said, mark in zip(parts[::2], parts[1::2], strict=True):
            self._say(said)
            self._turn(mark)
        keep = self._unsure()
        self._say(self._held[: len(self._held) - keep])
        self._held = self._held[len(self._held) - keep :]
        return self._told()

    def flush(self) -> tuple[str, str]:
        self._say(self._held)
        self._held = ""
        return self._told()

    def _unsure(self) -> int:
        """How many characters at the end may be the beginning of a mark."""
        at = self._held.rfind("<", -_LONGEST_MARK)
        return len(self._held) - at if at >= 0 and "<|".startswith(self._held[at : at + 2]) else 0

    def _say(self, text: str) -> None:
        if self._spoken is None:
            self._header += text
        else:
            self._spoken.append(text)

    def _turn(self, mark: str) -> None:
        if mark == "message":
            name, *more = self._header.split() or [""]
            answers = name == "final" or (name == "commentary" and not any(each.startswith("to=") for each in more))
            self._spoken = self._text if answers else self._thought
        elif mark == "constrain":
            self._say(" ")
        else:
            self._spoken, self._header = None, ""

    def _told(self) -> tuple[str, str]:
        text, thought = "".join(self._text), "".join(self._thought)
        self._text.clear()
        self._thought.clear()
        return text, thought
