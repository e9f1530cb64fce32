"""Which model serves a call."""

from __future__ import annotations

from collections.abc import Mapping

from aios.models.base import Model
from aios_syscalls import LlmCall, ModelFailed, NotFound


class Router:
    """Chooses among `models`, by name and in their order, without side effects."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models

    def choose(self, call: LlmCall) -> str:
        """The name of the model that `call` asks for, or else of the first that is healthy.

        Raises NotFound for a name that no model has, ModelFailed when none is healthy.
        """
        if call.model is None:
            return self._first_healthy()
        model = self._models.get(call.model)
        if model is None:
            raise NotFound(f"no model {call.model!r}; there are {', '.join(self._models) or 'none'}")
        if not model.healthy:
            hint = "try again in a few seconds, or name no model to get another"
            raise ModelFailed(f"model {call.model!r} is unhealthy after its last failures; {hint}")
        return call.model

    def _first_healthy(self) -> str:
        for name, model in self._models.items():
            if model.healthy:
                return name
        if not self._models:
            raise ModelFailed("no model is configured; add one to the configuration")
        reasons = "; ".join(f"{name!r} is unhealthy after its last failures" for name in self._models)
        raise ModelFailed(f"no model can serve the call: {reasons}; try again in a few seconds")
