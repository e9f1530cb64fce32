"""Which model serves a call."""

from __future__ import annotations

from collections.abc import Mapping

from aios.models.base import Backend
from aios_syscalls import BadRequest, LlmCall, ModelFailed, NotFound

UNHEALTHY = "is unhealthy after its last failures"


class Router:
    """Chooses among `models`, by name and in their order, without side effects."""

    def __init__(self, models: Mapping[str, Backend]) -> None:
        self._models = models

    def choose(self, call: LlmCall) -> str:
        """The name of the model that `call` asks for, or else of the first healthy one that can serve it.

        Raises NotFound for a name that no model has, BadRequest when the one or all can never serve the call,
        ModelFailed when those that could are unhealthy.
        """
        return self._first(call) if call.model is None else self._named(call.model, call)

    def _named(self, name: str, call: LlmCall) -> str:
        model = self._models.get(name)
        if model is None:
            raise NotFound(f"no model {name!r}; there are {', '.join(self._models) or 'none'}")
        if why := model.refusal(call):
            able = [repr(other) for other, model in self._models.items() if not model.refusal(call)]
            hint = f"name {' or '.join(able)}" if able else "no other model here can either; configure one"
            raise BadRequest(f"model {name!r} cannot serve this {call.name}: it {why}; {hint}", "model")
        if not model.healthy:
            hint = "try again in a few seconds, or name no model to get another"
            raise ModelFailed(f"model {name!r} {UNHEALTHY}; {hint}")
        return name

    def _first(self, call: LlmCall) -> str:
        if not self._models:
            raise ModelFailed("no model is configured; add one to the configuration")
        refusals = {name: model.refusal(call) for name, model in self._models.items()}
        for name, why in refusals.items():
            if not why and self._models[name].healthy:
                return name
        reasons = "; ".join(f"{name!r} {why or UNHEALTHY}" for name, why in refusals.items())
        if all(refusals.values()):
            hint = "change the call, or configure a model that can"
            raise BadRequest(f"no model can serve this {call.name}: {reasons}; {hint}", "model")
        raise ModelFailed(f"no model can serve this {call.name} now: {reasons}; try again in a few seconds")
