"""The findings of the doctor, for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from aios.cli.machine.doctor import Check


def show(console: Console, checks: Sequence[Check]) -> None:
    """A line for each check, and under what is missing how to mend it."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        word, style = verdict(check)
        line = Text.assemble(
            (f"{word:<7}", style), f"  {check.name:<{width}}  ", (check.detail, "dim" if check.ok else "")
        )
        console.print(line, soft_wrap=True)
        if check.fix:
            console.print(Text(f"{'':9}fix: {check.fix}", style="bold" if not check.optional else ""), soft_wrap=True)
    missing = sum(not check.ok and not check.optional for check in checks)
    console.print(f"\n{missing} thing{'s' * (missing != 1)} to fix" if missing else "\naios can run here")


def verdict(check: Check) -> tuple[str, str]:
    """A check in one word, with its style; what is optional is never missing."""
    if check.ok:
        return "ok", "green"
    return ("without", "yellow") if check.optional else ("MISSING", "bold red")
