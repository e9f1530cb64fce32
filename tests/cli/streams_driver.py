"""Runs commands of aios, each in a fork of this process, with their standard streams as they are asked for.

On standard input a JSON list of [words, environment, stdout], on standard output a JSON list of what came of each.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import aios.boot
import aios.cli
import aios.cli.shell
import aios.hosts
import aios.kernel
import aios_storage


def main() -> None:
    """Warm up, then run all."""
    for package in (aios.cli, aios.cli.shell, aios.boot, aios.hosts, aios.kernel, aios_storage):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    print(json.dumps([run(*case) for case in json.load(sys.stdin)]))


def run(words: list[str], environment: dict[str, str], stdout: str) -> dict[str, Any]:
    """What a command did that was started with one kind of standard output: pipe, ascii, closed, full or gone."""
    with tempfile.TemporaryDirectory() as place:
        out, talk = Path(place, "out"), Path(place, "talk")
        sys.stdout.flush()
        child = os.fork()
        if not child:
            become(words, environment, stdout, out, talk)
        _, status = os.waitpid(child, 0)
        written = out.read_bytes().decode("utf-8", "replace") if out.exists() else ""
        return {"code": os.waitstatus_to_exitcode(status), "out": written, "talk": talk.read_text("utf-8", "replace")}


def become(words: list[str], environment: dict[str, str], stdout: str, out: Path, talk: Path) -> None:
    """Be a fresh `aios`; never returns."""
    code = 70
    try:
        os.environ.update(environment)
        sys.argv = ["aios", *words]
        os.dup2(os.open(talk, os.O_WRONLY | os.O_CREAT), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        redirect(stdout, out)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        code = ended()
    finally:
        os._exit(code)


def redirect(stdout: str, out: Path) -> None:
    """Give descriptor 1, and what Python makes of it, as at the start of an interpreter."""
    if stdout == "closed":
        os.close(1)
        sys.stdout = None
        return
    if stdout == "gone":
        read, write = os.pipe()
        os.close(read)
    else:
        write = os.open("/dev/full" if stdout == "full" else out, os.O_WRONLY | os.O_CREAT)
    os.dup2(write, 1)
    sys.stdout = open(1, "w", encoding="ascii" if stdout == "ascii" else "utf-8", closefd=False)  # noqa: SIM115


def ended() -> int:
    """The exit code, after all that an interpreter does at its end."""
    import traceback

    from aios.cli import main

    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        sys.stdout.flush()
    except Exception:
        traceback.print_exc()
        code = 120
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
