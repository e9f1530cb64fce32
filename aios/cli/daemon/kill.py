"""Ending processes, whichever kernel they are on."""

from __future__ import annotations

from aios.cli.daemon import life
from aios.config import journal_path
from aios.link.place import Place
from aios.record import History, LivingRun, living_runs, run_of_process
from aios_syscalls import AiosError, Conflict, NoKernel, NotFound


def kill(pid: int, *, at_once: bool = False) -> list[int]:
    """End a process and all below it; which ones that were. Raises NotFound, NoKernel, Conflict."""
    try:
        found: list[int] = life.ask({"kill": pid, "at_once": at_once})
        return found
    except (NotFound, NoKernel) as error:
        raise _why_not(pid, error) from None


def _why_not(pid: int, refused: AiosError) -> AiosError:
    """What is known of a process that the daemon, if there is one, does not know."""
    run = run_of_process(journal_path(), pid) if pid and journal_path().exists() else None
    if run is None:
        return refused
    living = next((each for each in living_runs(journal_path()) if each.record.id == run), None)
    if living is None or not _lives(living, pid):
        return NotFound(f"process {pid} of run {run} has ended; `aios ps` lists those that live")
    if living.os_pid == Place.of_home().owner():
        return refused
    return Conflict(
        f"process {pid} is one of run {run}, which has a kernel of its own; end the run with Ctrl-C in its terminal, "
        f"or: kill {living.os_pid}"
    )


def _lives(run: LivingRun, pid: int) -> bool:
    process = History.of(run.record.open_events()).processes.get(pid)
    return process is not None and process.ended is None
