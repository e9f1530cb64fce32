"""Which fields a request's body has, and under which names: as configured, as the model's family wants, as learnt."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

LOG = logging.getLogger("aios.models")

SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed"})
"""Fields without which an answer is drawn as the server likes."""
SPARE = SAMPLING | {"stream_options", "encoding_format"}
"""Fields that a request may go without; what an answer says depends on all others."""
OTHER_NAMES: Mapping[str, str] = {"max_tokens": "max_completion_tokens"}

FIXED = re.compile(r"(?:.*/)?(?:o[1-9](?:-|$)|gpt-(?:[5-9]|[1-9]\d)(?:[.-]|$))", re.IGNORECASE)
"""Models of OpenAI's that reason, by their names: they want the other name for max_tokens, and sample as they like."""
CHATTY = re.compile(r"-chat\b", re.IGNORECASE)
"""Those among them that do not reason, and can be told how to sample."""

REFUSES = re.compile(
    r"unsupported|not (?:be )?supported|n.t (?:be )?support|not support|unrecogni[sz]ed|not recogni[sz]ed|unknown"
    r"|unexpected|not permitted|not allowed|extra inputs|extra_forbidden|additional propert|deprecated|no longer"
    r"|only the default|only [\d.]+ is allowed|may only be|only supports|must be (?:set to )?1(?:\.0)?\b(?! or)"
    r"|cannot both|strictly positive|must be positive|greater than 0|not available|invalid (?:argument|parameter|field)"
    r"|not (?:a )?valid (?:argument|parameter|field)|does not exist|not implemented|\buse\b.{0,40}\binstead",
    re.IGNORECASE,
)
"""Words by which a server says that it does not take a field."""
TOO_MUCH = re.compile(r"too large|too high|at most|exceed|maximum|less than|between|at least|limit", re.IGNORECASE)
"""Words by which it says that it would take another value."""
ADVICE = re.compile(
    r"\buse\b\W{0,4}([a-z][a-z_]{2,40})\b.{0,20}\binstead|did you mean\W{0,4}([a-z][a-z_]{2,40})", re.IGNORECASE
)
SENTENCES = re.compile(r"(?<=[.;!?])\s+|\n+")

HINT = "; if it does not take a field, put that in the model's `omit`, or what it is called instead in `rename`"


class BodyShape:
    """Leaves fields of a body out, or calls them otherwise; learns from a server's complaint which.

    `omit` and `rename` are what the configuration says, each None where it says nothing: then the name `model` tells.
    A complaint about a field that the configuration speaks of teaches nothing, nor does a second one about any field.
    """

    def __init__(
        self,
        model: str = "",
        omit: Collection[str] | None = None,
        rename: Mapping[str, str] | None = None,
        name: str = "",
    ) -> None:
        fixed = FIXED.match(model) is not None
        self._name = name or model
        self._settled = {*(omit or ()), *(rename or {}), *(rename or {}).values()}
        by_family = SAMPLING if fixed and not CHATTY.search(model) else frozenset()
        self._omit = set(by_family if omit is None else omit)
        self._rename = dict(OTHER_NAMES if fixed and rename is None else rename or {})
        self._warns = self._omit & SAMPLING if omit is None else set()
        self.revision = 0
        """How often it has learnt something."""

    def fit(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """`fields` as the server wants them; what is lost by it is told once."""
        asked = {name for name, value in fields.items() if value and (name, value) != ("top_p", 1)}
        for name in sorted(self._warns & asked):
            self._warns.discard(name)
            LOG.warning("model %r chooses its own %s; what a call says of it is left out", self._name, name)
        return {self._rename.get(name, name): value for name, value in fields.items() if name not in self._omit}

    def learn(self, said: str) -> bool:
        """Whether a server's complaint was about a field that it can go without, or that has another name."""
        for sentence in SENTENCES.split(said):
            name = self._accused(sentence)
            if name and REFUSES.search(sentence) and self._change(name, said):
                self.revision += 1
                return True
        return False

    def _accused(self, sentence: str) -> str:
        """The field that a sentence is about: the first that it names, or the last of two that exclude each other."""
        words = _words(sentence)
        names = [*self._rename.values(), *SPARE, *OTHER_NAMES, *OTHER_NAMES.values()]
        at = {name: words.find(f" {_plain(name)} ") for name in names if name not in self._settled}
        named = sorted((place, name) for name, place in at.items() if place >= 0)
        if "both" in sentence.lower() and len(named) > 1:
            return named[-1][1]
        return named[0][1] if named else ""

    def _change(self, name: str, said: str) -> bool:
        if name in SPARE:
            return self._drop(name)
        if TOO_MUCH.search(said) and not ADVICE.search(said):
            return False
        for old, new in self._rename.items():
            if new == name:
                return self._call(old, old)
        return self._call(name, _advised(said) or OTHER_NAMES.get(name, name)) if name not in self._rename else False

    def _drop(self, name: str) -> bool:
        if name in self._omit:
            return False
        self._omit.add(name)
        lost = "; it samples as it likes" if name in SAMPLING else ""
        LOG.warning("model %r does not take %s, which is left out from now on%s", self._name, name, lost)
        return True

    def _call(self, name: str, new: str) -> bool:
        self._settled |= {name, new, self._rename.get(name, name)}
        if self._rename.get(name, name) == new:
            return False
        self._rename[name] = new
        LOG.warning("model %r does not take %s, which is called %s from now on", self._name, name, new)
        return True


def refuses_a_field(said: str) -> bool:
    """Whether a server's complaint may be about a field that it does not take."""
    return REFUSES.search(said) is not None


def _advised(said: str) -> str:
    """The name that a server would have instead: one of a bound, since no other field is renamed."""
    found = ADVICE.search(said)
    name = next(filter(None, found.groups())).lower() if found else ""
    return name if name.startswith("max_") else ""


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _words(sentence: str) -> str:
    """A sentence's words, between blanks, with names that are spelt in several ways spelt in one."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', sentence.lower().replace('_', '')))} "
