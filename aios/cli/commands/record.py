"""Commands that read the record of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aios.cli import flags

if TYPE_CHECKING:
    from aios_syscalls import StorageFailed


def runs(
    which: Annotated[
        Literal["unknown"] | None,
        typer.Argument(help="unknown: the calls whose outcome nobody knows, as their kernel died."),
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, metavar="N", help="How many; 0 is all.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="With unknown: those that are decided, too.")] = False,
    as_json: flags.Json = False,
) -> None:
    """List the recorded runs, newest first; or the calls that had begun when their kernel died, and must not run twice.

    Decide about these with `aios resolve`.
    """
    from aios.cli.record import runs, unknown
    from aios.terminal.output import print_json, stdout

    if which is not None:
        calls = unknown.undecided(everything=everything)
        if as_json:
            print_json([unknown.to_object(each) for each in calls])
        else:
            stdout().print(unknown.table(calls))
        return
    summaries = runs.summaries(limit)
    if as_json:
        print_json(list(summaries))
    else:
        stdout().print(runs.table(summaries))


def resolve(
    call: Annotated[str, typer.Argument(metavar="PID.N", help="One of those of `aios runs unknown`.")],
    decision: Annotated[
        Literal["done", "failed", "retry"], typer.Argument(help="It took effect, it did not, or it is to run again.")
    ],
    reply: Annotated[str | None, typer.Option(metavar="JSON", help="What it answered, where it was done.")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="Of which run it is.")] = None,
    as_json: flags.Json = False,
) -> None:
    """Say what came of a call that had begun when its kernel died; its program hears it once the run is resumed."""
    from aios.cli.record import unknown
    from aios.terminal.output import print_json, say

    found = unknown.decide(call, decision, reply, run)
    if as_json:
        print_json(unknown.to_object(found))
    elif found.told:
        say(f"call {found.id} is on record as {decision}; its program went on without knowing")
    else:
        say(f"call {found.id} is on record as {decision}; its program hears it with aios resume {found.run.id}")


def ps(
    run: flags.LivingOrRun = None,
    tree: Annotated[bool, typer.Option("--tree", help="Below each process those that it has started.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Those that have ended too.")] = False,
    as_json: flags.Json = False,
) -> None:
    """Print the processes that live, of the daemon and of every other kernel of yours; or the table of a run."""
    from aios.cli.record import outcome, table
    from aios.cli.record.runs import read, resolve
    from aios.terminal.output import print_json, stdout

    if run is None:
        rows = table.rows(everything=everything)
        if as_json:
            print_json({"processes": [row.to_json() for row in rows]})
        else:
            table.show(stdout(), rows, tree=tree, everything=everything)
        return
    found = resolve(run)
    history = read(found, calls=False, payloads=False)
    if as_json:
        print_json(outcome.to_json(history, found.path))
    elif tree:
        table.show(stdout(), table.of_run(found, history), tree=True, everything=True)
    else:
        outcome.show_table(stdout(), history)


def trace(
    run: flags.RunOrCall = "last",
    call: Annotated[str | None, typer.Option(metavar="PID.N", help="One syscall of the run, whole.")] = None,
    gantt: Annotated[bool, typer.Option("--gantt", help="As a chart over time.")] = False,
    chrome: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As a file for https://ui.perfetto.dev; - is stdout.")
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Print the syscalls of a run in order, a chart of them, or one."""
    from aios.cli.record import traces
    from aios.cli.record.runs import read, which
    from aios.terminal.output import stdout

    found, one = which(run, call)
    history = read(found)
    if chrome is not None:
        traces.write_chrome(history, chrome)
    if one is not None:
        traces.show_call(stdout(), history, one, as_json=as_json)
    elif gantt:
        traces.show_gantt(stdout(), history)
    elif as_json:
        traces.print_lines(history)
    elif chrome is None:
        traces.show_calls(stdout(), history)


def usage(
    by: Annotated[flags.By, typer.Option("--by", help="What to add up by.")] = flags.By.AGENT,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="RUN", help="One run and no other.", autocompletion=flags.runs),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Calls from then on, as `yesterday` or 2026-11-02.")
    ] = None,
    as_json: flags.Json = False,
) -> None:
    """Add up what calls took: tokens, seconds on a slot, US dollars."""
    from aios.cli.files import when as moments
    from aios.cli.record import usage as sums
    from aios.cli.record.runs import resolve
    from aios.terminal.output import me, print_json, say, stdout

    start = moments.since(since) if since else 0.0
    found = sums.UsageSums(by, start)
    broken: list[StorageFailed] = []
    if run is not None:
        found.read(resolve(run))
    else:
        for error in sums.read(found, sums.recorded(start)):
            broken.append(error)
            say(f"{error.message}; it is passed over")
    if not found.total.calls:
        when = f" since {since}" if since else ""
        say(f"no call is on record{when}; make a run: {me()} demo")
    if as_json:
        print_json({**found.to_json(), "passed_over": [error.to_wire() for error in broken]})
    elif found.total.calls:
        stdout().print(found.table())


COMMANDS = (ps, trace, runs, resolve, usage)
