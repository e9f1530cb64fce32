"""Models by configuration, and what can be said of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from aios.artifacts import model_path
from aios.config import MEBIBYTE, Config, LocalModelConfig, ModelConfig, RemoteModelConfig
from aios.models import Backend
from aios.models.local.supervisor.residency import Residency
from aios_syscalls import AiosError, ModelFailed

DEFAULT_MODEL = "smollm2-135m"

Progress = Callable[[str, float], None]
"""Takes what is being made ready and how much of it is, from 0 to 1."""


def make_models(config: Config, progress: Progress | None = None) -> list[Backend]:
    """The configured models, not started yet; SmolLM2 when none is configured."""
    configured: Mapping[str, ModelConfig] = config.models
    if not configured:
        configured = {DEFAULT_MODEL: LocalModelConfig(path=model_path())}
        if not model_path().is_file():
            raise ModelFailed(f"the default model is not at {model_path()}; fetch it with: python -m aios.artifacts")
    dice = random.Random(config.seed)
    most = config.memory.models_mb
    residency = Residency(None if most is None else most * MEBIBYTE)
    return [make_model(name, each, dice, progress, residency) for name, each in configured.items()]


def make_model(
    name: str,
    config: ModelConfig,
    dice: random.Random,
    progress: Progress | None = None,
    residency: Residency | None = None,
) -> Backend:
    """One model of a configuration, not started yet; local ones share the memory of `residency`."""
    if isinstance(config, LocalModelConfig):
        return _local(name, config, dice, progress, residency)
    return _remote(name, config)


class WorkerSettings(TypedDict):
    """What a process that computes locally is started with, whether it generates or embeds."""

    name: str
    slots: int
    context: int
    requantize: bool
    on_progress: Progress | None
    gpu_layers: int | None
    rss_limit_bytes: int | None
    residency: Residency | None


def _local(
    name: str, config: LocalModelConfig, dice: random.Random, progress: Progress | None, residency: Residency | None
) -> Backend:
    worker: WorkerSettings = {
        "name": name,
        "slots": config.slots,
        "context": config.context,
        "requantize": config.requantize,
        "on_progress": progress,
        "gpu_layers": config.n_gpu_layers,
        "rss_limit_bytes": None if config.rss_limit_mb is None else config.rss_limit_mb * MEBIBYTE,
        "residency": residency,
    }
    if config.embed:
        from aios.models.local.supervisor.embedder import LocalEmbedder

        return LocalEmbedder(config.path, **worker)
    from aios.models.local.supervisor.client import LocalModel

    memory, disk = config.memory_mb * MEBIBYTE, config.disk_mb * MEBIBYTE
    return LocalModel(config.path, mode=config.mode, memory_bytes=memory, disk_bytes=disk, random=dice, **worker)


def _remote(name: str, config: RemoteModelConfig) -> Backend:
    from aios.models.remote.endpoint import Settings
    from aios.models.remote.model import RemoteEmbedder, RemoteModel

    settings: Settings = {
        "name": name,
        "api_key_env": config.api_key_env,
        "slots": config.slots,
        "timeout_s": config.timeout_s,
        "rpm": config.rpm,
        "tpm": config.tpm,
        "extra": config.extra,
        "omit": config.omit,
        "rename": config.rename,
        "local": config.local,
    }
    if config.embed:
        return RemoteEmbedder(str(config.base_url), config.model, **settings)
    return RemoteModel(
        str(config.base_url),
        config.model,
        protocol=config.kind,
        context=config.context,
        tools=config.tools,
        takes=config.takes,
        schemas=config.schemas,
        stream=config.stream,
        logprobs=config.logprobs,
        resume=config.resume,
        priority=config.priority,
        program_field=config.program_field,
        **settings,
    )


def survey(config: LocalModelConfig) -> dict[str, Any]:
    """What can be said of a local model without loading it; `problem` is why it would not load, if that shows."""
    from aios.models.local.file.gguf import Header
    from aios.models.local.file.memory import Needs
    from aios.models.local.supervisor.process import resident_bytes

    try:
        header = Header.read(config.path)
        needs = Needs.of(config.path, config.slots, config.context)
    except ModelFailed as error:
        return {"problem": error.message}
    return {
        "architecture": header.architecture,
        "layers": header.layers,
        "trained_context": header.trained_context,
        "needs_bytes": needs.total,
        "resident_bytes": resident_bytes(config.path),
    }


async def try_models(config: Config, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """What the engine says of each local model when it is loaded, one at a time, or `problem`: why it does not load."""
    from aios.models.local.supervisor.client import LocalModel

    found: dict[str, dict[str, Any]] = {}
    for model in make_models(config, progress):
        if isinstance(model, LocalModel):
            try:
                async with model:
                    found[model.name] = {**model.info, "resident_bytes": (await model.stats())["rss_bytes"]}
            except AiosError as error:
                found[model.name] = {"problem": error.message}
    return found
