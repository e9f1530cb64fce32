"""Commands that say what is here."""

from __future__ import annotations

from aios.cli import flags
from aios.cli.exit import Code


def agents(config: flags.ConfigFile = None, as_json: flags.Json = False) -> None:
    """List the agent programs."""
    from aios.cli import inventory
    from aios.cli.output import print_json, stdout
    from aios.config import load

    found = inventory.agents(load(path=config))
    if as_json:
        print_json(found)
    else:
        stdout().print(inventory.agent_table(found))


def models(config: flags.ConfigFile = None, as_json: flags.Json = False) -> None:
    """List the configured models, without loading one."""
    from aios.cli import inventory
    from aios.cli.output import print_json, stdout
    from aios.config import load

    found = inventory.models(load(path=config))
    if as_json:
        print_json(found)
    else:
        stdout().print(inventory.model_table(found))


def config(file: flags.ConfigFile = None, as_json: flags.Json = False) -> None:
    """Print the configuration in force, as TOML."""
    from aios.cli import inventory
    from aios.cli.output import print_json
    from aios.config import load

    chosen = load(path=file)
    if as_json:
        print_json(chosen.model_dump(mode="json"))
    else:
        print("\n".join(inventory.toml(chosen.model_dump(mode="json"))))


def doctor(as_json: flags.Json = False) -> Code:
    """Check this machine; each missing thing comes with its exact fix."""
    from dataclasses import asdict

    from aios.cli.checkup import show
    from aios.cli.doctor import checks
    from aios.cli.output import print_json, stdout

    found = checks()
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        show(stdout(), found)
    return Code.OK if all(check.ok or check.optional for check in found) else Code.ERROR


COMMANDS = (agents, models, config, doctor)
