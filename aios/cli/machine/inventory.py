"""What there is to run and to run it on: programs, models, settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from aios.artifacts import model_path
from aios.boot import DEFAULT_MODEL, survey
from aios.config import Config, LocalModelConfig, ModelConfig
from aios.hosts import default_directories, program_summary, programs
from aios.terminal.output import size
from aios.terminal.table import grid, short


def agents(config: Config) -> list[dict[str, str]]:
    """Every agent program that `aios run` finds by name."""
    found = programs((*config.agents, *default_directories()))
    return [{"name": name, "summary": program_summary(path), "path": str(path)} for name, path in found.items()]


def models(config: Config, loaded: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Every configured model, or the bundled one; touches neither the network nor a model.

    `loaded` is what the engine said of those that were loaded for this.
    """
    configured: Mapping[str, ModelConfig] = config.models or {DEFAULT_MODEL: LocalModelConfig(path=model_path())}
    first = config.model
    if first is None and (len(configured) == 1 or config.router.strategy == "explicit"):
        first = next(iter(configured))
    return [
        {
            "name": name,
            "default": name == first,
            "quality": each.quality,
            "price": price.model_dump() if (price := config.price(each)) else None,
            **_model(each),
            **(loaded or {}).get(name, {}),
        }
        for name, each in configured.items()
    ]


def agent_table(found: Sequence[Mapping[str, str]]) -> Table:
    """Programs for people."""
    table = grid("NAME", "~WHAT IT DOES", "WHERE")
    for each in found:
        table.add_row(each["name"], short(each["summary"]), str(Path(each["path"]).parent))
    return table


def model_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Models for people."""
    table = grid(
        "NAME",
        "KIND",
        ">QUALITY",
        ">USD PER MILLION",
        ">SLOTS",
        ">CONTEXT",
        ">GPU LAYERS",
        "EXACT",
        "IN MEMORY",
        "THERE",
        "~WHERE",
    )
    for each in found:
        name = each["name"] + (" (default)" if each["default"] else "")
        kind = f"{each['kind']}, embeds" if each["embeds"] else each["kind"]
        where = each.get("file", each["where"])
        quality, usd = f"{each['quality']:g}", _usd(each["price"])
        table.add_row(name, kind, quality, usd, str(each["slots"]), *_engine(each), _there(each), short(where))
    return table


def problems(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why models would not load, or did not, a line each."""
    return [f"{each['name']}: {each['problem']}" for each in found if each.get("problem")]


def _usd(price: Mapping[str, float | None] | None) -> str:
    if price is None:
        return "unknown"
    read, written = price["input"], price["output"]
    return f"{read:g} in, {written:g} out" if read or written else "free"


def _engine(model: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Context, layers on the GPU, exact or not, and memory taken: what a remote model has none of."""
    if model["kind"] != "local":
        return "", "", "", ""
    layers, exact, resident = model["gpu_layers"], model["exact"], model["resident_bytes"]
    return (
        f"{model['context']:,}",
        "as many as it can" if layers is None else f"{layers} of {model['layers'] or '?'}",
        "when loaded" if exact is None else "yes" if exact else "no",
        size(resident) if resident else "no",
    )


def toml(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """JSON values as lines of TOML; what is unset is left out."""
    for key, value in values.items():
        name = f"{prefix}{key if key.isidentifier() else json.dumps(key)}"
        if isinstance(value, dict):
            yield from toml(value, f"{name}.")
        elif value is not None:
            yield f"{name} = {json.dumps(value)}"


def shipped_texts() -> Path | None:
    """The text files that come with the agents; None where they are not installed."""
    places = (directory / "texts" for directory in default_directories())
    return next((place for place in places if place.is_dir()), None)


def _there(model: Mapping[str, Any]) -> str:
    if model["kind"] != "local":
        return "remote"
    return size(model["bytes"]) if model["present"] else "missing"


def _model(config: ModelConfig) -> dict[str, Any]:
    if isinstance(config, LocalModelConfig):
        return {
            "kind": config.kind,
            "embeds": config.embed,
            "where": str(config.path),
            "present": config.path.is_file(),
            "bytes": config.path.stat().st_size if config.path.is_file() else None,
            "slots": config.slots,
            "context": config.context,
            "layers": None,
            "gpu_layers": config.n_gpu_layers,
            "exact": None,
            "resident_bytes": None,
            "problem": None,
            **survey(config),
        }
    where = f"{config.base_url}#{config.model}"
    place = {"where": where, "present": None, "bytes": None}
    return {"kind": config.kind, "embeds": config.embed, **place, "slots": config.slots}
