"""Commands on how calls find their models."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli import flags


def explain(
    call: Annotated[str, typer.Argument(metavar="PID.N", help="Which one; `aios trace` lists them.")],
    run: flags.Run = "",
    as_json: flags.Json = False,
) -> None:
    """Tell why a syscall went where it went, and what came of it."""
    from aios.cli import calls, journey
    from aios.cli.output import print_json, stdout
    from aios.cli.runs import read, which

    recorded, id = which(run, call)
    assert id is not None
    history = read(recorded)
    found = calls.find(history, id)
    if as_json:
        print_json(calls.way(found))
    else:
        journey.explain(stdout(), found, history.now)


COMMANDS = (explain,)
