"""What there is to run and to run it on: programs, models, settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from aios.boot import DEFAULT_MODEL
from aios.cli.output import size
from aios.cli.table import grid, short
from aios.config import Config, LocalModelConfig, ModelConfig
from aios.hosts import program as programs
from aios.setup import model_path


def agents(config: Config) -> list[dict[str, str]]:
    """Every agent program that `aios run` finds by name."""
    found = programs.programs((*config.agents, *programs.default_directories()))
    return [{"name": name, "summary": programs.summary(path), "path": str(path)} for name, path in found.items()]


def models(config: Config) -> list[dict[str, Any]]:
    """Every configured model, or the bundled one; touches neither the network nor a model."""
    configured: Mapping[str, ModelConfig] = config.models or {DEFAULT_MODEL: LocalModelConfig(path=model_path())}
    first = config.model or next(iter(configured))
    return [{"name": name, "default": name == first, **_model(each)} for name, each in configured.items()]


def agent_table(found: Sequence[Mapping[str, str]]) -> Table:
    """Programs for people."""
    table = grid("NAME", "~WHAT IT DOES", "WHERE")
    for each in found:
        table.add_row(each["name"], short(each["summary"]), str(Path(each["path"]).parent))
    return table


def model_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Models for people."""
    table = grid("NAME", "KIND", ">SLOTS", "THERE", "~WHERE")
    for each in found:
        name = each["name"] + (" (default)" if each["default"] else "")
        kind = f"{each['kind']}, embeds" if each["embeds"] else each["kind"]
        table.add_row(name, kind, str(each["slots"]), _there(each), short(each["where"]))
    return table


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
    places = (directory / "texts" for directory in programs.default_directories())
    return next((place for place in places if place.is_dir()), None)


def _there(model: Mapping[str, Any]) -> str:
    if model["kind"] != "local":
        return "remote"
    return size(model["bytes"]) if model["present"] else "missing"


def _model(config: ModelConfig) -> dict[str, Any]:
    if isinstance(config, LocalModelConfig):
        there = config.path.is_file()
        bytes = config.path.stat().st_size if there else None
        place = {"where": str(config.path), "present": there, "bytes": bytes}
        return {"kind": config.kind, "embeds": config.embed, **place, "slots": config.slots}
    place = {"where": f"{config.base_url}#{config.model}", "present": None, "bytes": None}
    return {"kind": config.kind, "embeds": False, **place, "slots": config.slots}
