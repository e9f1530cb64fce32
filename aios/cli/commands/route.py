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
    from aios.cli.record import calls, route
    from aios.cli.record.runs import read, which
    from aios.terminal.output import print_json, stdout

    recorded, id = which(run, call)
    assert id is not None
    history = read(recorded)
    found = calls.find(history, id)
    if as_json:
        print_json(calls.way(found))
    else:
        route.explain(stdout(), found, history.now)


COMMANDS = (explain,)
