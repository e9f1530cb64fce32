"""Recorded workloads: CSV files of calls and sessions, JSON Lines of coding agents' rounds."""

from __future__ import annotations

from pathlib import Path

from aios.simulate.program import SimulatedProgram
from aios.simulate.traces import rounds, tables
from aios_syscalls import BadRequest


def read(path: Path) -> list[SimulatedProgram]:
    """The programs of a trace in order of arrival; a file that begins with an object is JSON Lines, any other CSV.

    Raises BadRequest, with the row, for what cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            is_json = file.read(1) == "{"
            file.seek(0)
            programs = list((rounds if is_json else tables).programs(file, path))
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}; give a CSV or JSON Lines file") from error
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is no text in UTF-8: {error.reason}; give a CSV or JSON Lines file") from error
    return sorted(programs, key=lambda program: program.arrival_us)
