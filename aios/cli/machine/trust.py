"""`aios trust`: says in plain words what a directory's configuration would allow, and keeps that the user allows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from aios.cli.files.results import flat
from aios.config import Config, LocalModelConfig, RemoteModelConfig, check_values, trust_store
from aios.project import NAME, TIGHTENING, listed, setting_names
from aios.regular import RegularFile, read_regular
from aios.terminal.exit import Code
from aios.terminal.output import clean, out, print_json, say, talk
from aios.toml_file import parse_toml
from aios.trust import TrustRecord, check_writers
from aios_syscalls import BadRequest, Denied, NotFound

TOLD = ("models", "tools", "tool_sha256", "agents", "root", "isolate", "wall", "files", *TIGHTENING)
"""Settings that have words of their own."""
SERVED_BY = {"openai": "OpenAI's protocol", "anthropic": "Anthropic's protocol"}


def trust(path: Path, *, yes: bool, as_json: bool) -> Code:
    """Show what the file would allow, and keep that it may after a yes. What was shown is what is kept.

    Raises Denied without a yes, or where others may write the file, and what reading it raises.
    """
    found = read_regular(_file(path), follow=False)
    check_writers(found)
    config = check_values(parse_toml(found.data, str(found.path)), str(found.path))
    tools = _tools(found, config)
    record = TrustRecord(str(found.path), found.sha256, {name: tool.sha256 for name, tool in tools.items()})
    allows = list(allowed(config, record.tools))
    known = trust_store().record_of(found.path) == record
    if not as_json:
        _show(found, allows)
    if not known and not (yes or _confirmed()):
        raise Denied(f"{found.path} is not trusted; nothing was changed", field="path")
    if not known:
        trust_store().trust(record)
    if as_json:
        print_json({"path": record.path, "sha256": record.sha256, "tools": record.tools, "allows": allows})
    else:
        say(f"{found.path} is trusted {'already' if known else 'as it is now'}; to take that back: aios trust --forget")
    return Code.OK


def show_list(*, as_json: bool) -> Code:
    """Every file that is trusted."""
    records = list(trust_store().records())
    if as_json:
        print_json([{"path": each.path, "sha256": each.sha256, "tools": each.tools} for each in records])
    else:
        for each in records:
            out(each.path)
    return Code.OK if records else Code.ERROR


def forget(path: Path, *, as_json: bool) -> Code:
    """Trust a file no longer. Raises NotFound where it was not trusted."""
    file = _file(path)
    place = file.parent.resolve() / file.name
    if not trust_store().forget(place):
        raise NotFound(f"{place} is not trusted; `aios trust --list` has what is", field="path")
    if as_json:
        print_json({"path": str(place), "trusted": False})
    else:
        say(f"{place} is not trusted any more")
    return Code.OK


def _file(path: Path) -> Path:
    """The file that a path means. Raises BadRequest for one that is never read of itself."""
    if path.name != NAME or path.is_dir():
        if path.exists() and not path.is_dir():
            raise BadRequest(f"only {NAME} needs trust; name {path} with --config, which is trust", "path")
        path = path / NAME
    return path


def _tools(found: RegularFile, config: Config) -> Mapping[str, RegularFile]:
    """The files whose functions the kernel would run. Raises Denied where others may write one."""
    tools = {str(tool): read_regular(found.path.parent / tool) for tool in config.tools}
    for tool in tools.values():
        check_writers(tool)
    return tools


def allowed(config: Config, tools: Mapping[str, str]) -> Iterator[str]:
    """What a configuration allows, a sentence for each thing that a user should think of."""
    for tool, sha256 in tools.items():
        yield f"the kernel runs the Python in {tool} (SHA-256 {sha256[:12]}...), with all that you may do yourself"
    for name, model in config.models.items():
        yield _model(name, model)
    if config.files.embedder is not None:
        yield _embedder(config.files.embedder)
    if "root" in config.model_fields_set:
        yield f"agents read and write files in {config.root}, by default"
    for directory in config.agents:
        yield f"`aios run NAME` finds programs in {directory}, before those that come with aios, whatever they are then"
    if not config.isolate:
        yield "agents run in the kernel's own process, where they can read its keys"
    yield from _walls(config)
    yield from _executed(config.files.allow_executed)
    yield from _rest(config)


def _model(name: str, model: LocalModelConfig | RemoteModelConfig) -> str:
    if isinstance(model, LocalModelConfig):
        return f"the model {name} is loaded from {model.path}"
    key = f"with the key in ${model.api_key_env}" if model.api_key_env else "without a key"
    return f"what agents ask {name} is sent to {model.base_url} by {SERVED_BY[model.kind]}, {key}"


def _embedder(spec: str) -> str:
    kind, _, where = spec.partition(":")
    if kind == "openai":
        return f"the text of your files is sent to {where} to be embedded, with the key in $OPENAI_API_KEY"
    return f"files are embedded by {spec}"


def _walls(config: Config) -> Iterator[str]:
    levels = {"agents": config.wall.level, **config.wall.programs}
    for whose, level in levels.items():
        if level == "off":
            yield f"{whose} may do on this machine whatever you may: there is no wall around them"
        elif level == "exec":
            yield f"{whose} may start programs, behind the same wall"
        elif level == "auto":
            yield f"{whose} run behind whatever wall this machine has"


def _executed(names: bool | tuple[str, ...]) -> Iterator[str]:
    if names:
        which = listed(list(names)) if isinstance(names, tuple) else "all of them"
        yield f"agents may write files that your other programs execute by their names: {which}"


def _rest(config: Config) -> Iterator[str]:
    bounds = [table for table in TIGHTENING if table in config.model_fields_set]
    if bounds:
        yield f"its bounds count even where they are larger than yours: {listed(bounds)}"
    others = {name: getattr(config, name) for name in sorted(config.model_fields_set - set(TOLD))}
    files = dict.fromkeys(sorted(config.files.model_fields_set - {"embedder", "allow_executed"}))
    names = list(setting_names({**others, **({"files": files} if files else {})}))
    if names:
        yield f"it sets {listed(names)}"


def _show(found: RegularFile, allows: list[str]) -> None:
    lines = [f"  - {flat(clean(line))}" for line in allows or ["nothing changes"]]
    out("\n".join((flat(clean(f"{found.path} would have it so that")), *lines)))
    sys.stdout.flush()


def _confirmed() -> bool:
    """Whether a person says yes. Raises Denied where there is none to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Denied("nobody is there to say yes; read what it would allow, then: aios trust --yes", field="yes")
    talk("trust it? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
