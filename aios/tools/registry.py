"""The tools that there are, by name."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from types import ModuleType

from anyio import CapacityLimiter
from pydantic import JsonValue

from aios.tools.isolation import LOADED_SHA256
from aios.tools.tool import Tool
from aios.wall import Walls
from aios_syscalls import BadRequest, Denied, Exists, NotFound, ToolSpec


class ToolBox:
    """Tools by name, each called at most `concurrency` times at once. Raises Exists for a name that is there twice.

    Around tools that run in a process of their own there is a wall as `walls` say, the strictest if they say nothing.
    """

    def __init__(self, tools: Iterable[Tool] = (), walls: Walls = Walls()) -> None:  # noqa: B008 - frozen
        self._walls = walls
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise Exists(f"two tools are called {tool.name}; rename one with @tool(name=...)")
            self._tools[tool.name] = tool
        self._limits = {name: CapacityLimiter(tool.concurrency) for name, tool in self._tools.items()}

    def specs(self, names: Sequence[str] = ()) -> tuple[ToolSpec, ...]:
        """The tools named, or all of them by name, as a model sees them. Raises NotFound."""
        return tuple(self._tool(name).spec for name in names or sorted(self._tools))

    async def call(self, name: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
        """What the tool answers. Raises NotFound, and whatever calling the Tool raises."""
        tool = self._tool(name)
        async with self._limits[name]:
            return await tool(arguments, self._walls)

    def _tool(self, name: str) -> Tool:
        if name in self._tools:
            return self._tools[name]
        near = get_close_matches(name, self._tools, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(self._tools)) or 'none'}"
        raise NotFound(f"no tool {name!r}; {hint}", near=near)


def load_tools(path: str | PathLike[str], sha256: str | None = None) -> tuple[Tool, ...]:
    """The tools that a user's Python file defines.

    Raises NotFound; BadRequest for a file that fails or has none; Denied for one that has not this SHA-256.
    """
    module = _load(Path(path).resolve(), sha256)
    tools = _tools_of(module)
    if not tools:
        raise BadRequest(f"{path} defines no tool; put @tool above a function in it", "path")
    return tools


def find_tool(module: str, name: str, sha256: str | None = None) -> Tool:
    """The tool `name` of a module, by its import name or its file. Raises NotFound; Denied as `load_tools`."""
    source = _load(Path(module), sha256) if module.endswith(".py") else import_module(module)
    for tool in _tools_of(source):
        if tool.name == name:
            return tool
    raise NotFound(f"{module} has no tool {name!r} at its top level; put it there, or drop process=True")


def _tools_of(module: ModuleType) -> tuple[Tool, ...]:
    """Those defined in it, not those that it imports."""
    values = (value for value in vars(module).values() if isinstance(value, Tool))
    return tuple(tool for tool in values if tool.function.__module__ == module.__name__)


def _load(path: Path, sha256: str | None) -> ModuleType:
    """The module that a file is, run from the very bytes that were hashed and never from a compiled copy of others."""
    source = _source(path)
    digest = hashlib.sha256(source).hexdigest()
    if sha256 is not None and digest != sha256.lower():
        why = f"{path} is not what it was when it was allowed (its SHA-256 differs), and is not run"
        raise Denied(f"{why}; see what it is now, then allow it again: aios trust", field="tools")
    # Its path is its module name: unique, and enough for another process to load it again.
    spec = spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise BadRequest(f"{path} is no Python file; its name must end in .py", "path")
    module = sys.modules[spec.name] = module_from_spec(spec)
    setattr(module, LOADED_SHA256, digest)
    try:
        exec(compile(source, path, "exec"), vars(module))
    except Exception as error:
        del sys.modules[spec.name]
        raise BadRequest(f"{path} raised {type(error).__name__}: {error}; repair it", "path") from error
    return module


def _source(path: Path) -> bytes:
    if not path.is_file():
        raise NotFound(f"there is no file {path}; check the path")
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}; mend that", "path") from error
