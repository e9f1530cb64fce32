"""Runs a module as `python -m` would, behind the wall of a service: `python -m aios.wall.walled WALL MODULE ...`.

WALL is a ServiceWall as JSON. So a program that knows nothing of walls has one before any of its code is loaded.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile

from aios.wall.service import ServiceWall, put_up_service


def main() -> None:
    """Put the wall up, and become the module."""
    wall = ServiceWall.of(json.loads(sys.argv[1]))
    # The system's directory for temporary files, by which others find the program's socket: once the wall is up, none
    # can be tried.
    tempfile.gettempdir()
    if wall.temporary:
        os.environ["SQLITE_TMPDIR"] = wall.temporary
    put_up_service(wall)
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
