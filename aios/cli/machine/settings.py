"""From the flags of a command to the configuration in force."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aios.config import Config, Level, Loaded, LocalModelConfig, ModelConfig, RemoteModelConfig, WallConfig, read
from aios.terminal.output import say
from aios_syscalls import BadRequest, Budget, Denied, NotFound
from aios_syscalls.invalid import explain


def loaded(file: Path | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """The configuration; what of the directory's file is left out is told on stderr, once in a command."""
    found = read(flags, file)
    if found.project.note:
        say(found.project.note, once=True)
    return found


def configuration(file: Path | None = None) -> Config:
    """As `loaded`, the configuration alone."""
    return loaded(file).config


def settings(file: Path | None = None, **flags: Any) -> Config:
    """As `chosen`, the configuration alone."""
    return chosen(file, **flags).config


def chosen(
    file: Path | None = None,
    *,
    scheduler: str | None = None,
    slice: str | None = None,
    model: str | None = None,
    root: Path | None = None,
    isolate: bool | None = None,
    wall: Level | None = None,
    seed: int | None = None,
    deadline: float | None = None,
    budget: Budget = Budget(),  # noqa: B008 - frozen
) -> Loaded:
    """The configuration under these flags; None leaves a thing as it is.

    Raises BadRequest or NotFound, and Denied for a model that only a file defines which is not trusted.
    """
    from aios.boot import DEFAULT_MODEL
    from aios.boot import scheduler as make_scheduler

    policy = _given(policy=scheduler, slice=slice)
    limits = budget.model_dump(exclude_none=True)
    more = _given(scheduler=policy or None, budget=limits or None, deadline_s=deadline)
    given = _given(root=root, isolate=isolate, seed=seed) | more
    found = loaded(file, given)
    config = found.config
    make_scheduler(config)  # an unknown policy is told here, not after the models are loaded
    if wall is not None:
        config = config.model_copy(update={"wall": WallConfig(level=wall)})  # for all programs
    if model is not None:
        config = with_model(config, model)
    if config.model is not None and config.model not in (config.models or [DEFAULT_MODEL]):
        known = ", ".join(config.models or [DEFAULT_MODEL])
        if found.project.defines("models", config.model):
            raise Denied(f"the model {config.model!r} is defined by {found.project.needed}", field="model")
        raise NotFound(f"no model {config.model!r}; there are {known}. A GGUF's path or URL#MODEL does as well")
    return replace(found, config=config)


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
