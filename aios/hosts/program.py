"""Agent programs: finding them by name or path, and loading their `main`."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import cast

from pydantic_core import to_json

from aios.sdk import Agent
from aios_syscalls import AgentFailed, BadRequest, NotFound
from aios_syscalls.base import MAX_CALL_BYTES

SIGNATURE = "async def main(agent: Agent, task: str) -> str"

Main = Callable[[Agent, str], Awaitable[str]]


LOCAL = "agents"
"""The directory of programs that is looked into where aios is started."""


def default_directories() -> tuple[Path, ...]:
    """Where programs lie: the checkout's, the installed ones, and `agents/` here.

    The last one may be anybody's work - a checkout's, an agent's - so it adds names and takes none: `summarise` is what
    it was before in whichever directory it is asked for.
    """
    checkout = Path(__file__).parents[2] / "agents"
    return checkout, Path(sys.prefix) / "share" / "aios" / "agents", Path(LOCAL).absolute()


def passed_over(program: str, directories: Sequence[Path]) -> Path | None:
    """A file in `agents/` here that is not what its name finds, since another directory has one; None for none."""
    local = Path(LOCAL).absolute() / f"{program}.py"
    found = programs(directories).get(program)
    if found is None or not local.is_file() or local.resolve() == found.resolve():
        return None
    return local


def programs(directories: Sequence[Path]) -> dict[str, Path]:
    """Every program by name; the first directory that has one wins."""
    found: dict[str, Path] = {}
    for directory in directories:
        for path in sorted(directory.glob("[!_]*.py")):
            # A FIFO would be waited for by whoever reads it, and a line feed in a name looks like a line of ours.
            if path.stem not in found and path.stem.isprintable() and path.is_file():
                found[path.stem] = path
    return found


def find_program(program: str, directories: Sequence[Path]) -> Path:
    """The file of a program given by name or by path. Raises NotFound, naming what there is."""
    if not program.isprintable():
        raise NotFound(f"no agent program {program!r}: its name has characters that cannot be shown; rename the file")
    if is_path(program):
        path = Path(program).absolute()
        if _is_file(path):
            return path
        raise NotFound(f"no agent program at {program}; give a file with `async def main(agent, task)`")
    known = programs(directories)
    if program in known:
        return known[program]
    near = difflib.get_close_matches(program, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
    raise NotFound(f"no agent program {program!r}; {hint}")


def is_path(program: str) -> bool:
    """Whether a program is given by its path, and not by its name."""
    return program.endswith(".py") or "/" in program


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a directory that is closed
        return False


def program_name(program: str, directories: Sequence[Path]) -> str:
    """What to call a program: its short name where that finds it, else its path. Raises NotFound."""
    path = find_program(program, directories)
    return path.stem if programs(directories).get(path.stem) == path else str(path)


def program_summary(path: Path) -> str:
    """The first line of a program's docstring, without running it."""
    try:
        if path.stat().st_size > MAX_CALL_BYTES:
            return f"(larger than {MAX_CALL_BYTES:,} bytes)"
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except SyntaxError as error:
        return f"(does not parse: line {error.lineno}: {error.msg})"
    except (OSError, ValueError, RecursionError, MemoryError) as error:  # the last two are said of what nests too deep
        return f"(cannot be read: {type(error).__name__}: {error})"
    return text.partition("\n")[0]


def load_program(path: Path) -> Main:
    """A program's `main`. Raises BadRequest when there is none; what else the file itself raises passes through."""
    spec = importlib.util.spec_from_file_location(f"aios_agent_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{path} is no Python file", "program")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic resolves annotations through it
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        raise BadRequest(f"{path.stem} does not parse: {place}: {error.msg}; mend it there", "program") from error
    return _checked(getattr(module, "main", None), path)


def _checked(main: object, path: Path) -> Main:
    """What a program calls `main`, if it can be called as one. Raises BadRequest that says what to write."""
    if not inspect.iscoroutinefunction(main):
        plain = ": its main is a plain function, so write `async` before its `def`" if callable(main) else ""
        raise BadRequest(f"{path} has no `{SIGNATURE}`; add one{plain}", "program")
    signature = inspect.signature(main)
    try:
        signature.bind(None, "")
    except TypeError:
        took = f"main of {path} takes {signature}, but is called with an agent and a task"
        raise BadRequest(f"{took}; write `{SIGNATURE}`", "program") from None
    return cast(Main, main)


async def run(path: Path, agent: Agent, task: str) -> str:
    """Run a program to its result. Raises BadRequest when that is no string, AgentFailed when it is too large."""
    result: object = await load_program(path)(agent, task)
    if not isinstance(result, str):
        raise BadRequest(f"main of {path} returned {type(result).__name__}, not str{_hint(result)}", "program")
    text = result.encode("utf-8", "backslashreplace").decode()
    size = len(to_json(text))
    if size > MAX_CALL_BYTES:
        raise AgentFailed(
            f"the result has {size} bytes as JSON, over the limit of {MAX_CALL_BYTES}; write a file and return its path"
        )
    return text


def _hint(result: object) -> str:
    if inspect.iscoroutine(result):
        result.close()  # or Python would warn that nobody has awaited it
    if inspect.isawaitable(result):
        return ": await it, as in `return await ...`"
    return ": end it with `return` and a text" if result is None else ": return `str(...)` of it, or a JSON text"
