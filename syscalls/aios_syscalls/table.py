"""Every syscall there is, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from aios_syscalls.base import Syscall
from aios_syscalls.file import FileCall
from aios_syscalls.llm import GiveFeedback, LlmCall
from aios_syscalls.process import ProcessCall
from aios_syscalls.tool import ToolCall


def _classes(family: Any) -> tuple[type[Syscall[Any]], ...]:
    return get_args(family) or (family,)


TABLE: Mapping[str, type[Syscall[Any]]] = {
    cls.name: cls for family in (LlmCall, GiveFeedback, ToolCall, FileCall, ProcessCall) for cls in _classes(family)
}
