"""Commands on the daemon: one kernel for every agent of this user."""

from __future__ import annotations

from typing import Annotated

import typer

from aios.cli import flags

Wait = Annotated[bool, typer.Option("--wait", help="Let all runs end first; new ones are refused meanwhile.")]


def up(
    foreground: Annotated[bool, typer.Option("--foreground", help="Run it here, until Ctrl-C.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Print a unit for systemd, and start nothing.")] = False,
    as_json: flags.Json = False,
) -> None:
    """Start the daemon, and wait until it is ready. Where one runs, that is told, and it stays."""
    from aios.cli.daemon import life
    from aios.cli.daemon.status import to_json
    from aios.cli.daemon.unit import unit
    from aios.terminal.output import out, print_json

    if systemd:
        out(unit())
        return
    if foreground:
        life.run_in_foreground()
    status, new = life.up()
    if as_json:
        print_json({**to_json(status), "new": new})
    else:
        models = ", ".join(status["models"]) or "no models yet"
        out(f"the daemon runs {'' if new else 'already, '}as process {status['os_pid']}, with {models}")


def down(wait: Wait = False, as_json: flags.Json = False) -> None:
    """End the daemon: what runs has two seconds, what waits is cancelled at once."""
    from aios.cli.daemon import life
    from aios.terminal.output import out, print_json

    os_pid = life.down(wait=wait)
    if as_json:
        print_json({"ended": os_pid})
    else:
        out(f"the daemon, process {os_pid}, has ended")


def restart(wait: Wait = False, as_json: flags.Json = False) -> None:
    """End the daemon, if one runs, also one of another version, and start it anew."""
    from contextlib import suppress

    from aios.cli.daemon import life
    from aios_syscalls import NoKernel

    with suppress(NoKernel):
        life.down(wait=wait)
    up(as_json=as_json)


def reload(as_json: flags.Json = False) -> None:
    """Have the daemon take over what has changed in the configuration, as far as that goes while it runs."""
    from aios.cli.daemon import life
    from aios.terminal.output import out, print_json, say

    said = life.ask({"reload": True})
    if as_json:
        print_json(said)
        return
    out(f"taken over: {', '.join(said['taken']) or 'nothing, for nothing of that kind has changed'}")
    if said["left"]:
        say(f"changed too, for a new daemon only: {', '.join(said['left'])}; start it anew: aios restart")


def status(as_json: flags.Json = False) -> None:
    """Tell how the daemon is; ends with 4 where none runs."""
    from aios.cli.daemon import life
    from aios.cli.daemon.status import lines, to_json
    from aios.terminal.output import out, print_json

    said = life.ask({"status": True})
    if as_json:
        print_json(to_json(said))
    else:
        out("\n".join(lines(said)))


def logs(
    pid: Annotated[int | None, typer.Argument(metavar="[PID]", min=1, help="What this process has printed.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, metavar="N", help="Lines at most.")] = 20,
    as_json: flags.Json = False,
) -> None:
    """Print the end of the daemon's log, or of what an agent has printed."""
    from aios.cli.daemon.logs import last_lines, log_of
    from aios.terminal.output import out, print_json

    path = log_of(pid)
    if as_json and not follow:
        print_json({"log": str(path), "lines": [*last_lines(path, lines)]})
        return
    for line in last_lines(path, lines, follow):
        print_json({"line": line}, line=True) if as_json else out(line)


def kill(
    pids: Annotated[list[int], typer.Argument(metavar="PID...", min=1, help="As `aios ps` lists them.")],
    at_once: Annotated[
        bool, typer.Option("-9", "--at-once", help="Without the second that each has to end by itself.")
    ] = False,
    as_json: flags.Json = False,
) -> None:
    """End processes, and all that they have started."""
    from aios.cli.daemon.kill import kill
    from aios.terminal.output import out, print_json

    ended = [each for pid in pids for each in kill(pid, at_once=at_once)]
    if as_json:
        print_json({"ended": ended})
    else:
        out(f"ended: {', '.join(map(str, ended)) or 'nothing, for all had ended'}")


COMMANDS = (up, down, restart, reload, status, logs, kill)
