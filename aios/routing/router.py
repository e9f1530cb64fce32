"""Which model serves a call: who can, what is expected of each, and what is learnt from how it went."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aios.models import Backend
from aios.routing.features import MAX_CHARS, QuestionText
from aios.routing.forecast import REMEMBERED, Forecast, QueueLoad, keep
from aios.routing.judge import Judge, Verdict, misfit
from aios.routing.outcomes import Outcomes
from aios.routing.prices import FREE, Price
from aios.routing.strategies import STRATEGIES, Candidate, Weights
from aios_syscalls import (
    BadRequest,
    Budget,
    BudgetExceeded,
    CallId,
    Chat,
    ChatReply,
    Embed,
    LlmCall,
    ModelFailed,
    NotFound,
)

EVEN = Weights()
UNLIMITED = Budget()
UNHEALTHY = "is unhealthy after its last failures"


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a model beforehand: price, usual quality, who takes over when a call that names it fails."""

    price: Price | None = FREE
    quality: float = 0.5
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The models to try, best first; `facts` are for the record, None where there was nothing to choose."""

    order: tuple[str, ...]
    judged: bool = False
    facts: dict[str, Any] | None = None


class _Answer(NamedTuple):
    """An answer that its process may grade."""

    pid: int
    model: str
    question: QuestionText
    answer: str


class Router:
    """Chooses among `models`. What it learns of answers goes to `outcomes`, and is read from there at the start.

    `load` tells what a model has to do at this moment.
    """

    def __init__(
        self,
        models: Mapping[str, Backend],
        strategy: str = "explicit",
        *,
        profiles: Mapping[str, Profile] | None = None,
        weights: Weights = EVEN,
        load: Callable[[str], QueueLoad] = lambda _model: QueueLoad(),
        outcomes: Outcomes | None = None,
    ) -> None:
        if strategy not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise BadRequest(f"no routing strategy {strategy!r}; there are {known}", "router.strategy")
        self._models, self._outcomes = models, outcomes
        given = profiles or {}
        self._profiles = {
            # What somebody else runs has a price, whether or not it is known.
            name: given[name] if name in given else Profile(FREE if model.local else None)
            for name, model in models.items()
        }
        self.name = strategy
        usual = {name: profile.quality for name, profile in self._profiles.items()}
        self._strategy = STRATEGIES[strategy](usual, weights)
        self.forecast = Forecast(models, {name: each.price for name, each in self._profiles.items()}, load)
        self._judge = Judge()
        self._answers: OrderedDict[CallId, _Answer] = OrderedDict()
        if outcomes is not None and len(models) > 1:
            for each in outcomes.read(models):
                self._learn(
                    _Answer(0, each.model, QuestionText.of(each.question, each.length), each.answer), each.score
                )
            self._strategy.settle()

    def decide(self, call: LlmCall, pid: int = 0, program: str = "user", left: Budget = UNLIMITED) -> Decision:
        """Which models serve `call`, the one after the other where one fails.

        Raises NotFound for a name that no model has, BadRequest when the one or all can never serve the call,
        ModelFailed when those that could are unhealthy, BudgetExceeded when what is left pays for none of them.
        """
        able = self._able(call) if call.model is None else self._named(call.model, call)
        if len(self._models) == 1 and left == UNLIMITED:
            return Decision(tuple(able), False, None)  # there is nothing to forecast, and nothing to tell
        candidates = self._affordable(self.forecast.of(able, call, pid, program), call, left)
        ordered, judged = candidates, False
        if call.model is not None:
            reason = "the call names it"
        elif len(candidates) == 1:
            reason = "it is the only one that can"
        elif not isinstance(call, Chat):
            reason = "it is the first that can"
        else:
            ordered, reason = self._strategy.order(_text(call), candidates)
            judged = self._strategy.cascades
        facts = self._facts(ordered, call, reason) if len(self._models) > 1 else None
        # Another embedder's vectors would have nothing to do with those that the caller has.
        order = ordered[:1] if isinstance(call, Embed) else ordered
        return Decision(tuple(each.name for each in order), judged, facts)

    def healthy(self, name: str) -> bool:
        """Whether a call that a model gets now has a chance."""
        return self._models[name].healthy

    def wait_s(self, name: str) -> float:
        """How long a call that a model gets now has to wait on its slot, in seconds."""
        return self._models[name].wait_s

    def failed(self, name: str) -> None:
        """A model has failed at a call."""
        self.forecast.speeds[name].failed()

    def slow_s(self, name: str) -> float | None:
        """Longer than which few calls take a model; None as long as nobody knows."""
        return self.forecast.speeds[name].slow_s

    def judge(self, chat: Chat, reply: ChatReply) -> Verdict:
        """How likely a cheap model's answer will do."""
        return self._judge.judge(
            _text(chat).content, reply.text, finish=reply.finish, schema=chat.response_schema, margin=reply.margin
        )

    def check(self, chat: Chat, reply: ChatReply) -> None:
        """Learn from an answer that is not what its schema asks for."""
        if len(self._models) < 2 or chat.response_schema is None or reply.finish == "tool_use":
            return  # a call of a tool is no answer yet
        if misfit(reply.text, chat.response_schema):
            self._remember(_Answer(0, reply.model, _text(chat), reply.text[:MAX_CHARS]), 0.0)

    def served(self, id: CallId, pid: int, program: str, chat: Chat, reply: ChatReply) -> None:
        """An answer went to the process that asked."""
        self.forecast.served(pid, program, chat, reply)
        if len(self._models) > 1:
            keep(self._answers, id, _Answer(pid, reply.model, _text(chat), reply.text[:MAX_CHARS]))

    def escalated(self, chat: Chat, reply: ChatReply, verdict: Verdict) -> None:
        """An answer was found not good enough. The judge itself learns nothing of what it said."""
        self._strategy.learn(_text(chat), reply.model, verdict.good)

    def feedback(self, call: CallId, pid: int, score: float) -> None:
        """The process `pid` says how good the answer to its call was. Raises NotFound for one that is not its own."""
        if len(self._models) < 2:
            return  # with one model there is nothing to choose, and so nothing to learn
        answer = self._answers.get(call)
        if answer is None or answer.pid != pid:
            why = f"the router remembers the last {REMEMBERED} chats of all processes, and it is none of this one's"
            raise NotFound(f"process {pid} has no answer to call {call} to grade: {why}; give a reply's `call`")
        self._remember(answer, score)

    def _remember(self, answer: _Answer, score: float) -> None:
        self._learn(answer, score)
        if self._outcomes is not None:
            self._outcomes.add(answer.model, answer.question.content, answer.question.length, answer.answer, score)

    def _learn(self, answer: _Answer, score: float) -> None:
        self._strategy.learn(answer.question, answer.model, score)
        if self._strategy.cascades:
            self._judge.learn(answer.question.content, answer.answer, score)

    def _refusal(self, name: str, call: LlmCall) -> str:
        model = self._models[name]
        if call.local_only and not model.local:
            return "is not on this machine, which the call may not leave"
        return model.refusal(call)

    def _named(self, name: str, call: LlmCall) -> list[str]:
        if name not in self._models:
            raise NotFound(f"no model {name!r}; there are {', '.join(self._models) or 'none'}")
        names = [name, *(each for each in self._profiles[name].fallbacks if each in self._models)]
        able = [each for each in names if not self._refusal(each, call)]
        if not able:
            others = [repr(other) for other in self._models if not self._refusal(other, call)]
            hint = f"name {' or '.join(others)}" if others else "no other model here can either; configure one"
            why = self._refusal(name, call)
            raise BadRequest(f"model {name!r} cannot serve this {call.name}: it {why}; {hint}", "model")
        found = [each for each in able if self.healthy(each)]
        if not found:
            hint = "try again in a few seconds, or name no model to get another"
            raise ModelFailed(f"model {name!r} {UNHEALTHY}; {hint}")
        return found

    def _able(self, call: LlmCall) -> list[str]:
        if not self._models:
            raise ModelFailed("no model is configured; add one to the configuration")
        refusals = {name: self._refusal(name, call) for name in self._models}
        found = [name for name, why in refusals.items() if not why and self.healthy(name)]
        if found:
            return found
        reasons = "; ".join(f"{name!r} {why or UNHEALTHY}" for name, why in refusals.items())
        if all(refusals.values()):
            hint = "change the call, or configure a model that can"
            raise BadRequest(f"no model can serve this {call.name}: {reasons}; {hint}", "model")
        raise ModelFailed(f"no model can serve this {call.name} now: {reasons}; try again in a few seconds")

    def _affordable(self, candidates: list[Candidate], call: LlmCall, left: Budget) -> list[Candidate]:
        if left.usd is None:
            return candidates
        dollars = left.usd
        most = {each.name: self.forecast.most(each.name, call)[1] for each in candidates}
        found = [each for each in candidates if (usd := most[each.name]) is not None and usd <= dollars]
        if found:
            return found
        prices = "; ".join(
            f"{name!r} " + ("has no price" if usd is None else f"may cost {usd:.6f}") for name, usd in most.items()
        )
        least = min((usd for usd in most.values() if usd is not None), default=-1.0)
        hint = "ask for fewer tokens, configure a price, or let whoever started it raise the budget"
        raise BudgetExceeded(f"{dollars:.6f} US dollars are left, and {prices}; {hint}", "usd", dollars, least)

    def _facts(self, ordered: Sequence[Candidate], call: LlmCall, reason: str) -> dict[str, Any]:
        named = {each.name for each in ordered}
        out = [Candidate(name, why=self._why(name, call)) for name in self._models if name not in named]
        return {
            "strategy": "explicit" if call.model is not None else self.name,
            "chosen": ordered[0].name,
            "reason": reason,
            "candidates": [_plain(each) for each in (*ordered, *out)],
        }

    def _why(self, name: str, call: LlmCall) -> str:
        if why := self._refusal(name, call):
            return why
        if not self.healthy(name):
            return UNHEALTHY
        return "is not named by the call" if call.model is not None else "may cost more than is left"


def _plain(candidate: Candidate) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    shown = replace(
        candidate,
        usd=rounded(candidate.usd),
        wait_s=round(candidate.wait_s, 4),
        service_s=round(candidate.service_s, 4),
        quality=rounded(candidate.quality),
        score=rounded(candidate.score),
        reliability=round(candidate.reliability, 4),
    )
    return {name: getattr(shown, name) for name in Candidate.__slots__}


def _text(call: LlmCall) -> QuestionText:
    """What the last user asks."""
    if not isinstance(call, Chat):
        return QuestionText.of("")
    asked = next((each.content for each in reversed(call.messages) if each.role == "user"), call.messages[-1].content)
    return QuestionText.of(asked)
