"""Commands that run something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aios.cli import flags
from aios.terminal.exit import Code

if TYPE_CHECKING:
    from aios.cli.run.jobs import ProgramJob
    from aios.config import Config


def run(
    programs: flags.Programs,
    processes: Annotated[
        int | None, typer.Option("-n", "--processes", min=1, metavar="N", help="How many; programs take turns.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="TEXT", help="For programs without =TASK; - is stdin.")] = None,
    scheduler: flags.Policy = None,
    slice: flags.Slice = None,
    model: flags.Model = None,
    root: flags.Root = None,
    config: flags.ConfigFile = None,
    isolate: flags.Isolate = None,
    wall: flags.Wall = None,
    dry_wall: flags.DryWall = False,
    seed: flags.Seed = None,
    budget_tokens: flags.BudgetTokens = None,
    budget_usd: flags.BudgetUsd = None,
    budget_seconds: flags.BudgetSeconds = None,
    budget_calls: flags.BudgetCalls = None,
    deadline: flags.Deadline = None,
    daemon: flags.Daemon = None,
    durable: flags.Durable = None,
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Go on in the background, on the daemon.")] = False,
    as_json: flags.Json = False,
) -> Code:
    """Run agent programs to their end.

    They run on the daemon, if one runs (aios up) whose kernel is made as this command wants it, else on a kernel of
    their own.

    For example: aios run summarise=notes.txt answer="notes.txt: who wrote it?" -n 8
    """
    from aios.cli.machine.settings import chosen
    from aios.cli.run.dry_wall import dry_walls
    from aios.cli.run.jobs import check, cycle, parse, sealing
    from aios_syscalls import Budget

    found = chosen(
        config,
        scheduler=scheduler,
        slice=slice,
        model=model,
        root=root,
        isolate=isolate,
        wall=wall,
        seed=seed,
        deadline=deadline,
        budget=Budget(tokens=budget_tokens, usd=budget_usd, seconds=budget_seconds, calls=budget_calls),
    )
    jobs = cycle(parse(programs, task), processes)
    check(jobs, found.config, found.project)
    if detach:
        return _detach()
    options: dict[str, Any] = {"dry_wall": dry_walls(jobs, found)} if dry_wall else {}
    return _execute(jobs, sealing(jobs, found.config), as_json, choice=_choice(daemon), durable=durable, **options)


def resume(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Its id or the beginning of it; the last by itself.")
    ] = "last",
    anyway: Annotated[bool, typer.Option("--anyway", help="Though its programs were changed.")] = False,
    daemon: flags.Daemon = None,
    as_json: flags.Json = False,
) -> Code:
    """Go on with a durable run that was cut off: its kernel was killed or stopped.

    Its programs are started again and told all that they had heard, so that they come to where they were; what had
    no answer is run again, but for what must not run twice and had begun.

    For example: aios resume last
    """
    from aios.boot import check_unchanged, resumable
    from aios.cli.record.runs import resolve
    from aios.cli.run.resuming import cut_off

    record = resolve(run)
    durability, config = resumable(record)
    programs = cut_off(record)
    if not anyway:
        check_unchanged(record, programs, config)
    return _execute([], config, as_json, choice=_choice(daemon), durable=durability)


def _choice(daemon: bool | None) -> str | None:
    return None if daemon is None else "daemon" if daemon else "embedded"


def _detach() -> Code:
    import anyio

    from aios.cli.run.detached import own_words, start_runner
    from aios.cli.run.kernels import running_daemon
    from aios.terminal.output import say

    anyio.run(running_daemon)
    os_pid, output = start_runner(own_words())
    say(f"the run goes on: aios ps; it prints to {output}; its runner, which kill ends, is process {os_pid}")
    return Code.OK


def demo(
    agents: Annotated[int, typer.Option("--agents", "-n", min=1, metavar="N", help="How many agents.")] = 8,
    scheduler: flags.Policy = None,
    slice: flags.Slice = None,
    model: flags.Model = None,
    config: flags.ConfigFile = None,
    isolate: flags.Isolate = None,
    wall: flags.Wall = None,
    seed: flags.Seed = None,
    budget_tokens: flags.BudgetTokens = None,
    budget_usd: flags.BudgetUsd = None,
    budget_seconds: flags.BudgetSeconds = None,
    budget_calls: flags.BudgetCalls = None,
    as_json: flags.Json = False,
) -> Code:
    """Run the shipped agents on the shipped texts."""
    from aios.cli.machine.settings import settings
    from aios.cli.run.demo import JOBS, prepare
    from aios.cli.run.jobs import check, cycle
    from aios_syscalls import Budget

    chosen = settings(
        config,
        scheduler=scheduler,
        slice=slice,
        model=model,
        isolate=isolate,
        wall=wall,
        seed=seed,
        budget=Budget(tokens=budget_tokens, usd=budget_usd, seconds=budget_seconds, calls=budget_calls),
    )
    jobs = cycle(JOBS, agents)
    check(jobs, chosen)
    directory, files = prepare()
    return _execute(jobs, chosen.model_copy(update={"root": files}), as_json, directory=directory)


def bench(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Which one; without a name they are listed.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Measure less: a first look.")] = False,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What to measure on, for a bench that takes data.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="GGUF", help="A stronger model, for a bench that compares with one.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Hold what was simulated against the local model, for a bench that does.")
    ] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="An old checkout to compare with, for a bench that does.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the figures too, as SVG.")] = None,
    as_json: flags.Json = False,
) -> Code:
    """Run a benchmark; ends with 1 when a target is missed."""
    from aios import bench
    from aios.terminal.output import out, print_json, stdout
    from aios.terminal.table import grid

    if not name and as_json:
        print_json(dict(bench.BENCHES))
    elif not name:
        table = grid("NAME", "WHAT IT MEASURES")
        for row in bench.BENCHES.items():
            table.add_row(*row)
        stdout().print(table)
    else:
        if plot:
            _write(plot, "")  # now, for a file that cannot be written should not cost twenty minutes
        options = {"data": data, "model": model, "live": live, "against": against}
        given = {option: value for option, value in options.items() if value}
        report = bench.run(name, quick, **given)
        if plot:
            _write(plot, report.plot())
        out(report.to_json()) if as_json else stdout().print(report.show())
        return Code.OK if report.met else Code.ERROR
    return Code.OK


def _write(file: Path, text: str) -> None:
    from aios_syscalls import StorageFailed

    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise StorageFailed(f"{file} cannot be written: {error.strerror}; give another FILE") from error


def _execute(jobs: Sequence[ProgramJob], config: Config, as_json: bool, **options: Any) -> Code:
    import functools
    import sys

    import anyio

    from aios.cli.record import outcome as results
    from aios.cli.run import dry_wall
    from aios.cli.run.execution import execute
    from aios.cli.run.view import view
    from aios.terminal.output import print_json, say, stdout

    screen = view(keep=not sys.stdout.isatty())
    outcome = anyio.run(functools.partial(execute, **options), jobs, config, screen)
    if outcome.run is None:
        raise KeyboardInterrupt
    listed = dry_wall.found(outcome) if "dry_wall" in options else None
    if as_json:
        more = {} if listed is None else {"dry_wall": dry_wall.to_json(listed)}
        print_json({**results.to_json(outcome.history, outcome.run.journal, outcome.failure), **more})
    elif sys.stdout.isatty():
        results.show(stdout(), outcome.history)
    else:
        results.write(outcome.history)
    if listed is not None and not as_json:
        dry_wall.tell(listed)
    if outcome.failure is not None:
        say(outcome.failure.message)
    if outcome.cut_off:
        say(f"the run was cut off; go on with it: aios resume {outcome.run.id}")
    return outcome.code


def estimate(
    graph: Annotated[str, typer.Argument(metavar="GRAPH.json", help="A graph of calls as JSON; - is standard input.")],
    cost: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="Seconds of a call, a token read, a token written; else they are measured."),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Chats at once; default: the model's slots, or 8 with --cost."),
    ] = None,
    tool_seconds: Annotated[float, typer.Option(min=0, metavar="S", help="What a tool call takes.")] = 0.0,
    model: flags.Model = None,
    config: flags.ConfigFile = None,
    as_json: flags.Json = False,
) -> None:
    """Tell what a graph of calls will take: makespan, critical path, lower bound.

    For example: aios trace 7.12 --json | aios estimate - --cost 0.2,0.001,0.02
    """
    import anyio

    from aios.cli.machine.settings import settings
    from aios.cli.run import estimate as told
    from aios.estimate.plan import Cost, plan
    from aios.terminal.output import print_json, stdout

    call = told.read(graph)
    if cost is not None:
        costs, name, slots = Cost.parse(cost), None, 8
    else:
        from aios.estimate.measure import measure

        costs, name, slots = anyio.run(measure, settings(config, model=model))
    found = plan(call, costs, width or slots, tool_seconds)
    if as_json:
        print_json(told.to_json(found, costs, name))
    else:
        told.show(stdout(), call, found, costs, name)


def exec_(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command with its arguments.")],
    agent: Annotated[str | None, typer.Option(metavar="NAME", help="What to call it; default: the command.")] = None,
    priority: Annotated[int, typer.Option(min=-100, max=100, metavar="N", help="Larger runs first.")] = 0,
    model: flags.Model = None,
    config: flags.ConfigFile = None,
    budget_tokens: flags.BudgetTokens = None,
    budget_usd: flags.BudgetUsd = None,
    budget_seconds: flags.BudgetSeconds = None,
    budget_calls: flags.BudgetCalls = None,
    deadline: flags.Deadline = None,
) -> int:
    """Run any command as a process of the daemon's kernel: budgeted, on record, killed with its children.

    A daemon is started where none runs, which then ends when nobody has needed it for 15 minutes.

    Its environment leads OpenAI's and Anthropic's clients to the daemon, with a token of its own, and has no key of
    yours. Its exit code is this command's.

    For example: aios exec --budget-tokens 100000 -- claude -p "Tidy up this directory."
    """
    import anyio

    from aios.cli.machine.settings import settings
    from aios.cli.run.command import execute
    from aios.cli.run.kernels import running_daemon
    from aios_syscalls import Budget

    budget = Budget(tokens=budget_tokens, usd=budget_usd, seconds=budget_seconds, calls=budget_calls)
    chosen = settings(config, model=model, budget=budget, deadline=deadline)
    anyio.run(running_daemon)
    return anyio.run(execute, command, chosen, agent, priority)


COMMANDS = (run, resume, demo, bench, estimate, exec_)
