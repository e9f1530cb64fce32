"""A unit for systemd's user manager."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aios.link.launch import daemon_command
from aios.python import module_command

UNIT = """\
# To have the daemon from your login on, and `systemctl --user status aios` say how it is:
#   aios up --systemd > ~/.config/systemd/user/aios.service
#   systemctl --user enable --now aios
# To have it without a login: loginctl enable-linger

[Unit]
Description=aios, an operating-system kernel for LLM agents

[Service]
Type=exec
ExecStart={start}
ExecReload={reload}
{environment}KillMode=mixed
TimeoutStopSec=30
Restart=on-failure

[Install]
WantedBy=default.target
"""

PLAIN = re.compile("[A-Za-z0-9_./=:@-]+")


def unit() -> str:
    """The unit of this home's daemon, as this Python runs it."""
    home = os.environ.get("AIOS_HOME")
    place = f"AIOS_HOME={Path(home).expanduser().absolute()}" if home else ""
    environment = f"Environment={quoted(place)}\n" if place else ""
    return UNIT.format(
        start=_command(daemon_command()), reload=_command(module_command("aios", "reload")), environment=environment
    )


def quoted(word: str) -> str:
    """A word as systemd reads it: nothing in it is a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return word if PLAIN.fullmatch(word) else f'"{escaped}"'


def _command(words: list[str]) -> str:
    return " ".join(quoted(word).replace("$", "$$") for word in words)
