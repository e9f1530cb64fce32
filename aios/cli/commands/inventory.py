"""Commands that say what is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import flags
from aios.terminal.exit import Code

if TYPE_CHECKING:
    from aios.config import Config

Load = Annotated[bool, typer.Option("--load", help="Load each local model, to see what the engine makes of it.")]


def agents(config: flags.ConfigFile = None, as_json: flags.Json = False) -> None:
    """List the agent programs."""
    from aios.cli.machine import inventory
    from aios.cli.machine.settings import configuration
    from aios.terminal.output import print_json, stdout

    found = inventory.agents(configuration(config))
    if as_json:
        print_json(found)
    else:
        stdout().print(inventory.agent_table(found))


def models(config: flags.ConfigFile = None, load: Load = False, as_json: flags.Json = False) -> Code:
    """List the configured models, and what each takes of this machine."""
    from aios.cli.machine import inventory
    from aios.cli.machine.settings import configuration
    from aios.terminal.output import print_json, say, stdout

    chosen = configuration(config)
    found = inventory.models(chosen, _loaded(chosen) if load else None)
    problems = inventory.problems(found)
    if as_json:
        print_json(found)
    else:
        stdout().print(inventory.model_table(found))
        for problem in problems:
            say(problem)
    return Code.MODEL if load and problems else Code.OK


def _loaded(config: Config) -> Mapping[str, Mapping[str, Any]]:
    import anyio

    from aios.boot import try_models

    return anyio.run(try_models, config)


def config(file: flags.ConfigFile = None, as_json: flags.Json = False) -> None:
    """Print the configuration in force, as TOML that begins with where your own is."""
    from aios.cli.machine import inventory
    from aios.cli.machine.settings import configuration
    from aios.config import user_file
    from aios.terminal.output import out, print_json

    chosen = configuration(file)
    if as_json:
        print_json(chosen.model_dump(mode="json"))
    else:
        there = "" if user_file().exists() else ", which is not there yet"
        out(f"# your own: {user_file()}{there}")
        out("\n".join(inventory.toml(chosen.model_dump(mode="json"))))


def doctor(as_json: flags.Json = False) -> Code:
    """Check this machine; each missing thing comes with its exact fix."""
    from dataclasses import asdict

    from aios.cli.machine.checkup import show
    from aios.cli.machine.doctor import checks
    from aios.terminal.output import print_json, stdout

    found = checks()
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        show(stdout(), found)
    return Code.OK if all(check.ok or check.optional for check in found) else Code.ERROR


COMMANDS = (agents, models, config, doctor)
