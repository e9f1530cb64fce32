"""An answer in the making, whatever the protocol: its text, its reasoning, its calls and its end; no I/O."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aios.models.remote.calls import StreamedToolCalls
from aios.models.remote.finish import finish_of
from aios.models.remote.lenient import Spoken
from aios.models.remote.sse import WireFault
from aios.models.remote.unicode import Joiner, well_formed
from aios.models.thinking import ThinkSplitter, told_apart
from aios_syscalls import ChatReply, Usage

MAX_REASON = 40


class ServerAnswer:
    """Collects what an answer says; `end_name` is what its protocol calls the reason of its end.

    Reasoning is kept apart, whether the server sends it apart or between tags in front of the text. `prefix` is what
    the answer goes on from, `offered` are the names of the tools that it may call (None checks none).
    """

    def __init__(self, end_name: str, prefix: str = "", offered: Collection[str] | None = None) -> None:
        self.calls = StreamedToolCalls(offered)
        self.finish: str | None = None
        self.sure = False
        """Whether its end was named without another piece of text: one that comes with text may be one of many."""
        self.pieces = 0
        """In how many pieces text and reasoning came: about as many as tokens."""
        self.usage = Usage()
        self.margin: float | None = None
        self.aside: WireFault | None = None
        """What is wrong with the last thing that came and was no part of an answer."""
        self._end_name, self._begun = end_name, bool(prefix.strip())
        self._went_on = self._speaks = False
        self._splitter = ThinkSplitter(begun=self._begun)
        self._text, self._thought = Joiner(), Joiner()
        self._came: list[str] = []
        self._texts: list[str] = []
        self._sizes = [0, 0]
        self._thoughts: list[str] = []
        self._refusals: list[str] = []

    @property
    def finished(self) -> bool:
        """Whether its end was named, and nothing was said after that: some servers name one with each piece."""
        return self.finish is not None and not self._went_on

    @property
    def text(self) -> str:
        """Its text so far, as it was said."""
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        """Its reasoning so far."""
        return "".join(self._thoughts).strip()

    @property
    def empty(self) -> bool:
        """Whether nothing at all has come of it."""
        return not (self.pieces or self.calls or self._refusals)

    def say(self, spoken: Spoken) -> str:
        """Take the next piece; the text that is certain by it."""
        self._speaks = bool(spoken.text or spoken.thought)
        self.pieces += self._speaks
        self._went_on = self._went_on or (self._speaks and self.finish is not None)
        if spoken.refusal:
            self._refusals.append(spoken.refusal)
        if spoken.thought:
            self._think(self._thought.feed(spoken.thought))
        self._came.append(spoken.text)
        self._sizes[0] += len(spoken.text)
        return self._split(self._text.feed(spoken.text)) if spoken.text else ""

    def flush(self) -> str:
        """The text that waited for more, when no more comes."""
        self._think(self._thought.flush())
        piece = self._split(self._text.flush())
        text, thought = self._splitter.flush()
        self._think(thought)
        return piece + text

    def keep(self, text: str) -> None:
        """Text that is said."""
        if text:
            self._texts.append(text)
            self._sizes[1] += len(text)

    def unsaid(self, text: str) -> str:
        """What `text` says beyond the answer so far, where it repeats that: as it came, or without its reasoning."""
        for size, pieces in zip(self._sizes, (self._came, self._texts), strict=True):
            # One that is shorter repeats nothing: to look would take time each time.
            if 0 < size <= len(text) and text.startswith(said := "".join(pieces)):
                return text.removeprefix(said)
        return text

    def _split(self, piece: str) -> str:
        text, thought = self._splitter.feed(piece) if piece else ("", "")
        self._think(thought)
        return text

    def _think(self, thought: str) -> None:
        if thought:
            self._thoughts.append(thought)

    def end(self, named: str | None) -> None:
        """Take the reason of its end. A stop that comes after a length or a filter does not make it whole."""
        if named is not None and (self.finish is None or finish_of(self.finish) == "stop"):
            self.finish, self.sure = named, not self._speaks

    def reply(self, model: str) -> ChatReply:
        """The whole answer, given by `model`. Raises WireFault when it has no end or no sense."""
        if self.finish is None:
            raise self.cut_off()
        finish = finish_of(self.finish)
        self._tell_apart()
        self._check_refusal()
        if finish is None:
            raise WireFault(f"it gave up on the answer, with {self._end_name} reason {self.finish[:MAX_REASON]!r}")
        uses = self.calls.uses("; raise max_tokens" if finish == "length" else "")
        if finish == "stop" and uses:
            finish = "tool_use"
        if finish == "tool_use" and not uses:
            raise WireFault("it announced a tool call and sent none; try again")
        if finish == "length" and not uses:
            self._check_spent()
        fields: dict[str, Any] = {"usage": self.usage, "margin": self.margin, "reasoning": self.reasoning}
        return ChatReply(text=self.text, tool_uses=uses, finish=finish, model=model, **fields)

    def _tell_apart(self) -> None:
        """Take reasoning out of the text that was not known as such when it was said."""
        if not self._begun and not self.reasoning:
            text, thought = told_apart(self.text)
            self._texts, self._thoughts = [text], [thought] if thought else []

    def cut_off(self) -> WireFault:
        """Why there is no answer, where its end did not come: what came in its place is said."""
        if self.aside is None:
            return WireFault("the answer was cut off; try again")
        return self.aside if self.empty else WireFault(f"the answer was cut off; try again; at last: {self.aside}")

    def _check_refusal(self) -> None:
        words = well_formed("".join(self._refusals)).strip()
        refused = self.finish is not None and "refus" in self.finish.lower()
        if refused or (words and not self.text.strip() and not self.calls):
            said = f": {words}" if words else f" ({self._end_name} reason 'refusal')"
            raise WireFault(f"the model refused to answer{said}; change the messages", reason="refusal", permanent=True)

    def _check_spent(self) -> None:
        if self.text.strip() or self._begun:
            return
        spent = (
            "its reasoning took all tokens of the answer" if self._thoughts else "all tokens went before its first word"
        )
        hint = "raise max_tokens, or let it reason less"
        raise WireFault(f"{spent}; {hint}", reason="max_tokens", permanent=True)
