"""From the flags of a command to the configuration in force."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aios.config import Config, LocalModelConfig, ModelConfig, RemoteModelConfig, load
from aios_syscalls import BadRequest, Budget, NotFound
from aios_syscalls.invalid import explain


def settings(
    file: Path | None = None,
    *,
    scheduler: str | None = None,
    slice: str | None = None,
    model: str | None = None,
    root: Path | None = None,
    isolate: bool | None = None,
    seed: int | None = None,
    budget: Budget = Budget(),  # noqa: B008 - frozen
) -> Config:
    """The configuration under these flags; None leaves a thing as it is. Raises BadRequest or NotFound."""
    from aios.boot import DEFAULT_MODEL
    from aios.boot import scheduler as make_scheduler

    policy = _given(policy=scheduler, slice=slice)
    limits = budget.model_dump(exclude_none=True)
    given = _given(scheduler=policy or None, root=root, isolate=isolate, seed=seed, budget=limits or None)
    config = load(given, file)
    make_scheduler(config)  # an unknown policy is told here, not after the models are loaded
    if model is not None:
        config = with_model(config, model)
    if config.model is not None and config.model not in (config.models or [DEFAULT_MODEL]):
        known = ", ".join(config.models or [DEFAULT_MODEL])
        raise NotFound(f"no model {config.model!r}; there are {known}. A GGUF's path or URL#MODEL does as well")
    return config


def with_model(config: Config, word: str) -> Config:
    """The configuration with one model in front: a configured one by name, or a file or endpoint and no other."""
    if "://" in word:
        url, _, name = word.partition("#")
        if not name:
            raise BadRequest(f"{word} names no model; write {url}#MODEL, as in http://localhost:8000/v1#llama", "model")
        return config.model_copy(update={"models": {name: _remote(url, name)}, "model": name})
    if word.endswith(".gguf"):
        path = Path(word).expanduser().absolute()
        return config.model_copy(update={"models": {path.stem: LocalModelConfig(path=path)}, "model": path.stem})
    return config.model_copy(update={"model": word})


def _remote(url: str, name: str) -> ModelConfig:
    key = "OPENAI_API_KEY" if os.environ.get("OPENAI_API_KEY") else None
    try:
        return RemoteModelConfig.model_validate({"kind": "openai", "base_url": url, "model": name, "api_key_env": key})
    except ValidationError as error:
        raise explain(error, f"--model {url}") from None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
