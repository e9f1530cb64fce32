"""Flags that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer


def _programs(incomplete: str) -> list[str]:
    from aios.hosts import default_directories, programs

    found = programs(default_directories())
    return [name for name in found if name.startswith(incomplete)]


def runs(incomplete: str) -> list[str]:
    from aios.cli.record.runs import run_ids

    return [run for run in ["last", *run_ids()[::-1]] if run.startswith(incomplete)]


class By(StrEnum):
    """What usage is added up by."""

    AGENT = "agent"
    MODEL = "model"
    DAY = "day"


Programs = Annotated[
    list[str],
    typer.Argument(metavar="PROGRAM[=TASK]", help="Names (see `aios agents`) or paths.", autocompletion=_programs),
]
Run = Annotated[
    str,
    typer.Argument(metavar="[RUN]", help="A run's id, its beginning, a PID in it, or `last`.", autocompletion=runs),
]
LivingOrRun = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run's id, its beginning, a PID in it, or `last`; else what lives in all of them.",
        autocompletion=runs,
    ),
]
RunOrCall = Annotated[
    str,
    typer.Argument(
        metavar="[RUN|PID.N]", help="A run, as for `ps`, or one syscall of a process, whole.", autocompletion=runs
    ),
]
Policy = Annotated[
    str | None, typer.Option("--scheduler", metavar="NAME", help="A policy: round_robin, fifo, gittins, ...")
]
Slice = Annotated[
    str | None,
    typer.Option(metavar="TOKENS", help="Tokens until a generation is preempted, or auto: by what a switch costs."),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="A configured name, a path FILE.gguf, or an OpenAI endpoint URL#NAME."),
]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Where agents' files are, and nothing outside it.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Read this TOML file and no other.")]
Daemon = Annotated[
    bool | None,
    typer.Option("--daemon/--embedded", help="On the daemon, started if need be, or on a kernel of its own."),
]
Durable = Annotated[
    bool | None,
    typer.Option(
        "--durable/--no-durable",
        help="Whether the run can be resumed (aios resume) when it was cut off; on the daemon it can.",
        show_default=False,
    ),
]
Isolate = Annotated[bool | None, typer.Option("--isolate/--no-isolate", help="A process of its own for each agent.")]
Wall = Annotated[
    Literal["auto", "exec", "off"] | None,
    typer.Option(help="What agents may do of themselves: nothing outside, or start programs (exec), or all (off)."),
]
DryWall = Annotated[
    bool,
    typer.Option(
        "--dry-wall",
        help="Run your own programs without the wall, and list what it would have refused; "
        "of what Python does, not of what C code or programs do that they start.",
    ),
]
BudgetTokens = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Tokens that all agents together may use of models.")
]
BudgetUsd = Annotated[float | None, typer.Option(min=0, metavar="X", help="US dollars that models may cost them.")]
BudgetSeconds = Annotated[
    float | None, typer.Option(min=0, metavar="S", help="Seconds that they may run on models and tools.")
]
BudgetCalls = Annotated[int | None, typer.Option(min=0, metavar="N", help="Syscalls that they may make.")]
Deadline = Annotated[
    float | None, typer.Option("--deadline", min=0.001, metavar="S", help="End the run after so many seconds.")
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Makes sampled answers repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
