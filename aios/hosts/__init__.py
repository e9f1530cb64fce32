"""Where agent programs run: as tasks of the kernel, or as operating-system processes; and finding them."""

from aios.hosts.program import (
    Main,
    default_directories,
    find_program,
    is_path,
    passed_over,
    program_name,
    program_summary,
    programs,
)

__all__ = [
    "Main",
    "default_directories",
    "find_program",
    "is_path",
    "passed_over",
    "program_name",
    "program_summary",
    "programs",
]
